"""The lookback of a query as a chart shows it: sums by outcome or category, one chart per unit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.buckets import floor
from exporter.categories import MILLISECONDS_PER_SECOND, OUTCOMES, Unit, unit_of
from exporter.collect.series import totals
from exporter.collect.snapshot import BucketData
from exporter.sentry.question import QUANTITY
from exporter.status import QueryStatus

MAX_COLUMNS: Final = 48
"""Columns of a chart; buckets are added together where there are more."""

MAX_STACKED: Final = 8
"""Values that a column shows; the smaller ones are added together where there are more."""

OTHERS: Final = "all others"
NOT_GROUPED: Final = "all"

Sums = Mapping[tuple[str, str, str], int]
"""Values by field, category and outcome."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a chart shows of one or several buckets, from ``start`` on, ``length`` seconds long.

    ``values`` belong to the names of the chart, one by one; ``None`` where nothing was read.
    ``finished`` and ``complete`` say whether that holds for all buckets of the column.
    """

    start: int
    length: int
    values: Sequence[float] | None
    finished: bool = True
    complete: bool = True

    @property
    def total(self) -> float:
        """The sum of the values."""
        return sum(self.values or ())


@dataclass(frozen=True, slots=True)
class History:
    """The values of one unit over the lookback; ``names`` are outcomes or categories.

    ``categories`` says how many there are of the unit.
    """

    unit: str
    by: str
    categories: int
    names: Sequence[str]
    columns: Sequence[Column]

    @property
    def totals(self) -> Sequence[float]:
        """The sum over all columns for each name."""
        read = [column.values for column in self.columns if column.values is not None]
        return [sum(values) for values in zip(*read, strict=True)]


def histories(query: QueryStatus, by: str) -> Iterator[History]:
    """Yield the history of each unit that the query has values of; events come first."""
    history = query.report.history
    read = {start: _summed(bucket) for start, bucket in history.items()}
    categories = query.settings.filter.category
    without_category = unit_of(categories[0]) if categories else Unit.EVENTS

    def unit(field: str, category: str) -> str:
        if field != QUANTITY:
            return "times seen"
        return unit_of(category) if category else without_category

    units = {unit(field, category) for one in read.values() for field, category, _ in one}
    for each in sorted(units, key=lambda one: (one != Unit.EVENTS, one)):
        shown = {
            start: _grouped(
                {key: value for key, value in one.items() if unit(key[0], key[1]) == each},
                by,
                MILLISECONDS_PER_SECOND if each == Unit.SECONDS else 1,
            )
            for start, one in read.items()
        }
        names = _names(shown.values(), by)
        present = {key[1] for one in read.values() for key in one if unit(*key[:2]) == each}
        yield History(each, by, len(present), names, list(_columns(query, shown, names)))


def _columns(
    query: QueryStatus, shown: Mapping[int, Mapping[str, float]], names: Sequence[str]
) -> Iterator[Column]:
    history, interval = query.report.history, query.settings.interval
    length = _length(max(shown) + interval - min(shown), interval)
    for start in range(floor(min(shown), length), max(shown) + 1, length):
        present = [one for one in range(start, start + length, interval) if one in shown]
        values = _values([shown[one] for one in present], names) if present else None
        buckets = [history[one] for one in present]
        yield Column(
            start,
            length,
            values,
            all(one.finished for one in buckets),
            all(one.proven for one in buckets),
        )


def _length(span: int, interval: int) -> int:
    """Return the length of a column: the shortest with which the chart has not too many."""
    lengths = (interval * factor for factor in (1, 2, 3, 4, 6, 8, 12, 24))
    return next((one for one in lengths if span <= one * MAX_COLUMNS), interval * 24 * 30)


def _summed(bucket: BucketData) -> Sums:
    sums: dict[tuple[str, str, str], int] = {}
    # A bucket by project has its total already, and may have a hundred thousand rows.
    for (field, category, outcome, _), value in (bucket.total or totals(bucket.rows)).items():
        key = field, category, outcome
        sums[key] = sums.get(key, 0) + value
    return sums


def _grouped(sums: Sums, by: str, divisor: int) -> Mapping[str, float]:
    values: dict[str, float] = {}
    for (_, category, outcome), value in sums.items():
        name = (outcome if by == "outcome" else category) or NOT_GROUPED
        values[name] = values.get(name, 0) + (value if divisor == 1 else value / divisor)
    return values


def _names(shown: Iterable[Mapping[str, float]], by: str) -> Sequence[str]:
    """Return the names of a chart's values: outcomes in Sentry's order, categories by size."""
    sizes = _added(shown)
    order = {name: place for place, name in enumerate(OUTCOMES if by == "outcome" else ())}
    names = sorted(sizes, key=lambda name: (order.get(name, len(order)), -sizes[name], name))
    return names if len(names) <= MAX_STACKED else [*names[: MAX_STACKED - 1], OTHERS]


def _values(present: Iterable[Mapping[str, float]], names: Sequence[str]) -> Sequence[float]:
    """Return the sums of ``present`` for each name; what has no name of its own is the others'."""
    sums = _added(present)
    others = sum(value for name, value in sums.items() if name not in names)
    return [others if name == OTHERS else sums.get(name, 0) for name in names]


def _added(several: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
    sums: dict[str, float] = {}
    for one in several:
        for name, value in one.items():
            sums[name] = sums.get(name, 0) + value
    return sums
