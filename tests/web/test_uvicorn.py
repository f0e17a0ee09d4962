"""What exporter.web uses of uvicorn beyond its documented interface.

If one of these tests fails, a new uvicorn has changed it: adapt exporter.web.server and
exporter.web.connection, then the bound in pyproject.toml.
"""

import asyncio
import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

SERVER_METHODS = {
    "capture_signals": ["self"],
    "handle_exit": ["self", "sig", "frame"],
    "on_tick": ["self", "counter"],
    "run": ["self", "sockets"],
    "shutdown": ["self", "sockets"],
    "startup": ["self", "sockets"],
}
CONNECTION_METHODS = {
    "__init__": ["self", "config", "server_state", "app_state", "_loop"],
    "connection_lost": ["self", "exc"],
    "connection_made": ["self", "transport"],
    "data_received": ["self", "data"],
    "eof_received": ["self"],
    "handle_events": ["self"],
    "on_response_complete": ["self"],
    "send_400_response": ["self", "msg"],
    "shutdown": ["self"],
}


@pytest.mark.parametrize(("name", "parameters"), SERVER_METHODS.items())
def test_methods_of_the_server(name: str, parameters: list[str]) -> None:
    """The methods that are extended have these parameters."""
    assert parameters == list(inspect.signature(getattr(uvicorn.Server, name)).parameters)


@pytest.mark.parametrize(("name", "parameters"), CONNECTION_METHODS.items())
def test_methods_of_a_connection(name: str, parameters: list[str]) -> None:
    """The methods that are extended or called have these parameters."""
    assert parameters == list(inspect.signature(getattr(H11Protocol, name)).parameters)


def test_attributes_of_the_server() -> None:
    """A server has these attributes."""
    server = uvicorn.Server(uvicorn.Config("none"))

    assert {"config", "server_state", "should_exit", "started"} <= vars(server).keys()
    assert {"connections", "default_headers", "tasks"} <= vars(ServerState()).keys()


def test_attributes_of_a_connection() -> None:
    """A connection has these attributes, and no cycle before the first request."""

    async def attributes() -> dict[str, object]:
        """Return the attributes of a new connection."""
        config = uvicorn.Config(lambda: None, log_config=None)
        return vars(H11Protocol(config, ServerState(), {}))

    names = asyncio.run(attributes())

    assert {"client", "conn", "connections", "cycle", "logger", "loop", "transport"} <= set(names)
    assert names["cycle"] is None


def test_attributes_of_a_cycle() -> None:
    """What answers a request has these attributes."""
    source = inspect.getsource(RequestResponseCycle.__init__)

    assert [] == [
        name
        for name in ("disconnected", "message_event", "response_complete")
        if f"self.{name} =" not in source
    ]
