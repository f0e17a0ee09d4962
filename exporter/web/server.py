"""The server: uvicorn on sockets that already listen, until a signal or ``stop``."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp

from exporter.web.address import BACKLOG, Address, bind, bound_address, parse_address
from exporter.web.connection import Connection
from exporter.web.malformed import MalformedRequests

__all__ = ["Address", "Server", "bind", "parse_address"]

KEEP_ALIVE: Final = 65
"""Seconds an idle connection stays open: longer than the usual scrape interval."""

GRACE: Final = 0.7
"""Seconds that running answers are given once the server is told to stop."""


class Server:
    """Serves an application on listening sockets, which it closes at the end.

    ``addresses`` are known from the beginning. ``started`` is called in the server's thread once
    requests are answered. ``clock`` returns monotonic seconds; malformed requests are collected
    by it before they are logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        *,
        started: Callable[[], None] = lambda: None,
        connection: type[Connection] = Connection,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.addresses = tuple(bound_address(listener) for listener in sockets)
        self._sockets = list(sockets)
        malformed = MalformedRequests(clock)
        configuration = _configuration(app, partial(connection, malformed=malformed))
        self._uvicorn = _Uvicorn(configuration, started, malformed)

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`, then return within two seconds.

        Signals are heeded in the main thread only, where Python delivers them.
        """
        self._uvicorn.run(sockets=self._sockets)

    def stop(self) -> None:
        """Make `run` return. May be called from any thread, and before `run`."""
        self._uvicorn.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        malformed: MalformedRequests,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._malformed = malformed

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed the signals without raising them again afterwards: they mean a clean exit."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second."""
        self._malformed.log_ended()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for running answers, but not for clients that do not take theirs."""
        asyncio.get_running_loop().call_later(GRACE, self._abort_connections)
        await super().shutdown(sockets)
        self._malformed.log_all()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _configuration(app: ASGIApp, connect: Callable[..., Connection]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # uvicorn only calls it, though it says that it wants a class.
        http=cast("type[Connection]", connect),
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
