"""Files that cannot be used, and are left as they are."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exporter.collect.ledger import Ledger
from exporter.state import State, StateError
from tests.state.polls import ACME, OUTCOMES, files, poll, polled
from tests.support.rows import NOON, reading, series
from tests.support.settings import NOW


def _of_version(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        State(path).close()
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"PRAGMA user_version = {version}")

    return make


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recipe (name TEXT)")


def _garbage(path: Path) -> None:
    path.write_text("dear diary, " * 500)


def _damaged(path: Path) -> None:
    with closing(State(path)) as state:
        polled(state)
        with state.transaction() as database:
            (size,) = database.execute("PRAGMA page_size").fetchone()
    content = path.read_bytes()
    path.write_bytes(content[: 2 * size] + b"\xff" * (len(content) - 2 * size))


def _cut(path: Path) -> None:
    State(path).close()
    path.write_bytes(path.read_bytes()[:5000])


DAMAGED = (
    "(?s)damaged or not a state file .* restore it from a backup, or delete it or move it;"
    " counters then start at 0"
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_of_version(4), "newer version .* run that version, or use another --state.path"),
        (_of_version(1), "a version that was never released; delete it or move it"),
        (_of_version(2), "a version that was never released; delete it or move it"),
        (_foreign, "another program; use another --state.path"),
        (_garbage, DAMAGED),
        (_damaged, DAMAGED),
        (_cut, DAMAGED),
    ],
)
def test_left_alone(path: Path, make: Callable[[Path], None], words: str) -> None:
    """The error names the file and says what to do, and the file stays as it is."""
    make(path)
    before = files(path)

    with pytest.raises(StateError, match=words) as refusal:
        State(path)

    assert str(refusal.value).startswith(str(path))
    assert before == files(path)


def test_two_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is open is refused to a second one, and the first goes on."""
    monkeypatch.setattr("exporter.state.schema._WAIT", 0.01)
    with closing(State(path)) as state:
        with pytest.raises(StateError, match="in use by another process"):
            State(path)
        polled(state)

    with closing(State(path)) as state:
        assert NOW + 60 == state.restore(ACME, OUTCOMES).last_success


def test_two_at_once_before_any_poll(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That holds from the moment a file is opened that has been there before."""
    monkeypatch.setattr("exporter.state.schema._WAIT", 0.01)
    State(path).close()

    with closing(State(path)), pytest.raises(StateError, match="in use by another process"):
        State(path)


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is said to be the trouble."""
    with pytest.raises(StateError, match=r"its folder .* does not exist"):
        State(tmp_path / "nowhere" / "state.db")


def test_empty(path: Path) -> None:
    """An empty file is as good as none."""
    path.touch()

    with closing(State(path)) as state:
        assert Ledger() == state.restore(ACME, OUTCOMES).ledger


def test_owner_only(path: Path) -> None:
    """A new file, and those that SQLite puts beside it, can be read by their owner only."""
    before = os.umask(0)
    try:
        with closing(State(path)) as state:
            polled(state)
            modes = {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()}
    finally:
        os.umask(before)

    assert path.name in modes
    assert {0o600} == set(modes.values())


def test_restored_from_a_backup(path: Path, tmp_path: Path) -> None:
    """A copy that everyone can read cannot be read by others once it is in use."""
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    with closing(State(path)) as state:
        polled(state)
        for name, content in files(path).items():
            (copy.parent / name).write_bytes(content)
            (copy.parent / name).chmod(0o644)
    with closing(State(copy)) as state:
        modes = {one.name: one.stat().st_mode & 0o777 for one in copy.parent.iterdir()}

        assert NOW + 60 == state.restore(ACME, OUTCOMES).last_success
    assert {path.name: 0o640, f"{path.name}-wal": 0o640} == modes


def test_file_of_another_program(path: Path) -> None:
    """The permissions of a file that is none of ours stay as they are."""
    _foreign(path)
    path.chmod(0o644)

    with pytest.raises(StateError):
        State(path)

    assert 0o644 == path.stat().st_mode & 0o777


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    other = path.with_name("other")
    State(other).close()
    other.replace(path)


def _cut_in_place(path: Path) -> None:
    os.truncate(path, 4096)


@pytest.mark.parametrize("beside", ["", "-wal"])
@pytest.mark.parametrize("change", [_remove, _replace, _cut_in_place])
def test_not_in_place(path: Path, beside: str, change: Callable[[Path], None]) -> None:
    """Nothing is written to a file that was removed, replaced or cut: a restart would lose it."""
    with closing(State(path)) as state:
        restored = polled(state)
        change(path.with_name(f"{path.name}{beside}"))

        with pytest.raises(StateError, match="removed, replaced or cut while in use; put it back"):
            poll(restored, {NOON: reading({series(): 9})}, NOW + 120)


def test_back_in_place(path: Path) -> None:
    """Once it is put back, writing goes on."""
    with closing(State(path)) as state:
        restored = polled(state)
        path.rename(path.with_name("moved"))
        with pytest.raises(StateError):
            poll(restored, {NOON: reading({series(): 9})}, NOW + 120)
        path.with_name("moved").rename(path)

        poll(restored, {NOON: reading({series(): 9})}, NOW + 180)

        assert restored.ledger == state.restore(ACME, OUTCOMES).ledger
