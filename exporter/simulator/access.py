"""Who may ask, and about which projects."""

from collections.abc import Iterable
from typing import Final

from exporter.simulator.messages import FORBIDDEN, UNKNOWN, Parameters, Refused
from exporter.simulator.release import CURRENT, Release
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


def authorize(
    world: World, token: Token, id_or_slug: str, release: Release = CURRENT
) -> Organization:
    """Return the organization a path names: the scope first, then whether it exists, then whose."""
    if not token.scopes & READ_SCOPES:
        raise Refused(403, FORBIDDEN)
    organization = world.organization(id_or_slug)
    is_unknown_id = id_or_slug.isdecimal() and not release.has_numeric_ids
    if organization is None or is_unknown_id:
        raise Refused(404, UNKNOWN)
    if not _belongs(world, token, organization):
        raise Refused(403, FORBIDDEN)
    return organization


def is_listed_as_member(token: Token, project: Project) -> bool:
    """Return ``isMember`` of the projects list: whether the token's user is on a team of it.

    The user of an integration is on no team, although stats_v2 treats it as a member of each.
    """
    return token.kind is TokenKind.USER and token.user in project.members


def is_listed_as_accessible(
    world: World, token: Token, organization: Organization, project: Project
) -> bool:
    """Return ``hasAccess`` of the projects list, which is not what stats_v2 lets a token read.

    It is right for users. For an integration it says no more than whether membership is open.
    """
    return (
        organization.open_membership
        or _has_global_role(world, token, organization)
        or is_listed_as_member(token, project)
    )


def counted_projects(
    world: World,
    token: Token,
    organization: Organization,
    parameters: Parameters,
    release: Release = CURRENT,
) -> frozenset[int] | None:
    """Return the projects whose events count, ``None`` for the whole organization.

    The whole organization, deleted projects included, is meant when no project is asked for and
    the last groupBy is not ``project``; Sentry looks at no other. ``-1`` is every project that
    the token may read, and ids beside it are not checked.
    """
    asked = _parse_projects(parameters.all("project"))
    grouped = "project" in (parameters.last("groupBy") or "")
    if asked <= {_ALL_PROJECTS} and not grouped:
        return None
    active = world.active_projects(organization.id)
    if not asked:
        return _some(project.id for project in active if _is_member(token, project))
    readable = {each.id for each in active if _may_read(world, token, organization, each)}
    if _ALL_PROJECTS in asked and (len(asked) == 1 or release.ignores_ids_beside_all):
        return _some(readable)
    if not asked <= readable:
        raise Refused(403, FORBIDDEN)
    return frozenset(asked)


def _is_member(token: Token, project: Project) -> bool:
    return token.kind is not TokenKind.USER or token.user in project.members


def _may_read(world: World, token: Token, organization: Organization, project: Project) -> bool:
    return (
        organization.open_membership
        or _has_global_role(world, token, organization)
        or _is_member(token, project)
    )


def _has_global_role(world: World, token: Token, organization: Organization) -> bool:
    return world.role(organization.id, token.user) in GLOBAL_ROLES


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
