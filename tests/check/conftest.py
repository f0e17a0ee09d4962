"""Fixtures of the tests of ``check``: a simulated Sentry, and what is learned of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from exporter.check import Checked, check_online
from exporter.config import loads
from exporter.simulator import Simulator, demo_world
from tests.support.clock import Clock
from tests.support.configuration import Entry, document
from tests.support.exporters import unpaced

Learn = Callable[..., list[Checked]]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock(datetime(2026, 3, 5, 9, 37, tzinfo=UTC).timestamp())


@pytest.fixture
def sentry(clock: Clock) -> Iterator[Simulator]:
    """Serve the demo's organizations, with the clock of the test."""
    with Simulator(demo_world(clock.now, projects=2), clock=clock) as simulator:
        yield simulator


@pytest.fixture
def learned(sentry: Simulator, clock: Clock) -> Learn:
    """Return a function that returns what is learned of organizations."""

    def learn_all(*organizations: Entry, **defaults: object) -> list[Checked]:
        """Return what is learned of ``organizations``."""
        text = document(sentry.url, *organizations, **defaults)
        return list(check_online(unpaced(loads(text, "config.yaml")), clock))

    return learn_all
