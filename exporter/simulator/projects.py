"""The projects list: every active project, in one answer or in pages.

It follows ``src/sentry/core/endpoints/organization_projects.py``.
"""

import re
from typing import Any, Final
from urllib.parse import quote
from zlib import crc32

from exporter.simulator.access import is_listed_as_accessible, is_listed_as_member
from exporter.simulator.messages import Answer, Parameters, Refused, document
from exporter.simulator.world import Organization, Project, Token, World

MAX_PAGE_SIZE: Final = 100
CONFIGURED_URL: Final = "https://sentry.io"
"""The host in the ``Link`` header: the configured one, even if the request went to another."""

# limit:page:is_previous, as Sentry's offset paginator writes it.
_CURSOR: Final = re.compile(r"(\d+):(-?\d+):[01]")


def answer(
    parameters: Parameters,
    token: Token,
    organization: Organization,
    world: World,
    *,
    supports_all_projects: bool,
) -> Answer:
    """Return one page of the projects list with its ``Link`` header.

    If ``supports_all_projects`` holds and the request has ``all_projects=1``, the answer has every
    project and no ``Link`` header.
    """
    projects = sorted(world.active_projects(organization.id), key=lambda project: project.slug)
    items = [_item(project, token, organization, world) for project in projects]
    if supports_all_projects and parameters.last("all_projects") == "1":
        return document(200, items)
    size, page = _parse_cursor(parameters)
    first, after = page * size, (page + 1) * size
    links = ", ".join(
        (
            _link(parameters, organization, "previous", f"{size}:{page - 1}:1", more=page > 0),
            _link(
                parameters, organization, "next", f"{size}:{page + 1}:0", more=after < len(items)
            ),
        )
    )
    return document(200, items[first:after], (("Link", links),))


def _parse_cursor(parameters: Parameters) -> tuple[int, int]:
    size = _parse_size(parameters.last("per_page"))
    cursor = parameters.last("cursor")
    if not cursor:
        return size, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None or int(match[2]) < 0 or not 1 <= int(match[1]) <= MAX_PAGE_SIZE:
        raise Refused(400, "Invalid cursor parameter.")
    return int(match[1]), int(match[2])


def _parse_size(text: str | None) -> int:
    try:
        size = MAX_PAGE_SIZE if text is None else int(text)
    except ValueError:
        raise Refused(400, "Invalid per_page parameter.") from None
    if not 1 <= size <= MAX_PAGE_SIZE:
        detail = f"Invalid per_page value. Must be between 1 and {MAX_PAGE_SIZE}."
        raise Refused(400, detail)
    return size


def _link(
    parameters: Parameters, organization: Organization, relation: str, cursor: str, *, more: bool
) -> str:
    other_parameters = "&".join(
        f"{quote(name)}={quote(value)}" for name, value in parameters.pairs if name != "cursor"
    )
    url = f"{CONFIGURED_URL}/api/0/organizations/{organization.slug}/projects/"
    results = "true" if more else "false"
    target = f"<{url}?{other_parameters}&cursor={cursor}>"
    return f'{target}; rel="{relation}"; results="{results}"; cursor="{cursor}"'


def _item(
    project: Project, token: Token, organization: Organization, world: World
) -> dict[str, Any]:
    teams = [_team(project.organization, slug) for slug in project.teams]
    return {
        # A string here, but a number in the answers of stats_v2.
        "id": str(project.id),
        "slug": project.slug,
        "name": project.slug,
        "platform": project.platform,
        "isMember": is_listed_as_member(token, project),
        "hasAccess": is_listed_as_accessible(world, token, organization, project),
        "team": next(iter(teams), None),
        "teams": teams,
        "dateCreated": project.created,
    }


def _team(organization: int, slug: str) -> dict[str, str]:
    # The id is derived from the slug, so that a team has the same id in all its projects.
    number = crc32(f"{organization}:{slug}".encode())
    return {"id": str(number), "slug": slug, "name": slug.replace("-", " ").title()}
