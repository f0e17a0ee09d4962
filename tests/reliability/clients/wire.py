"""What goes over a connection, byte by byte: requests of any shape, and answers read strictly."""

import http.client
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tests.support.programs import TIMEOUT

PROMETHEUS: Final[Mapping[str, str]] = {
    "User-Agent": "Prometheus/3.5.0",
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
"""The headers of a scrape by Prometheus 3."""

_HEAD: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]+\r\n((?:[!-9;-~]+: ?[ -~]*\r\n)*)\r\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether no other answer follows on the connection."""
        return self.headers.get("connection", "") == "close"


def answers_in(received: bytes, methods: Iterable[str] = ()) -> Sequence[Answer]:
    """Return the answers to requests with these methods, and with GET after them.

    Raises AssertionError unless all of ``received`` is complete answers.
    """
    answers, position, waiting = [], 0, iter(methods)
    while position < len(received):
        head = _HEAD.match(received, position)
        assert head is not None, received[position : position + 200]
        lines = head[2].decode("ascii").splitlines()
        names = [line.partition(":")[0].lower() for line in lines]
        assert len(set(names)) == len(names), lines
        values = (line.partition(":")[2].strip() for line in lines)
        headers = dict(zip(names, values, strict=True))
        assert "transfer-encoding" not in headers, lines
        length = 0 if next(waiting, "GET") == "HEAD" else int(headers["content-length"])
        end = head.end() + length
        assert end <= len(received), f"{len(received) - head.end()} of {length} bytes came"
        answers.append(Answer(int(head[1]), headers, received[head.end() : end]))
        position = end
    return answers


def exchange(port: int, *pieces: bytes) -> bytes:
    """Send ``pieces`` and then the end of what is sent; return what comes until the end of that."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
        # The server may have refused the first piece and closed: nothing is left to shut down.
        with suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while chunk := client.recv(1 << 20):
                received += chunk
    return bytes(received)


class Prometheus:
    """Scrapes as Prometheus does: over one connection, in gzip, and like Go's HTTP client.

    That one opens another connection where an idle one has been closed.
    """

    def __init__(self, port: int, timeout: float = TIMEOUT) -> None:
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def scrape(self) -> Answer:
        """Return the page; raises OSError or HTTPException where there is none."""
        is_reused = self._client.sock is not None
        try:
            return self._scrape()
        except (http.client.RemoteDisconnected, ConnectionError):
            self.close()
            if not is_reused:
                raise
            return self._scrape()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _scrape(self) -> Answer:
        self._client.request("GET", "/metrics", headers=PROMETHEUS)
        response = self._client.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
