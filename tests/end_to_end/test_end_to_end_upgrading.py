"""What docs/upgrading.md has an operator do with the state file."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.support.clock import Clock
from tests.support.programs import TIMEOUT, Program, running

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


@contextmanager
def serving(config: Path, state: Path, log: Path) -> Iterator[Program]:
    """Run the daemon during the block, and stop it as systemd does."""
    addresses = ("--web.listen-address", "127.0.0.1:0")
    command = (*COMMAND, "serve", "--config.file", str(config), "--state.path", str(state))
    with running((*command, *addresses), log) as program:
        yield program
        program.process.terminate()
        assert 0 == program.process.wait(TIMEOUT)


def test_copy_of_a_stopped_exporter_is_complete(
    configured: Callable[..., Path], tmp_path: Path
) -> None:
    """Once stopped, the state is one file, and an exporter goes on from a copy of it."""
    folder = tmp_path / "state"
    folder.mkdir()
    with serving(configured(), folder / "state.db", tmp_path / "first.log") as program:
        program.wait_for("event=.first poll succeeded")
    left = [path.name for path in folder.iterdir()]
    copy = tmp_path / "copy.db"
    shutil.copy(folder / "state.db", copy)
    with serving(configured(), copy, tmp_path / "second.log") as program:
        opened = program.wait_for(r"event=.state opened.(.*)")

    assert ["state.db"] == left
    assert " resumed=1 new=0 " in f"{opened} "
