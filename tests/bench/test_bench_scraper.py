"""The client that measures."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.scraper import Head, Scraper, head

PAGE = b"sentry_stats_up 1\n" * 200_000


class Handler(BaseHTTPRequestHandler):
    """Serves a page, and counts connections."""

    connections = 0

    def setup(self) -> None:
        """Count one more."""
        type(self).connections += 1
        super().setup()

    def do_GET(self) -> None:
        """Answer with the page."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextmanager
def serving(version: str) -> Iterator[tuple[int, type[Handler]]]:
    """Serve the page in a version of HTTP; give the port, and what counts."""

    class Versioned(Handler):
        protocol_version = version

    with ThreadingHTTPServer(("127.0.0.1", 0), Versioned) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, Versioned
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("version", "connections"), [("HTTP/1.1", 1), ("HTTP/1.0", 3)])
def test_a_connection_is_reused_if_the_server_allows_it(version: str, connections: int) -> None:
    """Three scrapes read three complete pages, over one connection if possible."""
    with serving(version) as (port, counting), closing(Scraper(port, compressed=False)) as scraper:
        sizes = [scraper.scrape(), scraper.scrape()]
        page = scraper.page()

    assert [len(PAGE)] * 2 == sizes
    assert page == PAGE
    assert connections == counting.connections


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12", Head(12, reusable=True)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close", Head(0, reusable=False)),
        (b"HTTP/1.0 200 OK\r\nServer: some\r\nContent-Length: 7", Head(7, reusable=False)),
    ],
)
def test_a_head_has_the_length_and_whether_the_connection_is_reusable(
    raw: bytes, expected: Head
) -> None:
    """Names and values are read whatever their case."""
    assert expected == head(raw)


def test_a_refusal_is_no_page() -> None:
    """Any status but 200 ends the measurement."""
    with pytest.raises(ConnectionError, match="503"):
        head(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10")
