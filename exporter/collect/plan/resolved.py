"""The resolved query: a configured query with ids for the slugs of its filter. Pure.

It makes the questions that read a window, and turns the groups of an answer into rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, Final, Literal, Self
from urllib.parse import quote_plus, urlencode

from exporter.buckets import Window
from exporter.categories import ALSO_SELECTED_BY
from exporter.collect.series import NO_PROJECT, Rows, Series, joined
from exporter.config import Query, near
from exporter.sentry.answer import By, ProjectsAnswer, SeriesAnswer
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import ALL_READABLE, ATTRIBUTABLE, Question

URL_BUDGET: Final = 8192
"""Bytes that a request's URL may take: longer ones are refused by common proxies."""

_ADDRESS_ALLOWANCE: Final = 256
"""Bytes left for scheme, host, prefix and path, where they are not known."""


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """What a query asks; ``project`` has the ids that its filter names, if it names any.

    ``one_project`` says that the filter names a single project, which then is a label. A query
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

    def with_interval(self, interval: int) -> Self:
        """Return the same query with buckets of another length."""
        return replace(self, interval=interval)

    def question(self, window: Window) -> Question:
        """Return the question that reads ``window`` in one request, not grouped by project."""
        return self._ask(self._groups(), window, self.project)

    def attributable_question(self, window: Window) -> Question:
        """Return the same question about those projects only that the token can read."""
        return self._ask(self._groups(), window, self.project or ATTRIBUTABLE)

    def project_question(self, bucket: int, projects: tuple[int, ...] = ()) -> Question:
        """Return the question that reads one bucket by project, of ``projects`` only if given.

        Without them it is about all that the token can read: the answer shows what that is,
        whatever the projects list says.
        """
        # Last: Sentry looks only at the last groupBy to decide which projects it counts
        # (`_is_org_total_query` in its src/sentry/api/endpoints/organization_stats_v2.py).
        groups = (*self._groups(), "project")
        return self._ask(groups, self.bucket(bucket), projects or self.project or ALL_READABLE)

    def bucket(self, start: int) -> Window:
        """Return the window of one bucket."""
        return Window(start, start + self.interval, self.interval)

    def batches(self, question: Question, size: int | None = None) -> list[Question]:
        """Return questions that ask the same together, each of ``size`` projects or fewer.

        Their query strings fit into ``room``. One that cannot be divided any more is left long.
        """
        # Both lists may be long: categories get half of the room, projects what is left.
        room = self.room // 2 if question.project else self.room
        parts = _packed(replace(question, project=()), "category", question.category, room)
        return [
            batch
            for part in parts
            for batch in _packed(part, "project", question.project, self.room, size)
        ]

    @property
    def pinned_project(self) -> int:
        """The only project of a query that is not grouped by project, `NO_PROJECT` for several."""
        pinned = self.one_project and not self.by_project and self.project
        return self.project[0] if pinned else NO_PROJECT

    def rows(self, answer: ProjectsAnswer) -> Rows:
        """Return ``answer`` as rows."""
        return joined(
            *(
                {self.series(field, by): values}
                for field, groups in answer.totals.items()
                for by, values in groups.items()
            )
        )

    def buckets(self, answer: SeriesAnswer) -> Mapping[int, Rows]:
        """Return ``answer`` as rows by bucket.

        Zeros are left out, except of a group that has nothing else: Sentry says that it exists.
        """
        starts = answer.question.window.buckets()
        project = self.pinned_project
        buckets: dict[int, dict[Series, dict[int, int]]] = {start: {} for start in starts}
        for group in answer.groups:
            for field, values in zip(answer.question.fields, group.series, strict=True):
                series = self.series(field, group.by)
                # Most buckets of a long window have no value of most groups.
                filled = values if any(values) else [1] * len(values)
                for start, value in zip(
                    compress(starts, filled), compress(values, filled), strict=True
                ):
                    values_of = buckets[start].setdefault(series, {project: 0})
                    values_of[project] += value
        return buckets

    def missing(self, answer: SeriesAnswer, by: By, rows: Rows) -> Rows:
        """Return what the totals of ``answer``, about ``by`` only, have more than ``rows``."""
        missing = {}
        for number, field in enumerate(answer.question.fields):
            seen = sum(
                sum(values.values()) for series, values in rows.items() if series.field == field
            )
            total = sum(group.totals[number] for group in answer.groups)
            missing[self.series(field, by)] = {self.pinned_project: max(total - seen, 0)}
        return missing

    def series(self, field: str, by: By) -> Series:
        """Return the series that a group belongs to.

        What is not grouped by may be pinned by the filter.
        """
        grouped = self.group_by
        return Series(
            field,
            by.category if "category" in grouped else _pinned(self.category),
            by.outcome if "outcome" in grouped else _pinned(self.outcome),
            by.reason if "reason" in grouped else self.reason or "",
        )

    def _groups(self) -> tuple[str, ...]:
        return tuple(group for group in self.group_by if group != "project")

    def _ask(self, groups: tuple[str, ...], window: Window, projects: tuple[int, ...]) -> Question:
        return Question(
            self.fields, groups, window, self.category, self.outcome, self.reason, projects
        )


@dataclass(frozen=True, slots=True)
class RangeQuery(ResolvedQuery):
    """A query whose only bucket is ``window``, of which Sentry gives totals by project."""

    window: Window = Window(0, 86400, 86400)  # noqa: RUF009 - it is immutable

    def bucket(self, start: int) -> Window:  # noqa: ARG002 - as in the base class
        """Return the window."""
        return self.window


@dataclass(frozen=True, slots=True)
class ChosenProjects:
    """The ids of a filter's projects, and the names of those that cannot be read."""

    ids: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()


def choose_projects(
    names: Sequence[str], projects: ProjectList | None, refused: frozenset[int] = frozenset()
) -> ChosenProjects:
    """Return the ids of what a filter names; ``refused`` are those that Sentry does not let read.

    Without a list an id stands for itself, and a slug stands for nothing.
    """
    ids: dict[int, None] = {}
    missing = []
    for name in names:
        project = _project_id(name, projects)
        if project is None or project in refused:
            missing.append(name)
        else:
            ids[project] = None
    return ChosenProjects(tuple(ids), tuple(missing))


def missing_project(name: str, projects: ProjectList | None) -> str:
    """Return what is wrong with a name in a filter that stands for no project to be read."""
    if _project_id(name, projects) is not None:
        return f'the token cannot read the project "{name}"'
    if name.isdigit():
        return f"no project with the id {name}"
    return f'no project "{name}"{near(name, projects.by_slug) if projects else ""}'


def resolve(
    query: Query, projects: tuple[int, ...] = (), *, address: int | None = None
) -> ResolvedQuery:
    """Return ``query`` with the ids of the ``projects`` that its filter names.

    ``address`` is how many bytes a URL has before its query string.
    """
    return ResolvedQuery(
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
    size: int | None = None,
) -> list[Question]:
    """Return questions with as many of ``values`` under ``key`` as fit each, in order."""
    bare = _with(question, key, ())
    without = len(urlencode(bare.parameters()))
    batches: list[list[Any]] = [[]]
    length = without
    for value in values:
        cost = len(key) + len(quote_plus(str(value))) + len("&=")
        if batches[-1] and (len(batches[-1]) == size or length + cost > room):
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
    """Leave out the categories that another one of the filter includes."""
    # `error` selects `default` and `security` too (Sentry's src/sentry/snuba/outcomes.py): in parts
    # by category, their events would be counted twice.
    return tuple(one for one in categories if ALSO_SELECTED_BY.get(one) not in categories)


def _project_id(name: str, projects: ProjectList | None) -> int | None:
    """Return the id of what a filter names, ``None`` if the list has nothing of that name."""
    if projects is None:
        return int(name) if name.isdigit() else None
    known = projects.by_id.get(int(name)) if name.isdigit() else projects.by_slug.get(name)
    return None if known is None else known.id


def _pinned(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else ""
