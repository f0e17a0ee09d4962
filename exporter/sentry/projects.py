"""Projects of an organization, as its list gives them: at once, or by pages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, NotRequired, Self

from pydantic import FailFast, Field, TypeAdapter
from typing_extensions import TypedDict

from exporter.sentry.documents import Id, read
from exporter.sentry.errors import BadAnswerError

# Neither pattern can be made to look at the same text twice, however the header is made.
_LINK: Final = re.compile(r"<[^<>]*>([^<]*)")
_PARAMETER: Final = re.compile(r';\s*+([\w-]++)\s*+=\s*+(?:"([^"]*+)"|([^\s",;]++))')


@dataclass(frozen=True, slots=True)
class Project:
    """One project; ``platform`` is ``""`` where Sentry knows none.

    ``accessible`` is what the list says of whether it may be read, a hint only: Sentry reckons it
    from the teams of the token's user, which an integration's has none of
    (``get_access_by_project`` in Sentry's ``api/serializers/models/project.py``). ``teams`` are
    slugs.
    """

    id: int
    slug: str
    platform: str
    accessible: bool
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectList:
    """The projects of an organization, to be found by id and by slug.

    ``accessible`` are the ids of those that the token may read, as far as is known.
    """

    by_id: Mapping[int, Project]
    by_slug: Mapping[str, Project]
    accessible: frozenset[int]

    @classmethod
    def of(cls, projects: Iterable[Project]) -> Self:
        """Return the list of ``projects``; of two with the same id, the later one counts."""
        by_id = {project.id: project for project in projects}
        return cls(
            by_id,
            {project.slug: project for project in by_id.values()},
            frozenset(project.id for project in by_id.values() if project.accessible),
        )

    def all_readable(self) -> Self:
        """Return the same list for a token that can read every project of it."""
        return replace(self, accessible=frozenset(self.by_id))


class _TeamDocument(TypedDict):
    slug: str


class _ProjectDocument(TypedDict):
    id: Id
    slug: Annotated[str, Field(min_length=1)]
    platform: NotRequired[str | None]
    hasAccess: NotRequired[Annotated[bool, Field(strict=True)]]
    teams: NotRequired[list[_TeamDocument] | None]


_PAGE: Final = TypeAdapter(Annotated[list[_ProjectDocument], FailFast()])


def parse_page(body: bytes) -> list[Project]:
    """Return the projects of one answer; raises `BadAnswerError` with the place."""
    return [
        Project(
            id=int(raw["id"]),
            slug=raw["slug"],
            platform=raw.get("platform") or "",
            accessible=raw.get("hasAccess", True),
            teams=tuple(team["slug"] for team in raw.get("teams") or ()),
        )
        for raw in read(_PAGE, body)
    ]


def next_cursor(header: str) -> str | None:
    """Return the cursor of the next page that a ``Link`` header names, None on the last page.

    Only the cursor is taken: the address beside it is the one that the server believes to have.
    Raises `BadAnswerError` where there is a next page and no cursor for it.
    """
    for link in _LINK.finditer(header):
        parameters: dict[str, str] = {
            name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(link[1])
        }
        if parameters.get("rel") == "next" and parameters.get("results") == "true":
            if not parameters.get("cursor"):
                raise BadAnswerError("Link", "names a next page without a cursor")
            return parameters["cursor"]
    return None
