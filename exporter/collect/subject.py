"""What a query is about, in terms of questions and series.

A `Subject` is a configured query with its project slugs resolved to ids. It makes the questions
that read a window, and turns the groups of an answer into series.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from exporter.buckets import Window
from exporter.categories import TAKEN_IN_BY
from exporter.collect.rows import PartedRows, Series, joined
from exporter.config import Query
from exporter.sentry.answers import By, ProjectsAnswer, SeriesAnswer
from exporter.sentry.errors import UnknownProjectError
from exporter.sentry.projects import ProjectList
from exporter.sentry.stats import Question

URL_BUDGET = 8192
"""Bytes that a request's URL may take: longer ones are refused by common proxies."""

_PATH_ALLOWANCE = 256
"""Bytes left for scheme, host, prefix and path in front of the query string."""


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
        return Series(
            field,
            by.category if "category" in grouped else _pinned(self.category),
            by.outcome if "outcome" in grouped else _pinned(self.outcome),
            by.reason if "reason" in grouped else self.reason or "",
            0 if self.by_project or len(self.project) != 1 else self.project[0],
        )

    def _ask(self, groups: tuple[str, ...], window: Window, projects: tuple[int, ...]) -> Question:
        return Question(
            self.fields, groups, window, self.category, self.outcome, self.reason, projects
        )


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
