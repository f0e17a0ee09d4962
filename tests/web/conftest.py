"""A real server for every test that wants one."""

import threading
from collections.abc import Callable, Iterator

import pytest
from starlette.types import ASGIApp

from exporter.web.address import Address, bind
from exporter.web.connection import Connection
from exporter.web.server import Server

PATIENCE = 5.0
"""Seconds before a hang is called one."""


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that serves an application on loopback until the module's end."""
    running: list[tuple[Server, threading.Thread]] = []

    def start(
        app: ASGIApp, connection: type[Connection] = Connection, listeners: int = 1
    ) -> Server:
        """Start a server in a thread of its own."""
        sockets = [bind(Address("127.0.0.1", 0)) for _ in range(listeners)]
        ready = threading.Event()
        server = Server(app, sockets, started=ready.set, connection=connection)
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        assert ready.wait(PATIENCE)
        return server

    yield start
    for server, _ in running:
        server.stop()
    for _, thread in running:
        thread.join(PATIENCE)
    assert [False] * len(running) == [thread.is_alive() for _, thread in running]
