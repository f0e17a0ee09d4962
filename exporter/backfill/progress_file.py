"""The progress file: what has been read so far, in SQLite.

A kill at any instant costs no more than the requests that are out. The file belongs to one command,
which it has a record of, and is deleted when the output is complete.
"""

import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from msgspec.msgpack import Decoder

from exporter.backfill.survey import Survey
from exporter.collect.ledger import Column, SeriesTable
from exporter.collect.plan.proof import References
from exporter.collect.series import Reading
from exporter.config import Organization
from exporter.files import make_private
from exporter.state.blobs import as_numbers, from_numbers, pack, unpack
from exporter.state.ledgers import read_series_table, write_runs
from exporter.state.projects import ProjectListState

T = TypeVar("T")

_TABLES: Final = """
CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE series (owner INTEGER, start INTEGER, runs BLOB NOT NULL, PRIMARY KEY (owner, start));
CREATE TABLE reference (
    job INTEGER, start INTEGER, value BLOB NOT NULL, PRIMARY KEY (job, start)
);
CREATE TABLE bucket (
    job INTEGER, start INTEGER, proven INTEGER NOT NULL, code TEXT NOT NULL, cells BLOB NOT NULL,
    PRIMARY KEY (job, start)
);
CREATE TABLE projects (
    organization TEXT, slug TEXT, url TEXT, list BLOB NOT NULL,
    PRIMARY KEY (organization, slug, url)
);
"""
"""A bucket has values by place in ``series``, as in `exporter.collect.ledger.columns`.

A reference is what the projects of a bucket are compared with, until they have been read.
"""

_REFERENCES: Final = Decoder(References)

ABSENT: Final = (1 << 64) - 1
"""What stands for no value among the values of `ProgressFile.columns`."""


class ProgressError(Exception):
    """The progress file cannot be used, or belongs to another command. The message says why."""


class ProgressFile:
    """An open progress file; without a path it is in memory."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; raises `ProgressError`."""
        self._path = path
        self._tables: dict[int, SeriesTable] = {}
        if path is not None:
            make_private(path)
        with self._explained():
            self._database = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def record(self, key: str, kind: type[T]) -> T | None:
        """Return what was recorded under ``key``, None if nothing was."""
        with self._explained():
            row = self._database.execute("SELECT value FROM record WHERE key = ?", [key]).fetchone()
            return None if row is None else unpack(row[0], Decoder(kind))

    def set_record(self, key: str, value: object) -> None:
        """Record ``value`` under ``key``."""
        with self.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO record (key, value) VALUES (?, ?)", [key, pack(value)]
            )

    def survey(self, job: int) -> Survey | None:
        """Return what was learned of a job."""
        return self.record(f"survey {job}", Survey)

    def set_survey(self, job: int, known: Survey) -> None:
        """Record what was learned of a job."""
        self.set_record(f"survey {job}", known)

    def project_list(self, organization: Organization) -> ProjectListState:
        """Return what reads and writes the projects list of ``organization``."""
        return ProjectListState(self.transaction, organization)

    def is_empty(self) -> bool:
        """Return whether nothing was learned yet: then it is worth nothing to any command."""
        with self._explained():
            rows = self._database.execute("SELECT count(*) FROM record WHERE key LIKE 'survey %'")
            return not rows.fetchone()[0]

    def read_buckets(self, job: int) -> Mapping[int, bool]:
        """Return whether each bucket that has been read is proven."""
        with self._explained():
            rows = self._database.execute(
                "SELECT start, proven FROM bucket WHERE job = ? ORDER BY start", [job]
            )
            return {start: bool(proven) for start, proven in rows}

    def add(self, job: int, readings: Mapping[int, Reading]) -> None:
        """Add what was read of some buckets, all or nothing."""
        before = table = self.table(job)
        for _, reading in sorted(readings.items()):
            table = table.extended(reading.rows)
        with self.transaction() as database:
            write_runs(database, "series", job, table, before)
            database.executemany(
                "INSERT OR REPLACE INTO bucket VALUES (?, ?, ?, ?, ?)",
                (
                    (job, start, one.proven, *as_numbers(Column.of(table, one.rows).cells))
                    for start, one in readings.items()
                ),
            )
            database.executemany(
                "DELETE FROM reference WHERE job = ? AND start = ?",
                [(job, start) for start in readings],
            )
        self._tables[job] = table

    def add_references(self, job: int, references: Mapping[int, References]) -> None:
        """Add what the projects of some buckets are compared with."""
        with self.transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO reference VALUES (?, ?, ?)",
                ((job, start, pack(one)) for start, one in references.items()),
            )

    def references(self, job: int, starts: Sequence[int]) -> Mapping[int, References]:
        """Return those of the buckets ``starts`` that are there."""
        with self._explained():
            rows = self._database.execute(
                "SELECT start, value FROM reference WHERE job = ? AND start BETWEEN ? AND ?",
                [job, min(starts), max(starts)],
            )
            return {start: unpack(value, _REFERENCES) for start, value in rows}

    def table(self, job: int) -> SeriesTable:
        """Return the places of the values of a job."""
        if job not in self._tables:
            with self._explained():
                self._tables[job] = read_series_table(self._database, "series", job)
        return self._tables[job]

    def columns(self, job: int) -> Iterator[tuple[int, "array[int]"]]:
        """Yield the start of each bucket, and its values by place, `ABSENT` for none."""
        length = self.table(job).length
        with self._explained():
            rows = self._database.execute(
                "SELECT start, code, cells FROM bucket WHERE job = ? ORDER BY start", [job]
            )
            for start, code, cells in rows:
                yield start, _wide(from_numbers((code, cells)), length)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def delete(self) -> None:
        """Close and delete the file."""
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that take effect together or not at all; raises `ProgressError`."""
        with self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, as that of a full disk.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        """Lock the file, and make the tables if it is new."""
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("BEGIN EXCLUSIVE")
        if not self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            for statement in _TABLES.split(";"):
                self._database.execute(statement)
        self._database.execute("COMMIT")
        # After the tables: a journal that is appended to needs fewer writes for each piece.
        self._database.execute("PRAGMA journal_mode = WAL")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, OSError) as error:
            raise ProgressError(_explanation(self._path, error)) from error


def _explanation(path: Path | None, error: Exception) -> str:
    """Return a message that says what to do."""
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind == sqlite3.SQLITE_FULL:
        return f"{path} cannot be written: no space left on device"
    if kind in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is in use: the same command is already running"
    if path is not None and not path.parent.is_dir():
        return f"{path} cannot be created: its folder {path.parent} does not exist"
    if kind == sqlite3.SQLITE_NOTADB or isinstance(error, (ValueError, sqlite3.DatabaseError)):
        reason = " ".join(str(error).split())
        return f"{path} cannot be used ({reason}); delete it to begin anew"
    return f"{path} cannot be used: {error}"


def _wide(cells: "array[int]", length: int) -> "array[int]":
    """Return ``cells`` as 64-bit numbers, as many as there are places."""
    if cells.typecode == "I":
        narrow = (1 << 32) - 1
        values = cells.tolist()
        if narrow in cells:
            values = [ABSENT if value == narrow else value for value in values]
        cells = array("Q", values)
    cells.extend(array("Q", [ABSENT]) * (length - len(cells)))
    return cells
