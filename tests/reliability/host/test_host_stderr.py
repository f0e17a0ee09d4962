"""A log that cannot be written: the page and the end do not need it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from exporter.simulator import Simulator, demo_world
from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.support.configuration import document
from tests.support.programs import TIMEOUT, wait_until
from tests.support.serving import free_port


@contextmanager
def _closed() -> Iterator[int]:
    """Give a pipe whose reader has gone away."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def _full() -> Iterator[int]:
    """Give a device that is full."""
    with Path("/dev/full").open("wb") as device:
        yield device.fileno()


@contextmanager
def _missing() -> Iterator[int]:
    """Give nothing, which the process closes for itself."""
    yield subprocess.DEVNULL


STREAMS = {"closed": _closed, "full": _full, "missing": _missing}


def _answers(url: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(url, timeout=TIMEOUT).ok
    return False


@pytest.mark.parametrize("name", STREAMS)
def test_standard_error(tmp_path: Path, tried: Callable[[str, int], None], name: str) -> None:
    """Without standard error, pages are answered, and SIGTERM ends the daemon with status 0."""
    clock, port, config = clock_for_commands(), free_port(), tmp_path / "config.yaml"
    serve = [*COMMAND, "serve", "--config.file", str(config)]
    serve += ["--web.listen-address", f"127.0.0.1:{port}", "--state.path", str(tmp_path / "state")]
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *serve] if name == "missing" else serve
    with (
        Simulator(demo_world(clock.now, projects=2), clock=clock) as sentry,
        STREAMS[name]() as stream,
    ):
        config.write_text(document(sentry.url), "utf-8")
        with subprocess.Popen(command, stderr=stream) as process:  # noqa: S603 - as it stands
            try:
                wait_until(lambda: _answers(f"http://127.0.0.1:{port}/-/ready"))
                page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT)
                process.terminate()
                status = process.wait(TIMEOUT)
            finally:
                process.kill()

    assert 0 == status
    assert 'sentry_stats_up{organization="acme",query="outcomes"} 1' in page.text
    assert (tmp_path / "state").read_bytes().startswith(b"SQLite format 3")
    tried("faults of the host", 1)
