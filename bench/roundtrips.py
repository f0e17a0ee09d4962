"""A poll over the network, against the answers' latency and the processing of the same answers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import requests

from bench import replay
from bench.distribution import Distribution
from bench.pipeline import NOW, Pipeline, as_served, configuration, poll_whole
from bench.processes import Channel, result, timed, worker
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most
from exporter.app import Exporter, clients
from exporter.collect.plan.core import Reply
from exporter.config import Config
from exporter.publish.self_metrics import OwnMetrics
from exporter.sentry.answer import parse
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question
from exporter.simulator import SCALE_TOKEN

LATENCY: Final = 0.05
IN_FLIGHT: Final = 4
MOMENTS: Final = (NOW, NOW + 57 * 60)
"""Of a first poll, and of one that finds another running hour but needs no new projects list."""

_UNHURRIED: Final = 10_000.0
_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll: seconds over the network and without it, and the requests that it took."""

    networked: float
    processing: float
    requests: int

    @property
    def least(self) -> float:
        """The seconds that it takes at least, with nothing overlapping."""
        return math.ceil(self.requests / IN_FLIGHT) * LATENCY + self.processing


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for the first poll, which reads the projects list too, and one for the next."""
    with worker(replay.serve, sizes.projects, LATENCY) as server:
        url = f"http://127.0.0.1:{server.recv()}"
        rounds: list[list[Poll]] = result(poll_in_turns, server, url, sizes.polls)
    for which, polls in zip(("first", "next"), zip(*rounds, strict=True), strict=True):
        work = f"{which} poll of {sizes.projects:,} projects, {polls[0].requests} requests"
        yield _row(work, polls)


def poll_in_turns(parent: Channel, server: Channel, url: str, rounds: int) -> None:
    """Send the polls of each round, after one that makes the server's answers."""
    as_served()
    config = _configuration(url)
    memory = Memory(config)
    _polls(server, config, memory)
    parent.send([_polls(server, config, memory) for _ in range(rounds)])


class Memory:
    """Answers as Sentry did when it was first asked the same at the moment ``now``."""

    clock_skew: float | None = None

    def __init__(self, config: Config) -> None:
        self.now = 0.0
        self._config = config
        self._bodies: dict[tuple[float, Question], bytes] = {}
        self._projects: ProjectList | None = None

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the answers in the order of the questions."""
        return [parse(self._body(question), question) for question in questions]

    def credentials(self) -> None:
        """Need no token: whatever is asked was answered before."""

    def projects(self) -> ProjectList:
        """Return all projects of the organization."""
        if self._projects is None:
            (client,) = clients(self._config, OwnMetrics().meter).values()
            self._projects = client.projects()
        return self._projects

    def _body(self, question: Question) -> bytes:
        key = self.now, question
        if key not in self._bodies:
            self._bodies[key] = self._asked(question)
        return self._bodies[key]

    def _asked(self, question: Question) -> bytes:
        (organization,) = self._config.organizations
        url = f"{organization.url}/api/0/organizations/{organization.slug}/stats_v2/"
        headers = {"Authorization": f"Bearer {SCALE_TOKEN}"}
        answer = requests.get(url, question.parameters(), headers=headers, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.content


def _configuration(url: str) -> Config:
    config = configuration(url, organization="scale", token=SCALE_TOKEN, lookback="1h")
    unpaced = [
        replace(one, requests_per_second=_UNHURRIED, max_concurrency=IN_FLIGHT)
        for one in config.organizations
    ]
    return replace(config, organizations=tuple(unpaced))


def _polls(server: Channel, config: Config, memory: Memory) -> list[Poll]:
    """Poll at each of `MOMENTS`, over the network and without."""
    (networked,) = Exporter(config).queries
    alone = Pipeline(memory, config)
    polls = []
    for moment in MOMENTS:
        memory.now = moment
        _set(server, moment)
        seconds = timed(partial(poll_whole, networked, moment))
        asked = _set(server, moment)
        polls.append(Poll(seconds, timed(partial(alone.poll, moment)), asked))
    return polls


def _set(server: Channel, moment: float) -> int:
    """Set the server's time, and return how many requests it has had since that was last done."""
    server.send(moment)
    asked: int = server.recv()
    return asked


def _row(work: str, polls: Sequence[Poll]) -> Row:
    networked = Distribution(tuple(poll.networked for poll in polls))
    least = Distribution(tuple(poll.least for poll in polls))
    figure = networked.median / least.median
    return Row(work, networked, least, MILLISECONDS, figure, at_most(1.3))
