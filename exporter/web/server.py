"""The server: uvicorn on listening sockets, until ``stop``."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.accept import Acceptor
from exporter.web.access import Access
from exporter.web.address import bound_address
from exporter.web.connection import Connection
from exporter.web.live import LiveWebConfig
from exporter.web.malformed import MalformedRequests

KEEP_ALIVE: Final = 65
"""Seconds an idle connection stays open: longer than the usual scrape interval."""

STOP_TIMEOUT: Final = 0.7
"""Seconds that running answers have to end once the server has been asked to stop."""

_CANCEL_DELAY: Final = 0.05
"""Seconds from there until answers that still run, such as that to a reload, are cancelled."""


class Server:
    """Serves an application on listening sockets, and closes them at the end.

    ``addresses`` are known before `run`. ``started`` is called in the server's thread once
    requests are answered, and ``ticked`` ten times a second from then on. ``web`` has the settings
    of TLS, login and headers. ``clock`` returns monotonic seconds; it decides when malformed
    requests are logged, and about the rate limit.
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        *,
        started: Callable[[], None] = lambda: None,
        ticked: Callable[[], None] = lambda: None,
        connection: type[Connection] = Connection,
        acceptor: type[Acceptor] = Acceptor,
        web: LiveWebConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.addresses = tuple(bound_address(listener) for listener in sockets)
        self._sockets = list(sockets)
        malformed = MalformedRequests(clock)
        configuration = _configuration(
            _cancelled_quietly(app if web is None else Access(app, web, clock)),
            partial(connection, malformed=malformed, web=web),
        )
        accept = partial(acceptor, web=web, malformed=malformed)
        self._uvicorn = _Uvicorn(configuration, started, ticked, accept, malformed, web)

    def run(self) -> None:
        """Serve until `stop`, then return within two seconds."""
        self._uvicorn.run(sockets=self._sockets)

    def stop(self) -> None:
        """Make `run` return; may be called from any thread, also before `run`."""
        # No lock: the server's thread reads this ten times a second, and nothing resets it.
        self._uvicorn.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        on_ticked: Callable[[], None],
        accept: Callable[..., Acceptor],
        malformed: MalformedRequests,
        web: LiveWebConfig | None,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_ticked = on_ticked
        self._accept = accept
        self._malformed = malformed
        self._web = web

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals, unlike the parent class: they are the business of who calls `run`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, which uvicorn would do without bounds on TLS handshakes."""
        await super().startup([])
        self._acceptor = self._accept(sockets or [], self._connect)
        self._acceptor.start()
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Do what comes up from time to time; uvicorn calls this ten times a second."""
        self._malformed.log_ended()
        self._on_ticked()
        if self._web is not None and counter % 10 == 0:
            # Also without requests: files with errors are to be logged.
            self._web.begin_refresh()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for running answers, but only briefly for clients that do not read theirs."""
        # Before the parent's method, which waits for the connections that this aborts.
        asyncio.get_running_loop().call_later(STOP_TIMEOUT, self._abort_connections)
        self._acceptor.stop()
        await super().shutdown(sockets)
        self._malformed.log_all()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            cast("Connection", connection).abort()
        # Later: uvicorn complains about a missing answer unless the connection is known to be lost.
        asyncio.get_running_loop().call_later(_CANCEL_DELAY, self._cancel_answers)

    def _cancel_answers(self) -> None:
        for task in list(self.server_state.tasks):
            task.cancel()

    def _connect(self) -> asyncio.Protocol:
        """Return the protocol of a new connection, as uvicorn makes it."""
        connect = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return connect(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _cancelled_quietly(app: ASGIApp) -> ASGIApp:
    """Return ``app``, of which an answer that is cancelled leaves no traceback in the log."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return answer


def _configuration(app: ASGIApp, connect: Callable[..., Connection]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # uvicorn only calls it, though the annotation wants a class.
        http=cast("type[Connection]", connect),
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        # uvicorn takes only whole seconds, and logs an error then; STOP_TIMEOUT comes first.
        timeout_graceful_shutdown=1,
    )
