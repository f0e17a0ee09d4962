"""The ledger of one query in a state file."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from exporter.collect.ledger import Book, Change, Ledger
from exporter.collect.rows import PartedRows, Rows, Series, parts_of
from exporter.config import Organization, Query

Numbers = Mapping[Series, Mapping[int, int]]
"""What series are called in the file: for each whole one, numbers by project."""


class QueryState:
    """Writes the polls of one query into the state file, a transaction for each."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
        key: int,
        numbers: Numbers,
    ) -> None:
        self._transaction = transaction
        self._key = key
        self._numbers = numbers

    def save(self, change: Change, succeeded: float | None) -> None:
        """Write ``change``, and when the poll began if it succeeded."""
        with self._transaction() as database:
            numbers = _numbered(database, self._key, change, self._numbers)
            _write_counters(database, change, numbers)
            _write_books(database, self._key, change, numbers)
            database.execute(
                "UPDATE query SET counts_from = ?, last_success = coalesce(?, last_success)"
                " WHERE id = ?",
                [change.counts_from, succeeded, self._key],
            )
        self._numbers = numbers


def _numbered(database: sqlite3.Connection, query: int, change: Change, known: Numbers) -> Numbers:
    """Return ``known`` with the numbers of those series of ``change`` that had none."""
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM series").fetchone()
    numbers = dict(known)
    for rows in _rows_of(change):
        for whole, values in parts_of(rows).items():
            before = numbers.get(whole, {})
            new = sorted(project for project in values if project not in before)
            if new:
                given = dict(zip(new, range(last + 1, last + 1 + len(new)), strict=True))
                last += len(new)
                database.executemany(
                    "INSERT INTO series (id, query, field, category, outcome, reason, project)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(number, query, *whole.of(project)) for project, number in given.items()],
                )
                numbers[whole] = {**before, **given}
    return numbers


def _rows_of(change: Change) -> Iterator[Rows]:
    yield change.counters
    for book in change.books.values():
        yield from (book.rows, book.told, book.fallen)


def _numbers_and_values(rows: Rows, numbers: Numbers) -> Iterator[tuple[int, int]]:
    for whole, values in parts_of(rows).items():
        known = numbers.get(whole, {})
        yield from ((known[project], value) for project, value in values.items())


def _write_counters(database: sqlite3.Connection, change: Change, numbers: Numbers) -> None:
    database.executemany(
        "UPDATE series SET counter = ?2 WHERE id = ?1",
        _numbers_and_values(change.counters, numbers),
    )
    database.executemany(
        "UPDATE series SET born = ? WHERE id = ?",
        [
            (at, numbers[series.without_project()][series.project])
            for series, at in change.born.items()
        ],
    )


def _write_books(
    database: sqlite3.Connection, query: int, change: Change, numbers: Numbers
) -> None:
    for start in (*change.dropped, *change.books):
        database.execute("DELETE FROM entry WHERE query = ? AND start = ?", [query, start])
        database.execute("DELETE FROM book WHERE query = ? AND start = ?", [query, start])
    for start, book in change.books.items():
        database.execute(
            "INSERT INTO book (query, start, finished, whole) VALUES (?, ?, ?, ?)",
            [query, start, book.finished, book.whole],
        )
        for kind, rows in (("rows", book.rows), ("told", book.told), ("fallen", book.fallen)):
            database.executemany(
                "INSERT INTO entry (query, start, kind, series, value) VALUES (?, ?, ?, ?, ?)",
                (
                    (query, start, kind, number, value)
                    for number, value in _numbers_and_values(rows, numbers)
                ),
            )


def identity_of(organization: Organization, query: Query, ordinal: int) -> str:
    """Return what a query asks, whatever it is called."""
    chosen = query.filter
    return json.dumps(
        {
            "organization": organization.slug,
            "groupBy": sorted(query.group_by),
            "category": sorted(chosen.category),
            "outcome": sorted(chosen.outcome),
            "reason": chosen.reason,
            "project": sorted(chosen.project),
            "field": sorted(query.fields),
            "interval": query.interval,
            "ordinal": ordinal,
        },
        sort_keys=True,
    )


def read_ledger(database: sqlite3.Connection, key: int) -> tuple[Ledger, Numbers]:
    """Return the ledger of a query, and the numbers of its series."""
    by_number: dict[int, Series] = {}
    numbers: dict[Series, dict[int, int]] = {}
    counters: dict[Series, dict[int, int]] = {}
    born: dict[Series, float] = {}
    for number, counter, began, *labels in database.execute(
        "SELECT id, counter, born, field, category, outcome, reason, project"
        " FROM series WHERE query = ? ORDER BY id",
        [key],
    ):
        series = by_number[number] = Series(*labels)
        whole = series.without_project()
        numbers.setdefault(whole, {})[series.project] = number
        if counter is not None:
            counters.setdefault(whole, {})[series.project] = counter
        if began is not None:
            born[series] = began
    return Ledger(_books(database, key, by_number), PartedRows(counters), born), numbers


def _books(
    database: sqlite3.Connection, key: int, by_number: Mapping[int, Series]
) -> dict[int, Book]:
    entries: dict[tuple[int, str], dict[Series, int]] = {}
    for start, kind, number, value in database.execute(
        "SELECT start, kind, series, value FROM entry WHERE query = ?", [key]
    ):
        entries.setdefault((start, kind), {})[by_number[number]] = value
    books = {}
    for start, finished, whole in database.execute(
        "SELECT start, finished, whole FROM book WHERE query = ?", [key]
    ):
        rows, told, fallen = (entries.get((start, kind), {}) for kind in ("rows", "told", "fallen"))
        books[start] = Book(rows, told, bool(finished), bool(whole), fallen)
    return books
