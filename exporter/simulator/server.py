"""The simulated Sentry: an HTTP server in a thread, and the requests that it received."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from exporter.simulator.application import Application
from exporter.simulator.deprecation import Deprecation
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.http_server import Server
from exporter.simulator.limits import STATS_LIMIT, RateLimit
from exporter.simulator.messages import Request
from exporter.simulator.release import CURRENT, Release
from exporter.simulator.store import Store
from exporter.simulator.world import World

MAX_RECORDED_REQUESTS: Final = 50_000


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that was received, and the status of its answer; 0 if it got none."""

    time: float
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    user_agent: str


class Simulator:
    """A simulated Sentry, which serves from `start` to `stop`, or as a context manager.

    ``clock`` returns epoch seconds and may return any time. ``port`` 0 takes a free port.
    ``latency`` seconds pass before each answer. ``row_limit`` is the maximum number of rows of a
    store query. A ``rate_limit`` of ``None`` simulates a self-hosted server. Without
    ``all_projects``, the query parameter of that name is ignored, and the projects list has pages.
    ``release`` is the simulated release: ``Release(22, 12)`` answers as Sentry 22.12.
    ``deprecations`` are announced in the answers of their endpoints. ``faults`` are active from the
    start.
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
        faults: Iterable[Fault] = (),
    ) -> None:
        self.world = world
        self.requests: list[RecordedRequest] = []
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
        for fault in faults:
            self.application.faults.add(fault)
        self._server = Server((host, port), self.application, self._stopping, self._record)
        self._thread = threading.Thread(target=self._server.serve, name="simulator", daemon=True)

    @property
    def url(self) -> str:
        """Return the base URL, such as ``http://127.0.0.1:54321``."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    @property
    def store(self) -> Store:
        """Return the store, which has the rows and their true sums."""
        return self.world.store

    @property
    def faults(self) -> Faults:
        """Return the active faults."""
        return self.application.faults

    @property
    def deprecations(self) -> list[Deprecation]:
        """Return the active announcements; the list may be changed."""
        return self.application.deprecations

    @property
    def row_limit(self) -> int:
        """Return the maximum number of rows of a store query."""
        return self.application.row_limit

    @row_limit.setter
    def row_limit(self, rows: int) -> None:
        self.application.row_limit = rows

    @property
    def latency(self) -> float:
        """Return how many seconds pass before each answer."""
        return self.application.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.application.latency = seconds

    def start(self) -> None:
        """Start to serve, in a separate thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at once, and close all connections."""
        # First, as it wakes the threads that wait for a latency or drip.
        self._stopping.set()
        # Without a running serve_forever, shutdown would wait forever.
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.drop_connections()

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

    def _record(self, request: Request, status: int) -> None:
        # The older half is dropped, so that a simulator that runs for days needs no more memory.
        if len(self.requests) >= MAX_RECORDED_REQUESTS:
            del self.requests[: MAX_RECORDED_REQUESTS // 2]
        self.requests.append(
            RecordedRequest(
                self.application.clock(),
                request.method,
                request.path,
                request.parameters().pairs,
                status,
                request.headers.get("user-agent", ""),
            )
        )
