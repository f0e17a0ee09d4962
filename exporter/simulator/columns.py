"""The column store behind stats_v2: selects, groups and sums rows, a bucket at a time."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.buckets import Window, floor
from exporter.simulator.recent import Recent
from exporter.simulator.store import DIMENSIONS, Row, Store
from exporter.simulator.traffic import DAY, HOUR, Series, Traffic

Key = tuple[str | int | None, ...]


class Sums(NamedTuple):
    """What a store query adds up."""

    quantity: int
    times_seen: int

    def plus(self, other: "Sums | None") -> "Sums":
        """Return both together."""
        if other is None:
            return self
        return Sums(self.quantity + other.quantity, self.times_seen + other.times_seen)


class Table(StrEnum):
    """Where rows are read from: as they came, by the hour, or by the day."""

    RAW = "raw"
    HOURLY = "hourly"
    DAILY = "daily"


_KEPT: Final = {Table.RAW: 30 * DAY, Table.HOURLY: 90 * DAY, Table.DAILY: 396 * DAY}


def table_for(window: Window, now: float) -> Table:
    """Return the table a query reads: short intervals the raw one, old ranges the daily one."""
    if window.interval < HOUR:
        return Table.RAW
    return Table.DAILY if window.start < now - _KEPT[Table.HOURLY] else Table.HOURLY


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows count and how they are grouped; ``None`` filters nothing.

    ``absent`` stands for a missing reason. Only the raw table can say that there was none.
    """

    group_by: tuple[str, ...]
    absent: str | None = "none"
    categories: frozenset[str] | None = None
    outcomes: frozenset[str] | None = None
    reason: str | None = None
    projects: frozenset[int] | None = None

    def takes(self, row: Row | Series) -> bool:
        """Return whether ``row`` passes every filter."""
        return (
            (self.categories is None or row.category in self.categories)
            and (self.outcomes is None or row.outcome in self.outcomes)
            and (self.projects is None or row.project in self.projects)
            and (self.reason is None or (row.reason or "none") == self.reason)
        )

    def key(self, row: Row | Series) -> Key:
        """Return the group of ``row``, values in the order of ``group_by``."""
        values = _values(row)
        if values[3] is None:
            values = (*values[:3], self.absent)
        return tuple(values[DIMENSIONS.index(name)] for name in self.group_by)


_values = attrgetter(*DIMENSIONS)


class Piece(NamedTuple):
    """Seconds ``first`` to ``last`` of ``hour``, which add to ``bucket``."""

    bucket: int
    hour: int
    first: int = 0
    last: int = HOUR


def pieces(window: Window, table: Table, now: float) -> Iterator[Piece]:
    """Yield what a query reads, in the order of the buckets, nothing beyond retention.

    Rows of the hourly and the daily table carry the start of their hour or day, which alone
    decides whether and in which bucket they count.
    """
    oldest = now - _KEPT[table]
    found = _raw_pieces(window) if table is Table.RAW else _stamped_pieces(window, table)
    return (piece for piece in found if piece.hour >= oldest)


class ColumnStore:
    """Reads a `Store` by columns, and remembers how series fall into groups."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._groupings = Recent[tuple[int, Selection], _Grouping](4)

    def sums(
        self, organization: int, selection: Selection, parts: Iterable[Piece], now: float
    ) -> dict[Key, Sums]:
        """Return the sums of every group that has a row in ``parts``, as of ``now``."""
        read = tuple(parts)
        sums = self._generated(organization, selection, read, now)
        for row in self._by_hand(organization, read, now):
            if selection.takes(row):
                key = selection.key(row)
                sums[key] = Sums(row.quantity, row.times_seen).plus(sums.get(key))
        return sums

    def _by_hand(self, organization: int, parts: Iterable[Piece], now: float) -> Iterator[Row]:
        for part in parts:
            for row in self._store.rows(organization, part.hour):
                inside = part.first <= row.timestamp - part.hour < part.last
                if inside and row.is_visible(now):
                    yield row

    def _generated(
        self, organization: int, selection: Selection, parts: Iterable[Piece], now: float
    ) -> dict[Key, Sums]:
        traffic = self._store.traffic(organization)
        if traffic is None:
            return {}
        grouping = self._groupings.get(
            (organization, selection), lambda: _Grouping.of(traffic, selection)
        )
        return grouping.sums(
            traffic.batches,
            (traffic.visible(part.hour, now, part.first, part.last) for part in parts),
        )


@dataclass(frozen=True, slots=True)
class _Grouping:
    """The places of the series that count, and for each the number of its group in ``keys``."""

    keys: tuple[Key, ...]
    places: "array[int]"
    numbers: "array[int]"

    @classmethod
    def of(cls, traffic: Traffic, selection: Selection) -> "_Grouping":
        keys: dict[Key, int] = {}
        places, numbers = array("l"), array("l")
        for place in traffic.places(selection.projects):
            series = traffic.series[place]
            if selection.takes(series):
                places.append(place)
                numbers.append(keys.setdefault(selection.key(series), len(keys)))
        return cls(tuple(keys), places, numbers)

    def sums(self, batches: Sequence[int], columns: Iterable[Sequence[int]]) -> dict[Key, Sums]:
        quantities, times_seen = [0] * len(self.keys), [0] * len(self.keys)
        for column in columns:
            for number, place in zip(self.numbers, self.places, strict=True):
                if quantity := column[place]:
                    quantities[number] += quantity
                    times_seen[number] += -(-quantity // batches[place])
        found = zip(self.keys, quantities, times_seen, strict=True)
        return {key: Sums(quantity, times) for key, quantity, times in found if quantity}


def _stamped_pieces(window: Window, table: Table) -> Iterator[Piece]:
    span = HOUR if table is Table.HOURLY else DAY
    for stamp in range(-floor(-window.start, span), window.end, span):
        for hour in range(stamp, stamp + span, HOUR):
            yield Piece(floor(stamp, window.interval), hour)


def _raw_pieces(window: Window) -> Iterator[Piece]:
    for bucket in window.buckets():
        end = bucket + window.interval
        for hour in range(floor(bucket, HOUR), end, HOUR):
            yield Piece(bucket, hour, max(bucket - hour, 0), min(end - hour, HOUR))
