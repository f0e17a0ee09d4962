"""The simulated Sentry with its answers recorded: every request takes the same set time.

The simulator itself takes longer to make a large answer than a small one. A replayed answer takes
the latency and nothing else.
"""

import gzip
import threading
from http import HTTPStatus
from typing import Final

from bench.processes import Channel
from bench.upstream import Answer, listen
from exporter.simulator import Simulator, scale_world
from exporter.simulator.messages import Request

_COMPRESSION: Final = 1
"""The simulator's own."""


class Replay:
    """Answers as a simulated organization with so many projects gives them at the moment ``now``.

    ``count`` is the number of requests.
    """

    def __init__(self, projects: int, latency: float) -> None:
        self.now = 0.0
        self.count = 0
        self._latency = latency
        self._sentry = Simulator(scale_world(projects), clock=lambda: self.now, rate_limit=None)
        self._answers: dict[tuple[float, str], Answer] = {}

    def answer(self, target: str, authorization: str) -> Answer:
        """Return after the latency what is recorded for a path with its query string."""
        threading.Event().wait(self._latency)
        self.count += 1
        key = self.now, target
        if key not in self._answers:
            self._answers[key] = self._recorded(target, authorization)
        return self._answers[key]

    def _recorded(self, target: str, authorization: str) -> Answer:
        path, _, query = target.partition("?")
        request = Request("GET", path, query, {"authorization": authorization})
        answer = self._sentry.application.reply(request).answer
        if answer.status != HTTPStatus.OK:
            raise LookupError(f"{target} is answered with {answer.status}")
        headers = ("Content-Encoding", "gzip"), ("Link", dict(answer.headers).get("Link", ""))
        return Answer(gzip.compress(answer.body, _COMPRESSION), headers)


def serve(parent: Channel, projects: int, latency: float) -> None:
    """Serve replays, each answer ``latency`` seconds after its request; send the port.

    For each moment that comes in, set the time to it, and send the number of requests since.
    """
    replay = Replay(projects, latency)
    parent.send(listen(replay.answer))
    while True:
        replay.now = parent.recv()
        parent.send(replay.count)
        replay.count = 0
