"""What each project has used of the quotas, and its share of their costs.

It comes from a job of a configured query that has every project. Before that job begins, and where
there is none, days are read by project.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from exporter.backfill.progress_file import ABSENT, ProgressFile
from exporter.backfill.times import DAY, Job
from exporter.buckets import Window, floor
from exporter.categories import Unit
from exporter.collect.quota.reading import ACCEPTED, filter_of
from exporter.collect.series import NO_PROJECT, Reading, Series
from exporter.config import QUOTAS_QUERY, Organization, Query
from exporter.quota.sharing import CENT, shared
from exporter.quota.view import AccountView, QuotaView
from exporter.sentry.question import QUANTITY

Totals = Mapping[str, int]
"""What the projects have used of each category."""

USED: Final = "used"
COST: Final = "cost"

_GROUPS: Final = frozenset({"project", "category", "outcome"})
_TOGETHER: Final = 24
"""Hours that are written at once."""


@dataclass(frozen=True, slots=True)
class Source:
    """The buckets of a job from which the use of projects is taken."""

    job: Job
    window: Window


def covers(job: Job, categories: Collection[str]) -> bool:
    """Return whether a job has everything that was accepted, by project."""
    query, chosen = job.query, job.query.filter
    groups = {*query.group_by, *(["outcome"] if chosen.outcome == (ACCEPTED,) else [])}
    return (
        groups >= _GROUPS
        and QUANTITY in query.fields
        and not chosen.project
        and chosen.reason is None
        and (not chosen.outcome or ACCEPTED in chosen.outcome)
        and (not chosen.category or {*categories} <= {*chosen.category})
    )


def sources_of(
    number: int,
    organization: Organization,
    categories: Collection[str],
    hours: Window,
    jobs: Sequence[Job],
) -> Iterator[Source]:
    """Yield what has the use of projects in ``hours``, first the days, which have ``number``.

    ``jobs`` are those of the organization's queries. Days are read until a query's buckets begin,
    those of the query that has the shortest ones.
    """
    start, end = -floor(-hours.start, DAY), floor(hours.end, DAY)
    covering = (one for one in jobs if covers(one, categories))
    query = min(covering, key=lambda one: one.window.interval, default=None)
    if query is not None:
        end = min(end, max(-floor(-query.window.start, DAY), start))
    if start < end:
        window = Window(start, end, DAY)
        yield Source(Job(number, organization, _query(categories), window), window)
    start = max(start, end)
    if query is not None and query.window.start <= start < query.window.end:
        yield Source(query, Window(start, query.window.end, query.window.interval))


def _query(categories: Collection[str]) -> Query:
    query = Query.model_validate({"name": "days", "groupBy": ["project", "category"]})
    chosen = {"category": filter_of(categories), "outcome": (ACCEPTED,)}
    return query.model_copy(
        update={
            "name": f"{QUOTAS_QUERY} (by project)",
            "interval": DAY,
            "counters": False,
            "filter": query.filter.model_copy(update=chosen),
        }
    )


def by_bucket(
    sources: Sequence[Source], file: ProgressFile, members: Collection[int] | None
) -> Iterator[tuple[Window, Totals]]:
    """Yield each bucket and what ``members``, by default everybody, have used in it."""
    for window, used in _used(sources, file, members):
        totals: dict[str, int] = {}
        for category, _, value in used:
            totals[category] = totals.get(category, 0) + value
        yield window, totals


def _used(
    sources: Sequence[Source], file: ProgressFile, members: Collection[int] | None
) -> Iterator[tuple[Window, Iterator[tuple[str, int, int]]]]:
    """Yield each bucket, and category, project and what was used."""
    for one in sources:
        number, inside, interval = one.job.number, one.window, one.window.interval
        places = [
            (place, series.category, project)
            for series, runs in sorted(file.table(number).runs.items())
            if series.outcome == ACCEPTED and series.field == QUANTITY
            for run in runs
            for place, project in enumerate(run.projects, run.start)
            if members is None or project in members
        ]
        for start, cells in file.columns(number):
            if inside.start <= start < inside.end:
                bucket = Window(start, start + interval, interval)
                yield bucket, _values(places, cells)


def _values(
    places: Sequence[tuple[int, str, int]], cells: Sequence[int]
) -> Iterator[tuple[str, int, int]]:
    for place, category, project in places:
        if (value := cells[place]) not in {0, ABSENT}:
            yield category, project, value


@dataclass(slots=True)
class ProjectUse:
    """Works out what the projects have used at the end of each hour, and has it written.

    ``labels`` are those of the projects. It is written under the number ``number``, with the place
    of a label in ``names`` in place of its project. ``counts`` are how many samples each hour has,
    and ``units`` those of the quotas.
    """

    file: ProgressFile
    number: int
    sources: Sequence[Source]
    labels: Mapping[int, str]
    members: Collection[int] | None = None
    names: list[str] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    _used: dict[str, dict[str, int]] = field(default_factory=dict)
    _period: int = 0
    _pending: dict[int, Reading] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _buckets: Iterator[tuple[Window, Iterator[tuple[str, int, int]]]] = field(init=False)
    _next: tuple[Window, Iterator[tuple[str, int, int]]] | None = None

    def __post_init__(self) -> None:
        """Give each label a number."""
        self.names = sorted({*self.labels.values(), ""})
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._buckets = _used(self.sources, self.file, self.members)
        self._next = next(self._buckets, None)

    def add(self, end: int, view: AccountView, count: int) -> None:
        """Add what was used until ``end``, if that is where a bucket ends: ``count`` samples.

        The ends have to be given in order of time.
        """
        if not self._advance(end, view):
            return
        self.counts[end] = count
        rows: dict[Series, dict[int, int]] = {}
        for quota in view.quotas:
            self.units[quota.quota.name] = quota.quota.unit
            used = self._of_quota(quota)
            rows[Series(USED, quota.quota.name, "", "")] = self._numbered(used)
            if quota.costs:
                parts = shared(sum(quota.costs.values(), Decimal(0)), used)
                cents = {label: int(part / CENT) for label, part in parts.items()}
                rows[Series(COST, quota.quota.name, view.currency, "")] = self._numbered(cents)
        self._pending[end] = Reading(rows)
        if len(self._pending) == _TOGETHER:
            self.finish()

    def finish(self) -> None:
        """Write what has been added."""
        if self._pending:
            self.file.add(self.number, self._pending)
            self._pending = {}

    def _advance(self, end: int, view: AccountView) -> bool:
        """Add the buckets until ``end``; return whether one ends there."""
        begin = view.period.start if view.period else 0
        is_known = False
        while self._next is not None and self._next[0].end <= end:
            window, used = self._next
            if window.start >= begin > self._period:
                self._used, self._period = {}, begin
            for category, project, value in used:
                of_category = self._used.setdefault(category, {})
                label = "" if project == NO_PROJECT else self.labels.get(project, "")
                of_category[label] = of_category.get(label, 0) + value
            is_known = window.end == end and self._period == begin
            self._next = next(self._buckets, None)
        return is_known

    def _of_quota(self, view: QuotaView) -> dict[str, int]:
        """Return what was used of a quota by label; what is left of the total has none."""
        used = {"": 0} if self.members is None else {}
        for category in view.quota.categories:
            for label, value in self._used.get(category, {}).items():
                used[label] = used.get(label, 0) + value
        if self.members is None:
            used[""] += view.used - sum(used.values())
        return used

    def _numbered(self, values: Mapping[str, int]) -> dict[int, int]:
        return {self._numbers[label]: value for label, value in values.items()}
