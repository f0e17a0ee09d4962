"""What a query is about, in terms of questions and series.

A `Subject` is a configured query with its project slugs resolved to ids. It makes the questions
that read a window, and turns the groups of an answer into series.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import quote_plus, urlencode

from exporter.buckets import Window
from exporter.categories import TAKEN_IN_BY
from exporter.collect.series import PartedRows, Series, joined
from exporter.config import Query
from exporter.config.problems import near
from exporter.sentry.answer import By, ProjectsAnswer, SeriesAnswer
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import ALL_READABLE, ATTRIBUTABLE, Question

URL_BUDGET: Final = 8192
"""Bytes that a request's URL may take: longer ones are refused by common proxies."""

_ADDRESS_ALLOWANCE: Final = 256
"""Bytes left for scheme, host, prefix and path, where they are not known."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a query asks about; ``project`` holds the ids that its filter names, if it names any.

    ``one_project`` tells that the filter names a single project, which then is a label. A query
    string may have ``room`` bytes.
    """

    fields: tuple[str, ...]
    group_by: tuple[str, ...]
    interval: int
    category: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    reason: str | None = None
    project: tuple[int, ...] = ()
    one_project: bool = False
    room: int = URL_BUDGET - _ADDRESS_ALLOWANCE

    @property
    def by_project(self) -> bool:
        """Whether the query has a series per project, and so no series over time upstream."""
        return "project" in self.group_by

    def question(self, window: Window) -> Question:
        """Return the question that reads ``window`` in one request, not grouped by project."""
        return self._ask(self._groups(), window, self.project)

    def attributable_question(self, window: Window) -> Question:
        """Return the same question about those projects only that the token can read."""
        return self._ask(self._groups(), window, self.project or ATTRIBUTABLE)

    def project_question(self, bucket: int, projects: tuple[int, ...] = ()) -> Question:
        """Return the question that reads one bucket by project, of ``projects`` only if given.

        Without them it is about all that the token can read. What comes back is therefore what
        the token can read, whatever the projects list says of it.
        """
        groups = (*self._groups(), "project")
        return self._ask(groups, self.bucket(bucket), projects or self.project or ALL_READABLE)

    def bucket(self, start: int) -> Window:
        """Return the window of one bucket."""
        return Window(start, start + self.interval, self.interval)

    def batches(self, question: Question, most: int | None = None) -> list[Question]:
        """Return questions that ask the same together, each of ``most`` projects or fewer.

        Their query strings fit into ``room``. One that cannot be divided any more is left long.
        """
        room = self.room // 2 if question.project else self.room
        parts = _packed(replace(question, project=()), "category", question.category, room)
        return [
            batch
            for part in parts
            for batch in _packed(part, "project", question.project, self.room, most)
        ]

    def totals(self, answer: ProjectsAnswer) -> PartedRows:
        """Return ``answer`` as rows."""
        return joined(
            *(
                PartedRows({self.series(field, by): values})
                for field, groups in answer.totals.items()
                for by, values in groups.items()
            )
        )

    def buckets(self, answer: SeriesAnswer) -> dict[int, dict[Series, int]]:
        """Return ``answer`` as rows by bucket.

        Zeros are left out, but for a group that has nothing else: Sentry says it is there.
        """
        starts = answer.question.window.buckets()
        found: dict[int, dict[Series, int]] = {start: {} for start in starts}
        for group in answer.groups:
            for field, values in zip(answer.question.fields, group.series, strict=True):
                series = self.series(field, group.by)
                silent = not any(values)
                for start, value in zip(starts, values, strict=True):
                    if value or silent:
                        rows = found[start]
                        rows[series] = rows.get(series, 0) + value
        return found

    def series(self, field: str, by: By) -> Series:
        """Return the series that a group belongs to, without project if the query is by project.

        What is not grouped by may be pinned by the filter.
        """
        grouped = self.group_by
        pinned = self.one_project and not self.by_project and self.project
        return Series(
            field,
            by.category if "category" in grouped else _pinned(self.category),
            by.outcome if "outcome" in grouped else _pinned(self.outcome),
            by.reason if "reason" in grouped else self.reason or "",
            self.project[0] if pinned else 0,
        )

    def _groups(self) -> tuple[str, ...]:
        return tuple(group for group in self.group_by if group != "project")

    def _ask(self, groups: tuple[str, ...], window: Window, projects: tuple[int, ...]) -> Question:
        return Question(
            self.fields, groups, window, self.category, self.outcome, self.reason, projects
        )


@dataclass(frozen=True, slots=True)
class Resolved:
    """The ids of a filter's projects, and the names of those that cannot be read."""

    ids: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()


def resolved(
    names: Sequence[str], projects: ProjectList | None, refused: frozenset[int] = frozenset()
) -> Resolved:
    """Return the ids of what a filter names; ``refused`` are those that Sentry does not let read.

    Without a list an id is taken for what it is, and a slug cannot be told.
    """
    ids: dict[int, None] = {}
    missing = []
    for name in names:
        project = _project_id(name, projects)
        if project is None or project in refused:
            missing.append(name)
        else:
            ids[project] = None
    return Resolved(tuple(ids), tuple(missing))


def missing_project(name: str, projects: ProjectList | None) -> str:
    """Return what is wrong with a name in a filter that stands for no project to be read."""
    if _project_id(name, projects) is not None:
        return f"filter.project names {name!r}, which the token cannot read"
    what = "id" if name.isdigit() else "slug"
    hint = near(name, projects.by_slug) if projects else ""
    return f"filter.project names {name!r}, which is no {what} of the organization{hint}"


def subject_of(
    query: Query, projects: tuple[int, ...] = (), *, address: int | None = None
) -> Subject:
    """Return what ``query`` is about; ``address`` is how long a URL is before its query string."""
    return Subject(
        fields=query.fields,
        group_by=query.group_by,
        interval=query.interval,
        category=_apart(query.filter.category),
        outcome=query.filter.outcome,
        reason=query.filter.reason,
        project=projects,
        one_project=len(query.filter.project) == 1,
        room=URL_BUDGET - (_ADDRESS_ALLOWANCE if address is None else address),
    )


def _packed(
    question: Question,
    key: Literal["category", "project"],
    values: Sequence[Any],
    room: int,
    most: int | None = None,
) -> list[Question]:
    """Return questions with as many of ``values`` under ``key`` as fit each, in order."""
    bare = _with(question, key, ())
    without = len(urlencode(bare.parameters()))
    batches: list[list[Any]] = [[]]
    length = without
    for value in values:
        cost = len(key) + len(quote_plus(str(value))) + len("&=")
        if batches[-1] and (len(batches[-1]) == most or length + cost > room):
            batches.append([])
            length = without
        batches[-1].append(value)
        length += cost
    return [_with(question, key, batch) for batch in batches]


def _with(question: Question, key: str, values: Sequence[Any]) -> Question:
    """Return ``question`` with other values under ``key``."""
    if key == "category":
        return replace(question, category=tuple(values))
    return replace(question, project=tuple(values))


def _apart(categories: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the categories that another one of the filter takes in already."""
    return tuple(one for one in categories if TAKEN_IN_BY.get(one) not in categories)


def _project_id(name: str, projects: ProjectList | None) -> int | None:
    """Return the id of what a filter names, ``None`` if the list has nothing of that name."""
    if projects is None:
        return int(name) if name.isdigit() else None
    known = projects.by_id.get(int(name)) if name.isdigit() else projects.by_slug.get(name)
    return None if known is None else known.id


def _pinned(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else ""
