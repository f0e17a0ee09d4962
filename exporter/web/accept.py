"""Accepts connections, and performs the TLS handshake within bounds.

asyncio would perform it too, but a client could then hold a connection for as long as it liked
before anything here knew of it.
"""

import asyncio
import socket
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from typing import ClassVar, Final

import structlog

from exporter.repetition import Failures
from exporter.web.connection import share_of_descriptors
from exporter.web.handshake_problems import PLAIN_HTTP, TLS_HANDSHAKE, handshake_problem
from exporter.web.live import LiveWebConfig
from exporter.web.malformed import MalformedRequests

MAX_ACCEPTED: Final = 16
"""Connections that are accepted in one turn of the event loop, before older ones are closed.

A handshake takes several turns. With 64, a burst of clients made handshakes give way before they
could be done.
"""

_PAUSE: Final = 1.0
"""Seconds until the next attempt when accepting fails, as without a free descriptor."""

_SILENT: Final = 0.1
"""Seconds without a byte after which a client counts as silent: others send one at once."""

# What Go's server answers.
_NOT_TLS: Final = (
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)

READ_BUFFER: Final = 1 << 14
"""Bytes that are read at once from a TLS connection, and held by each: one record of TLS.

asyncio's own 256 KiB would be most of the memory of a connection.
"""
SSLProtocol.max_size = READ_BUFFER

_log = structlog.get_logger(__name__)


class _Accepted:
    """A connection that has been accepted, and has no protocol yet."""

    def __init__(self, client: socket.socket, now: float) -> None:
        self._socket = client
        self._accepted_at = now
        self.connected = False
        self.host: str | None = None
        # Asked now: a socket that has been closed has no peer.
        with suppress(OSError):
            self.host = client.getpeername()[0]

    def is_silent(self, since: float) -> bool:
        """Return whether the client has sent nothing since a time."""
        if self.connected or self._accepted_at > since:
            return False
        # A busy event loop may not have come to read what is there.
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    async def first_byte(self, loop: asyncio.AbstractEventLoop) -> bytes:
        """Return the first byte once it is there, without taking it; nothing at the end."""
        readable = asyncio.Event()
        loop.add_reader(self._socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._socket)
        return self._socket.recv(1, socket.MSG_PEEK)

    async def connect(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: Callable[[], asyncio.Protocol],
        context: SSLContext | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the loop's own, for the handshake
    ) -> None:
        """Make the transport, which from now on owns the socket, and perform the handshake."""
        self.connected = True
        await loop.connect_accepted_socket(
            protocol,
            self._socket,
            ssl=context,
            ssl_handshake_timeout=timeout if context else None,
        )

    def answer(self, line: bytes) -> None:
        """Send a few bytes, if the client takes them at once."""
        with suppress(OSError):
            # What has not been read when a socket is closed makes the client lose the answer.
            self._socket.recv(1 << 16)
            self._socket.send(line)

    def close(self) -> None:
        """Close the connection, whoever owns the socket."""
        if not self.connected:
            self._socket.close()
            return
        # A transport whose handshake was cancelled before it began would wait for the client.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Acceptor:
    """Accepts connections on listening sockets until it is stopped, in a running event loop.

    ``connect`` makes the protocol of a connection, which learns of the connection once the
    handshake is done, if ``web`` has TLS. Clients that fail before are counted in ``malformed``.
    """

    timeout: ClassVar[float] = 10.0
    """Seconds from accepting a connection to the end of its handshake."""

    max_handshakes: ClassVar[int] = 512
    """Connections whose handshake is not done; beyond that, one is closed.

    They are counted apart from the others, so another connection gives way only to a client that
    has completed its handshake. A process on two busy cores begins 700 handshakes a second: then
    a client has 0.7 s to complete its own before it may have to give way.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        connect: Callable[[], asyncio.Protocol],
        web: LiveWebConfig | None,
        malformed: MalformedRequests,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._connect = connect
        self._web = web
        self._malformed = malformed
        self._failures = Failures()
        # The oldest comes first.
        self._handshakes: dict[asyncio.Task[None], _Accepted] = {}

    def start(self) -> None:
        """Accept connections."""
        for listener in self._listeners:
            listener.settimeout(0)
            self._loop.add_reader(listener, self._accept, listener)

    def stop(self) -> None:
        """Accept no more connections, and drop those whose handshake is not done."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        for handshake in list(self._handshakes):
            handshake.cancel()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(MAX_ACCEPTED):
            try:
                client, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listener, error)
                return
            client.settimeout(0)
            self._begin(client)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        if self._failures.note(self._loop.time()):
            _log.error(
                "cannot accept connections", error=error.strerror, failures=self._failures.count
            )
        self._loop.remove_reader(listener)

        def resume() -> None:
            # The server may have been stopped meanwhile.
            if listener.fileno() >= 0:
                self._loop.add_reader(listener, self._accept, listener)

        self._loop.call_later(_PAUSE, resume)

    def _begin(self, client: socket.socket) -> None:
        accepted = _Accepted(client, self._loop.time())
        task = self._loop.create_task(self._hand_over(accepted))
        self._handshakes[task] = accepted
        task.add_done_callback(partial(self._end, accepted))
        if len(self._handshakes) > share_of_descriptors(self.max_handshakes):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Close the oldest connection that is silent; if none is, the oldest of all."""
        since = self._loop.time() - _SILENT
        silent = (task for task, accepted in self._handshakes.items() if accepted.is_silent(since))
        oldest = next(silent, None) or next(iter(self._handshakes))
        # Now, or the next of this turn would cancel the same one.
        del self._handshakes[oldest]
        oldest.cancel()

    async def _hand_over(self, accepted: _Accepted) -> None:
        """Bring a connection to where its protocol takes over."""
        if self._web is None or self._web.config.context is None:
            await accepted.connect(self._loop, self._connect)
            return
        async with asyncio.timeout(self.timeout):
            first = await accepted.first_byte(self._loop)
            if first == TLS_HANDSHAKE:
                # Only now: what the client gets is what the files have at this moment.
                await self._web.refresh()
                context = self._web.config.context
                await accepted.connect(self._loop, self._connect, context, self.timeout)
            elif first.isalpha():
                self._malformed.add(accepted.host, PLAIN_HTTP)
                accepted.answer(_NOT_TLS)

    def _end(self, accepted: _Accepted, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OSError):
            problem = handshake_problem(error)
            if problem is not None:
                self._malformed.add(accepted.host, problem)
        elif error is not None:
            _log.error("connection failed", exc_info=error)
        if task.cancelled() or error is not None or not accepted.connected:
            accepted.close()
