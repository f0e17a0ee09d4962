"""An open state file, and the ledgers in it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from exporter.collect.ledger import Kept
from exporter.config import Organization, Query
from exporter.state.ledgers import QueryState, identity_of, read_ledger
from exporter.state.opening import StateError, damaged, explained, opened


class State:
    """An open state file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at ``path``; raises `StateError` and leaves it as it is."""
        self._path = path
        self._lock = Lock()
        self._connection = opened(path)

    def restore(self, organization: Organization, query: Query, ordinal: int = 0) -> Kept:
        """Return what is known of ``query``; ``ordinal`` tells apart queries that ask the same."""
        identity = identity_of(organization, query, ordinal)
        with self.transaction() as database:
            database.execute("INSERT OR IGNORE INTO query (identity) VALUES (?)", [identity])
            key, counts_from, last_success = database.execute(
                "SELECT id, counts_from, last_success FROM query WHERE identity = ?", [identity]
            ).fetchone()
            try:
                ledger, numbers = read_ledger(database, key)
            except (LookupError, TypeError, ValueError, OverflowError) as error:
                why = f"what it holds makes no sense: {error!r}"
                raise StateError(damaged(self._path, why)) from error
        ledger.counts_from = counts_from
        return Kept(ledger, last_success, QueryState(self.transaction, key, numbers))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that take effect together or not at all; raises `StateError`."""
        with self._lock, explained(self._path):
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
