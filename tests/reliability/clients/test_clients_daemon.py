"""Clients of a daemon: floods of headers and bodies, and scrapes at every moment of its life."""

import gzip
import http.client
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.end_to_end.exposition import read_openmetrics
from tests.reliability.clients.wire import Answer, Prometheus, answers_in, exchange
from tests.reliability.host.hosts import Host, hosted
from tests.support.programs import TIMEOUT, wait_until
from tests.support.serving import free_port

MEBIBYTE: Final = 1 << 20
MAX_GROWTH: Final = 32 * MEBIBYTE
"""Bytes of memory that floods may add, which are many times as large."""

BODY: Final = 64 * MEBIBYTE
FLOODING: Final = 200
"""Connections with half a head each, of nearly the size that is allowed."""

_PAUSE: Final = 0.02
"""Seconds between two scrapes."""

POST: Final = b"POST /metrics HTTP/1.1\r\nHost: here\r\n"
GET: Final = b"GET /-/healthy HTTP/1.1\r\nHost: here\r\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a host with a daemon."""
    with hosted(tmp_path_factory.mktemp("host")) as host:
        host.go_on()
        yield host


def port_of(host: Host) -> int:
    """Return the daemon's port."""
    return int(host.url.rpartition(":")[2])


def resident(host: Host) -> int:
    """Return the daemon's resident memory in bytes."""
    pages = Path(f"/proc/{host.pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def check(answer: Answer) -> None:
    """Raise AssertionError unless an answer is one complete page, or says that there is none."""
    assert answer.status == 200
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert read_openmetrics(gzip.decompress(answer.body).decode())


@pytest.mark.parametrize("chunk", [0, 1 << 16], ids=["length", "chunks"])
def test_bodies(host: Host, tried: Callable[[str, int], None], chunk: int) -> None:
    """A large body takes no memory, and the next request on its connection is answered."""
    piece = bytes(1 << 16)
    if chunk:
        head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        pieces = [b"10000\r\n" + piece + b"\r\n"] * (BODY >> 16) + [b"0\r\n\r\n"]
    else:
        head = POST + b"Content-Length: %d\r\n\r\n" % BODY
        pieces = [piece] * (BODY >> 16)
    before = resident(host)

    answers = answers_in(exchange(port_of(host), head, *pieces, GET + b"\r\n"))

    assert [405, 200] == [answer.status for answer in answers]
    assert resident(host) - before < MAX_GROWTH
    tried("connections of clients", 1)


def test_small_chunks(host: Host, tried: Callable[[str, int], None]) -> None:
    """A body of many chunks of one byte is read to its end too."""
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    pieces = [b"1\r\nx\r\n" * 1_000] * 20

    answers = answers_in(exchange(port_of(host), head, *pieces, b"0\r\n\r\n", GET + b"\r\n"))

    assert [405, 200] == [answer.status for answer in answers]
    tried("connections of clients", 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"X: y\r\n" * 10_000, 200),
        (b"X: y\r\n" * 100_000, 400),
        (b"X: " + b"y" * MEBIBYTE + b"\r\n", 400),
        (b"y" * MEBIBYTE + b": x\r\n", 400),
        (b"Cookie: " + b"a=b; " * 12_000 + b"\r\n", 200),
        (b"X:\r\n" + b" y\r\n" * 10_000, 200),
    ],
)
def test_headers(
    host: Host, tried: Callable[[str, int], None], headers: bytes, status: int
) -> None:
    """As many headers as fit are read; more are refused."""
    answers = answers_in(exchange(port_of(host), GET, headers, b"\r\n"))

    # A client that goes on to send may lose the refusal: its connection is reset.
    assert {status} >= {answer.status for answer in answers}
    assert answers or status == 400
    tried("connections of clients", 1)


def test_flood(host: Host, tried: Callable[[str, int], None]) -> None:
    """Heads that never end take no more memory than is allowed for them, and delay no scrape."""
    before = resident(host)
    clients = [
        socket.create_connection(("127.0.0.1", port_of(host)), TIMEOUT) for _ in range(FLOODING)
    ]
    with closing(Prometheus(port_of(host))) as scraper:
        for client in clients:
            with suppress(OSError):
                client.sendall(GET + b"X: " + b"y" * 60_000)
            check(scraper.scrape())
    grown = resident(host) - before
    for client in clients:
        client.close()

    assert grown < MAX_GROWTH
    tried("connections of clients", FLOODING)


@contextmanager
def scraping(port: int) -> Iterator[list[object]]:
    """Scrape without a pause during the block; the value is what went wrong in an answer.

    That nobody listens is no answer, nor is a connection that is closed before the first byte.
    """
    wrong: list[object] = []
    ended = threading.Event()

    def scrape_on() -> None:
        while not ended.is_set():
            with closing(Prometheus(port)) as scraper:
                try:
                    while not ended.wait(_PAUSE):
                        check(scraper.scrape())
                except (ConnectionError, http.client.RemoteDisconnected):
                    # Nobody listens yet, or any more.
                    ended.wait(_PAUSE)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
                    wrong.append(error)

    threads = [threading.Thread(target=scrape_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        ended.set()
        for thread in threads:
            thread.join(TIMEOUT)


def test_start_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Callable[[str, int], None]
) -> None:
    """From the first instant to the last, whatever is answered is one complete page."""
    port = free_port()
    listen = f"127.0.0.1:{port}"
    command = Host.command
    monkeypatch.setattr(Host, "command", lambda host: (*command(host)[:-1], listen))
    with scraping(port) as wrong, hosted(tmp_path) as host:
        statuses = [host.end(signal.SIGTERM)]
        for number in (signal.SIGKILL, signal.SIGTERM):
            with host.serving():
                host.go_on()
                statuses.append(host.end(number))

    assert [] == wrong
    assert [0, -signal.SIGKILL, 0] == statuses
    tried("connections of clients", 2)


def test_reloads(host: Host, tried: Callable[[str, int], None]) -> None:
    """During reloads and polls, no scrape fails."""
    port = port_of(host)
    with scraping(port) as wrong:
        for number in range(10):
            config = host.folder / "config.yaml"
            config.write_text(host.text.replace("5m", f"{5 + number % 2}m"), "utf-8")
            answer = requests.post(f"{host.url}/-/reload", timeout=TIMEOUT)

            assert 200 == answer.status_code
        host.write_configuration()
        requests.post(f"{host.url}/-/reload", timeout=TIMEOUT)
        wait_until(lambda: host.value("sentry_stats_up") == 2, host.log)

    assert [] == wrong
    tried("connections of clients", 2)
