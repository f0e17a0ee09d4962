"""The life of a daemon on its host: clocks that are set, and ends at any instant."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.reliability.host.hosts import DAY, HOUR, STEP, hosted

CLOCKS: Final = (HOUR, -HOUR, DAY, -DAY, 40 * DAY, -40 * DAY)
"""Seconds by which the host's clock is wrong for a while."""

ENDS: Final = (
    (signal.SIGTERM,),
    (signal.SIGINT,),
    (signal.SIGINT, signal.SIGINT),
    (signal.SIGTERM, signal.SIGINT),
    (signal.SIGKILL,),
    (signal.SIGKILL,),
    (signal.SIGKILL,),
)


def test_clocks(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """However the host's clock is set, counters gain what Sentry's numbers do."""
    with hosted(tmp_path) as host:
        for wrong in CLOCKS:
            host.wrong = wrong
            host.flow()
            host.flow()
            # By what the last answers said, the clock may seem slow until the next poll.
            host.wrong = 0
            host.flow()
            host.flow()
        host.go_on(2)
        differences = host.differences()

    assert "" == differences
    tried("faults of the host", len(CLOCKS))


def test_suspended(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """A host that sleeps for six hours misses nothing that Sentry has counted meanwhile."""
    with hosted(tmp_path) as host:
        host.go_on()
        host.program.process.send_signal(signal.SIGSTOP)
        host.pass_time(6 * HOUR)
        host.program.process.send_signal(signal.SIGCONT)
        host.flow()
        host.go_on(2)
        differences = host.differences()

    assert "" == differences
    tried("faults of the host", 1)


def test_ends(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """However and whenever it ends, during polls, the next start goes on: no counter decreases."""
    picker = random.Random(15)
    with hosted(tmp_path) as host, ExitStack() as stack:
        for numbers in ENDS:
            host.go_on()
            host.pass_time(STEP)
            # The instant is what is tried: polls have just begun.
            time.sleep(picker.uniform(0, 0.4))
            host.end(*numbers)
            stack.enter_context(host.serving())
            host.page()
        host.go_on()
        differences = host.differences()

    assert "" == differences
    tried("faults of the host", len(ENDS))
