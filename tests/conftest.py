"""Which tests are slow, how many examples properties have, and fixtures of several folders."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import settings

from tests.reliability.tally import table

pytest_plugins = ["pytester"]

SLOW: Final = ("bench", "end_to_end", "exactness", "reliability")

# No deadline: how long an example takes depends on what else the machine is doing.
settings.register_profile("default", deadline=None)
settings.register_profile("quick", max_examples=20, deadline=None)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of the folders in `SLOW`, and put the files that have slow tests first.

    Files are distributed to processes as they come: the fast ones, at the end, fill the gaps.
    """
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests of reliability have tried, as README has it."""
    ended = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    for line in table(one for one in ended if isinstance(one, pytest.TestReport)):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Restore the logging configuration after each test: commands change it for the process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
