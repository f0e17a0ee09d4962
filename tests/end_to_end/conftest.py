"""Fixtures of the end-to-end tests: a simulated Sentry with a manual clock, files, commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter.cli import main
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.stage import moment
from tests.reliability.conftest import tried  # noqa: F401 - a fixture
from tests.support.clock import Clock
from tests.support.configuration import Entry, document

MONTHS_END = moment("2026-03-01T00:07:30Z")


@pytest.fixture
def clock() -> Clock:
    """Return a clock at the start of a month: the last finished hour is in the month before."""
    return Clock(MONTHS_END)


@pytest.fixture
def sentry(clock: Clock) -> Iterator[Simulator]:
    """Serve the demo's organizations, without rate limits, with the clock of the test."""
    with Simulator(demo_world(clock.now, projects=2), clock=clock, rate_limit=None) as simulator:
        yield simulator


@pytest.fixture
def configured(sentry: Simulator, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a configuration file for the simulated Sentry."""

    def write(*organizations: Entry, **defaults: object) -> Path:
        """Write the file, and return its path."""
        path = tmp_path / "config.yaml"
        path.write_text(document(sentry.url, *organizations, **defaults), "utf-8")
        return path

    return write


@pytest.fixture
def command() -> Callable[..., Result]:
    """Return a function that runs a command in this process."""

    def invoke(*arguments: str | Path) -> Result:
        """Run a command, and return its result."""
        return CliRunner().invoke(main, [str(each) for each in arguments])

    return invoke
