"""Accepting: what a connection costs until its handshake is done."""

import asyncio
import errno
import os
import socket
import ssl
import threading
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.web import accept
from exporter.web.accept import READ_BUFFER, Acceptor
from exporter.web.address import Address, bind
from exporter.web.connection import Connection
from exporter.web.live import LiveWebConfig
from exporter.web.server import Server
from tests.support.certificates import Authority, get, tls_section, write_web_config
from tests.support.crowd import client_hello
from tests.support.serving import serving_app

HANG = 10.0


class Hasty(Acceptor):
    """An acceptor with a short timeout."""

    timeout = 0.3


class Few(Acceptor):
    """At most five handshakes."""

    max_handshakes = 5


class FewConnections(Connection):
    """At most two connections after the handshake."""

    max_connections = 2


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return the authority of the server's certificate."""
    return Authority(tmp_path)


@pytest.fixture
def serving(tmp_path: Path, authority: Authority) -> Callable[..., Any]:
    """Return a context manager that serves over TLS."""
    path = write_web_config(tmp_path, tls_section(authority.issue()))

    def serve(**options: Any) -> Any:
        """Serve during the block."""
        return serving_app(hello, web=LiveWebConfig(path), **options)

    return serve


def connect(server: Server) -> socket.socket:
    """Return a connection that sends nothing."""
    address = server.addresses[0]
    return socket.create_connection((address.host, address.port), timeout=HANG)


def greeter(server: Server) -> socket.socket:
    """Return a connection that has begun a handshake and read the answer."""
    client = connect(server)
    client.sendall(client_hello())
    assert client.recv(1 << 16)
    return client


def dribbler(server: Server) -> socket.socket:
    """Return a connection that has sent a part of its first message."""
    client = connect(server)
    client.sendall(client_hello()[:20])
    return client


def handshaken(server: Server, authority: Authority) -> socket.socket:
    """Return a connection over TLS."""
    context = ssl.create_default_context(cafile=authority.path)
    return context.wrap_socket(connect(server), server_hostname="127.0.0.1")


def answer_on(client: socket.socket) -> bytes:
    """Return the body of the answer to a request on an open connection."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    received = b""
    while not received.endswith(b"hello"):
        piece = client.recv(1 << 16)
        received += piece

        assert piece
    return received.rpartition(b"\r\n")[2]


def is_closed(client: socket.socket) -> bool:
    """Return whether the server closes a connection; raises TimeoutError if it does not."""
    with client:
        try:
            return client.recv(100) == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize("client", [connect, dribbler, greeter])
class TestBounds:
    """What clients that do not finish their handshake can hold."""

    def test_timeout(
        self, serving: Callable[..., Any], client: Callable[[Server], socket.socket]
    ) -> None:
        """A client that does not finish in time is closed, without a line in the log."""
        with capture_logs() as records, serving(acceptor=Hasty) as server:
            assert is_closed(client(server))

        assert [] == records

    def test_oldest_gives_way(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        client: Callable[[Server], socket.socket],
    ) -> None:
        """Of too many, the oldest are closed; others still get an answer."""
        with ExitStack() as opened, serving(acceptor=Few) as server:
            crowd = [opened.enter_context(client(server)) for _ in range(20)]
            text = get(server, authority).text
            closed = [is_closed(each) for each in crowd[:15]]

        assert "hello" == text
        assert all(closed)

    def test_open_connections_stay(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        client: Callable[[Server], socket.socket],
    ) -> None:
        """However many begin a handshake, no connection that has finished it is closed."""
        with (
            ExitStack() as opened,
            serving(acceptor=Few, connection=FewConnections) as server,
            handshaken(server, authority) as scraper,
        ):
            # A client is done with the handshake before the server is.
            first = answer_on(scraper)
            for _ in range(20):
                opened.enter_context(client(server))
            get(server, authority)

            assert first == answer_on(scraper)

    def test_stop(
        self, serving: Callable[..., Any], client: Callable[[Server], socket.socket]
    ) -> None:
        """A stop closes them at once."""
        with serving() as server:
            opened = client(server)

        assert is_closed(opened)


def test_a_connection_holds_a_record() -> None:
    """Of what a client sends over TLS, no more than a record is read and held at once."""

    async def size() -> int:
        """Return the bytes of the buffer that asyncio reads into."""
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        handshake = loop.create_future()
        protocol = SSLProtocol(loop, asyncio.Protocol(), context, handshake, server_side=True)
        buffer = protocol.get_buffer(-1)
        protocol.connection_lost(None)
        return len(buffer)

    assert READ_BUFFER == asyncio.run(size())


class Exhausted(socket.socket):
    """A listening socket that fails at first, as in a process without a free descriptor."""

    failures = 5

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept, once it has failed often enough."""
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def test_no_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free descriptor, accepting pauses and then goes on; repeated failures are one."""
    monkeypatch.setattr(accept, "_PAUSE", 0.01)
    listener = Exhausted(fileno=bind(Address("127.0.0.1", 0)).detach())
    server = Server(hello, [listener])
    thread = threading.Thread(target=server.run)
    with capture_logs() as records:
        thread.start()
        answer = requests.get(f"http://{server.addresses[0]}/", timeout=HANG).text
        server.stop()
        thread.join(HANG)
    logged = [record for record in records if record["event"] == "cannot accept connections"]

    assert "hello" == answer
    assert {"Too many open files"} == {record["error"] for record in logged}
    assert [1] == [record["failures"] for record in logged]
