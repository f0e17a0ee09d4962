"""A poll over the network, against the answers' latency and the processing of the same answers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench import replay
from bench.distribution import Distribution
from bench.pipeline import (
    NOW,
    Pipeline,
    Recording,
    as_served,
    configuration,
    networked,
    unpaced,
)
from bench.processes import Channel, result, timed, worker
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most
from exporter.config import Config
from exporter.simulator import SCALE_TOKEN

LATENCY: Final = 0.05
IN_FLIGHT: Final = 4
MOMENTS: Final = (NOW, NOW + 57 * 60)
"""Of a first poll, and of one that finds another running hour but needs no new projects list."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll: seconds over the network and without it, and the number of its requests."""

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
    config = configuration(url, organization="scale", token=SCALE_TOKEN, lookback="1h")
    config = unpaced(config, IN_FLIGHT)
    recording = Recording(config, SCALE_TOKEN)
    _polls(server, config, recording)
    parent.send([_polls(server, config, recording) for _ in range(rounds)])


def _polls(server: Channel, config: Config, recording: Recording) -> list[Poll]:
    """Poll at each of `MOMENTS`, over the network and without."""
    poll, alone = networked(config), Pipeline(recording, config)
    polls = []
    for moment in MOMENTS:
        recording.now = moment
        _set(server, moment)
        seconds = timed(partial(poll, moment))
        count = _set(server, moment)
        polls.append(Poll(seconds, timed(partial(alone.poll, moment)), count))
    return polls


def _set(server: Channel, moment: float) -> int:
    """Set the server's time, and return the number of its requests since that was last done."""
    server.send(moment)
    count: int = server.recv()
    return count


def _row(work: str, polls: Sequence[Poll]) -> Row:
    over_network = Distribution(tuple(poll.networked for poll in polls))
    least = Distribution(tuple(poll.least for poll in polls))
    figure = over_network.median / least.median
    return Row(work, over_network, least, MILLISECONDS, figure, at_most(1.3))
