"""The lookback of a query as a chart shows it: sums by outcome or category, one chart per unit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.buckets import floor
from exporter.categories import (
    KNOWN_CATEGORIES,
    MILLISECONDS_PER_SECOND,
    OUTCOMES,
    Unit,
    repeated,
    unit_of,
)
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

ALL: Final = "all"
"""Chosen in the place of a category: charts of all categories."""

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

    They are the sums of ``categories``; those ``left_out`` count the items of these again.
    """

    unit: str
    by: str
    categories: Sequence[str]
    left_out: Sequence[str]
    names: Sequence[str]
    columns: Sequence[Column]

    @property
    def totals(self) -> Sequence[float]:
        """The sum over all columns for each name."""
        read = [column.values for column in self.columns if column.values is not None]
        return [sum(values) for values in zip(*read, strict=True)]

    @property
    def subject(self) -> str:
        """What is counted, such as ``events of error``."""
        if self.by == "category" or not any(self.categories):
            return self.unit
        *others, last = self.categories
        return f"{self.unit} of {f'{len(others) + 1} categories' if others else last}"


class Lookback:
    """What a query has read, added up for its charts."""

    def __init__(self, query: QueryStatus) -> None:
        self._query = query
        self._sums = {start: _summed(one) for start, one in query.report.history.items()}
        written = query.settings.filter.category
        self._unit_without_category = unit_of(written[0]) if written else Unit.EVENTS

    @property
    def categories(self) -> Sequence[str]:
        """The categories that have values, in Sentry's order."""
        order = {name: place for place, name in enumerate(KNOWN_CATEGORIES)}
        present = {category for one in self._sums.values() for _, category, _ in one if category}
        return sorted(present, key=lambda name: (order.get(name, len(order)), name))

    def category(self, wanted: str) -> str:
        """Return the category whose outcomes are drawn: the one ``wanted``, or by default errors.

        The few errors that are missed cannot be seen beside a hundred times more spans.
        """
        if wanted == ALL or wanted in self.categories:
            return wanted
        return "error" if "error" in self.categories else ALL

    def histories(self, by: str, category: str = ALL) -> Iterator[History]:
        """Yield the history of each unit that ``category`` has values of; events come first."""
        values = {
            start: {key: one[key] for key in one if category in {ALL, key[1]}}
            for start, one in self._sums.items()
        }
        units = {self._unit(key) for one in values.values() for key in one}
        for unit in sorted(units, key=lambda one: (one != Unit.EVENTS, one)):
            yield self._history(unit, by, values)

    def _history(self, unit: str, by: str, values: Mapping[int, Sums]) -> History:
        present = {key[1] for one in values.values() for key in one if self._unit(key) == unit}
        left_out = repeated(present)
        divisor = MILLISECONDS_PER_SECOND if unit == Unit.SECONDS else 1
        shown = {
            start: _grouped(
                {
                    key: value
                    for key, value in one.items()
                    if self._unit(key) == unit and key[1] not in left_out
                },
                by,
                divisor,
            )
            for start, one in values.items()
        }
        names = _names(shown.values(), by)
        columns = list(_columns(self._query, shown, names))
        return History(unit, by, sorted(present - left_out), sorted(left_out), names, columns)

    def _unit(self, key: tuple[str, str, str]) -> str:
        field, category, _ = key
        if field != QUANTITY:
            return "times seen"
        return unit_of(category) if category else self._unit_without_category


def _columns(
    query: QueryStatus, shown: Mapping[int, Mapping[str, float]], names: Sequence[str]
) -> Iterator[Column]:
    history, interval = query.report.history, query.settings.interval
    length = _length(max(shown) + interval - min(shown), interval)
    # From a multiple of the length on, or each new bucket would move the limits of all columns.
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
