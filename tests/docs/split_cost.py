"""The number of requests for a large organization by project, counted at the simulated Sentry.

``python -m tests.docs.split_cost 3000 5 0`` prints the row of docs/cost.md for 3,000 projects, of
which 5 % are deleted and none is hidden from the token.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from exporter.app import Exporter
from exporter.config import loads
from exporter.simulator import (
    SCALE_TOKEN,
    SCALE_USER_TOKEN,
    RecordedRequest,
    Simulator,
    scale_world,
)
from tests.support.clock import Clock
from tests.support.exporters import poll_due, unpaced

ROWS: Final = 20
"""Rows of each project in an hour."""

_HOUR: Final = 3600
_BEGIN: Final = 1_790_000_000 // _HOUR * _HOUR + 300.0
_CONFIGURATION: Final = """
organizations:
  - slug: scale
    url: {url}
    token: {token}
    queries:
      - name: projects
        groupBy: [project, category, outcome, reason]
        lookback: 1h
"""


@dataclass(frozen=True)
class Polled:
    """The cost of one poll: requests, hours asked for by project, and the longest URL."""

    requests: int
    hours: int
    longest_url: int


def polled(projects: int, deleted: int = 0, hidden: int = 0) -> tuple[Polled, Polled, Polled]:
    """Return the cost of the first poll, of the one an hour later, and of one after a day's outage.

    ``deleted`` and ``hidden`` are percentages of the projects. Each has `ROWS` rows per hour.
    """
    clock = Clock(_BEGIN)
    world = scale_world(projects, ROWS, deleted=deleted / 100, hidden=hidden / 100)
    token = SCALE_USER_TOKEN if hidden else SCALE_TOKEN
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = loads(_CONFIGURATION.format(url=sentry.url, token=token))
        exporter = Exporter(unpaced(config), clock=clock)
        polls = []
        for hour in (0, 1, 25):
            clock.now = _BEGIN + hour * _HOUR
            before = len(sentry.requests)
            poll_due(exporter, clock.now)
            asked = sentry.requests[before:]
            longest = max(len(f"{sentry.url}{one.path}?{urlencode(one.query)}") for one in asked)
            polls.append(Polled(len(asked), _hours(asked), longest))
    (query,) = exporter.queries
    assert query.report.up
    assert query.report.view is not None
    assert query.report.view.complete
    first, second, after_outage = polls
    return first, second, after_outage


def row(projects: int, deleted: int, hidden: int, polls: Sequence[Polled]) -> str:
    """Return the row of docs/cost.md about ``polls``."""
    gone = f"{deleted} % deleted" if deleted else f"{hidden} % hidden" if hidden else "none"
    counts = " | ".join(f"{one.requests:,}" for one in polls)
    return f"| {projects:,} | {gone} | {counts} |"


def _hours(asked: list[RecordedRequest]) -> int:
    by_project = (dict(one.query) for one in asked if ("groupBy", "project") in one.query)
    return len({question["start"] for question in by_project})


if __name__ == "__main__":
    size, gone, unseen = (int(number) for number in sys.argv[1:])
    print(row(size, gone, unseen, polled(size, gone, unseen)))  # noqa: T201 - it is a command
