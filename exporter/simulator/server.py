"""The simulated Sentry on a socket, with the means to spoil an answer on its way."""

import contextlib
import gzip
import http.client
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Final, Self

from exporter.simulator.application import Application, Reply
from exporter.simulator.deprecation import Deprecation
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.limits import STATS_LIMIT, RateLimit
from exporter.simulator.messages import Answer, Request
from exporter.simulator.release import CURRENT, Release
from exporter.simulator.store import Store
from exporter.simulator.world import World

MOST_REMEMBERED: Final = 50_000

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_WORTH_COMPRESSING: Final = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was made, and the status it got; 0 where it got none."""

    time: float
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    user_agent: str


class Simulator:
    """A simulated Sentry, serving from `start` to `stop` or as a context manager.

    ``clock`` returns epoch seconds and may be anything. ``latency`` seconds pass before each
    answer. ``rate_limit`` of ``None`` behaves like a self-hosted server. Without ``all_projects``
    it ignores this parameter of the projects list and gives pages. ``release`` is how old the
    server is: ``Release(22, 12)`` answers as 22.12 does. ``deprecations`` announce the end of
    endpoints. Port 0 takes a free one.
    """

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        row_limit: int = 10_000,
        rate_limit: RateLimit | None = STATS_LIMIT,
        all_projects: bool = True,
        release: Release = CURRENT,
        deprecations: Iterable[Deprecation] = (),
    ) -> None:
        self.world = world
        self.requests: list[Asked] = []
        self._stopping = threading.Event()
        self.application = Application(
            world,
            clock,
            self._stopping.wait,
            latency,
            row_limit,
            rate_limit,
            all_projects,
            release,
            list(deprecations),
        )
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(target=self._server.serve, name="simulator", daemon=True)

    @property
    def url(self) -> str:
        """Return where it listens, ``http://127.0.0.1:54321``."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    @property
    def store(self) -> Store:
        """Return the rows, and the truth about them."""
        return self.world.store

    @property
    def faults(self) -> Faults:
        """Return the faults in force."""
        return self.application.faults

    @property
    def deprecations(self) -> list[Deprecation]:
        """Return the announcements in force, which may be changed."""
        return self.application.deprecations

    @property
    def row_limit(self) -> int:
        """How many rows a store query returns at most."""
        return self.application.row_limit

    @row_limit.setter
    def row_limit(self, rows: int) -> None:
        self.application.row_limit = rows

    @property
    def latency(self) -> float:
        """How many seconds pass before each answer."""
        return self.application.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.application.latency = seconds

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at once: whatever is being answered is dropped."""
        self._stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.drop_connections()

    def remember(self, request: Request, user_agent: str, status: int) -> None:
        """Note what was asked, and forget the older half when there is too much of it."""
        if len(self.requests) >= MOST_REMEMBERED:
            del self.requests[: MOST_REMEMBERED // 2]
        query = request.parameters().pairs
        now = self.application.clock()
        self.requests.append(Asked(now, request.method, request.path, query, status, user_agent))

    def is_stopping(self, within: float) -> bool:
        """Wait up to ``within`` seconds, and return whether the simulator stops."""
        return self._stopping.wait(within)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _Server(ThreadingTCPServer):
    """Threads nobody waits for: a handler that hangs must not keep the simulator from stopping."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def serve(self) -> None:
        self.serve_forever(poll_interval=0.05)

    def verify_request(self, request: Any, _client_address: Any) -> bool:
        if self.simulator.faults.down:
            _reset(request)
            return False
        self._open.add(request)
        return True

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is no news to a server.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def serve(self) -> None:
        """Answer the request that was just parsed."""
        simulator = self.server.simulator
        request = self._request()
        if simulator.faults.down:
            self._reset()
            return
        reply = simulator.application.reply(request)
        simulator.remember(request, self.headers.get("User-Agent", ""), _status(reply))
        self._deliver(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet: `Simulator.requests` is the log."""

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        return Request(self.command, path, query, headers, body, str(self.client_address[0]))

    def _deliver(self, reply: Reply) -> None:
        head, body = self._serialize(reply.answer)
        match reply.fault:
            case Fault(kind="reset"):
                self._reset()
            case Fault(kind="hang"):
                self._hang()
            case Fault(kind="drip") as fault:
                self._drip(head + body, _whole_until(fault, head), fault.interval)
            case Fault(kind="cut"):
                self.wfile.write(head + body[: len(body) // 2])
                self.close_connection = True
            case _:
                self.wfile.write(head + body)

    def _serialize(self, answer: Answer) -> tuple[bytes, bytes]:
        dated = answer.with_headers((("Date", self._date()),))
        headers = [("Content-Type", answer.content_type), *dated.headers]
        body = answer.body
        accepted = self.headers.get("Accept-Encoding", "")
        if "gzip" in accepted and len(body) >= _WORTH_COMPRESSING:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        headers.append(("Connection", "close" if self.close_connection else "keep-alive"))
        reason = http.client.responses.get(answer.status, "Unknown")
        lines = [
            f"HTTP/1.1 {answer.status} {reason}",
            *(f"{name}: {text}" for name, text in headers),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head, b"" if self.command == "HEAD" else body

    def _date(self) -> str:
        return formatdate(self.server.simulator.application.clock(), usegmt=True)

    def _hang(self) -> None:
        self.close_connection = True
        while self.connection.recv(65536):
            pass

    def _drip(self, raw: bytes, whole: int, interval: float) -> None:
        self.wfile.write(raw[:whole])
        for position in range(whole, len(raw)):
            if self.server.simulator.is_stopping(interval):
                break
            self.wfile.write(raw[position : position + 1])

    def _reset(self) -> None:
        self.close_connection = True
        _reset(self.connection)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.close()


def _status(reply: Reply) -> int:
    unanswered = reply.fault is not None and reply.fault.kind in {"hang", "reset"}
    return 0 if unanswered else reply.answer.status


def _whole_until(fault: Fault, head: bytes) -> int:
    starts = {"status line": 0, "headers": head.index(b"\r\n") + 2, "body": len(head)}
    return starts[fault.part]
