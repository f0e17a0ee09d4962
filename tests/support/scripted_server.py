"""A server on a socket that does exactly what a script says, however wrong."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

AMPLE_TIMEOUT = 10.0
"""Seconds after which a script that nobody talks to gives up."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, requests: list[bytes]) -> None:
        self._connection = connection
        self._requests = requests
        self._closing = threading.Event()

    def receive(self) -> bytes:
        """Read and record a request, ``b""`` where the client has closed."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            chunk = self._connection.recv(4096)
            if not chunk:
                return b""
            head += chunk
        self._requests.append(head)
        return head

    def swallow(self) -> None:
        """Read what comes first, whatever it is: what stays unread resets the connection."""
        self._connection.recv(4096)

    def send(self, data: bytes) -> None:
        """Send ``data`` as it is."""
        self._connection.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send a byte now and then for ever: ``data``, and then its last byte."""
        for position in range(1_000_000):
            self.send(data[position : position + 1] or data[-1:])
            self._closing.wait(0.02)

    def hang(self) -> None:
        """Say nothing until the client closes."""
        self._connection.recv(1)

    def tunnel(self, port: int) -> None:
        """Pass on what comes, both ways, to and from a port of this host."""
        with socket.create_connection(("127.0.0.1", port), timeout=AMPLE_TIMEOUT) as server:
            back = threading.Thread(target=_pump, args=(server, self._connection), daemon=True)
            back.start()
            _pump(self._connection, server)
            back.join()

    def linger(self, seconds: float) -> None:
        """Let real time pass."""
        self._closing.wait(seconds)

    def reset(self) -> None:
        """Let the connection be reset when it is closed."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def close(self) -> None:
        """Close, or reset where `reset` came before."""
        self._closing.set()
        self._connection.close()


Script = Callable[[Peer], None]


def reply(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of a well-formed answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def serve(*replies: bytes) -> Script:
    """Return a script that gives each request of a connection its reply, and then closes."""

    def script(peer: Peer) -> None:
        for answer in replies:
            if peer.receive():
                peer.send(answer)

    return script


def connect_to(port: int, status: str = "200 Connection established") -> Script:
    """Return the script of a proxy that answers CONNECT with ``status``, and lets 200 through.

    Whatever host is asked for, ``port`` of this one is what a tunnel leads to.
    """

    def script(peer: Peer) -> None:
        if peer.receive():
            peer.send(f"HTTP/1.1 {status}\r\n\r\n".encode())
            if status.startswith("200"):
                peer.tunnel(port)

    return script


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
    # The other direction may still have something to say.
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class ScriptedServer:
    """Runs a script per connection: the first for the first one, the last for all others.

    The ``context`` of TLS may be replaced at any time. Only with a ``port`` of its own can it
    `refuse`.
    """

    def __init__(
        self, *scripts: Script, context: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.context = context
        self._scripts = scripts
        self._threads: list[threading.Thread] = []
        self._peers: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        scheme = "http" if context is None else "https"
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def refuse(self) -> None:
        """Refuse connections from now on."""
        # Only a shutdown wakes the thread that accepts. The port stays bound, if it was asked for.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def listen(self) -> None:
        """Accept connections again."""
        self._listener.listen()
        self._spawn(self._accept)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(AMPLE_TIMEOUT)
                script = self._scripts[min(self.connections, len(self._scripts) - 1)]
                self.connections += 1
                self._peers = [one for one in (*self._peers, connection) if one.fileno() >= 0]
                self._spawn(partial(self._run, script, connection))

    def _run(self, script: Script, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            peer = Peer(connection, self.requests)
            try:
                script(peer)
            finally:
                peer.close()

    def _spawn(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        self._threads = [one for one in (*self._threads, thread) if one.is_alive()]
