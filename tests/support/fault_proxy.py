"""A server before a simulated Sentry that breaks chosen requests, down to single bytes."""

import http.client
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Final, Literal

from exporter.simulator.application import Application
from exporter.simulator.messages import Answer, Request
from tests.support.scripted_server import Peer, ScriptedServer, reply
from tests.support.serving import free_port

Endpoint = Literal["stats_v2", "projects", "customers"]

ENDPOINTS: Final[tuple[Endpoint, ...]] = ("stats_v2", "projects", "customers")


@dataclass
class Exchange:
    """One request, the answer that it would have had, and its connection."""

    peer: Peer
    request: Request
    answer: Answer
    date: str
    closing: bool = False

    def send(self, data: bytes, *, close: bool = False) -> None:
        """Send ``data`` as it is, and close the connection afterwards if that is wanted."""
        self.closing = close
        with suppress(OSError):  # the client may have closed: it is what is tested
            self.peer.send(data)

    def reset(self) -> None:
        """Reset the connection."""
        self.peer.reset()
        self.closing = True

    def pour(self, data: bytes) -> None:
        """Send ``data`` again and again until the client closes."""
        with suppress(OSError):
            while True:
                self.peer.send(data)

    def bytes(self, body: bytes | None = None, *headers: str) -> bytes:
        """Return the answer as it is sent, with another ``body`` and more ``headers``."""
        status = self.answer.status
        reason = http.client.responses.get(status, "Unknown")
        own = [f"{name}: {text}" for name, text in self.answer.headers]
        return reply(
            self.answer.body if body is None else body,
            f"{status} {reason}",
            *(headers if any(one.startswith("Date") for one in headers) else (self.date, *headers)),
            *own,
        )

    def document(self) -> Any:
        """Return the decoded body of the answer."""
        return json.loads(self.answer.body)


Act = Callable[[Exchange], None]
"""What is done in place of an answer."""


@dataclass
class _Fault:
    """``act`` for the requests to ``endpoint`` after the first ``after``, ``times`` of them."""

    act: Act
    endpoint: Endpoint
    after: int
    times: float
    met: int = 0


@dataclass
class Host:
    """What a client meets before its request: a server that refuses, TLS, or a resolver.

    ``url`` returns its address; ``fail`` or ``recover`` is called before each request to it.
    """

    url: Callable[["FaultProxy"], str]
    fail: Callable[["FaultProxy"], None]
    recover: Callable[["FaultProxy"], None]


@dataclass
class FaultProxy:
    """Serves ``application``, and breaks the requests that a fault is about.

    ``asked`` counts the requests by endpoint since the last `count`. Pages of the projects list
    have ``page_size`` projects. With a ``host``, requests
    are broken before they are sent, and each of them has a connection of its own.
    """

    application: Application
    host: Host | None = None
    page_size: int = 100
    server: ScriptedServer = field(init=False)
    asked: dict[str, int] = field(default_factory=dict)
    _fault: _Fault | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        # Only with a port of its own can a server refuse connections for a time.
        self.server = ScriptedServer(self.script, port=free_port() if self.host else 0)

    def script(self, peer: Peer) -> None:
        """Answer the requests of a connection."""
        while head := peer.receive():
            exchange = self._exchange(peer, head)
            act = self._met(endpoint_of(exchange.request.path)) if self.host is None else None
            if act is None:
                self._answer(exchange)
            else:
                act(exchange)
            if exchange.closing:
                return

    def announce(self, url: str) -> None:
        """Note that a request to ``url`` is about to be sent: the host may be out of reach."""
        if self.host is not None:
            is_met = self._met(endpoint_of(url)) is not None
            (self.host.fail if is_met else self.host.recover)(self)

    def break_(
        self, act: Act, endpoint: Endpoint, *, after: int = 0, times: float = float("inf")
    ) -> None:
        """Break requests to ``endpoint``, ``times`` of them, but not the first ``after``."""
        self.count()
        self._fault = _Fault(act, endpoint, after, times)

    def mend(self) -> int:
        """Break no more requests; return how many were broken."""
        fault, self._fault = self._fault, None
        return fault.met if fault else 0

    def count(self) -> None:
        """Begin to count requests."""
        with self._lock:
            self.asked = dict.fromkeys(ENDPOINTS, 0)

    def _met(self, endpoint: Endpoint) -> Act | None:
        """Count a request, and return what is to be done with it if a fault is about it."""
        with self._lock:
            self.asked[endpoint] = position = self.asked.get(endpoint, 0) + 1
            fault = self._fault
            if fault is None or fault.endpoint != endpoint or position <= fault.after:
                return None
            if fault.met >= fault.times:
                return None
            fault.met += 1
            return fault.act

    def _exchange(self, peer: Peer, head: bytes) -> Exchange:
        size = f"per_page={self.page_size}"
        lines = head.decode("latin-1").replace("per_page=100", size).split("\r\n")
        method, target, _ = lines[0].split(" ")
        path, _, query = target.partition("?")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        request = Request(method, path, query, {name.lower(): text for name, text in pairs})
        date = formatdate(self.application.clock(), usegmt=True)
        return Exchange(peer, request, self.application.reply(request).answer, f"Date: {date}")

    def _answer(self, exchange: Exchange) -> None:
        if self.host is None:
            exchange.send(exchange.bytes())
        else:
            exchange.send(exchange.bytes(None, "Connection: close"), close=True)


def endpoint_of(path: str) -> Endpoint:
    """Return the endpoint that a path is about."""
    return next(one for one in ENDPOINTS if f"/{one}/" in path)
