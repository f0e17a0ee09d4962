"""What each project has used of the quotas: what to ask, and what the answers hold. Pure: plans.

Grouped by project, Sentry gives totals of any range, and those of all projects in one answer if
they are few enough. Where they may be too many rows, the categories are asked for apart: a filter
of projects would need many requests, as their ids make long URLs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.buckets import Window
from exporter.collect.plan.core import (
    FILL,
    ROWS_PER_ERROR_GROUP,
    Cut,
    Hints,
    Plan,
    ProjectsReply,
    together,
)
from exporter.collect.plan.projects import read_projects
from exporter.collect.plan.proof import References, agrees
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_attributable
from exporter.collect.quota.reading import ACCEPTED, ALONE, UsageReading, days_of, filter_of
from exporter.collect.series import (
    NO_PROJECT,
    Reading,
    Series,
    added_readings,
    joined,
    totals,
)
from exporter.quota.model import DAY, Period
from exporter.sentry.answer import ProjectsAnswer
from exporter.sentry.question import QUANTITY, ROW_LIMIT, Question

_MAX_ROWS: Final = int(ROW_LIMIT * FILL)

Filter = tuple[str, ...]
"""The categories of a question, none for all."""


@dataclass(frozen=True, slots=True)
class ProjectsReading:
    """What was used by category and project, `NO_PROJECT` for the remainder.

    ``cuts`` are what the next reading needs to know of answers that were cut. ``unlisted`` says
    that the token can read projects that the list lacks.
    """

    used: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    proven: bool = True
    cuts: Mapping[Filter, Cut] = field(default_factory=dict)
    unlisted: bool = False

    def projects(self) -> frozenset[int]:
        """Return the projects that were seen."""
        return frozenset().union(*self.used.values()) - {NO_PROJECT}

    def has_remainder(self) -> bool:
        """Return whether deleted or inaccessible projects have used anything."""
        return any(values.get(NO_PROJECT) for values in self.used.values())


@dataclass(frozen=True, slots=True)
class _PeriodQuery(ResolvedQuery):
    """A query by project, whose only bucket is a period."""

    window: Window = Window(0, DAY, DAY)  # noqa: RUF009 - it is immutable

    @classmethod
    def of(cls, category: Filter, period: Period, now: float) -> "_PeriodQuery":
        """Return the query about what was used in ``period``."""
        groups, window = ("project", "category"), days_of(period, now)
        return cls((QUANTITY,), groups, DAY, category, (ACCEPTED,), window=window)

    def at_once(self) -> Question:
        """Return the question about all projects."""
        return self.project_question(self.window.start)

    def bucket(self, start: int) -> Window:  # noqa: ARG002 - as in the base class
        """Return the window of the period."""
        return self.window


def read_by_project(
    categories: Collection[str],
    period: Period,
    now: float,
    usage: UsageReading,
    projects: tuple[int, ...],
    before: ProjectsReading | None = None,
) -> Plan[ProjectsReading]:
    """Read what each project has used of ``categories``, whose sum is ``usage``.

    ``projects`` are those that can be asked for in batches. ``before`` is the last reading, which
    tells how many projects use a category.
    """
    before = before or ProjectsReading()
    bounds = _bounds(usage, projects, before)
    queries = [_PeriodQuery.of(one, period, now) for one in _filters(categories, bounds)]
    few = [one for one in queries if _rows(one.category, bounds) < _MAX_ROWS]
    every = _PeriodQuery.of(filter_of(categories), period, now)
    references = References(_total(usage))
    # Before the projects, where there was a remainder: events that come in between the questions
    # are then more than what is expected, and no reason to ask again.
    if had_remainder := before.has_remainder():
        references = yield from _with_attributable(every, references)
    replies = yield from _at_once(few)
    if not had_remainder and not all(
        _agrees(one, replies[one.category], references) for one in few
    ):
        references = yield from _with_attributable(every, references)
    read = yield from together(
        [
            _read(
                one,
                replies.get(one.category),
                _about(one.category, references),
                projects,
                before.cuts.get(one.category),
            )
            for one in queries
        ]
    )
    used: dict[str, Mapping[int, int]] = {}
    for reading, _ in read:
        used |= {series.category: values for series, values in reading.rows.items()}
    return ProjectsReading(
        {name: used.get(name, {}) for name in categories},
        all(reading.proven for reading, _ in read),
        {
            one.category: hints.cut
            for one, (_, hints) in zip(queries, read, strict=True)
            if hints.cut
        },
        any(hints.unlisted for _, hints in read),
    )


def with_projects(usage: UsageReading, by_project: ProjectsReading) -> UsageReading:
    """Return ``usage`` with the events that arrived while its projects were read.

    The sum over the projects then equals what was used.
    """
    days = dict(usage.days)
    for name, values in by_project.used.items():
        more = sum(values.values()) - usage.used([name])
        if more > 0:
            newest = max(days.get(name, {0: 0}))
            days[name] = {**days.get(name, {}), newest: days.get(name, {}).get(newest, 0) + more}
    return replace(usage, days=days)


def _bounds(
    usage: UsageReading, projects: tuple[int, ...], before: ProjectsReading
) -> Mapping[str, int]:
    """Return how many rows each category has at most, as far as can be known before."""
    bounds = {}
    for name, days in usage.days.items():
        using = len(before.used.get(name, ())) or len(projects)
        rows = ROWS_PER_ERROR_GROUP if name == "error" else 1
        # Each project that is in the answer has used at least one.
        bounds[name] = rows * min(using, sum(days.values()))
    return bounds


def _filters(categories: Collection[str], bounds: Mapping[str, int]) -> list[Filter]:
    """Return the filters of as few questions as the rows need."""
    if sum(bounds.values()) < _MAX_ROWS:
        return [filter_of(categories)]
    # Without a filter there are other categories too, and those without use need no question.
    names = {*categories} & bounds.keys()
    packs: list[list[str]] = []
    for name in sorted(names - {ALONE}, key=lambda name: (-bounds[name], name)):
        for pack in packs:
            if _rows((*pack, name), bounds) < _MAX_ROWS:
                pack.append(name)
                break
        else:
            packs.append([name])
    alone = [(ALONE,)] if ALONE in names else []
    return [*(tuple(sorted(pack)) for pack in packs), *alone]


def _rows(category: Filter, bounds: Mapping[str, int]) -> int:
    return sum(bounds.get(name, 0) for name in category)


def _at_once(queries: Sequence[_PeriodQuery]) -> Plan[Mapping[Filter, ProjectsReply]]:
    """Ask each query about all projects at once."""
    questions = [one.at_once() for one in queries]
    replies: list[ProjectsReply] = (yield questions) if questions else []
    return {one.category: reply for one, reply in zip(queries, replies, strict=True)}


def _agrees(query: _PeriodQuery, reply: ProjectsReply, references: References) -> bool:
    """Return whether an answer has all that was used."""
    total = _about(query.category, references).total
    return isinstance(reply, ProjectsAnswer) and agrees(total, totals(query.rows(reply)))


def _with_attributable(every: _PeriodQuery, references: References) -> Plan[References]:
    """Return ``references`` with what the token's projects have used of all categories.

    One question for all: each query by itself would ask it too.
    """
    read = yield from read_attributable(every, every.window)
    attributable = added_readings(read.values()) if read else None
    return replace(references, attributable=attributable, tells_attributable=bool(read))


def _read(
    query: _PeriodQuery,
    reply: ProjectsReply | None,
    references: References,
    projects: tuple[int, ...],
    cut: Cut | None,
) -> Plan[tuple[Reading, Hints]]:
    """Return what an answer holds if it is proven, else read the projects in parts."""
    if isinstance(reply, ProjectsAnswer):
        rows = query.rows(reply)
        sums = totals(rows)
        if references.prove(reply, sums):
            reading = Reading(joined(rows, references.remainder(sums)), references.total.proven)
            return reading, Hints()
    elif reply is not None:
        # It was refused as too heavy: as many rows let it be divided at once.
        cut = Cut(ROW_LIMIT)
    return (yield from read_projects(query, query.window.start, references, projects, cut))


def _total(usage: UsageReading) -> Reading:
    """Return the organization total of the period."""
    rows = {
        Series(QUANTITY, name, ACCEPTED, ""): {NO_PROJECT: sum(days.values())}
        for name, days in usage.days.items()
    }
    return Reading(rows, usage.proven)


def _about(category: Filter, references: References) -> References:
    """Return ``references`` of some categories only."""
    one = references.attributable
    return replace(
        references,
        total=_only(category, references.total),
        attributable=None if one is None else _only(category, one),
    )


def _only(category: Filter, reading: Reading) -> Reading:
    if not category:
        return reading
    rows = {
        series: values for series, values in reading.rows.items() if series.category in category
    }
    return replace(reading, rows=rows)
