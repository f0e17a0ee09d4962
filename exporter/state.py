"""What survives a restart: the ledgers, in an SQLite file that one process holds at a time.

A poll is written in one transaction before it is published, so that whatever was published can be
found again after a kill at any instant. A ledger belongs to what its query asks, not to the
query's name: a changed query starts anew, a renamed one goes on.
"""

import json
import sqlite3
import struct
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from exporter.collect.ledger import Book, Change, KeepError, Kept, Ledger
from exporter.collect.rows import Series
from exporter.config import Organization, Query

_APPLICATION: Final = 0x53_53_65_78
_VERSION: Final = 1
_HEADER_SIZE: Final = 100
_WAIT: Final = 2.0
"""Seconds to wait for a process that is just letting go of the file."""

_SCHEMA: Final = """
CREATE TABLE query (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    counts_from INTEGER,
    last_success REAL NOT NULL DEFAULT 0
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    query INTEGER NOT NULL REFERENCES query (id),
    field TEXT NOT NULL,
    category TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    project INTEGER NOT NULL,
    counter INTEGER,
    born REAL,
    UNIQUE (query, field, category, outcome, reason, project)
);
CREATE TABLE book (
    query INTEGER NOT NULL REFERENCES query (id),
    start INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    PRIMARY KEY (query, start)
) WITHOUT ROWID;
CREATE TABLE entry (
    query INTEGER NOT NULL REFERENCES query (id),
    start INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('rows', 'told', 'fallen')),
    series INTEGER NOT NULL REFERENCES series (id),
    value INTEGER NOT NULL,
    PRIMARY KEY (query, start, kind, series)
) WITHOUT ROWID;
"""


class StateError(KeepError):
    """The state file cannot be used. The message names it and says what to do."""


class State:
    """An open state file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at ``path``; raises `StateError` and leaves it as it is."""
        self._path = path
        self._lock = Lock()
        with _explained(path):
            if path.exists():
                _inspect(path)
            self._connection = sqlite3.connect(
                path, timeout=_WAIT, isolation_level=None, check_same_thread=False
            )
            try:
                _take_hold(self._connection, path)
            except BaseException:
                self._connection.close()
                raise

    def restore(self, organization: Organization, query: Query, ordinal: int = 0) -> Kept:
        """Return what is known of ``query``; ``ordinal`` tells apart queries that ask the same."""
        identity = _identity(organization, query, ordinal)
        with self.transaction() as database:
            database.execute("INSERT OR IGNORE INTO query (identity) VALUES (?)", [identity])
            key, counts_from, last_success = database.execute(
                "SELECT id, counts_from, last_success FROM query WHERE identity = ?", [identity]
            ).fetchone()
            try:
                ledger, numbers = _ledger(database, key)
            except (LookupError, TypeError, ValueError, OverflowError) as error:
                why = f"what it holds makes no sense: {error!r}"
                raise StateError(_damaged(self._path, why)) from error
        ledger.counts_from = counts_from
        return Kept(ledger, last_success, QueryState(self, key, numbers))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that take effect together or not at all; raises `StateError`."""
        with self._lock, _explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file, after what is being written."""
        with self._lock:
            self._connection.close()


class QueryState:
    """Writes the polls of one query into the state file."""

    def __init__(self, state: State, key: int, numbers: dict[Series, int]) -> None:
        self._state = state
        self._key = key
        self._numbers = numbers

    def save(self, change: Change, succeeded: float | None) -> None:
        """Write ``change``, and when the poll began if it succeeded, in one transaction."""
        with self._state.transaction() as database:
            added = self._number(database, change)
            numbers = ChainMap(added, self._numbers)
            _write_counters(database, change, numbers)
            _write_books(database, self._key, change, numbers)
            database.execute(
                "UPDATE query SET counts_from = ?, last_success = coalesce(?, last_success)"
                " WHERE id = ?",
                [change.counts_from, succeeded, self._key],
            )
        self._numbers |= added

    def _number(self, database: sqlite3.Connection, change: Change) -> dict[Series, int]:
        """Give a number to each series that has none, and return those."""
        named = {
            series
            for book in change.books.values()
            for rows in (book.rows, book.told, book.fallen)
            for series in rows
        }
        insert = (
            "INSERT INTO series (query, field, category, outcome, reason, project)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        added: dict[Series, int] = {}
        for series in sorted((named | change.counters.keys()) - self._numbers.keys()):
            number = database.execute(insert, [self._key, *series]).lastrowid
            if number is not None:
                added[series] = number
        return added


def _write_counters(
    database: sqlite3.Connection, change: Change, numbers: Mapping[Series, int]
) -> None:
    database.executemany(
        "UPDATE series SET counter = ? WHERE id = ?",
        [(value, numbers[series]) for series, value in change.counters.items()],
    )
    database.executemany(
        "UPDATE series SET born = ? WHERE id = ?",
        [(at, numbers[series]) for series, at in change.born.items()],
    )


def _write_books(
    database: sqlite3.Connection, query: int, change: Change, numbers: Mapping[Series, int]
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
                [(query, start, kind, numbers[series], value) for series, value in rows.items()],
            )


def _inspect(path: Path) -> None:
    """See by its header that the file is one of ours, without opening it: that could change it."""
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0") or len(header) < _HEADER_SIZE:
        raise StateError(_damaged(path, "its header is not SQLite's"))
    version, _, application = struct.unpack(">III", header[60:72])
    _accept(path, application, version)


def _accept(path: Path, application: int, version: int) -> None:
    """Raise `StateError` for the file of another program or of a newer version."""
    if application != _APPLICATION:
        raise StateError(f"{path} is an SQLite file of another program; name another --state.path")
    if version > _VERSION:
        raise StateError(
            f"{path} was written by a newer version (its format is {version}, the newest known"
            f" here is {_VERSION}); run that version, or name another --state.path"
        )


def _take_hold(database: sqlite3.Connection, path: Path) -> None:
    """Keep every other process out, make the tables if need be, and see that all is sound."""
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN EXCLUSIVE")
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute(f"PRAGMA user_version = {_VERSION}")
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    _accept(path, application, version)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    (verdict, *_), *_ = database.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise StateError(_damaged(path, verdict))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into what somebody can act on."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            message = (
                f"{path} is in use by another process; each exporter needs its own --state.path"
            )
        else:
            message = f"{path} cannot be used: {error}; see that its folder can be written to"
        raise StateError(message) from error
    except (sqlite3.ProgrammingError, OverflowError) as error:
        raise StateError(f"{path} could not be written: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StateError(_damaged(path, error)) from error


def _damaged(path: Path, why: object) -> str:
    reason = " ".join(str(why).split())
    return (
        f"{path} is damaged or no state file ({reason}); restore it from a backup,"
        " or move it away to let the counters begin anew"
    )


def _identity(organization: Organization, query: Query, ordinal: int) -> str:
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


def _ledger(database: sqlite3.Connection, key: int) -> tuple[Ledger, dict[Series, int]]:
    """Return the ledger of a query, and the numbers of its series."""
    by_number: dict[int, Series] = {}
    counters: dict[Series, int] = {}
    born: dict[Series, float] = {}
    for number, counter, began, *labels in database.execute(
        "SELECT id, counter, born, field, category, outcome, reason, project"
        " FROM series WHERE query = ? ORDER BY id",
        [key],
    ):
        series = by_number[number] = Series(*labels)
        if counter is not None:
            counters[series] = counter
        if began is not None:
            born[series] = began
    ledger = Ledger(_books(database, key, by_number), counters, born)
    return ledger, {series: number for number, series in by_number.items()}


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
