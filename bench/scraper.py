"""A client that reads pages as fast as possible, over one connection if the server allows it."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BUFFER: Final = 1024 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """An answer's head: the length of the body, and whether the connection can be reused."""

    length: int
    reusable: bool


class Scraper:
    """Scrapes ``/metrics`` on a ``port`` of this machine, always in the same form, until closed."""

    def __init__(self, port: int, *, compressed: bool) -> None:
        encoding = "gzip" if compressed else "identity"
        self.port = port
        self._request = (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
            f"Accept: text/plain;version=0.0.4\r\nAccept-Encoding: {encoding}\r\n\r\n"
        ).encode()
        self._raw = bytearray(_BUFFER)
        self._buffer = memoryview(self._raw)
        self._connection: socket.socket | None = None

    def scrape(self) -> int:
        """Read the page, and return its bytes on the wire, head excluded."""
        return sum(map(len, self._body()))

    def page(self) -> bytes:
        """Return the page as it comes over the wire."""
        return b"".join(map(bytes, self._body()))

    def close(self) -> None:
        """Leave the server alone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _body(self) -> Iterator[memoryview]:
        connection = self._connection or socket.create_connection(("127.0.0.1", self.port))
        self._connection = connection
        connection.sendall(self._request)
        end, filled = self._head(connection)
        answer = head(bytes(self._buffer[:end]))
        part = self._buffer[end + len(_END_OF_HEAD) : filled]
        yield part
        missing = answer.length - len(part)
        while missing:
            part = self._buffer[: self._receive(connection, 0)]
            missing -= len(part)
            yield part
        if not answer.reusable:
            self.close()

    def _head(self, connection: socket.socket) -> tuple[int, int]:
        """Read until the head is there, and return where it ends and how much was read."""
        filled, end = 0, -1
        while end < 0:
            filled += self._receive(connection, filled)
            end = self._raw.find(_END_OF_HEAD, 0, filled)
        return end, filled

    def _receive(self, connection: socket.socket, offset: int) -> int:
        got = connection.recv_into(self._buffer[offset:])
        if not got:
            raise ConnectionError("the server closed in the middle of its answer")
        return got


def head(raw: bytes) -> Head:
    """Return what a head says; raises ConnectionError where it is no good answer's."""
    status, *lines = raw.lower().split(b"\r\n")
    version, code, _ = status.split(b" ", 2)
    if code != b"200":
        raise ConnectionError(f"answered {status.decode()}")
    fields = dict(line.split(b": ", 1) for line in lines)
    reusable = version == b"http/1.1" and fields.get(b"connection") != b"close"
    return Head(int(fields[b"content-length"]), reusable)
