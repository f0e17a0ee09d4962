"""Projects of an organization, as its list gives them: at once, or by pages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

    ``accessible`` says whether the token may read it.
    """

    id: int
    slug: str
    platform: str
    accessible: bool


@dataclass(frozen=True, slots=True)
class ProjectList:
    """The projects of an organization, to be found by id and by slug.

    ``accessible`` are the ids of those that the token may read.
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


class _ProjectDocument(TypedDict):
    id: Id
    slug: Annotated[str, Field(min_length=1)]
    platform: NotRequired[str | None]
    hasAccess: NotRequired[Annotated[bool, Field(strict=True)]]


_PAGE: Final = TypeAdapter(Annotated[list[_ProjectDocument], FailFast()])


def parse_page(body: bytes) -> list[Project]:
    """Return the projects of one answer; raises `BadAnswerError` with the place."""
    return [
        Project(
            id=int(raw["id"]),
            slug=raw["slug"],
            platform=raw.get("platform") or "",
            accessible=raw.get("hasAccess", True),
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
