"""Authentication, authorization, and which projects an answer counts.

The rules are those of ``OrganizationPermission`` (``src/sentry/api/bases/organization.py``) and of
``_get_projects_for_orgstats_query`` (``src/sentry/api/endpoints/organization_stats_v2.py``).
"""

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

# "xBasic" is deliberate: "Basic" would make a browser ask for a password.
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
        is_organization_token = words[0].startswith(ORGANIZATION_TOKEN_PREFIX)
        raise _unauthorized("Invalid org token" if is_organization_token else "Invalid token")
    return token


def authorize(
    world: World, token: Token, id_or_slug: str, release: Release = CURRENT
) -> Organization:
    """Return the organization that a path names, or refuse as Sentry does.

    The scope is checked before the organization is looked up: without the scope, an organization
    that does not exist is a 403, not a 404.
    """
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
    """Return ``isMember`` of the projects list: whether the token's user is on one of its teams.

    An integration's user is on no team, although stats_v2 treats it as a member of every project.
    """
    return token.kind is TokenKind.USER and token.user in project.members


def is_listed_as_accessible(
    world: World, token: Token, organization: Organization, project: Project
) -> bool:
    """Return ``hasAccess`` of the projects list.

    For a user, this is whether stats_v2 lets the token read the project. For an integration, it is
    only whether the organization has Open Membership: stats_v2 lets it read every active project.
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
    """Return the projects whose events are counted, ``None`` for the organization total.

    The organization total includes deleted projects. It is the answer if no ``project`` is given
    and the last ``groupBy`` is not ``project``. The project ``-1`` stands for every project that
    the token may read; ids given together with it are not checked.
    """
    requested = _parse_projects(parameters.all("project"))
    # Sentry reads the parameter with GET.get(), which returns its last value, and then looks for
    # the word as a substring (_is_org_total_query).
    is_grouped = "project" in (parameters.last("groupBy") or "")
    if requested <= {_ALL_PROJECTS} and not is_grouped:
        return None
    active = world.active_projects(organization.id)
    if not requested:
        # Membership counts here, access with -1 (src/sentry/api/bases/organization.py).
        return _not_empty(project.id for project in active if _is_member(token, project))
    readable = {each.id for each in active if _may_read(world, token, organization, each)}
    if _ALL_PROJECTS in requested and (len(requested) == 1 or release.ignores_ids_beside_all):
        return _not_empty(readable)
    if not requested <= readable:
        raise Refused(403, FORBIDDEN)
    return frozenset(requested)


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


def _not_empty(projects: Iterable[int]) -> frozenset[int]:
    counted = frozenset(projects)
    if not counted:
        raise Refused(400, "No projects available")
    return counted


def _unauthorized(detail: str) -> Refused:
    return Refused(401, detail, _CHALLENGE)
