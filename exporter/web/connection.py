"""One client's connection: uvicorn's, with the limits that keep a crowd from harming a scrape."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from exporter.web.malformed import MalformedRequests, problem_of
from exporter.web.outlet import Outlet

SEND_BODY: Final = "send_body"
"""Under this key of its ``state`` a request has `Connection.send_body`."""

# uvicorn's warnings about connections name no peer, and any client can cause them without end.
_ERRORS_ONLY: Final = logging.getLogger("uvicorn.error.connection")
_ERRORS_ONLY.setLevel(logging.ERROR)


class Connection(H11Protocol):
    """A connection that is given up when its client takes too long, or when it is one too many.

    uvicorn itself waits for ever on a client that sends half a request, or reads half an answer.
    Malformed requests are counted in ``malformed``; the other arguments are uvicorn's.
    """

    patience: ClassVar[float] = 120.0
    """Seconds from the opening, or from the last answer, until the next answer has been taken."""

    most: ClassVar[int] = 256
    """Connections kept at once; the oldest gives way.

    One that was sent a page has two files: with bursts, that is well below 1024 of them.
    """

    def __init__(self, *args: Any, malformed: MalformedRequests, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _ERRORS_ONLY
        self._malformed = malformed
        self._beginning = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock, and make room where there is none."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._outlet: Outlet | None = None
        # Then whoever drains waits until the transport has nothing left.
        self.transport.set_write_buffer_limits(0)
        self.app_state = {**self.app_state, SEND_BODY: self.send_body}
        self._deadline = self._start_clock()
        if len(self.connections) > self.most:
            self._give_up_oldest()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and answer the requests in it."""
        # Enough to recognise what is no HTTP; the whole would be kept by every idle connection.
        self._beginning = data[:8]
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse the malformed request that the parser has just raised an error about."""
        self._malformed.add(
            self.client and self.client[0], problem_of(sys.exception(), self._beginning)
        )
        # A body can turn out to be malformed while its request is being answered. Nothing more of
        # that answer may be sent, and once it has begun there is no place for another status.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Start the clock again for the next request."""
        super().on_response_complete()
        self._deadline.cancel()
        self._deadline = self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._deadline.cancel()
        if self._outlet is not None:
            self._outlet.close()
        super().connection_lost(exc)

    async def send_body(self, chunks: Sequence[bytes]) -> None:
        """Send the whole body of an answer that has begun and tells its length."""
        if self.conn.our_state is h11.SEND_BODY:
            for chunk in chunks:
                self.conn.send_with_data_passthrough(h11.Data(data=chunk))
        await self.flow.drain()
        if self.transport.is_closing():
            return
        if self._outlet is None:
            self._outlet = Outlet(self.transport.get_extra_info("socket").dup())
        await self._outlet.send(chunks)

    def _start_clock(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.patience, self.transport.abort)

    def _give_up_oldest(self) -> None:
        """Close the one that has waited longest, or failing that, been answered to for longest."""
        others = [
            other
            for other in self.connections - {self}
            if isinstance(other, Connection) and not other.transport.is_closing()
        ]
        oldest = min(others, key=Connection._age, default=None)
        if oldest is not None:
            oldest.transport.abort()

    def _age(self) -> tuple[bool, float]:
        # uvicorn's own annotation leaves out that there is no cycle before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        answering = cycle is not None and not cycle.response_complete
        return answering, self._deadline.when()
