"""A simulated Sentry whose clock is turned by hand, and files and commands for it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from exporter.cli import main
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.stage import Clock, Entry, document, moment

MONTHS_END = moment("2026-03-01T00:07:30Z")


@pytest.fixture
def clock() -> Clock:
    """Show half past the seventh minute of a month: the last finished hour is February's."""
    return Clock(MONTHS_END)


@pytest.fixture
def sentry(clock: Clock) -> Iterator[Simulator]:
    """Serve the demo's organizations, without limits, on the clock of the test."""
    with Simulator(demo_world(clock.now, projects=2), clock=clock, rate_limit=None) as simulator:
        yield simulator


@pytest.fixture
def configured(sentry: Simulator, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a configuration file for the simulated Sentry."""

    def write(*organizations: Entry, **defaults: object) -> Path:
        """Write the file, and return where it is."""
        path = tmp_path / "config.yaml"
        path.write_text(document(sentry.url, *organizations, **defaults), "utf-8")
        return path

    return write


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    """Put logging back to what it was before the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def command(logging_put_back: None) -> Callable[..., Result]:
    """Return a function that runs a command in this process, whose logging is put back."""

    def invoke(*arguments: str | Path) -> Result:
        """Run a command to its end."""
        return CliRunner().invoke(main, [str(each) for each in arguments])

    return invoke
