"""Bytes from a client of the port, of which anything may be wrong: a fuzz target.

The server's own class reads them, in an event loop of this thread. A pair of Unix sockets takes the
place of the network: no delay, and no ports that are used up by thousands of clients.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

import h11
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from exporter.web.app import make_app
from exporter.web.connection import Connection
from exporter.web.malformed import MalformedRequests
from tests.reliability.fuzz.http_answers import answers_in
from tests.support.clock import Clock
from tests.support.programs import TIMEOUT
from tests.support.serving import FakeHealth, NoPages
from tests.support.statuses import healthy

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

PAUSE: Final = b"\xfe"
"""Where the client waits until what it has sent so far has been read and answered."""

MAX_PIECES: Final = 8

_SCRAPE: Final = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"
_SEGMENT: Final = 4096


def connection(data: bytes) -> None:
    """Send bytes to the server; check what comes back, and that the next client gets the page."""
    face = _face()
    with capture_logs() as logs:
        face.loop.run_until_complete(face.exchange(data.split(PAUSE)[:MAX_PIECES]))
    faults = [log for log in logs if log["log_level"] in {"error", "critical"}]
    assert not faults, faults
    assert not face.records, face.records
    assert not face.errors, face.errors


class _Counting(Connection):
    """A connection that counts what has been ``sent`` to it, and what it has ``read`` of that."""

    sent = 0
    read = 0

    def data_received(self, data: bytes) -> None:
        """Count what is read."""
        self.read += len(data)
        super().data_received(data)


class _Face(logging.Handler):
    """A server in an event loop that runs only during an exchange."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []
        self.errors: list[object] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        for name in ("uvicorn.error", "asyncio"):
            logging.getLogger(name).addHandler(self)
        self._open: list[_Counting] = []
        # The same for every input, so that none makes the next one log.
        self._malformed = MalformedRequests(Clock(0.0))
        self._configuration = uvicorn.Config(
            _app, log_config=None, access_log=False, lifespan="off", interface="asgi3"
        )
        self._state = ServerState()

    def emit(self, record: logging.LogRecord) -> None:
        """Note what a library has logged."""
        self.records.append(record.getMessage())

    async def exchange(self, pieces: list[bytes]) -> None:
        """Send ``pieces`` on one connection, and a scrape on it if it is idle, and on another."""
        client, server = await self._connect()
        received = b""
        for piece in pieces:
            received += await self._send(client, server, piece)
        answers_in(received)
        idle = server.conn.our_state is h11.IDLE and server.conn.trailing_data == (b"", False)
        if idle and not server.transport.is_closing():
            await self._scrape(client, server)
        client.close()
        client, server = await self._connect()
        await self._scrape(client, server)
        client.close()
        await self._until(lambda: not self._state.connections)

    async def _scrape(self, client: socket.socket, server: _Counting) -> None:
        received = await self._send(client, server, _SCRAPE)
        assert [200] == [answer.status for answer in answers_in(received)]

    async def _connect(self) -> tuple[socket.socket, _Counting]:
        client, accepted = socket.socketpair()
        client.settimeout(0)
        accepted.settimeout(0)
        make = cast("Any", partial(_Counting, malformed=self._malformed))
        server: _Counting = make(config=self._configuration, server_state=self._state, app_state={})
        await self.loop.connect_accepted_socket(lambda: server, accepted)
        return client, server

    async def _send(self, client: socket.socket, server: _Counting, piece: bytes) -> bytes:
        """Send a piece; return what the server has answered when it waits for more."""
        received = b""
        for at in range(0, len(piece), _SEGMENT):
            if server.transport.is_closing():
                break
            with suppress(BrokenPipeError, ConnectionResetError):
                server.sent += client.send(piece[at : at + _SEGMENT])
            received += await self._answered(client, server)
        return received

    async def _answered(self, client: socket.socket, server: _Counting) -> bytes:
        await self._until(lambda: _is_answered(server))
        received, ended = _received(client)
        while server.transport.is_closing() and not ended:
            await asyncio.sleep(0)
            more, ended = _received(client)
            received += more
        return received

    async def _until(self, condition: Callable[[], bool]) -> None:
        deadline = self.loop.time() + TIMEOUT
        while not condition():
            assert self.loop.time() < deadline, "the server does not answer"
            await asyncio.sleep(0)


def _received(client: socket.socket) -> tuple[bytes, bool]:
    """Return what has arrived, and whether that was all."""
    received = b""
    try:
        while piece := client.recv(1 << 16):
            received += piece
    except BlockingIOError:
        return received, False
    except ConnectionResetError:
        pass
    return received, True


def _is_answered(server: _Counting) -> bool:
    """Return whether the server can do nothing before the client sends more."""
    if server.transport.is_closing():
        return True
    # There is no cycle before the first request, though uvicorn's annotation says so.
    cycle = cast("RequestResponseCycle | None", server.cycle)
    if cycle is not None and not cycle.response_complete:
        return False
    return server.flow.read_paused or server.read == server.sent


@cache
def _face() -> _Face:
    return _Face()


_REAL: Final = make_app(NoPages(), FakeHealth(), healthy)


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the exporter does, but without the status page, which takes another thread."""
    app = PlainTextResponse("status\n") if scope["path"] == "/" else _REAL
    await app(scope, receive, send)
