"""Every command in the documents, typed in the documents' order."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import DEMO_TOKENS, Simulator, demo_world
from tests.docs.markdown import DOCUMENTS, README, Block, blocks_of
from tests.docs.reader import Reader
from tests.support.programs import REPOSITORY, find_program

pytestmark = pytest.mark.slow

FOLLOWED: Final = {"sh", "yaml"}

REPLACEMENTS: Final = {
    "cat > sentry-token": f"echo {DEMO_TOKENS['acme']} > sentry-token",
    "make lint": "make --dry-run lint",
    "make test": "make --dry-run test",
    "make format": "make --dry-run format",
    "make lock": "make --dry-run lock",
    "make audit": "make --dry-run audit",
    "make bench-quick": "make --dry-run bench-quick",
    "make reliability": "make --dry-run reliability",
    "make soak": "make --dry-run soak",
    "python -m tests.reliability.soak": (
        f"PYTHONPATH={REPOSITORY}:$PYTHONPATH python -m tests.reliability.soak --help"
    ),
    "python -m pytest tests/": f"test -f {REPOSITORY}/tests/",
}
"""What the reader types instead of pasting a token and of running this test suite."""

PROGRAMS: Final = ("bash", "curl", "make")


@pytest.fixture
def sentry() -> Iterator[Simulator]:
    """Serve a simulated Sentry with the organization of the documents."""
    with Simulator(demo_world(time.time(), projects=2)) as simulator:
        yield simulator


@pytest.fixture
def reader(tmp_path: Path, sentry: Simulator) -> Iterator[Reader]:
    """Return a reader who uses the simulated Sentry."""
    for program in PROGRAMS:
        find_program(program, package=program)
    with Reader(tmp_path, {"https://sentry.io": sentry.url, **REPLACEMENTS}) as started:
        yield started


def followed(document: Path) -> list[Block]:
    """Return the blocks of ``document`` that a reader follows."""
    return [block for block in blocks_of(document) if block.language in FOLLOWED]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_work_in_the_order_they_are_given(document: Path, reader: Reader) -> None:
    """All commands of a document succeed when they are typed from top to bottom."""
    for block in followed(document):
        reader.follow(block)


def test_commands_leave_the_tree_as_it_was(tmp_path: Path, reader: Reader) -> None:
    """The command that writes the metrics reference does not change README."""
    (command,) = (block for block in followed(README) if "reference" in block.text)
    reader.follow(command)

    assert README.read_text("utf-8") == (reader.clone / "README.md").read_text("utf-8")
