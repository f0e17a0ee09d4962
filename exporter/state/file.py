"""An open state file, and the ledgers in it."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

from exporter.collect.persistence import Persistence, Restored
from exporter.config import Organization, Query
from exporter.state.ledgers import Keys, LedgerPersistence, read_ledger
from exporter.state.projects import ProjectListState
from exporter.state.schema import StateError, damaged, explained, gone, opened


class _Seen(NamedTuple):
    """What no other file has at the same time, and the size, which never shrinks while it is open.

    SQLite empties no page of the file, and cuts no log of its.
    """

    device: int
    inode: int
    size: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return what is seen of ``path``, None where there is no file."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_dev, status.st_ino, status.st_size)

    def allows(self, now: Self | None) -> bool:
        """Return whether the file that is there ``now`` can be this one."""
        return now is not None and now[:2] == self[:2] and now.size >= self.size


class State:
    """An open state file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at ``path``; raises `StateError` and leaves it as it is."""
        self._path = path
        self._lock = Lock()
        self._connection = opened(path)
        # What a poll has written is in the log beside the file at first.
        self._paths = path, path.with_name(f"{path.name}-wal")
        self._seen = self._look()
        self._restored: list[LedgerPersistence] = []

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def is_in_place(self) -> bool:
        """Return whether the files that are open are still those at their paths, and not cut."""
        return all(
            before is None or before.allows(now)
            for before, now in zip(self._seen, self._look(), strict=True)
        )

    def restore(
        self,
        organization: Organization,
        query: Query,
        twins: Collection[tuple[str, str]] = (),
        elsewhere: Collection[str] = (),
    ) -> Restored:
        """Return the ledger of ``query``.

        A query that was renamed goes on with its buckets, unless they belong to one of its
        ``twins``: the other queries that ask the same, organization and name of each. An
        organization whose server has a new address goes on where it was under its name, unless the
        old address is among those ``elsewhere``, where another organization has the same slug.
        If a query is restored more than once, only the last one may persist changes.
        """
        with self.transaction() as database:
            keys = Keys(
                _ensured_query(database, organization, query, twins, elsewhere),
                _ensured_counters(database, organization.name, query.name),
            )
            try:
                ledger, last_success = read_ledger(database, keys)
            except ValueError as error:
                why = f"query {query.name} of {organization.name}: {error}"
                raise StateError(damaged(self._path, why)) from error
        persistence = LedgerPersistence(self.transaction, ledger, keys)
        self._restored.append(persistence)
        return Restored(ledger, last_success, persistence)

    def project_list(self, organization: Organization) -> ProjectListState:
        """Return what reads and writes the projects list of ``organization``."""
        return ProjectListState(self.transaction, organization)

    def forget(self, before: float, used: Collection[Persistence | None]) -> None:
        """Delete what was last polled ``before``, but for the ledgers that ``used`` persist."""
        self._restored = [one for one in self._restored if one in used]
        with self.transaction() as database:
            for table in Keys._fields:
                restored = {getattr(one.keys, table) for one in self._restored}
                # Queries in use can be among them: `polled_at` is of the last poll that wrote.
                old = database.execute(
                    f"SELECT id FROM {table} WHERE polled_at < ?",  # noqa: S608 - a constant
                    [before],
                ).fetchall()
                database.executemany(
                    f"DELETE FROM {table} WHERE id = ?",  # noqa: S608 - a constant
                    [key for key in old if key[0] not in restored],
                )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that take effect together or not at all; raises `StateError`."""
        # All polls share one connection: a transaction must not get another one's statements.
        with self._lock, explained(self._path):
            if not self.is_in_place():
                # What is written now would be gone after a restart, though it was published.
                raise StateError(gone(self._path))
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
                self._seen = self._look()
            except BaseException:
                # SQLite has rolled back by itself after some errors, as that of a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file, after what is being written."""
        with self._lock:
            self._connection.close()

    def _look(self) -> Sequence[_Seen | None]:
        return [_Seen.of(path) for path in self._paths]


def question_of(organization: Organization, query: Query) -> str:
    """Return what a query asks, whatever it is called and wherever its organization is.

    The order of values makes no difference.
    """
    chosen = query.filter
    # The file is searched for this text: a change of its form would lose every query's buckets.
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
        },
        sort_keys=True,
    )


def _ensured_query(
    database: sqlite3.Connection,
    organization: Organization,
    query: Query,
    twins: Collection[tuple[str, str]],
    elsewhere: Collection[str],
) -> int:
    """Return the id of a query's row; insert or update it if need be.

    A row with another name or address is taken over as `State.restore` says.
    """
    question, url = question_of(organization, query), organization.url
    mine = organization.name, query.name
    # The row of the same name and address comes first: one that is taken over must not hide it.
    candidates = database.execute(
        "SELECT id, url, organization, name FROM query WHERE question = ?"
        " ORDER BY organization = ? AND name = ? DESC, url = ? DESC, polled_at DESC",
        [question, *mine, url],
    ).fetchall()
    for key, address, *known_as in candidates:
        moved = known_as[0] == organization.name and address not in elsewhere
        if (address == url or moved) and tuple(known_as) not in twins:
            if (address, *known_as) != (url, *mine):
                database.execute(
                    "UPDATE query SET url = ?, organization = ?, name = ? WHERE id = ?",
                    [url, *mine, key],
                )
            return int(key)
    made = database.execute(
        "INSERT INTO query (question, url, organization, name) VALUES (?, ?, ?, ?)",
        [question, url, *mine],
    )
    return int(made.lastrowid or 0)


def _ensured_counters(database: sqlite3.Connection, organization: str, query: str) -> int:
    """Return the id of the counters of these names; insert their row if there is none."""
    names = [organization, query]
    database.execute("INSERT OR IGNORE INTO counters (organization, query) VALUES (?, ?)", names)
    (key,) = database.execute(
        "SELECT id FROM counters WHERE organization = ? AND query = ?", names
    ).fetchone()
    return int(key)
