"""Which tests are slow, how many examples properties have, and fixtures of several folders."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import settings

from tests.reliability.tally import PROPERTY, examples_of, table

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
        folder = item.path.relative_to(tests).parts[0]
        if folder in SLOW:
            item.add_marker(pytest.mark.slow)
        if folder == "reliability":
            item.add_marker(pytest.mark.reliability)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Count the examples of a property, in whichever folder it is."""
    if call.when == "call" and (number := examples_of(item)):
        item.user_properties.append((PROPERTY, ("random inputs", number)))


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
