"""Many clients that take their time, in a process of their own.

``python -m tests.support.crowd KIND PORT COUNT`` opens connections, prints ``ready``, and goes on
until its standard input ends. With ``mixed``, it opens those again that the server closes.
"""

import resource
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from tests.support.programs import REPOSITORY, TIMEOUT

_STEP: Final = 0.5
"""Seconds between two bytes of a client that dribbles."""

_REQUEST: Final = b"GET /metrics HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 1000


_SHORT: Final = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"


class Client:
    """A client that sends ``pieces``, one after the other, and reads nothing."""

    def __init__(self, channel: socket.socket, pieces: bytes = b"") -> None:
        self._channel = channel
        self._pieces = iter(pieces)

    def is_open(self) -> bool:
        """Return whether the server has not closed the connection, as far as that is known."""
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

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


class SlowReader(Client):
    """A client that asks for more pages than fit between the two, and reads a byte at a time."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(channel)
        channel.sendall(100 * _SHORT)

    def go_on(self) -> None:
        """Read the next byte."""
        with suppress(OSError):
            self._channel.recv(1, socket.MSG_DONTWAIT)


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


def _half_closed(port: int) -> Client:
    channel = _raw(port)
    channel.sendall(_SHORT)
    channel.shutdown(socket.SHUT_WR)
    return Client(channel)


def _slow_reader(port: int) -> Client:
    channel = socket.socket()
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel.connect(("127.0.0.1", port))
    return SlowReader(channel)


KINDS: Final[dict[str, Callable[[int], Client]]] = {
    "silent": _silent,
    "dribbling-handshake": _dribbling_handshake,
    "silent-in-handshake": _silent_in_handshake,
    "silent-after-handshake": _silent_after_handshake,
    "dribbling-request": _dribbling_request,
    "dribbling-plain-request": _dribbling_plain_request,
}
"""What a client does, by name."""

_MIXED: Final = (_silent, _dribbling_plain_request, _half_closed, _slow_reader)
"""What the clients of a mixed crowd do, in turns."""


class Crowd:
    """Clients that do what ``kinds`` say, in turns."""

    def __init__(self, kinds: Sequence[Callable[[int], Client]], port: int, count: int) -> None:
        self._kinds = kinds
        self._port = port
        self._clients = [self._open(number) for number in range(count)]

    def go_on(self) -> None:
        """Let each client do the next thing."""
        for client in self._clients:
            if client is not None:
                client.go_on()
                # Another process has no clock that could be turned; and it is not to use all CPU.
                time.sleep(0)

    def reopen(self) -> None:
        """Open the connections again that the server has closed."""
        for number, client in enumerate(self._clients):
            if client is None or not client.is_open():
                self._clients[number] = self._open(number)

    def _open(self, number: int) -> Client | None:
        # The server may close a connection before its handshake is done.
        with suppress(OSError):
            return self._kinds[number % len(self._kinds)](self._port)
        return None


@contextmanager
def running_crowd(kind: str, port: int, count: int) -> Iterator[Callable[[], bool]]:
    """Run a crowd during the block; the value is whether all of it has connected."""
    with subprocess.Popen(  # noqa: S603 - a test's own command
        [sys.executable, "-m", "tests.support.crowd", kind, str(port), str(count)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = threading.Thread(target=process.stdout.readline, daemon=True)
        ready.start()

        def connected() -> bool:
            # A pause between two scrapes: to scrape without one slows the connecting itself.
            ready.join(0.05)
            return not ready.is_alive()

        try:
            yield connected
        finally:
            process.stdin.close()


def main(kind: str, port: str, count: str) -> None:
    """Open the connections, and send bytes until standard input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    is_mixed = kind == "mixed"
    crowd = Crowd(_MIXED if is_mixed else (KINDS[kind],), int(port), int(count))
    print("ready", flush=True)  # noqa: T201 - what the other process waits for
    while not select.select([sys.stdin], [], [], _STEP)[0]:
        crowd.go_on()
        if is_mixed:
            crowd.reopen()


if __name__ == "__main__":
    main(*sys.argv[1:])
