"""A poll is in the file with all that it changes, or not at all."""

from contextlib import closing
from pathlib import Path

import pytest

from exporter.collect.ledger import Ledger
from exporter.collect.persistence import PersistError
from exporter.state import State, StateError
from tests.state.polls import ACME, OUTCOMES, files, persist, poll, polled, posted
from tests.support.rows import NOON, reading, series
from tests.support.settings import NOW


def delete_halfway(state: State) -> None:
    """Delete something, and fail before the transaction ends."""
    with state.transaction() as database:
        database.execute("DELETE FROM bucket")
        raise ZeroDivisionError


def ledger_in(folder: Path, contents: dict[str, bytes]) -> Ledger:
    """Return the ledger of `OUTCOMES` from copies of a state file and what is beside it."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with closing(State(folder / "state.db")) as state:
        return state.restore(ACME, OUTCOMES).ledger


def test_exception(path: Path) -> None:
    """An exception inside a transaction leaves the file as it was."""
    with closing(State(path)) as state:
        before = polled(state).ledger
        with pytest.raises(ZeroDivisionError):
            delete_halfway(state)

    with closing(State(path)) as state:
        assert before == state.restore(ACME, OUTCOMES).ledger


def test_disk_full(state: State) -> None:
    """A poll that the disk has no space for is not written at all, and can be later."""
    restored = polled(state)
    readings = {NOON: reading({series(project): project**4 for project in range(9999)})}
    with state.transaction() as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(PersistError, match="no space left on device; free some space"):
        poll(restored, readings, NOW + 120)
    before = state.restore(ACME, OUTCOMES).ledger

    assert restored.ledger == before

    with state.transaction() as database:
        database.execute("PRAGMA max_page_count = 1000000")
    poll(restored, readings, NOW + 180)

    assert before != restored.ledger == state.restore(ACME, OUTCOMES).ledger


def test_fails_halfway(state: State) -> None:
    """A poll that cannot be written to the end is not written at all, and can be again."""
    restored = polled(state)
    with state.transaction() as database:
        database.execute(
            "CREATE TEMP TRIGGER fails BEFORE UPDATE ON query"
            " BEGIN SELECT RAISE(ABORT, 'disk on fire'); END"
        )
    readings = {NOON: reading({series(): 12, series(outcome="invalid"): 13})}

    with pytest.raises(PersistError, match="disk on fire"):
        poll(restored, readings, NOW + 120)
    before = state.restore(ACME, OUTCOMES).ledger

    assert restored.ledger == before

    with state.transaction() as database:
        database.execute("DROP TRIGGER fails")
    poll(restored, readings, NOW + 180)

    assert before != restored.ledger == state.restore(ACME, OUTCOMES).ledger


def test_closed(path: Path) -> None:
    """What is to be written after the file was closed is an error like any other."""
    state = State(path)
    restored = polled(state)
    state.close()

    with pytest.raises(StateError):
        poll(restored, {NOON: reading({series(): 12})})


def test_on_the_disk(state: State) -> None:
    """A transaction that has ended survives a power cut too: SQLite waits for the disk."""
    with state.transaction() as database:
        (synchronous,) = database.execute("PRAGMA synchronous").fetchone()

    assert 2 == synchronous


def test_killed(path: Path, tmp_path: Path) -> None:
    """What the disk holds while the process lives is all that a kill leaves, and enough."""
    with closing(State(path)) as state:
        before = polled(state).ledger

        assert before == ledger_in(tmp_path / "killed", files(path))


def test_killed_at_any_statement(path: Path, tmp_path: Path) -> None:
    """A kill before the last statement of a poll has ended leaves the poll before it."""
    at_statements: list[dict[str, bytes]] = []
    with closing(State(path)) as state:
        restored = polled(state)
        change = posted(restored, {NOON: reading({series(): 12, series(reason="x"): 1})}, NOW + 120)
        with state.transaction() as database:
            # Without a cache, what a transaction writes is on the disk at once.
            database.execute("PRAGMA cache_size = 0")
            database.set_trace_callback(lambda _: at_statements.append(files(path)))
        at_statements.clear()
        persist(restored, change)
        last = files(path)
    killed = [
        ledger_in(tmp_path / f"killed-{number}", contents)
        for number, contents in enumerate(at_statements)
    ]

    assert 8 < len(killed)
    assert [restored.ledger] * len(killed) == killed

    restored.ledger.apply(change)

    assert restored.ledger == ledger_in(tmp_path / "ended", last)
