"""What a query is about, in terms of questions and series.

A `Subject` is a configured query with its project slugs resolved to ids. It makes the questions
that read a window, and turns the groups of an answer into series.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from exporter.buckets import Window
from exporter.categories import TAKEN_IN_BY
from exporter.config import Query
from exporter.sentry.errors import UnknownProjectError
from exporter.sentry.projects import ProjectList
from exporter.sentry.stats import Answer, By, Question

URL_BUDGET = 8192
"""Bytes that a request's URL may take: longer ones are refused by common proxies."""

_PATH_ALLOWANCE = 256
"""Bytes left for scheme, host, prefix and path in front of the query string."""


class Series(NamedTuple):
    """One series of a query: a field and the labels it is published with.

    ``project`` is the id, and 0 where the query does not group by project or where the value
    belongs to no project that the token can read.
    """

    field: str
    category: str
    outcome: str
    reason: str
    project: int

    def without_project(self) -> "Series":
        """Return the series of the whole organization that this one is a part of."""
        return self._replace(project=0)


Rows = dict[Series, int]
"""What one bucket holds, in Sentry's own units."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a query asks about; ``project`` holds ids."""

    fields: tuple[str, ...]
    group_by: tuple[str, ...]
    interval: int
    category: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    reason: str | None = None
    project: tuple[int, ...] = ()

    @property
    def by_project(self) -> bool:
        """Whether the query has a series per project, and so no series over time upstream."""
        return "project" in self.group_by

    def question(self, window: Window) -> Question:
        """Return the question that reads ``window`` in one request, not grouped by project."""
        groups = tuple(group for group in self.group_by if group != "project")
        return self._ask(groups, window, self.project)

    def project_question(self, bucket: int, projects: tuple[int, ...] = ()) -> Question:
        """Return the question that reads one bucket by project, of ``projects`` only if given.

        ``project`` is never the last ``groupBy``: Sentry then counts every project there is, so
        that the sums can be held against the organization's own.
        """
        groups = tuple(group for group in self.group_by if group != "project")
        window = Window(bucket, bucket + self.interval, self.interval)
        return self._ask(("project", *(groups or ("category",))), window, projects or self.project)

    def project_batches(
        self, bucket: int, projects: tuple[int, ...], most: int
    ) -> Iterator[Question]:
        """Yield questions that read ``projects``, each with at most ``most`` and a fitting URL."""
        empty = self.project_question(bucket)
        room = URL_BUDGET - _PATH_ALLOWANCE - len(urlencode(empty.parameters()))
        batch: list[int] = []
        length = 0
        for project in projects:
            cost = len(f"&project={project}")
            if batch and (len(batch) == most or length + cost > room):
                yield self.project_question(bucket, tuple(batch))
                batch, length = [], 0
            batch.append(project)
            length += cost
        if batch:
            yield self.project_question(bucket, tuple(batch))

    def totals(self, answer: Answer) -> Rows:
        """Return the totals of ``answer`` by series."""
        rows: Rows = {}
        for by, totals, _ in answer.groups:
            for field, value in zip(answer.question.fields, totals, strict=True):
                series = self.series(field, by)
                rows[series] = rows.get(series, 0) + value
        return rows

    def buckets(self, answer: Answer) -> dict[int, Rows]:
        """Return ``answer``, which has series over time, as rows by bucket.

        Zeros are left out, but for a group that has nothing else: Sentry says it is there.
        """
        starts = answer.question.window.buckets()
        found: dict[int, Rows] = {start: {} for start in starts}
        for group in answer.groups:
            for field, values in zip(answer.question.fields, group.series, strict=True):
                series = self.series(field, group.by)
                silent = not any(values)
                for start, value in zip(starts, values, strict=True):
                    if value or silent:
                        rows = found[start]
                        rows[series] = rows.get(series, 0) + value
        return found

    def _ask(self, groups: tuple[str, ...], window: Window, projects: tuple[int, ...]) -> Question:
        return Question(
            self.fields, groups, window, self.category, self.outcome, self.reason, projects
        )

    def series(self, field: str, by: By) -> Series:
        """Return the series that a group belongs to: what is not grouped by may be pinned."""
        if self._all_grouped:
            return Series(field, *by)
        grouped = self.group_by
        return Series(
            field,
            by.category if "category" in grouped else _pinned(self.category),
            by.outcome if "outcome" in grouped else _pinned(self.outcome),
            by.reason if "reason" in grouped else self.reason or "",
            by.project if "project" in grouped else _pinned_project(self.project),
        )

    @property
    def _all_grouped(self) -> bool:
        return len(self.group_by) == len(By._fields)


def subject_of(query: Query, projects: ProjectList | None) -> Subject:
    """Return what ``query`` is about; raises `UnknownProjectError` for a slug nobody knows."""
    return Subject(
        fields=query.fields,
        group_by=query.group_by,
        interval=query.interval,
        category=_apart(query.filter.category),
        outcome=query.filter.outcome,
        reason=query.filter.reason,
        project=tuple(dict.fromkeys(_project_id(name, projects) for name in query.filter.project)),
    )


def _apart(categories: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the categories that another one of the filter takes in already."""
    return tuple(one for one in categories if TAKEN_IN_BY.get(one) not in categories)


def _project_id(name: str, projects: ProjectList | None) -> int:
    if name.isdigit():
        return int(name)
    if projects is None or name not in projects.by_slug:
        known = sorted(projects.by_slug) if projects else []
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UnknownProjectError(
            f"filter.project names {name!r}, which is no slug of the organization{hint}"
        )
    return projects.by_slug[name].id


def _pinned(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else ""


def _pinned_project(values: tuple[int, ...]) -> int:
    return values[0] if len(values) == 1 else 0
