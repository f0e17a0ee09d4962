"""Writes the OpenMetrics file from the progress file: family by family, series by series.

Memory holds the values of some series at a time, however many buckets and series there are.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, TypeVar

from exporter.backfill import recorded
from exporter.backfill.join import Seam
from exporter.backfill.progress_file import ABSENT, ProgressFile
from exporter.backfill.quota_projects import COST, USED, ProjectUse
from exporter.backfill.quotas import (
    LEAD,
    STEP,
    QuotaJob,
    Samples,
    Shown,
    Timed,
    quota_history,
    shown,
)
from exporter.backfill.samples import shown_by_counter, shown_by_gauge, summed
from exporter.backfill.times import DAY, HOUR, Job
from exporter.categories import MILLISECONDS_PER_SECOND, Unit, unit_of
from exporter.collect.ledger import FORGOTTEN_AFTER, SeriesTable
from exporter.collect.poll.view import about_query
from exporter.collect.series import NO_PROJECT, Series
from exporter.collect.snapshot import ProjectInfo
from exporter.publish import families
from exporter.publish.family import Family
from exporter.publish.quota_families import (
    QUOTA_FAMILIES,
    QUOTA_PROJECT_COST,
    QUOTA_PROJECT_USED,
)
from exporter.publish.series import end_of, head_of, measure_of
from exporter.publish.text import header, label_set, number

MAX_VALUES: Final = 4_000_000
"""Values in memory at a time, 8 bytes each."""

Places = Mapping[tuple[Series, str], Sequence[int]]
"""The places of each series, by series and label of the project."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class JobData:
    """A job that has been read. ``labels`` are those of the projects; others have none."""

    job: Job
    labels: Mapping[int, str] = field(default_factory=dict)
    seam: Seam | None = None

    @property
    def unit(self) -> Unit:
        """The unit of series without category."""
        category = self.job.query.filter.category
        return unit_of(category[0]) if category else Unit.EVENTS

    def starts(self) -> range:
        """Return the starts of its buckets."""
        return self.job.window.buckets()

    def stamps(self) -> list[str]:
        """Return the ends of the lines about each bucket."""
        return [f" {self.job.finished(start)}\n" for start in self.starts()]

    def places(self, table: SeriesTable, measure: str) -> Places:
        """Return the places of the series that have ``measure``."""
        places: dict[tuple[Series, str], list[int]] = {}
        for series in sorted(table.runs):
            if measure_of(series, self.unit) != measure:
                continue
            for run in table.runs[series]:
                for place, project in enumerate(run.projects, run.start):
                    label = "" if project == NO_PROJECT else self.labels.get(project, "")
                    places.setdefault((series, label), []).append(place)
        return places


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is written.

    ``projects`` are those of each organization. ``target`` are the labels that Prometheus adds when
    it scrapes. Samples after ``limit`` are left out, and those of quotas before ``start`` and from
    ``end`` on.
    """

    file: ProgressFile
    jobs: Sequence[JobData]
    quotas: Sequence[QuotaJob]
    projects: Mapping[str, Sequence[ProjectInfo]]
    target: Mapping[str, str]
    start: float
    end: float
    limit: float

    def lines(self) -> Iterator[str]:
        """Yield the text of the file in parts."""
        for measure in families.MEASURES:
            shown = (one for one in self.jobs if one.job.shows_gauges)
            yield from _family(families.BUCKET[measure], self._gauges(shown, measure))
        for measure in families.MEASURES:
            counted = (one for one in self.jobs if one.job.query.counters)
            yield from _family(families.COUNTED[measure], self._counters(counted, measure))
        yield from _family(families.PROJECT_INFO, self._projects())
        for family in (
            families.QUERY_INFO,
            families.BUCKET_START,
            families.BUCKET_END,
            families.COMPLETE,
        ):
            yield from _family(family, self._about(family))
        yield from self._quotas()
        for family in recorded.FAMILIES:
            yield from _family(family, self._recorded(family))
        yield from _family(recorded.HOURS, self._hours())
        yield "# EOF\n"

    def _gauges(self, jobs: Iterable[JobData], measure: str) -> Iterator[str]:
        for one in jobs:
            family, stamps = families.BUCKET[measure], one.stamps()
            lookback = max(one.job.query.lookback // one.job.window.interval, 1)
            places = one.places(self.file.table(one.job.number), measure)
            for (series, label), values in self._columns(
                one.job.number, len(one.job.window), places
            ):
                head = self._head(family, one, series, label)
                yield _lines(head, measure, shown_by_gauge(values, lookback), stamps)

    def _counters(self, jobs: Iterable[JobData], measure: str) -> Iterator[str]:
        for one in jobs:
            family, job = families.COUNTED[measure], one.job
            # A second later: the last sample of a range that ends here has the time itself.
            stamps = [f" {job.window.start + job.organization.settle + 1}\n", *one.stamps()]
            places = one.places(self.file.table(job.number), measure)
            for key, values in self._columns(one.job.number, len(one.job.window), places):
                head = self._head(family, one, *key)
                end = one.seam.end(key, values) if one.seam else None
                shown = shown_by_counter(values, FORGOTTEN_AFTER // job.window.interval, end)
                yield _lines(head, measure, shown, stamps)
                if one.seam and end is not None:
                    yield _lines(head, measure, (end, 0), one.seam.stamps())
            yield from self._begun_at_seam(one, measure, places, stamps[-1])

    def _begun_at_seam(
        self, one: JobData, measure: str, places: Places, last: str
    ) -> Iterator[str]:
        """Yield the counters whose first events came after history and before the exporter."""
        more = one.seam.more if one.seam else {}
        for key, end in sorted(more.items()):
            if (
                one.seam
                and end > 0
                and key not in places
                and measure_of(key[0], one.unit) == measure
            ):
                head = self._head(families.COUNTED[measure], one, *key)
                yield _lines(head, measure, (0, end, 0), (last, *one.seam.stamps()))

    def _head(self, family: Family, one: JobData, series: Series, label: str) -> str:
        names = one.job.organization.name, one.job.query.name
        return f"{head_of(family, *names, series, self.target)}{end_of(label)}"

    def _projects(self) -> Iterator[str]:
        """Yield the projects, at the times of the shortest buckets of their organization.

        At the ends of the buckets, too, where quotas are read by team.
        """
        for organization, projects in self.projects.items():
            jobs = [*(one.job for one in self.jobs), *(one.job for one in self.quotas)]
            of_organization = (one for one in jobs if one.organization.name == organization)
            job = min(of_organization, key=lambda one: one.window.interval)
            starts = job.window.buckets()
            ends = (start + job.window.interval - LEAD for start in starts)
            times = sorted({*ends, *map(job.finished, starts)})
            stamps = [f" {time}\n" for time in times if time >= self.start]
            for one in projects:
                values = organization, one.label, str(one.id), one.platform, one.team
                head = self._plain_head(families.PROJECT_INFO, values)
                yield _lines(head, "", [1] * len(stamps), stamps)

    def _about(self, family: Family) -> Iterator[str]:
        for one in self.jobs:
            job = one.job
            if family is not families.QUERY_INFO and not job.shows_gauges:
                continue
            names = job.organization.name, job.query.name
            labels = (*names, *about_query(job.query)) if family is families.QUERY_INFO else names
            head = self._plain_head(family, labels)
            yield _lines(head, "", self._values(family, one), one.stamps())

    def _values(self, family: Family, one: JobData) -> Sequence[int]:
        starts = one.starts()
        if family is families.BUCKET_START:
            return starts
        if family is families.BUCKET_END:
            return [start + one.job.window.interval for start in starts]
        if family is families.COMPLETE:
            proven = self.file.read_buckets(one.job.number)
            return [int(proven[start]) for start in starts]
        return [1] * len(starts)

    def _quotas(self) -> Iterator[str]:
        samples: Samples = {}
        uses: list[tuple[QuotaJob, ProjectUse]] = []
        for one in self.quotas:
            projects = self.projects[one.job.organization.name]
            labels = {project.id: project.label for project in projects}
            use = ProjectUse(self.file, -1 - one.job.number, one.sources, labels, one.members)
            every = shown(one, self.file, self.start, self.end)
            samples |= quota_history(one, self._noted(use, every))
            use.finish()
            uses.append((one, use))
        for family in QUOTA_FAMILIES:
            if family in {QUOTA_PROJECT_USED, QUOTA_PROJECT_COST}:
                lines = (text for pair in uses for text in self._by_project(family, *pair))
            else:
                lines = (
                    self._quota_lines(family, labels, timed)
                    for (each, labels), timed in samples.items()
                    if each is family
                )
            yield from _family(family, lines)

    def _noted(self, use: ProjectUse, every: Iterator[Shown]) -> Iterator[Shown]:
        """Yield ``every`` after it was added to the use of projects.

        That has one sample an hour, and all in the last day: what was used in the last 24 hours is
        the difference to the same minute of the day before.
        """
        for one in every:
            if one.is_end:
                is_last = one.end > self.end - DAY - HOUR
                use.add(one.end, one.view, one.samples if is_last else 1)
            yield one

    def _by_project(self, family: Family, one: QuotaJob, use: ProjectUse) -> Iterator[str]:
        kind = USED if family is QUOTA_PROJECT_USED else COST
        places = {
            (series.category, series.outcome, use.names[project]): [place]
            for series, runs in sorted(self.file.table(use.number).runs.items())
            if series.field == kind
            for run in runs
            for place, project in enumerate(run.projects, run.start)
        }
        stamped = [
            (number, f" {end - LEAD + STEP * more}\n")
            for number, end in enumerate(sorted(use.counts))
            for more in range(use.counts[end])
        ]
        stamps = [stamp for _, stamp in stamped]
        for (quota, currency, label), values in self._columns(use.number, len(use.counts), places):
            money = () if kind == USED else (currency,)
            labels = one.job.organization.name, quota, *money, label
            head = self._plain_head(family, labels)
            every = (values[number] for number, _ in stamped)
            present = (None if value == ABSENT else value for value in every)
            yield _lines(head, COST if kind == COST else use.units[quota], present, stamps)

    def _quota_lines(self, family: Family, labels: tuple[str, ...], timed: Timed) -> str:
        head = self._plain_head(family, labels)
        return "".join(f"{head}{number(value)} {at}\n" for at, value in timed.samples())

    def _recorded(self, family: Family) -> Iterator[str]:
        for one in filter(lambda each: recorded.is_recorded(each.job), self.jobs):
            names = one.job.organization.name, one.job.query.name
            stamps = self._recorded_stamps(one)
            for unit in Unit:
                places = one.places(self.file.table(one.job.number), unit)
                sums = recorded.recorded(family, places, unit)
                for labels, values in self._columns(one.job.number, len(one.job.window), sums):
                    head = f"{family.name}{label_set(family.labels, (*names, *labels))} "
                    positive = (value if 0 < value < ABSENT else None for value in values)
                    yield _lines(head, unit, positive, stamps)

    def _hours(self) -> Iterator[str]:
        for one in filter(lambda each: recorded.is_recorded(each.job), self.jobs):
            names = one.job.organization.name, one.job.query.name
            head = f"{recorded.HOURS.name}{label_set(recorded.HOURS.labels, names)} "
            yield _lines(head, "", one.starts(), self._recorded_stamps(one))

    def _recorded_stamps(self, one: JobData) -> list[str]:
        """Return the ends of the lines about each bucket, empty for those that are too new."""
        times = (
            start + one.job.window.interval + recorded.RECORDED_AFTER for start in one.starts()
        )
        return [f" {time}\n" if time <= self.limit else "" for time in times]

    def _plain_head(self, family: Family, values: Sequence[str]) -> str:
        labels = label_set((*self.target, *family.labels), (*self.target.values(), *values))
        return f"{family.name}{labels} "

    def _columns(
        self, number: int, length: int, places: Mapping[K, Sequence[int]]
    ) -> Iterator[tuple[K, Sequence[int]]]:
        """Yield the values of each series by bucket, of which there are ``length``.

        They are those of ``number`` in the progress file, summed over the places of the series.
        """
        size = MAX_VALUES // max(length, 1)
        for group in _groups(places, max(size, 1)):
            picked = [place for key in group for place in places[key]]
            pick = _picker(picked)
            flat = array("Q")
            for _, cells in self.file.columns(number):
                flat.extend(pick(cells))
            first = 0
            for key in group:
                last = first + len(places[key])
                yield key, summed([flat[at :: len(picked)] for at in range(first, last)])
                first = last


def _groups(places: Mapping[K, Sequence[int]], size: int) -> Iterator[Sequence[K]]:
    """Yield the keys in groups that have ``size`` places or a few more."""
    group: list[K] = []
    count = 0
    for key, some in places.items():
        group.append(key)
        count += len(some)
        if count >= size:
            yield group
            group, count = [], 0
    if group:
        yield group


class _Slice:
    """Picks consecutive values, which is faster than one by one."""

    def __init__(self, first: int, end: int) -> None:
        self._slice = slice(first, end)

    def __call__(self, cells: "array[int]") -> Iterable[int]:
        return cells[self._slice]


def _picker(places: Sequence[int]) -> "Callable[[array[int]], Iterable[int]]":
    """Return what picks the values at ``places``."""
    first, last = places[0], places[-1]
    if list(places) == list(range(first, last + 1)):
        return _Slice(first, last + 1)
    return lambda cells: array("Q", itemgetter(*places)(cells))


def _lines(head: str, measure: str, values: Iterable[int | None], stamps: Sequence[str]) -> str:
    """Return a line for each value that there is and that has a time."""
    every = list(values)
    shown = [value for value in every if value is not None]
    if len(shown) < len(stamps) or "" in stamps:
        pairs = [pair for pair in zip(every, stamps, strict=True) if pair[1]]
        shown = [value for value, _ in pairs if value is not None]
        stamps = [stamp for value, stamp in pairs if value is not None]
    text = _TEXTS.get(measure, str)
    # Every sample passes here: to join three strings takes a third of formatting a line.
    strings = [head] * (3 * len(shown))
    strings[1::3] = map(text, shown)
    strings[2::3] = stamps
    return "".join(strings)


def _in_seconds(milliseconds: int) -> str:
    return number(milliseconds / MILLISECONDS_PER_SECOND)


def _in_money(cents: int) -> str:
    return number(cents / 100)


_TEXTS: Final[Mapping[str, Callable[[int], str]]] = {Unit.SECONDS: _in_seconds, COST: _in_money}


def _family(family: Family, lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines of a family after those about it, nothing if there are none."""
    begun = False
    for text in lines:
        if text and not begun:
            yield header(family, openmetrics=True)
            begun = True
        yield text
