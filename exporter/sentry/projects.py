"""The projects of an organization, and the pages of the list that Sentry sends."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

from msgspec import Meta, Struct, field
from msgspec.json import Decoder

from exporter.sentry.decoding import Id, Name, decode
from exporter.sentry.errors import BadAnswerError

# Neither pattern backtracks over the same text twice, whatever the header holds.
_LINK: Final = re.compile(r"<[^<>]*>([^<]*)")
_PARAMETER: Final = re.compile(r';\s*+([\w-]++)\s*+=\s*+(?:"([^"]*+)"|([^\s",;]++))')


@dataclass(frozen=True, slots=True)
class Project:
    """One project; ``platform`` is ``""`` where Sentry knows none.

    ``accessible`` is the list's ``hasAccess``, a hint only: Sentry derives it from the teams of
    the token's user, and the user of an integration has none (``get_access_by_project`` in
    Sentry's ``api/serializers/models/project.py``). ``teams`` are slugs.
    """

    id: int
    slug: str
    platform: str
    accessible: bool
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectList:
    """The projects of an organization by id and by slug.

    ``accessible`` are the ids of those that the token may read, as far as is known.
    """

    by_id: Mapping[int, Project]
    by_slug: Mapping[str, Project]
    accessible: frozenset[int]

    @classmethod
    def of(cls, projects: Iterable[Project]) -> Self:
        """Return the list of ``projects``; of two with the same id, the later one counts."""
        # Sentry's pages are offsets into a list sorted by slug: a project that is renamed meanwhile
        # may be on two of them.
        by_id = {project.id: project for project in projects}
        return cls(
            by_id,
            {project.slug: project for project in by_id.values()},
            frozenset(project.id for project in by_id.values() if project.accessible),
        )

    @property
    def listed(self) -> int:
        """How many projects the list has."""
        return len(self.by_id)

    @property
    def readable(self) -> int:
        """How many of the listed projects the token can read."""
        return len(self.accessible & self.by_id.keys())

    @property
    def hidden(self) -> int:
        """How many of the listed projects the token cannot read."""
        return self.listed - self.readable

    @property
    def is_of_an_integration(self) -> bool:
        """Whether the token reads a project that the list denies to its user.

        Only integrations do: their user is in no team.
        """
        read = self.accessible & self.by_id.keys()
        return any(not self.by_id[project].accessible for project in read)

    def all_readable(self) -> Self:
        """Return the same list for a token that can read every project of it."""
        return replace(self, accessible=frozenset(self.by_id))


class _Team(Struct):
    slug: Name


class _Item(Struct):
    id: Id
    slug: Annotated[Name, Meta(min_length=1)]
    platform: Name | None = None
    has_access: bool = field(name="hasAccess", default=True)
    teams: list[_Team] | None = None


_PAGE: Final = Decoder(list[_Item])


def parse_page(body: bytes) -> list[Project]:
    """Return the projects of one answer; raise `BadAnswerError` with the place."""
    return [
        Project(
            id=int(item.id),
            slug=item.slug,
            platform=item.platform or "",
            accessible=item.has_access,
            teams=tuple(team.slug for team in item.teams or ()),
        )
        for item in decode(_PAGE, body)
    ]


def next_cursor(header: str) -> str | None:
    """Return the cursor of the next page that a ``Link`` header names, None on the last page.

    Only the cursor is used: the address in the header is the one that the server takes for its
    own, which need not be the one it is reached at. Raise `BadAnswerError` where there is a next
    page and no cursor for it.
    """
    # Sentry names a next page on the last one too, with results="false".
    for link in _LINK.finditer(header):
        parameters: dict[str, str] = {
            name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(link[1])
        }
        if parameters.get("rel") == "next" and parameters.get("results") == "true":
            if not parameters.get("cursor"):
                raise BadAnswerError("Link", "names a next page without a cursor")
            return parameters["cursor"]
    return None
