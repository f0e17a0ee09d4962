"""Many clients that take their time, in a process of their own.

``python -m tests.support.crowd KIND PORT COUNT`` opens connections, prints ``ready``, and goes on
until its standard input ends.
"""

import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Final

from tests.support.programs import TIMEOUT

_STEP: Final = 0.5
"""Seconds between two bytes of a client that dribbles."""

_REQUEST: Final = b"GET /metrics HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 1000


class Client:
    """A client that sends ``pieces``, one after the other, and reads nothing."""

    def __init__(self, channel: socket.socket, pieces: bytes = b"") -> None:
        self._channel = channel
        self._pieces = iter(pieces)

    def go_on(self) -> None:
        """Send the next byte."""
        piece = next(self._pieces, None)
        if piece is not None:
            with suppress(OSError):
                self._channel.send(bytes([piece]))


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@cache
def client_hello() -> bytes:
    """Return the bytes that a TLS client sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        _context().wrap_bio(incoming, outgoing, server_hostname="host").do_handshake()
    return outgoing.read()


def _raw(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


def _silent(port: int) -> Client:
    return Client(_raw(port))


def _dribbling_handshake(port: int) -> Client:
    return Client(_raw(port), client_hello())


def _silent_in_handshake(port: int) -> Client:
    channel = _raw(port)
    channel.sendall(client_hello())
    return Client(channel)


def _silent_after_handshake(port: int) -> Client:
    return Client(_context().wrap_socket(_raw(port)))


def _dribbling_request(port: int) -> Client:
    return Client(_context().wrap_socket(_raw(port)), _REQUEST)


def _dribbling_plain_request(port: int) -> Client:
    return Client(_raw(port), _REQUEST)


KINDS: Final[dict[str, Callable[[int], Client]]] = {
    "silent": _silent,
    "dribbling-handshake": _dribbling_handshake,
    "silent-in-handshake": _silent_in_handshake,
    "silent-after-handshake": _silent_after_handshake,
    "dribbling-request": _dribbling_request,
    "dribbling-plain-request": _dribbling_plain_request,
}
"""What a client does, by name."""


def _opened(kind: str, port: int, count: int) -> Iterator[Client]:
    for _ in range(count):
        # The server may close a connection before its handshake is done.
        with suppress(OSError):
            yield KINDS[kind](port)


def main(kind: str, port: str, count: str) -> None:
    """Open the connections, and send bytes until standard input ends."""
    crowd = list(_opened(kind, int(port), int(count)))
    print("ready", flush=True)  # noqa: T201 - what the other process waits for
    while not select.select([sys.stdin], [], [], _STEP)[0]:
        for client in crowd:
            client.go_on()
            # Another process has no clock that could be turned; and it is not to use all CPU time.
            time.sleep(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
