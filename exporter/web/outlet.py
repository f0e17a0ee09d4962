"""The way that large bodies take: from where they lie into the kernel, without a copy between.

A transport of asyncio keeps what the kernel does not take at once, for every slow reader a part of
its own. Here a reader's unread bytes stay in the page, and as much as the kernel takes goes in one
call, which is also what lets a scrape through quickly while a poll computes.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_MOST_BUFFERS: Final = 512
"""Chunks handed over in one call: half of what Linux takes."""


class Outlet:
    """Sends through a connected socket that does not block, until closed.

    Whatever else writes to the connection must have nothing left to send, and must not encrypt:
    this goes past it.
    """

    def __init__(self, connected: socket.socket) -> None:
        """Take over ``connected``."""
        self._socket = connected
        self._waiting: asyncio.Future[None] | None = None

    async def send(self, chunks: Sequence[bytes]) -> None:
        """Send ``chunks`` as fast as they are read; returns early where nobody reads any more."""
        rest = [memoryview(chunk) for chunk in chunks if chunk]
        with suppress(OSError):
            while rest and self._socket.fileno() != -1:
                try:
                    sent = self._socket.sendmsg(rest[:_MOST_BUFFERS])
                except BlockingIOError:
                    await self._writable()
                else:
                    rest = _after(rest, sent)

    def close(self) -> None:
        """Let go of the socket; a `send` that waits returns."""
        self._wake()
        self._socket.close()

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        loop.add_writer(self._socket, self._wake)
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.get_loop().remove_writer(self._socket)
            if not self._waiting.done():
                self._waiting.set_result(None)
            self._waiting = None


def _after(views: Sequence[memoryview], sent: int) -> list[memoryview]:
    """Return what is left of ``views`` after so many bytes."""
    for number, view in enumerate(views):
        if sent < len(view):
            return [view[sent:], *views[number + 1 :]]
        sent -= len(view)
    return []
