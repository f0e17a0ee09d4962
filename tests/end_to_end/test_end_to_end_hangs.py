"""A disk that hangs, and a store that never answers in time: both are shown while a poll waits."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import requests

from exporter.simulator import Simulator, store_rate_limited
from tests.end_to_end.exposition import Samples, read_text, sample
from tests.end_to_end.stage import clock_for_commands
from tests.support.clock import Clock
from tests.support.programs import TIMEOUT, Program, running, wait_until

PROMPTLY: Final = 3.0
"""Seconds within which a process must end."""

_PROGRAM: Final = """
import sys, threading
from exporter import signals
signals.watch(sys.argv[1:])
from exporter.collect.poll import watch
from exporter.state.ledgers import LedgerPersistence
watch.MAX_DURATION = 1
if "--hang" in sys.argv:
    sys.argv.remove("--hang")
    LedgerPersistence.persist = lambda *_, **__: threading.Event().wait()
from exporter.cli import main
main()
"""
"""The daemon whose polls may take a second, on a disk that hangs if that is wanted."""

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


@pytest.fixture
def command(configured: Callable[..., Path], tmp_path: Path) -> Sequence[str]:
    """Return the command line of the daemon."""
    flags = ("--config.file", str(configured()), "--state.path", str(tmp_path / "state"))
    listen = ("--web.listen-address", "127.0.0.1:0")
    return (sys.executable, "-c", _PROGRAM, "serve", *flags, *listen)


@contextmanager
def failing(command: Sequence[str], log: Path) -> Iterator[tuple[Program, Samples]]:
    """Run the daemon until it shows a failure, and give it with its page."""
    with running(command, log) as program:
        address = program.wait_for(r"event=listening address=(\S+)")
        pages: list[Samples] = []

        def has_failed() -> bool:
            pages[:] = [read_text(requests.get(f"http://{address}/metrics", timeout=TIMEOUT).text)]
            return any(
                value and name == "sentry_stats_poll_failures_total"
                for (name, _), value in pages[0].items()
            )

        wait_until(has_failed, program.output)
        yield program, pages[0]


def of_query(samples: Samples, name: str, **labels: str) -> float:
    """Return a sample about the query."""
    return samples[sample(name, organization="acme", query="outcomes", **labels)]


def test_disk(command: Sequence[str], tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """A hung disk under the state file is a failure while it hangs, and delays no SIGTERM."""
    with failing((*command, "--hang"), tmp_path / "log") as (program, page):
        sent = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        status = program.process.wait(TIMEOUT)
        seconds = time.monotonic() - sent

    assert 0 == of_query(page, "sentry_stats_up")
    assert 1 == of_query(page, "sentry_stats_poll_failures_total", reason="state")
    assert 0 == status
    assert PROMPTLY > seconds
    tried("faults of the host", 1)


def test_store(sentry: Simulator, command: Sequence[str], tmp_path: Path) -> None:
    """A store that only asks to come back later is a failure before the poll gives up."""
    sentry.faults.add(store_rate_limited(None))

    with failing(command, tmp_path / "log") as (program, page):
        output = program.output()

    assert 0 == of_query(page, "sentry_stats_up")
    assert 1 == of_query(page, "sentry_stats_poll_failures_total", reason="timeout")
    assert "poll takes too long" in output
