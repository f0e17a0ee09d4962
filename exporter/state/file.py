"""An open state file, and the ledgers in it."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from exporter.collect.ledger.ledger import Kept
from exporter.config import Organization, Query
from exporter.state.ledgers import QueryState, asks, read_ledger
from exporter.state.lists import ListState
from exporter.state.opening import StateError, damaged, explained, opened

_OWNED: Final = {"query": ("entry", "book", "series"), "published": ("counter",)}
"""The tables whose rows belong to a row of another one."""


class State:
    """An open state file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at ``path``; raises `StateError` and leaves it as it is."""
        self._path = path
        self._lock = Lock()
        self._connection = opened(path)
        self._restored: dict[str, set[int]] = {"query": set(), "published": set()}

    def restore(
        self,
        organization: Organization,
        query: Query,
        ordinal: int = 0,
        elsewhere: Collection[str] = (),
    ) -> Kept:
        """Return what is known of ``query``; ``ordinal`` tells apart queries that ask the same.

        An organization whose server has a new address goes on where it was under its name, unless
        the old address is among those ``elsewhere``, where another organization has the same slug.
        """
        with self.transaction() as database:
            question = asks(organization, query, ordinal)
            books = _books_key(database, question, organization, elsewhere)
            counters = _counters_key(database, organization.name, query.name)
            self._restored["query"].add(books)
            self._restored["published"].add(counters)
            try:
                ledger, known = read_ledger(database, books, counters)
            except (LookupError, TypeError, ValueError, OverflowError) as error:
                why = f"what it holds makes no sense: {error!r}"
                raise StateError(damaged(self._path, why)) from error
            (last_success,) = database.execute(
                "SELECT last_success FROM query WHERE id = ?", [books]
            ).fetchone()
        keeper = QueryState(self.transaction, known, ledger.labels)
        return Kept(ledger, last_success, keeper)

    def project_list(self, organization: Organization) -> ListState:
        """Return where the projects list of ``organization`` is kept."""
        return ListState(self.transaction, organization)

    def forget(self, before: float) -> None:
        """Delete what is left of queries that were not restored, and last polled ``before``."""
        with self.transaction() as database:
            for owner, tables in _OWNED.items():
                left = database.execute(
                    f"SELECT id FROM {owner} WHERE last_success < ?",  # noqa: S608 - a constant
                    [before],
                ).fetchall()
                old = [key for key in left if key[0] not in self._restored[owner]]
                for table in tables:
                    database.executemany(f"DELETE FROM {table} WHERE {owner} = ?", old)  # noqa: S608
                database.executemany(f"DELETE FROM {owner} WHERE id = ?", old)  # noqa: S608

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that take effect together or not at all; raises `StateError`."""
        with self._lock, explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, as that of a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file, after what is being written."""
        with self._lock:
            self._connection.close()


def _books_key(
    database: sqlite3.Connection,
    question: str,
    organization: Organization,
    elsewhere: Collection[str],
) -> int:
    """Return the key of the books of a question to an organization's server."""
    url, name = organization.url, organization.name
    found = database.execute(
        "SELECT id, url, organization FROM query WHERE asks = ? ORDER BY url = ? DESC",
        [question, url],
    ).fetchall()
    for key, address, known_as in found:
        moved = known_as == name and address not in elsewhere
        if address == url or moved:
            if (address, known_as) != (url, name):
                database.execute(
                    "UPDATE query SET url = ?, organization = ? WHERE id = ?", [url, name, key]
                )
            return int(key)
    made = database.execute(
        "INSERT INTO query (asks, url, organization) VALUES (?, ?, ?)", [question, url, name]
    )
    return int(made.lastrowid or 0)


def _counters_key(database: sqlite3.Connection, organization: str, query: str) -> int:
    """Return the key of the counters that are published under these names."""
    names = [organization, query]
    database.execute("INSERT OR IGNORE INTO published (organization, query) VALUES (?, ?)", names)
    (key,) = database.execute(
        "SELECT id FROM published WHERE organization = ? AND query = ?", names
    ).fetchone()
    return int(key)
