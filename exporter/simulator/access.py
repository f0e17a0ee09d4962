"""Who may ask, and about which projects."""

from collections.abc import Iterable
from typing import Final

from exporter.simulator.messages import FORBIDDEN, UNKNOWN, Parameters, Refused
from exporter.simulator.world import (
    GLOBAL_ROLES,
    ORGANIZATION_TOKEN_PREFIX,
    READ_SCOPES,
    Organization,
    Project,
    Token,
    TokenKind,
    World,
)

_CHALLENGE: Final = (("WWW-Authenticate", 'xBasic realm="api"'),)
_ALL_PROJECTS: Final = -1


def find_token(world: World, authorization: str) -> Token | None:
    """Return the token of an Authorization header, ``None`` if it is not a valid one."""
    scheme, _, value = authorization.strip().partition(" ")
    return world.token(value.strip()) if scheme.lower() == "bearer" else None


def authenticate(world: World, authorization: str) -> Token:
    """Return the token of an Authorization header, or refuse with 401 as Sentry words it."""
    scheme, _, credentials = authorization.strip().partition(" ")
    words = credentials.split()
    if scheme.lower() != "bearer":
        raise _unauthorized("Authentication credentials were not provided.")
    if not words:
        raise _unauthorized("Invalid token header. No credentials provided.")
    if len(words) > 1:
        raise _unauthorized("Invalid token header. Token string should not contain spaces.")
    token = world.token(words[0])
    if token is None:
        is_organizations = words[0].startswith(ORGANIZATION_TOKEN_PREFIX)
        raise _unauthorized("Invalid org token" if is_organizations else "Invalid token")
    return token


def authorize(world: World, token: Token, id_or_slug: str) -> Organization:
    """Return the organization a path names: the scope first, then whether it exists, then whose."""
    if not token.scopes & READ_SCOPES:
        raise Refused(403, FORBIDDEN)
    organization = world.organization(id_or_slug)
    if organization is None:
        raise Refused(404, UNKNOWN)
    if not _belongs(world, token, organization):
        raise Refused(403, FORBIDDEN)
    return organization


def is_member(token: Token, project: Project) -> bool:
    """Return whether the token's owner is on a team of ``project``; integrations always are."""
    return token.kind is not TokenKind.USER or token.user in project.members


def may_see(world: World, token: Token, organization: Organization, project: Project) -> bool:
    """Return whether the token has access to ``project`` without being on its teams too."""
    return (
        organization.open_membership
        or world.role(organization.id, token.user) in GLOBAL_ROLES
        or is_member(token, project)
    )


def counted_projects(
    world: World, token: Token, organization: Organization, parameters: Parameters
) -> frozenset[int] | None:
    """Return the projects whose events count, ``None`` for the whole organization.

    The whole organization, deleted projects included, is meant when no project is asked for and
    the last groupBy is not ``project``; Sentry looks at no other.
    """
    asked = _parse_projects(parameters.all("project"))
    grouped = "project" in (parameters.last("groupBy") or "")
    if asked <= {_ALL_PROJECTS} and not grouped:
        return None
    active = world.active_projects(organization.id)
    if not asked:
        return _some(project.id for project in active if is_member(token, project))
    seen = {each.id for each in active if may_see(world, token, organization, each)}
    if _ALL_PROJECTS in asked:
        return _some(seen)
    if not asked <= seen:
        raise Refused(403, FORBIDDEN)
    return frozenset(asked)


def _belongs(world: World, token: Token, organization: Organization) -> bool:
    if token.kind is TokenKind.USER:
        return world.role(organization.id, token.user) is not None
    return token.organization == organization.id


def _parse_projects(values: Iterable[str]) -> set[int]:
    try:
        return {int(value) for value in values}
    except ValueError:
        detail = "Invalid project parameter. Values must be numbers."
        raise Refused(400, detail) from None


def _some(projects: Iterable[int]) -> frozenset[int]:
    found = frozenset(projects)
    if not found:
        raise Refused(400, "No projects available")
    return found


def _unauthorized(detail: str) -> Refused:
    return Refused(401, detail, _CHALLENGE)
