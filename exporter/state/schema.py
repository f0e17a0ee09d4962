"""Opening a state file, its versions, and saying what is wrong with one that cannot be used."""

import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exporter.collect.persistence import PersistError
from exporter.files import make_private

# "SSex", for SQLite's application_id: it tells a state file from other SQLite files.
_APPLICATION: Final = 0x53_53_65_78
_HEADER_SIZE: Final = 100
_WAIT: Final = 2.0
"""Seconds to wait for a process that is about to close the file."""

_UNRELEASED: Final = 2
"""The newest version that no release has written."""

_TABLES: Final = """
CREATE TABLE query (
    id INTEGER PRIMARY KEY,
    question TEXT NOT NULL,
    url TEXT NOT NULL,
    organization TEXT NOT NULL,
    name TEXT NOT NULL,
    last_success REAL NOT NULL DEFAULT 0,
    polled_at REAL NOT NULL DEFAULT 0,
    counts_from INTEGER,
    asked BLOB,
    clock_skew REAL,
    UNIQUE (question, url, organization, name)
);
CREATE TABLE series (
    owner INTEGER NOT NULL REFERENCES query (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    runs BLOB NOT NULL,
    PRIMARY KEY (owner, start)
);
CREATE TABLE bucket (
    query INTEGER NOT NULL REFERENCES query (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    proven INTEGER NOT NULL,
    cells BLOB NOT NULL,
    total BLOB NOT NULL,
    counted BLOB NOT NULL,
    asked BLOB,
    PRIMARY KEY (query, start)
);
CREATE TABLE counters (
    id INTEGER PRIMARY KEY,
    organization TEXT NOT NULL,
    query TEXT NOT NULL,
    polled_at REAL NOT NULL DEFAULT 0,
    cells BLOB,
    in_grace BLOB,
    unseen BLOB,
    UNIQUE (organization, query)
);
CREATE TABLE counter_series (
    owner INTEGER NOT NULL REFERENCES counters (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    runs BLOB NOT NULL,
    PRIMARY KEY (owner, start)
);
CREATE TABLE label (
    counters INTEGER NOT NULL REFERENCES counters (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    labels BLOB NOT NULL,
    PRIMARY KEY (counters, start)
);
CREATE TABLE projects (
    organization TEXT NOT NULL,
    slug TEXT NOT NULL,
    url TEXT NOT NULL,
    list BLOB NOT NULL,
    PRIMARY KEY (organization, slug, url)
);
"""
"""A query has buckets, whose ``cells`` are by place in ``series``; counters likewise.

``polled_at`` is when the last poll began that wrote something, ``last_success`` when the last one
began of which nothing failed.

``start`` is the place of the first series in ``runs``, or the number of the first of ``labels``.
`exporter.state.blobs` says what a blob is.
"""

MIGRATIONS: Final = (_TABLES,)
"""SQL that brings a file from one version to the next; the first makes version 3 of an empty file.

A new file goes through all of them. A semicolon may only end a statement.
"""


class StateError(PersistError):
    """The state file cannot be used. The message names it and says what to do."""


def opened(path: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Open or create the file at ``path``, in the version that ``migrations`` lead to.

    Raises `StateError` and leaves the file as it is.
    """
    newest = _UNRELEASED + len(migrations)
    with explained(path):
        if path.exists():
            _inspect(path, newest)
        make_private(path)
        # No transaction begins but by a BEGIN of ours.
        database = sqlite3.connect(
            path, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(database, path, migrations)
        except BaseException:
            database.close()
            raise
    return database


def _inspect(path: Path, newest: int) -> None:
    """Check by its header that the file is ours, without opening it: that could change it."""
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0") or len(header) < _HEADER_SIZE:
        raise StateError(damaged(path, "its header is not SQLite's"))
    # As SQLite's file format has them: user_version at byte 60, application_id at byte 68.
    version, _, application = struct.unpack(">III", header[60:72])
    _check_version(path, application, version, newest)


def _check_version(path: Path, application: int, version: int, newest: int) -> None:
    """Raise `StateError` for the file of another program or of a version that is not known."""
    if application != _APPLICATION:
        raise StateError(f"{path} is an SQLite file of another program; use another --state.path")
    if version <= _UNRELEASED:
        raise StateError(
            f"{path} was written by a version that was never released; delete it or move it;"
            " counters then start at 0"
        )
    if version > newest:
        raise StateError(
            f"{path} was written by a newer version (its format is {version}, the newest known"
            f" here is {newest}); run that version, or use another --state.path"
        )


def _prepare(database: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Lock the file, check that it is sound, and bring it to the newest version."""
    # Before WAL: the lock then lasts until the file is closed, and no shared memory is needed.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    # With NORMAL, a power failure could take commits back whose data were published.
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN EXCLUSIVE")
    version = _version(database, path, _UNRELEASED + len(migrations))
    (verdict,), *_ = database.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise StateError(damaged(path, verdict))
    _migrate(database, version, migrations)
    database.execute("COMMIT")
    # After COMMIT: SQLite cannot change to WAL inside a transaction.
    database.execute("PRAGMA journal_mode = WAL")
    # Not earlier: a migration that makes a table anew would delete what refers to it.
    database.execute("PRAGMA foreign_keys = ON")


def _version(database: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return the version of a file, for an empty one that before the first migration."""
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return _UNRELEASED
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    _check_version(path, application, version, newest)
    return int(version)


def _migrate(database: sqlite3.Connection, version: int, migrations: Sequence[str]) -> None:
    newest = _UNRELEASED + len(migrations)
    if version == newest:
        return
    for script in migrations[version - _UNRELEASED :]:
        for statement in script.split(";"):
            database.execute(statement)
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {newest}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite into ones that say what to do."""
    try:
        yield
    except OSError as error:
        text = _permission(path) or f"{path} cannot be read: {error.strerror}"
        raise StateError(text) from error
    except sqlite3.OperationalError as error:
        raise StateError(_operational(path, error)) from error
    except (sqlite3.ProgrammingError, OverflowError) as error:
        raise StateError(f"{path} could not be written: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StateError(damaged(path, error)) from error


def _operational(path: Path, error: sqlite3.OperationalError) -> str:
    """Return a message for a file that SQLite cannot work with: the cause rather than its words."""
    # The lowest byte is the kind of error; the bytes above it are details.
    # Python's own errors, as that of a text that is no UTF-8, have none.
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if kind == sqlite3.SQLITE_CORRUPT:
        return damaged(path, error)
    if kind in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is in use by another process; each exporter needs its own --state.path"
    if kind == sqlite3.SQLITE_FULL:
        return (
            f"{path} cannot be written: no space left on device; free some space;"
            " counting then continues"
        )
    if not path.parent.is_dir():
        return f"{path} cannot be created: its folder {path.parent} does not exist"
    return _permission(path) or f"{path} cannot be used: {error}"


def _permission(path: Path) -> str:
    """Return a message about the file or folder that this user may not write, ``""`` if none."""
    beside = (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
    needed = [one for one in beside if one.exists()]
    if path.parent.is_dir():
        needed.append(path.parent)
    denied = next((one for one in needed if not os.access(one, os.R_OK | os.W_OK)), None)
    if denied is None:
        return ""
    return f"{denied}: permission denied for uid {os.geteuid()}; make that user its owner"


def gone(path: Path) -> str:
    """Return the message for a file that is not at its path any more, or cut, though it is open."""
    return (
        f"{path} or its -wal was removed, replaced or cut while in use; put it back, or restart"
        " the exporter, which then goes on with what is at this path"
    )


def damaged(path: Path, why: object) -> str:
    """Return the message for a file that holds something else than it should."""
    reason = " ".join(str(why).split())
    return (
        f"{path} is damaged or not a state file ({reason}); restore it from a backup,"
        " or delete it or move it; counters then start at 0"
    )
