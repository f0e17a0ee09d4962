"""Clients of the port, and readers of the log, that would hold up the process of a daemon."""

import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.support.clock import Clock
from tests.support.programs import TIMEOUT, find_program, running, wait_until
from tests.support.serving import free_port

DESCRIPTORS: Final = 64
CROWD: Final = 100
RELOADS: Final = 1_000
"""Each is a line of the log; a pipe takes about 400 of them."""

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


@pytest.fixture
def serve(configured: Callable[..., Path]) -> Sequence[str]:
    """Return the command line of the daemon with the simulated Sentry."""
    return (*COMMAND, "serve", "--config.file", str(configured()))


def test_descriptors(
    serve: Sequence[str], tmp_path: Path, tried: Callable[[str, int], None]
) -> None:
    """Idle clients cannot take all descriptors: a scrape is answered, and the log stays short."""
    limited = (
        find_program("prlimit", "util-linux"),
        f"--nofile={DESCRIPTORS}:{DESCRIPTORS}",
        *serve,
    )
    command = (*limited, "--web.listen-address", "127.0.0.1:0")
    with running(command, tmp_path / "log") as program, ExitStack() as crowd:
        host, _, port = program.wait_for(r"event=listening address=(\S+)").rpartition(":")
        program.wait_for("event=.first poll succeeded")
        for _ in range(CROWD):
            crowd.enter_context(socket.create_connection((host, int(port)), TIMEOUT))
        answer = requests.get(f"http://{host}:{port}/metrics", timeout=TIMEOUT)

    assert 200 == answer.status_code
    # On a busy machine, clients may come faster than idle ones are closed.
    assert program.output().count("cannot accept") <= 1
    tried("connections of clients", CROWD)


def test_a_log_that_nobody_reads(serve: Sequence[str], tried: Callable[[str, int], None]) -> None:
    """A pipe that nobody reads, as standard error, delays neither scrapes nor the end."""
    reader, writer = os.pipe()
    port = free_port()
    command = (*serve, "--web.listen-address", f"127.0.0.1:{port}")
    with subprocess.Popen(command, stderr=writer) as process:  # noqa: S603 - a test's own command
        os.close(writer)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(f"{url}/metrics"))
            with requests.Session() as session:
                for _ in range(RELOADS):
                    session.post(f"{url}/-/reload", timeout=TIMEOUT)
                answer = session.get(f"{url}/metrics", timeout=TIMEOUT)
            process.terminate()
            status = process.wait(TIMEOUT)
        finally:
            process.kill()
            os.close(reader)

    assert 200 == answer.status_code
    assert 0 == status
    tried("faults of the host", 1)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=TIMEOUT).ok
    except requests.ConnectionError:
        return False
