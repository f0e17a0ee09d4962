"""The daemon over TLS with logins: crowds, rotation, Prometheus, sockets of systemd."""

import http.client
import os
import resource
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator import Simulator, demo_world
from exporter.web.accept import MAX_ACCEPTED, Acceptor
from exporter.web.connection import Connection
from tests.end_to_end.stage import COMMAND
from tests.support.certificates import Authority, hashed, tls_section, write_web_config
from tests.support.configuration import document
from tests.support.crowd import KINDS
from tests.support.programs import REPOSITORY, TIMEOUT, Program, running

pytestmark = pytest.mark.slow

USERS = {"basic_auth_users": {"prometheus": hashed("right")}}
LOGIN = ("prometheus", "right")
LISTENING = r'event=listening address="?(127\S+:\d+)'
CROWD = 1000
BOUND = 1.0
"""Seconds that a scrape may take at most: far above what is measured, for busy machines."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return the authority of the server's certificate."""
    return Authority(tmp_path)


@pytest.fixture
def web_config(tmp_path: Path, authority: Authority) -> Path:
    """Return a web configuration with TLS and a user."""
    return write_web_config(tmp_path, tls_section(authority.issue()), USERS)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return a context manager that runs ``serve``."""
    with Simulator(demo_world(time.time(), projects=2)) as sentry:
        config = tmp_path / "config.yaml"
        config.write_text(document(sentry.url), "utf-8")

        @contextmanager
        def serve(*flags: str | Path) -> Iterator[tuple[Program, int]]:
            """Run it during the block; the value is the program and its port."""
            command = [*COMMAND, "serve", "--config.file", str(config), *map(str, flags)]
            address = ("--web.listen-address", "127.0.0.1:0")
            with running([*command, *address], tmp_path / "serve.log") as program:
                yield program, int(program.wait_for(LISTENING).rpartition(":")[2])

        yield serve


class Scraper:
    """A client that scrapes over TLS with a login, and measures the time."""

    def __init__(self, port: int, authority: Authority, login: tuple[str, str] = LOGIN) -> None:
        self._context = ssl.create_default_context(cafile=authority.path)
        self._port = port
        encoded = b64encode(":".join(login).encode()).decode()
        self._headers = {"Authorization": f"Basic {encoded}"}
        self._client = self._connection()

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=TIMEOUT, context=self._context
        )

    def scrape(self, *, anew: bool) -> float:
        """Return how long a scrape took, which must succeed, on a new connection or the old."""
        began = time.perf_counter()
        if anew:
            self._client.close()
            self._client = self._connection()
        self._client.request("GET", "/metrics", headers=self._headers)
        answer = self._client.getresponse()
        answer.read()

        assert 200 == answer.status
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def descriptors(program: Program) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))  # noqa: PTH208


@contextmanager
def crowd(kind: str, port: int) -> Iterator[Callable[[], bool]]:
    """Run a crowd during the block; the value is whether all of it has connected."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with subprocess.Popen(  # noqa: S603 - a test's own command
        [sys.executable, "-m", "tests.support.crowd", kind, str(port), str(CROWD)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)),  # noqa: PLW1509
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = threading.Thread(target=process.stdout.readline, daemon=True)
        ready.start()
        try:
            yield lambda: not ready.is_alive()
        finally:
            process.stdin.close()


def measured(scraper: Scraper, connected: Callable[[], bool]) -> tuple[float, float]:
    """Return the longest scrape on an open and on a new connection, while a crowd connects."""
    kept, anew = [], []
    while not connected() or len(kept) < 100:
        kept.append(scraper.scrape(anew=False))
        anew.append(scraper.scrape(anew=True))
    return max(kept), max(anew)


class TestCrowd:
    """A thousand clients that take their time."""

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_no_scrape_waits(
        self,
        kind: str,
        serving: Callable[..., Any],
        web_config: Path,
        authority: Authority,
    ) -> None:
        """They delay no scrape, and hold no more descriptors than documented."""
        with serving("--web.config.file", web_config) as (program, port):
            scraper = Scraper(port, authority)
            scraper.scrape(anew=True)
            before = descriptors(program)
            with crowd(kind, port) as connected:
                longest = measured(scraper, connected)
                most = descriptors(program)
            scraper.close()

        print(  # noqa: T201 - the figure that the documents have
            f"{kind}: longest scrape on an open connection {longest[0] * 1000:.0f} ms,"
            f" on a new one {longest[1] * 1000:.0f} ms; {most - before} descriptors more"
        )
        assert max(longest) < BOUND
        assert most - before <= Connection.max_connections + Acceptor.max_handshakes + MAX_ACCEPTED
