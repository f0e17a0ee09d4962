"""How much there is to read of a job, learned in a few requests. Pure, a plan.

One question by day has every series of the range, and so bounds how many rows each bucket can have:
windows are made as long as they can be without being cut. By project, the bucket that has most
shows whether all projects fit into one answer.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.backfill.times import DAY
from exporter.buckets import Window, floor
from exporter.collect.ledger import size_of
from exporter.collect.plan.core import Cut, Plan, weight
from exporter.collect.plan.projects import first_round, read_projects
from exporter.collect.plan.proof import References
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_attributable, read_series
from exporter.collect.series import Reading, Series, totals
from exporter.sentry.answer import By
from exporter.sentry.question import ROW_LIMIT

MAX_POINTS = 1000
"""The buckets that Sentry answers in one request at most."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a job before its buckets are read.

    ``asked`` are the projects of the filter, ``readable`` those that can be asked for in batches.
    Each of the ``windows`` is read without project in one request. By project, those of
    ``remainders`` have events that no readable project has; ``buckets`` are read one by one, and
    ``cut`` says how. ``series`` are those of the range, of each of which a bucket has ``projects``.
    """

    asked: tuple[int, ...]
    readable: tuple[int, ...]
    windows: tuple[Window, ...]
    series: tuple[Series, ...]
    remainders: tuple[Window, ...] = ()
    buckets: tuple[int, ...] = ()
    tells_attributable: bool = True
    cut: Cut | None = None
    projects: float = 1


def survey(query: ResolvedQuery, window: Window, readable: tuple[int, ...]) -> Plan[Survey]:
    """Learn how much there is to read of ``window``; see `Survey` for ``readable``."""
    days = Window(floor(window.start, DAY), -floor(-window.end, DAY), DAY)
    total = yield from read_series(query, query.question(days))
    windows = tuple(_windows(window, {day: _rows(query, one) for day, one in total.items()}))
    series = tuple(sorted({one for reading in total.values() for one in totals(reading.rows)}))
    known = Survey(query.project, readable, windows, series)
    if not query.by_project or not series:
        return known
    attributable = yield from read_attributable(query, days)
    remainders = _differing(total, attributable or {})
    buckets = tuple(start for start in window.buckets() if totals(total[floor(start, DAY)].rows))
    cut, values = yield from _largest(query, window, total, readable)
    return Survey(
        query.project,
        readable,
        windows,
        series,
        tuple(one for one in windows if remainders.intersection(_days(one))),
        buckets,
        attributable is not None,
        cut,
        max(values / len(series), 1),
    )


def requests(
    query: ResolvedQuery,
    known: Survey,
    read: Collection[int] = (),
    referenced: Collection[int] = (),
) -> int:
    """Return how many requests read what was surveyed, if each answer is proven by itself.

    Without the buckets that are ``read`` already, and those of which is known what their projects
    are compared with.
    """
    windows = (
        one
        for one in (*known.windows, *known.remainders)
        if any(start not in read and start not in referenced for start in one.buckets())
    )
    series = sum(len(query.batches(query.question(one))) for one in windows)
    if not query.by_project:
        return series
    missing = (start for start in known.buckets if start not in read)
    each = (first_round(query, start, projects_of(known), known.cut) for start in missing)
    return series + sum(map(len, each))


def projects_of(known: Survey) -> tuple[int, ...]:
    """Return the projects that can be asked for in batches."""
    return known.asked or known.readable


def _rows(query: ResolvedQuery, reading: Reading) -> int:
    """Return how many rows each bucket of a day can have at most."""
    question = query.question(query.bucket(0))
    groups = {one[1:] for one in totals(reading.rows)}
    return sum(weight(question, By(*group)) for group in groups)


def _windows(window: Window, rows: Mapping[int, int]) -> Iterator[Window]:
    """Yield parts of ``window`` whose answers cannot be cut; ``rows`` are those of each bucket."""
    first, count = window.start, 0
    for start in window.buckets():
        more = rows[floor(start, DAY)]
        length = (start - first) // window.interval
        if length and (length >= MAX_POINTS or count + more >= ROW_LIMIT):
            yield Window(first, start, window.interval)
            first, count = start, 0
        count += more
    yield Window(first, window.end, window.interval)


def _differing(total: Mapping[int, Reading], attributable: Mapping[int, Reading]) -> set[int]:
    """Return the days in which the readable projects do not have everything."""
    return {
        day
        for day, reading in attributable.items()
        if totals(reading.rows) != totals(total[day].rows)
    }


def _days(window: Window) -> range:
    return range(floor(window.start, DAY), window.end, DAY)


def _largest(
    query: ResolvedQuery,
    window: Window,
    days: Mapping[int, Reading],
    readable: tuple[int, ...],
) -> Plan[tuple[Cut | None, int]]:
    """Read the largest bucket of the largest day by project.

    Return what is learned of splitting it, and how many values it has.
    """
    inside = [day for day in days if day + DAY > window.start and day < window.end]
    day = max(inside, key=lambda one: _size(days[one]))
    start = max(day, window.start)
    part = Window(start, min(day + DAY, window.end), window.interval)
    total = yield from read_series(query, query.question(part))
    bucket = max(total, key=lambda one: _size(total[one]))
    projects = query.project or readable
    reading, hints = yield from read_projects(query, bucket, References(total[bucket]), projects)
    return hints.cut, size_of(reading.rows)


def _size(reading: Reading) -> int:
    return sum(totals(reading.rows).values())


def consecutive(buckets: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yield ``buckets`` in groups of ``size``."""
    for first in range(0, len(buckets), size):
        yield buckets[first : first + size]
