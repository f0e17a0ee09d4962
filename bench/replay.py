"""The simulated Sentry with a memory: whatever it is asked again takes the same set time.

The simulator itself takes longer over a large answer than over a small one; a replayed answer
takes the latency and nothing else.
"""

import gzip
import threading
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from bench.processes import Channel
from exporter.simulator import Simulator, scale_world
from exporter.simulator.messages import Request

_COMPRESSION: Final = 1
"""The simulator's own."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer: its body, compressed, and its ``Link`` header."""

    body: bytes
    link: str


class Replay:
    """Answers as a simulated organization with so many projects gives them at the moment ``now``.

    ``asked`` counts the requests.
    """

    def __init__(self, projects: int) -> None:
        self.now = 0.0
        self.asked = 0
        self._sentry = Simulator(scale_world(projects), clock=lambda: self.now, rate_limit=None)
        self._answers: dict[tuple[float, str], Recorded] = {}

    def answer(self, target: str, authorization: str) -> Recorded:
        """Return what is recorded for a path with its query string, or record it."""
        self.asked += 1
        key = self.now, target
        if key not in self._answers:
            self._answers[key] = self._record(target, authorization)
        return self._answers[key]

    def _record(self, target: str, authorization: str) -> Recorded:
        path, _, query = target.partition("?")
        request = Request("GET", path, query, {"authorization": authorization})
        answer = self._sentry.application.reply(request).answer
        if answer.status != HTTPStatus.OK:
            raise LookupError(f"{target} is answered with {answer.status}")
        return Recorded(
            gzip.compress(answer.body, _COMPRESSION), dict(answer.headers).get("Link", "")
        )


def serve(parent: Channel, projects: int, latency: float) -> None:
    """Serve replays, each answer ``latency`` seconds after its request; send the port.

    For each moment that comes in, time is set to it, and the number of requests since is sent.
    """
    replay = Replay(projects)
    server = _Server(("127.0.0.1", 0), partial(_Handler, replay, latency))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    parent.send(server.server_port)
    while True:
        replay.now = parent.recv()
        parent.send(replay.asked)
        replay.asked = 0


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, replay: Replay, latency: float, *connection: Any) -> None:
        self._replay = replay
        self._pause = partial(threading.Event().wait, latency)
        super().__init__(*connection)

    def do_GET(self) -> None:
        """Answer as recorded, after the pause."""
        self._pause()
        answer = self._replay.answer(self.path, self.headers["Authorization"])
        self.send_response(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", str(len(answer.body))),
            ("Link", answer.link),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""
