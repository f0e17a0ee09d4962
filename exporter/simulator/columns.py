"""The store behind stats_v2: selects, groups and sums rows, one bucket at a time."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.buckets import Window, floor
from exporter.simulator.lru_cache import LRUCache
from exporter.simulator.series import DAY, HOUR, Series
from exporter.simulator.store import DIMENSIONS, Row, Store
from exporter.simulator.traffic import Traffic

Key = tuple[str | int | None, ...]


class Sums(NamedTuple):
    """The two sums of a store query."""

    quantity: int
    times_seen: int

    def plus(self, other: "Sums | None") -> "Sums":
        """Return the sums of both."""
        if other is None:
            return self
        return Sums(self.quantity + other.quantity, self.times_seen + other.times_seen)


class Table(StrEnum):
    """The table that a query reads: raw rows, or their hourly or daily aggregates."""

    RAW = "raw"
    HOURLY = "hourly"
    DAILY = "daily"


# As in the migrations 0005 and 0010 of Snuba's outcomes; 396 days are 13 months.
_RETENTION: Final = {Table.RAW: 30 * DAY, Table.HOURLY: 90 * DAY, Table.DAILY: 396 * DAY}


def table_for(window: Window, now: float) -> Table:
    """Return the table that a query reads.

    An interval below an hour needs the raw table. A range that starts before the retention of the
    hourly table is read from the daily one entirely, whatever its interval is
    (``storage_selectors/outcomes.py`` in Snuba).
    """
    if window.interval < HOUR:
        return Table.RAW
    return Table.DAILY if window.start < now - _RETENTION[Table.HOURLY] else Table.HOURLY


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters and the grouping of a store query; ``None`` is no filter.

    ``absent_reason`` is returned for rows without a reason: ``None`` in the raw table, ``none`` in
    the others.
    """

    group_by: tuple[str, ...]
    absent_reason: str | None = "none"
    categories: frozenset[str] | None = None
    outcomes: frozenset[str] | None = None
    reason: str | None = None
    projects: frozenset[int] | None = None

    def matches(self, row: Row | Series) -> bool:
        """Return whether ``row`` passes every filter."""
        return (
            (self.categories is None or row.category in self.categories)
            and (self.outcomes is None or row.outcome in self.outcomes)
            and (self.projects is None or row.project in self.projects)
            and (self.reason is None or (row.reason or "none") == self.reason)
        )

    def key(self, row: Row | Series) -> Key:
        """Return the group of ``row``: its values in the order of ``group_by``."""
        values = _values(row)
        if values[3] is None:
            values = (*values[:3], self.absent_reason)
        return tuple(values[DIMENSIONS.index(name)] for name in self.group_by)


_values = attrgetter(*DIMENSIONS)


class Piece(NamedTuple):
    """The seconds ``first`` to ``last`` of ``hour``, whose rows are counted in ``bucket``."""

    bucket: int
    hour: int
    first: int = 0
    last: int = HOUR


def pieces(window: Window, table: Table, now: float) -> Iterator[Piece]:
    """Yield the pieces that a query reads, in the order of the buckets, within the retention."""
    oldest = now - _RETENTION[table]
    read = _raw_pieces(window) if table is Table.RAW else _aggregated_pieces(window, table)
    return (piece for piece in read if piece.hour >= oldest)


class ColumnStore:
    """Reads a `Store` by columns, and caches which series belong to which group."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Few, as each has two numbers for every selected series, but all of a poll in parts of a
        # thousand projects, which is repeated for each bucket.
        self._groupings = LRUCache[tuple[int, Selection], _Grouping](8)

    def sums(
        self, organization: int, selection: Selection, parts: Iterable[Piece], now: float
    ) -> dict[Key, Sums]:
        """Return the sums of every group that has a row in ``parts``, as of ``now``."""
        read = tuple(parts)
        sums = self._generated(organization, selection, read, now)
        for row in self._added(organization, read, now):
            if selection.matches(row):
                key = selection.key(row)
                sums[key] = Sums(row.quantity, row.times_seen).plus(sums.get(key))
        return sums

    def _added(self, organization: int, parts: Iterable[Piece], now: float) -> Iterator[Row]:
        for part in parts:
            for row in self._store.rows(organization, part.hour):
                is_inside = part.first <= row.timestamp - part.hour < part.last
                if is_inside and row.is_visible(now):
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
    """The indexes of the selected series, and for each the index of its group in ``keys``."""

    keys: tuple[Key, ...]
    indexes: "array[int]"
    groups: "array[int]"

    @classmethod
    def of(cls, traffic: Traffic, selection: Selection) -> "_Grouping":
        keys: dict[Key, int] = {}
        indexes, groups = array("l"), array("l")
        for index in traffic.indexes(selection.projects):
            series = traffic.series[index]
            if selection.matches(series):
                indexes.append(index)
                groups.append(keys.setdefault(selection.key(series), len(keys)))
        return cls(tuple(keys), indexes, groups)

    def sums(self, batches: Sequence[int], columns: Iterable[Sequence[int]]) -> dict[Key, Sums]:
        quantities, times_seen = [0] * len(self.keys), [0] * len(self.keys)
        for column in columns:
            for group, index in zip(self.groups, self.indexes, strict=True):
                if quantity := column[index]:
                    quantities[group] += quantity
                    # Rounded up: the last of a series' stored rows may be smaller than the others.
                    times_seen[group] += -(-quantity // batches[index])
        rows = zip(self.keys, quantities, times_seen, strict=True)
        # Where there is no row, Sentry has no group, rather than one with zeros.
        return {key: Sums(quantity, times) for key, quantity, times in rows if quantity}


def _aggregated_pieces(window: Window, table: Table) -> Iterator[Piece]:
    # A row of these tables has only the start of its hour or day as its timestamp. That alone
    # decides whether the row is in the range and in which bucket, so that buckets of 72 or 90
    # minutes get complete hours, and all of an old day is in its first bucket.
    span = HOUR if table is Table.HOURLY else DAY
    for stamp in range(-floor(-window.start, span), window.end, span):
        for hour in range(stamp, stamp + span, HOUR):
            yield Piece(floor(stamp, window.interval), hour)


def _raw_pieces(window: Window) -> Iterator[Piece]:
    for bucket in window.buckets():
        end = bucket + window.interval
        for hour in range(floor(bucket, HOUR), end, HOUR):
            yield Piece(bucket, hour, max(bucket - hour, 0), min(end - hour, HOUR))
