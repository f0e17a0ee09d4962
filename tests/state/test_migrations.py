"""Versions of the file, tested with versions that are made up: one more, and two more."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from exporter.state import State, StateError
from exporter.state.schema import MIGRATIONS, opened
from tests.state.polls import ACME, OUTCOMES, files, polled

RENAMED = "ALTER TABLE query RENAME COLUMN question TO text"
MADE_ANEW = """
CREATE TABLE copy (id INTEGER PRIMARY KEY, text TEXT NOT NULL, note TEXT NOT NULL);
INSERT INTO copy SELECT id, text, 'from ' || url FROM query;
DROP TABLE query;
ALTER TABLE copy RENAME TO query;
"""
NEWER = (*MIGRATIONS, RENAMED, MADE_ANEW)


def contents(path: Path, migrations: Sequence[str]) -> tuple[int, list[str], list[str], int]:
    """Return the version of a file, its tables, its queries' notes, and how many buckets it has."""
    with closing(opened(path, migrations)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (buckets,) = database.execute("SELECT count(*) FROM bucket").fetchone()
        tables = database.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
        notes = database.execute("SELECT note FROM query").fetchall()
    return version, [sql for (sql,) in tables], [note for (note,) in notes], buckets


@pytest.fixture
def older(path: Path) -> Path:
    """Return a file of this version, with a query in it."""
    with closing(State(path)) as state:
        polled(state)
    return path


def test_migrated(older: Path, tmp_path: Path) -> None:
    """An older file becomes what a new one is, and has what it had."""
    new = contents(tmp_path / "new.db", NEWER)

    version, tables, notes, buckets = contents(older, NEWER)

    assert (5, new[1]) == (version, tables)
    assert ([f"from {ACME.url}"], 1) == (notes, buckets)


def test_one_at_a_time(older: Path) -> None:
    """A file may be brought to one version today, and to the next one tomorrow."""
    opened(older, NEWER[:-1]).close()

    assert 5 == contents(older, NEWER)[0]


def test_once(older: Path) -> None:
    """A file of the newest version is opened as it is."""
    before = contents(older, NEWER)

    assert before == contents(older, NEWER)


def test_fails(older: Path) -> None:
    """A migration that fails leaves the file as it was, and the older version goes on with it."""
    before = files(older)

    with pytest.raises(StateError, match=rf"{older} cannot be used: no such table: nowhere"):
        opened(older, [*NEWER, "DROP TABLE label; DROP TABLE nowhere"])

    assert before == files(older)

    with closing(State(older)) as state:
        assert state.restore(ACME, OUTCOMES).ledger.buckets


def test_gone_back(older: Path) -> None:
    """A version that is older than the file leaves it alone."""
    opened(older, NEWER).close()
    before = files(older)

    with pytest.raises(StateError, match="its format is 5, the newest known here is 3"):
        State(older)

    assert before == files(older)


def test_gone_back_after_a_kill(older: Path, tmp_path: Path) -> None:
    """That holds even where the newer version has only been written beside the file."""
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(opened(older, NEWER)):
        for name, content in files(older).items():
            (killed / name).write_bytes(content)

    with pytest.raises(StateError, match="its format is 5, the newest known here is 3"):
        State(killed / older.name)

    assert 5 == contents(killed / older.name, NEWER)[0]


def test_damaged(older: Path) -> None:
    """A damaged file is not migrated."""
    with closing(sqlite3.connect(older)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
    older.write_bytes(older.read_bytes()[:-size])
    before = files(older)

    with pytest.raises(StateError, match="damaged or not a state file"):
        opened(older, NEWER)

    assert before == files(older)
