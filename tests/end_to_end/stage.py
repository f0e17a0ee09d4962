"""Helpers of the end-to-end tests: expected values, pages, commands."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from exporter.app import Exporter
from exporter.config import Config, Organization
from exporter.simulator import World
from tests.end_to_end.exposition import Samples, read_text
from tests.end_to_end.truth import Truth
from tests.support.clock import Clock
from tests.support.exporters import page_text, poll_all
from tests.support.programs import TIMEOUT

COMMAND: Final = (sys.executable, "-m", "exporter")


def moment(text: str) -> float:
    """Return the epoch seconds of a time such as ``2026-03-01T00:07:30Z``."""
    return datetime.fromisoformat(text).timestamp()


def clock_for_commands() -> Clock:
    """Return a clock that is stopped one minute ahead of the host's clock.

    Commands read the host's clock: they request no time that is in the simulator's future, and the
    data do not change while they run.
    """
    return Clock(time.time() + 60)


def polled(exporter: Exporter, now: float) -> Samples:
    """Poll every query until its lookback has been read, and return the page."""
    poll_all(exporter, now)
    return page(exporter)


def page(exporter: Exporter) -> Samples:
    """Return the current samples of the page."""
    return read_text(page_text(exporter))


def truths(world: World, config: Config) -> Iterator[Truth]:
    """Yield the expected values of each query of ``config``."""
    for entry in config.organizations:
        yield from truths_of(world, entry)


def truths_of(world: World, entry: Organization) -> Iterator[Truth]:
    """Yield the expected values of each query of one organization."""
    for query in entry.queries:
        yield Truth(world, entry, query)


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the product in another process until it ends."""
    return subprocess.run(  # noqa: S603 - the product's own command
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, **environment},
    )
