"""The ledger of one query in a state file.

Its buckets belong to what the query asks, by project id. Its counters belong to the names that they
are published under: a query that is renamed counts from 0 under its new name, and goes on where it
was if it gets the old one back.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec.msgpack import Decoder

from exporter.collect.ledger import Bucket, Change, Column, Ledger, Run, SeriesTable
from exporter.collect.series import ProjectSeries, Rows, Series, Totals
from exporter.state.blobs import Numbers, as_numbers, from_numbers, pack, unpack

_T = TypeVar("_T")
_Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]
_SeriesTable = Literal["series", "counter_series"]

_RUNS: Final = Decoder(list[tuple[Series, Numbers]])
_CELLS: Final = Decoder(Numbers)
_TOTAL: Final[Decoder[Totals]] = Decoder(dict[Series, int])
_COUNTED: Final[Decoder[Rows]] = Decoder(dict[Series, dict[int, int]])
_TIMES: Final = Decoder(dict[Series, dict[int, float]])
_LABELS: Final = Decoder(list[str])


class Keys(NamedTuple):
    """Where a ledger is in the file: the ids of its rows in the tables of these names."""

    query: int
    counters: int


class LedgerPersistence:
    """Writes the changes of one ledger into the state file, a transaction for each.

    ``ledger`` is as the file has it: a change is written before it is applied.
    """

    def __init__(self, transaction: _Transaction, ledger: Ledger, keys: Keys) -> None:
        self.keys = keys
        self._transaction = transaction
        self._ledger = ledger

    def persist(self, change: Change, polled_at: float, *, succeeded: bool) -> None:
        """Write ``change`` and when its poll began; raises `StateError`."""
        query, counters = self.keys
        with self._transaction() as database:
            _write_buckets(database, query, self._ledger, change)
            _write_counters(database, counters, self._ledger, change)
            database.execute(
                "UPDATE query SET counts_from = ?, asked = ?, clock_skew = ?, polled_at = ?"
                " WHERE id = ?",
                [
                    change.counts_from,
                    _packed_ids(change.asked),
                    change.clock_skew,
                    polled_at,
                    query,
                ],
            )
            database.execute(
                "UPDATE counters SET polled_at = ? WHERE id = ?", [polled_at, counters]
            )
            if succeeded:
                database.execute("UPDATE query SET last_success = polled_at WHERE id = ?", [query])


def _write_buckets(
    database: sqlite3.Connection, query: int, ledger: Ledger, change: Change
) -> None:
    write_runs(database, "series", query, change.series, ledger.series)
    database.executemany(
        "DELETE FROM bucket WHERE query = ? AND start = ?",
        [(query, start) for start in change.dropped],
    )
    database.executemany(
        "INSERT OR REPLACE INTO bucket"
        " (query, start, finished, proven, cells, total, counted, asked)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                query,
                start,
                bucket.finished,
                bucket.proven,
                _packed(bucket.rows.cells),
                pack(bucket.total),
                pack(bucket.counted),
                _packed_ids(bucket.asked),
            )
            for start, bucket in change.buckets.items()
        ),
    )


def _write_counters(
    database: sqlite3.Connection, counters: int, ledger: Ledger, change: Change
) -> None:
    if change.labels:
        database.execute(
            "INSERT OR REPLACE INTO label (counters, start, labels) VALUES (?, ?, ?)",
            [counters, len(ledger.labels), pack(change.labels)],
        )
    values: dict[str, bytes] = {}
    if change.counters is not ledger.counters:
        table = change.counters.table
        write_runs(database, "counter_series", counters, table, ledger.counters.table)
        values["cells"] = _packed(change.counters.cells)
    if change.unseen or change.seen or change.forgotten:
        values["unseen"] = _packed_times(
            {**ledger.unseen, **change.unseen}, change.seen | change.forgotten
        )
    # Grace periods end without a change: what is written is what the ledger still has.
    values["in_grace"] = _packed_times({**ledger.in_grace, **change.in_grace}, change.forgotten)
    assignments = ", ".join(f"{column} = ?" for column in values)
    database.execute(
        f"UPDATE counters SET {assignments} WHERE id = ?",  # noqa: S608 - constants
        [*values.values(), counters],
    )


def write_runs(
    database: sqlite3.Connection,
    table: _SeriesTable,
    owner: int,
    series: SeriesTable,
    before: SeriesTable,
) -> None:
    """Write what ``series`` has more than ``before``, or all of it if it is of another origin."""
    start = before.length
    if series.origin is not before.origin:
        database.execute(f"DELETE FROM {table} WHERE owner = ?", [owner])  # noqa: S608 - a constant
        start = 0
    if series.length == start:
        return
    # In order of place: the file has only the first place, and `_read_series` counts from there.
    runs = sorted(
        (run.start, one, as_numbers(run.projects))
        for one, of_one in series.runs.items()
        for run in of_one
        if run.start >= start
    )
    database.execute(
        f"INSERT OR REPLACE INTO {table} (owner, start, runs) VALUES (?, ?, ?)",  # noqa: S608 - a constant
        [owner, start, pack([(one, projects) for _, one, projects in runs])],
    )


def _packed(cells: "array[int]") -> bytes:
    return pack(as_numbers(cells))


def _packed_ids(ids: frozenset[int] | None) -> bytes | None:
    return None if ids is None else _packed(array("Q", sorted(ids)))


def _packed_times(times: Mapping[ProjectSeries, float], without: frozenset[ProjectSeries]) -> bytes:
    nested: dict[Series, dict[int, float]] = {}
    for one, at in times.items():
        if one not in without:
            nested.setdefault(one.series, {})[one.project] = at
    return pack(nested)


def read_ledger(database: sqlite3.Connection, keys: Keys) -> tuple[Ledger, float]:
    """Return a ledger and when its last poll that succeeded began.

    Raises ValueError where the file holds no such thing.
    """
    (about,) = _rows(
        database.execute(
            "SELECT counts_from, asked, clock_skew, last_success FROM query WHERE id = ?",
            [keys.query],
        ),
        tuple[int | None, bytes | None, float | None, float],
    )
    (counters,) = _rows(
        database.execute(
            "SELECT cells, in_grace, unseen FROM counters WHERE id = ?", [keys.counters]
        ),
        tuple[bytes | None, bytes | None, bytes | None],
    )
    counts_from, asked, clock_skew, last_success = about
    cells, in_grace, unseen = counters
    series = read_series_table(database, "series", keys.query)
    counted = read_series_table(database, "counter_series", keys.counters)
    ledger = Ledger(
        buckets=dict(_read_buckets(database, keys.query, series)),
        counters=_column(counted, cells),
        labels=_read_labels(database, keys.counters),
        in_grace=_read_times(in_grace),
        counts_from=counts_from,
        asked=_read_ids(asked),
        unseen=_read_times(unseen),
        clock_skew=clock_skew,
        series=series,
    )
    numbers = [max(run.projects, default=0) for runs in counted.runs.values() for run in runs]
    numbers += [one.project for one in (*ledger.in_grace, *ledger.unseen)]
    if max(numbers, default=0) >= len(ledger.labels):
        raise ValueError("counters without a label")
    return ledger, last_success


def _rows(cursor: sqlite3.Cursor, row: type[_T]) -> Iterator[_T]:
    """Yield the rows of a statement, which may have any types in a damaged file."""
    # Not strict: SQLite has no booleans, and gives 0 and 1.
    return (msgspec.convert(one, row, strict=False) for one in cursor)


def read_series_table(database: sqlite3.Connection, table: _SeriesTable, owner: int) -> SeriesTable:
    """Return what `write_runs` has written for ``owner``; raises ValueError if it is damaged."""
    runs: dict[Series, tuple[Run, ...]] = {}
    length = 0
    statement = f"SELECT start, runs FROM {table} WHERE owner = ? ORDER BY start"  # noqa: S608 - a constant
    for start, blob in _rows(database.execute(statement, [owner]), tuple[int, bytes]):
        if start != length:
            raise ValueError(f"series from {start} on, expected from {length} on")
        for series, projects in unpack(blob, _RUNS):
            run = Run(length, from_numbers(projects))
            runs[series] = (*runs.get(series, ()), run)
            length = run.end
    return SeriesTable(runs, length)


def _read_buckets(
    database: sqlite3.Connection, query: int, series: SeriesTable
) -> Iterator[tuple[int, Bucket]]:
    statement = (
        "SELECT start, finished, proven, cells, total, counted, asked FROM bucket"
        " WHERE query = ? ORDER BY start"
    )
    for start, finished, proven, cells, total, counted, asked in _rows(
        database.execute(statement, [query]),
        tuple[int, bool, bool, bytes, bytes, bytes, bytes | None],
    ):
        yield (
            start,
            Bucket(
                _column(series, cells),
                unpack(total, _TOTAL),
                finished,
                proven,
                unpack(counted, _COUNTED),
                _read_ids(asked),
            ),
        )


def _column(table: SeriesTable, blob: bytes | None) -> Column:
    """Return a column of ``table``."""
    cells = array("I") if blob is None else from_numbers(unpack(blob, _CELLS))
    if len(cells) > table.length:
        raise ValueError(f"{len(cells)} values for {table.length} series")
    return Column(table, cells)


def _read_ids(blob: bytes | None) -> frozenset[int] | None:
    return None if blob is None else frozenset(from_numbers(unpack(blob, _CELLS)))


def _read_labels(database: sqlite3.Connection, counters: int) -> list[str]:
    labels = [""]
    statement = "SELECT start, labels FROM label WHERE counters = ? ORDER BY start"
    for start, blob in _rows(database.execute(statement, [counters]), tuple[int, bytes]):
        if start != len(labels):
            raise ValueError(f"labels from {start} on, expected from {len(labels)} on")
        labels = [*labels, *unpack(blob, _LABELS)]
    return labels


def _read_times(blob: bytes | None) -> dict[ProjectSeries, float]:
    nested = {} if blob is None else unpack(blob, _TIMES)
    return {
        ProjectSeries(series, number): at
        for series, times in nested.items()
        for number, at in times.items()
    }
