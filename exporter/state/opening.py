"""Opening a state file, and saying what is wrong with one that cannot be used."""

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exporter.collect.ledger.ledger import KeepError

_APPLICATION: Final = 0x53_53_65_78
_VERSION: Final = 2
_HEADER_SIZE: Final = 100
_WAIT: Final = 2.0
"""Seconds to wait for a process that is just letting go of the file."""

_SCHEMA: Final = """
CREATE TABLE query (
    id INTEGER PRIMARY KEY,
    asks TEXT NOT NULL,
    url TEXT NOT NULL,
    organization TEXT NOT NULL,
    counts_from INTEGER,
    last_success REAL NOT NULL DEFAULT 0,
    asked TEXT,
    clock_skew REAL,
    UNIQUE (asks, url)
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    query INTEGER NOT NULL REFERENCES query (id),
    field TEXT NOT NULL,
    category TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    project INTEGER NOT NULL,
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
    kind TEXT NOT NULL CHECK (kind IN ('rows', 'told', 'counted')),
    series INTEGER NOT NULL REFERENCES series (id),
    value INTEGER NOT NULL,
    PRIMARY KEY (query, start, kind, series)
) WITHOUT ROWID;
CREATE TABLE projects (
    organization TEXT NOT NULL,
    slug TEXT NOT NULL,
    url TEXT NOT NULL,
    listed TEXT NOT NULL,
    PRIMARY KEY (organization, slug, url)
) WITHOUT ROWID;
CREATE TABLE published (
    id INTEGER PRIMARY KEY,
    organization TEXT NOT NULL,
    query TEXT NOT NULL,
    last_success REAL NOT NULL DEFAULT 0,
    UNIQUE (organization, query)
);
CREATE TABLE counter (
    id INTEGER PRIMARY KEY,
    published INTEGER NOT NULL REFERENCES published (id),
    field TEXT NOT NULL,
    category TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    project TEXT NOT NULL,
    value INTEGER NOT NULL,
    born REAL,
    unseen REAL,
    UNIQUE (published, field, category, outcome, reason, project)
);
"""
"""What a query asks has its books; the names it is published under have its counters."""


class StateError(KeepError):
    """The state file cannot be used. The message names it and says what to do."""


def opened(path: Path) -> sqlite3.Connection:
    """Open or create the file at ``path``; raises `StateError` and leaves it as it is."""
    with explained(path):
        if path.exists():
            _inspect(path)
        connection = sqlite3.connect(
            path, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            _take_hold(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _inspect(path: Path) -> None:
    """See by its header that the file is one of ours, without opening it: that could change it."""
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0") or len(header) < _HEADER_SIZE:
        raise StateError(damaged(path, "its header is not SQLite's"))
    version, _, application = struct.unpack(">III", header[60:72])
    _accept(path, application, version)


def _accept(path: Path, application: int, version: int) -> None:
    """Raise `StateError` for the file of another program or of a newer version."""
    if application != _APPLICATION:
        raise StateError(f"{path} is an SQLite file of another program; name another --state.path")
    if version < _VERSION:
        raise StateError(
            f"{path} was written by a version that was never released; move it away to let the"
            " counters begin anew"
        )
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
        raise StateError(damaged(path, verdict))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into what somebody can act on."""
    try:
        yield
    except OSError as error:
        text = _permission(path) or f"{path} cannot be read: {error.strerror}"
        raise StateError(text) from error
    except sqlite3.OperationalError as error:
        raise StateError(_operational(path, error)) from error
    except (sqlite3.ProgrammingError, OverflowError) as error:
        raise StateError(f"{path} could not be written: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StateError(damaged(path, error)) from error


def _operational(path: Path, error: sqlite3.OperationalError) -> str:
    """Return what to say of a file that SQLite could not work with, the cause before its words."""
    # The lowest byte is the kind of error, what is above it tells it more precisely.
    kind = error.sqlite_errorcode & 0xFF
    if kind in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is in use by another process; each exporter needs its own --state.path"
    if kind == sqlite3.SQLITE_FULL:
        return f"{path} cannot be written: no space left on device; counters go on once there is"
    if not path.parent.is_dir():
        return f"{path} cannot be made: its folder {path.parent} does not exist"
    return _permission(path) or f"{path} cannot be used: {error}"


def _permission(path: Path) -> str:
    """Return which of the files beside ``path``, or its folder, this user may not write, if any."""
    beside = (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
    needed = [one for one in beside if one.exists()]
    if path.parent.is_dir():
        needed.append(path.parent)
    denied = next((one for one in needed if not os.access(one, os.R_OK | os.W_OK)), None)
    if denied is None:
        return ""
    return f"{denied}: permission denied for uid {os.geteuid()}; give it to that user"


def damaged(path: Path, why: object) -> str:
    """Return what to say of a file that holds something else than it should."""
    reason = " ".join(str(why).split())
    return (
        f"{path} is damaged or no state file ({reason}); restore it from a backup,"
        " or move it away to let the counters begin anew"
    )
