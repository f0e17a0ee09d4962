"""A real server for tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.types import ASGIApp

from exporter.web.server import Server
from tests.support.serving import ANY_PORT, serving_app


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that serves an application on loopback until the module's end."""
    with ExitStack() as servers:

        def start(app: ASGIApp, listeners: int = 1, **options: object) -> Server:
            """Start a server in its own thread."""
            return servers.enter_context(serving_app(app, [ANY_PORT] * listeners, **options))

        yield start
