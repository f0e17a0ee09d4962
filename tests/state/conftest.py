"""Fixtures for state files."""

from collections.abc import Iterator
from contextlib import chdir, closing
from pathlib import Path

import pytest

from exporter.state import State


@pytest.fixture(autouse=True, scope="module")
def _in_a_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work in an empty folder: for a state in memory, too, a file is created at its path."""
    with chdir(tmp_path_factory.mktemp("work")):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the state file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    """Return a new state file, open."""
    with closing(State(path)) as opened:
        yield opened
