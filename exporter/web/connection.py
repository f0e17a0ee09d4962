"""One client's connection: uvicorn's, with limits so that many clients cannot block a scrape."""

import asyncio
import logging
import socket
import sys
from contextlib import suppress
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


class _Parser(h11.Connection):
    """h11's connection, except that a slice of a page is passed on without a copy."""

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

    timeout: ClassVar[float] = 120.0
    """Seconds from opening, or from the last answer, until the next answer has been sent."""

    max_connections: ClassVar[int] = 256
    """Connections open at once; beyond that, the oldest is closed.

    Each can hold a slice of a page for a slow reader: 64 MiB for all of them.
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
        self.aborted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timeout, and close the oldest connection if there are too many."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._deadline = self._start_timeout()
        if not self._is_allowed():
            self._malformed.add(self.client and self.client[0], NOT_ALLOWED)
            self.abort()
        elif len(self.connections) > self.max_connections:
            self._close_oldest()

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
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse the malformed request for which the parser has just raised an error."""
        self._malformed.add(
            self.client and self.client[0], problem_of(sys.exception(), self._first_bytes)
        )
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
        self._deadline.cancel()
        self._deadline = self._start_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._deadline.cancel()
        super().connection_lost(exc)

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
        for event in (response, h11.Data(data=text), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def _close_oldest(self) -> None:
        """Close the connection that has been idle longest; if none is idle, the slowest reader."""
        others = [
            other
            for other in self.connections - {self}
            # Those that are closing count: with TLS, that takes as long as the client likes.
            if isinstance(other, Connection) and not other.aborted
        ]
        oldest = min(others, key=Connection._age, default=None)
        if oldest is not None:
            oldest.abort()

    def _age(self) -> tuple[bool, float]:
        # There is no cycle before the first request, though uvicorn's annotation says so.
        cycle: RequestResponseCycle | None = self.cycle
        answering = cycle is not None and not cycle.response_complete
        # False is less than True: idle connections come first.
        return answering, self._deadline.when()
