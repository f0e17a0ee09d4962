"""One client's connection: uvicorn's, with limits so that many clients cannot block a scrape."""

import asyncio
import logging
import resource
import socket
import sys
from contextlib import suppress
from heapq import nlargest
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from exporter.web.config.client_names import names_of
from exporter.web.handshake_problems import NOT_ALLOWED
from exporter.web.live import LiveWebConfig
from exporter.web.malformed import MalformedRequests, problem_of

# uvicorn's warnings about connections name no peer, and any client can cause them without end.
_ERRORS_ONLY: Final = logging.getLogger("uvicorn.error.connection")
_ERRORS_ONLY.setLevel(logging.ERROR)


_MAX_HEAD: Final = 1 << 16
"""Bytes of a request line and its headers: what uvicorn allows."""


_FRAMINGS: Final = {b"content-length", b"transfer-encoding"}
"""Headers that say where a body ends."""

# How much a connection is needed, from the least on: nothing was asked, all is answered, the client
# is to send or to read, the server is to answer.
_SILENT, _IDLE, _SLOW, _ACTIVE = range(4)

_NOTHING: Final = h11.Data(data=b"")

_SPARED: Final = 1 / 16
"""Share of the connections that stay open although they are idle: those answered last.

They are those of scrapers. To connect again amid a thousand newcomers would take about a second.
"""

_Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


def share_of_descriptors(number: int) -> int:
    """Return how many connections may be open, at most ``number``.

    A quarter of the process's descriptors is for connections that are open, and one for those
    whose handshake is not done. The others are for Sentry and for files.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return number if allowed == resource.RLIM_INFINITY else min(number, allowed // 4)


class _Parser(h11.Connection):
    """h11's connection, which passes on slices of a page without a copy, and no request's body.

    ``method`` is that of the request that is being answered, ``b""`` if there is none.
    """

    method = b""

    def next_event(self) -> _Event:
        """Return the next event; the body of a request is of no use to any path."""
        event = super().next_event()
        if type(event) is h11.Request:
            self.method = event.method
            if {name for name, _ in event.headers} >= _FRAMINGS:
                # A proxy that goes by the other one would take the body for another request.
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        return _NOTHING if type(event) is h11.Data else event

    def start_next_cycle(self) -> None:
        """Begin with the next request on the same connection."""
        super().start_next_cycle()
        self.method = b""

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # only its last overload
        # Of a scrape of 14 MB, the copy is an eighth of the CPU time.
        parts = self.send_with_data_passthrough(event)
        if parts is None:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Connection(H11Protocol):
    """A connection that is closed when its client is too slow, or when there are too many.

    uvicorn itself waits forever for a client that sends half a request or reads half an answer.
    Malformed requests are counted in ``malformed``. ``web`` says which clients may connect and
    which headers an answer has. The other arguments are uvicorn's.
    """

    conn: _Parser

    timeout: ClassVar[float] = 120.0
    """Seconds from opening, or from the last answer, until the next answer has been sent."""

    max_connections: ClassVar[int] = 256
    """Connections open at once; beyond that, one is closed.

    Each can hold a slice of a page for a slow reader: 64 MiB for all of them.
    """

    fresh: ClassVar[float] = 1.0
    """Seconds in which a client that has connected may send its request before it counts as idle.

    A scraper needs a round trip for this. If it counted as idle, 256 clients that do not read their
    answers, and connect again, would lock it out.
    """

    def __init__(
        self,
        *args: Any,
        malformed: MalformedRequests,
        web: LiveWebConfig | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _ERRORS_ONLY
        self.conn = _Parser(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._malformed = malformed
        self._web = web
        self._first_bytes = b""
        self._stalled_at: float | None = None
        self._since = self.loop.time()
        self._is_half_closed = False
        self.aborted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timeout, and close another connection if there are too many."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._deadline = self._start_timeout()
        if not self._is_allowed():
            self._malformed.add(self.client and self.client[0], NOT_ALLOWED)
            self.abort()
        elif len(self.connections) > share_of_descriptors(self.max_connections):
            self._close_one()

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._stalled_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._stalled_at = None
        super().resume_writing()

    def abort(self) -> None:
        """Close the connection at once, whatever it is doing."""
        self.aborted = True
        # A TLS transport that was closed twice ignores abort, and waits for its client.
        with suppress(OSError):
            self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what was received, and answer the requests in it."""
        # Enough to recognise a TLS handshake; more would be memory of every idle connection.
        self._first_bytes = data[:8]
        before = self.cycle
        try:
            super().data_received(data)
            if self.cycle is not before:
                self._since = self.loop.time()
        except h11.ProtocolError as error:
            # One line for many, where asyncio would log a traceback of 3 kB for each request.
            self._malformed.add(self.client and self.client[0], problem_of(error, data[:8]))
            self.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse the malformed request for which the parser has just raised an error."""
        error = sys.exception()
        self._malformed.add(self.client and self.client[0], problem_of(error, self._first_bytes))
        if error is not None:
            # h11 leaves the error in a frame of its own traceback, which would hold what came in.
            error.__traceback__ = None
        # The request's body can be malformed while the request is being answered. Then nothing
        # more of that answer may be sent; once it has begun, no other status can be sent either.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._refuse(f"{msg}\n".encode("ascii"))
        self.transport.close()

    def on_response_complete(self) -> None:
        """Start the timeout again for the next request."""
        super().on_response_complete()
        self._since = self.loop.time()
        self._deadline.cancel()
        self._deadline = self._start_timeout()
        # The next answer may have begun, to a request that came with the last one.
        if self._is_half_closed and not self._is_answering():
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own annotation
        """Return whether an answer is to be sent to a client that sends nothing more."""
        self._is_half_closed = True
        # asyncio knows no half of a TLS connection.
        return self._is_answering() and self.scheme == "http"

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeouts, and release what the connection holds."""
        self._deadline.cancel()
        super().connection_lost(exc)
        # uvicorn leaves this one after an error; it would hold the connection for a minute.
        self._unset_keepalive_if_required()

    def _is_answering(self) -> bool:
        # There is no cycle before the first request, though uvicorn's annotation says so.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _start_timeout(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.timeout, self.abort)

    def _is_allowed(self) -> bool:
        """Return whether the client's certificate, if one is asked for, has an allowed name."""
        allowed = self._web.config.allowed_sans if self._web is not None else frozenset()
        if not allowed:
            return True
        return not allowed.isdisjoint(names_of(self.transport.get_extra_info("peercert") or {}))

    def _refuse(self, text: bytes) -> None:
        """Send 400, with the headers that every answer has."""
        headers = list(self._web.config.headers) if self._web is not None else []
        headers += [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode("ascii")),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        # HEAD has the headers of GET, and no body.
        body = () if self.conn.method == b"HEAD" else (h11.Data(data=text),)
        for event in (response, *body, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def _close_one(self) -> None:
        """Close the connection that is needed least.

        That is one that has been open for a moment and has not asked for anything; then one that is
        idle after its answer; then the one whose client has not read its answer, or sent its first
        request, for longest.
        """
        needs = {
            other: Connection._need(other)
            for other in self.connections - {self}
            # Those that are closing count: with TLS, that takes as long as the client likes.
            if isinstance(other, Connection) and not other.aborted
        }
        idle = (other for other, (level, _) in needs.items() if level == _IDLE)
        spared = nlargest(int(len(needs) * _SPARED), idle, key=needs.__getitem__)
        least = min(needs.keys() - spared, key=needs.__getitem__, default=None)
        if least is not None:
            least.abort()

    def _need(self) -> tuple[int, float]:
        """Return how much the connection is needed, and since when it has been as it is."""
        if self._stalled_at is not None:
            return _SLOW, self._stalled_at
        # Of a small answer, head and body are sent at once: this one waits for its turns. And one
        # that uvicorn has done with may stay in the transport for as long as nobody reads it.
        if self.conn.our_state is h11.SEND_BODY or self.transport.get_write_buffer_size() > 0:
            return _SLOW, self._since
        if self.cycle is None:
            is_fresh = self.loop.time() - self._since < self.fresh
            return _SLOW if is_fresh else _SILENT, self._since
        return _ACTIVE if self._is_answering() else _IDLE, self._since
