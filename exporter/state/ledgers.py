"""The ledger of one query in a state file.

Its books belong to what the query asks, by project id. Its counters belong to the names that they
are published under: a query that is called otherwise counts from 0 under its new name, and goes on
where it was if it gets the old one back.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from exporter.collect.ledger.ledger import Book, Change, Labels, Ledger
from exporter.collect.series import Rows, Series, parts_of
from exporter.config import Organization, Query

Numbers = Mapping[Series, Mapping[int, int]]
"""What series are called in the file: for each whole one, numbers by project."""

_LABELS = "field, category, outcome, reason, project"


@dataclass(frozen=True, slots=True)
class Known:
    """What a file has of a query: the keys of its books and of its counters, and their numbers."""

    books: int
    counters: int
    series: Numbers = field(default_factory=dict)
    counted: Numbers = field(default_factory=dict)


class QueryState:
    """Writes the polls of one query into the state file, a transaction for each."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
        known: Known,
        labels: Labels,
    ) -> None:
        self._transaction = transaction
        self._known = known
        self._labels = labels

    def save(self, change: Change, succeeded: float | None) -> None:
        """Write ``change``, and when the poll began if it succeeded."""
        known = self._known
        with self._transaction() as database:
            series = _numbered_series(database, known, change)
            _write_books(database, known.books, change, series)
            counted = self._write_counters(database, change)
            if change.compact:
                series = _without_unused(database, known.books, series)
            database.execute(
                "UPDATE query SET counts_from = ?, last_success = coalesce(?, last_success),"
                " asked = ?, clock_skew = ? WHERE id = ?",
                [
                    change.counts_from,
                    succeeded,
                    None if change.asked is None else json.dumps(sorted(change.asked)),
                    change.clock_skew,
                    known.books,
                ],
            )
            database.execute(
                "UPDATE published SET last_success = coalesce(?, last_success) WHERE id = ?",
                [succeeded, known.counters],
            )
        self._known = Known(known.books, known.counters, series, counted)

    def _write_counters(self, database: sqlite3.Connection, change: Change) -> Numbers:
        numbers = _numbered(
            database,
            change.counters,
            self._known.counted,
            "counter",
            lambda whole, label: (self._known.counters, *whole[:-1], self._labels.names[label], 0),
        )

        def number(series: Series) -> int:
            return numbers[series.without_project()][series.project]

        database.executemany(
            "UPDATE counter SET value = ?2 WHERE id = ?1",
            _numbers_and_values(change.counters, numbers),
        )
        for column, moments in (("born", change.born), ("unseen", change.unseen)):
            database.executemany(
                f"UPDATE counter SET {column} = ? WHERE id = ?",  # noqa: S608 - one of two constants
                [(at, number(series)) for series, at in moments.items()],
            )
        database.executemany(
            "UPDATE counter SET unseen = NULL WHERE id = ?", [(number(s),) for s in change.seen]
        )
        if not change.forgotten:
            return numbers
        database.executemany(
            "DELETE FROM counter WHERE id = ?", [(number(s),) for s in change.forgotten]
        )
        gone: dict[Series, set[int]] = {}
        for series in change.forgotten:
            gone.setdefault(series.without_project(), set()).add(series.project)
        return {
            whole: {p: one for p, one in values.items() if p not in gone.get(whole, ())}
            for whole, values in numbers.items()
        }


def _numbered_series(database: sqlite3.Connection, known: Known, change: Change) -> Numbers:
    """Return the numbers of the series of all books, with those of ``change`` that had none."""
    numbers = known.series
    for book in change.books.values():
        for rows in (book.rows, book.told, book.counted):
            numbers = _numbered(
                database,
                rows,
                numbers,
                "series",
                lambda whole, project: (known.books, *whole[:-1], project),
            )
    return numbers


def _numbered(
    database: sqlite3.Connection,
    rows: Rows,
    known: Numbers,
    table: str,
    values: Callable[[Series, int], tuple[object, ...]],
) -> Numbers:
    """Return ``known`` with numbers for the ``rows`` that have none, which come into ``table``."""
    new = {
        whole: sorted(found)
        for whole, found in (
            (whole, part.keys() - known.get(whole, {}).keys())
            for whole, part in parts_of(rows).items()
        )
        if found
    }
    if not new:
        return known
    owner, more = ("query", "") if table == "series" else ("published", ", value")
    (last,) = database.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
    numbers = dict(known)
    for whole, projects in new.items():
        given = dict(zip(projects, range(last + 1, last + 1 + len(projects)), strict=True))
        last += len(projects)
        records = [(number, *values(whole, project)) for project, number in given.items()]
        marks = ", ".join("?" * len(records[0]))
        database.executemany(
            f"INSERT INTO {table} (id, {owner}, {_LABELS}{more}) VALUES ({marks})",  # noqa: S608
            records,
        )
        numbers[whole] = {**numbers.get(whole, {}), **given}
    return numbers


def _without_unused(database: sqlite3.Connection, query: int, known: Numbers) -> Numbers:
    """Delete the series that no book has any more; return the numbers of the others."""
    database.execute(
        "DELETE FROM series WHERE query = ?1"
        " AND id NOT IN (SELECT series FROM entry WHERE query = ?1)",
        [query],
    )
    left = {
        number for (number,) in database.execute("SELECT id FROM series WHERE query = ?", [query])
    }
    return {
        whole: {project: number for project, number in values.items() if number in left}
        for whole, values in known.items()
    }


def _numbers_and_values(rows: Rows, numbers: Numbers) -> Iterator[tuple[int, int]]:
    for whole, values in parts_of(rows).items():
        known = numbers.get(whole, {})
        yield from ((known[project], value) for project, value in values.items())


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
        for kind, rows in (("rows", book.rows), ("told", book.told), ("counted", book.counted)):
            database.executemany(
                "INSERT INTO entry (query, start, kind, series, value) VALUES (?, ?, ?, ?, ?)",
                (
                    (query, start, kind, number, value)
                    for number, value in _numbers_and_values(rows, numbers)
                ),
            )


def asks(organization: Organization, query: Query, ordinal: int) -> str:
    """Return what a query asks, whatever it is called and wherever its organization is."""
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


def read_ledger(database: sqlite3.Connection, books: int, counters: int) -> tuple[Ledger, Known]:
    """Return the ledger of a query, and what the file has of it."""
    by_number: dict[int, Series] = {}
    numbers: dict[Series, dict[int, int]] = {}
    for number, *labels in database.execute(
        f"SELECT id, {_LABELS} FROM series WHERE query = ? ORDER BY id",  # noqa: S608
        [books],
    ):
        series = by_number[number] = Series(*labels)
        numbers.setdefault(series.without_project(), {})[series.project] = number
    counts_from, asked, clock_skew = database.execute(
        "SELECT counts_from, asked, clock_skew FROM query WHERE id = ?", [books]
    ).fetchone()
    counted = _read_counters(database, counters)
    ledger = Ledger(
        _books(database, books, by_number),
        counted.values,
        counted.born,
        counts_from,
        None if asked is None else frozenset(json.loads(asked)),
        counted.labels,
        counted.unseen,
        clock_skew,
    )
    return ledger, Known(books, counters, numbers, counted.numbers)


@dataclass(frozen=True, slots=True)
class _Counted:
    """The counters of a file, as a ledger has them, and their numbers in the file."""

    labels: Labels = field(default_factory=Labels)
    numbers: dict[Series, dict[int, int]] = field(default_factory=dict)
    values: dict[Series, int] = field(default_factory=dict)
    born: dict[Series, float] = field(default_factory=dict)
    unseen: dict[Series, float] = field(default_factory=dict)


def _read_counters(database: sqlite3.Connection, published: int) -> _Counted:
    found = _Counted()
    for number, value, born, unseen, field_, category, outcome, reason, label in database.execute(
        f"SELECT id, value, born, unseen, {_LABELS} FROM counter"  # noqa: S608
        " WHERE published = ? ORDER BY id",
        [published],
    ):
        series = Series(field_, category, outcome, reason, found.labels.number(label))
        found.numbers.setdefault(series.without_project(), {})[series.project] = number
        found.values[series] = value
        if born is not None:
            found.born[series] = born
        if unseen is not None:
            found.unseen[series] = unseen
    return found


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
        rows, told, counted = (
            entries.get((start, kind), {}) for kind in ("rows", "told", "counted")
        )
        books[start] = Book(rows, told, bool(finished), bool(whole), counted)
    return books
