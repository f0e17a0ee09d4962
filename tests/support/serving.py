"""Servers on loopback, in a thread of the test."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp

from exporter.app import Exporter
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.server import Server
from tests.support.programs import TIMEOUT

ANY_PORT: Final = Address("127.0.0.1", 0)


@dataclass
class FakeHealth:
    """What the probes ask, with given answers; by default all is well."""

    dead: str = ""
    untried: str = ""

    def why_not_healthy(self) -> str:
        """Return the given answer."""
        return self.dead

    def why_not_ready(self) -> str:
        """Return the given answer."""
        return self.untried


class NoPages:
    """An exporter that publishes nothing."""

    def chunks(self, **_format: bool) -> list[bytes]:
        """Return an empty page."""
        return []


@contextmanager
def serving_app(
    app: ASGIApp, addresses: Sequence[Address] = (ANY_PORT,), **options: Any
) -> Iterator[Server]:
    """Serve ``app`` during the block."""
    ready = threading.Event()
    server = Server(app, [bind(each) for each in addresses], started=ready.set, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(TIMEOUT)
        yield server
    finally:
        server.stop()
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@contextmanager
def serving(exporter: Exporter, address: Address = ANY_PORT) -> Iterator[str]:
    """Serve ``exporter`` during the block; the value is its URL."""
    app = make_app(
        exporter.page,
        exporter,
        exporter.status,
        parts=exporter.page,
        config=lambda: exporter.config,
    )
    with serving_app(app, [address]) as server:
        yield f"http://{server.addresses[0]}"


def free_port() -> int:
    """Return a port that is free at the moment."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])
