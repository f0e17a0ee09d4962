"""What reading a large organization by project costs Sentry, counted at the simulated one.

``python -m tests.docs.split_cost 3000 5 0`` prints the row of README's table for 3,000 projects of
which 5 % are deleted and none is hidden from the token.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from exporter.app import Exporter
from exporter.config import loads
from exporter.simulator import SCALE_TOKEN, SCALE_USER_TOKEN, Asked, Simulator, scale_world
from tests.docs.clock import Clock, poll_due, unpaced

ROWS: Final = 20
"""How many rows each project has in an hour."""

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
    """What polling at one moment took: requests, hours that were asked for by project, URLs."""

    requests: int
    hours: int
    longest_url: int


def polled(projects: int, deleted: int = 0, hidden: int = 0) -> tuple[Polled, Polled, Polled]:
    """Return what the first poll takes, the one an hour later, and one after a day's outage.

    ``deleted`` and ``hidden`` are percentages of the projects, which have `ROWS` rows an hour each.
    """
    clock = Clock(_BEGIN)
    world = scale_world(projects, ROWS, deleted=deleted / 100, hidden=hidden / 100)
    token = SCALE_USER_TOKEN if hidden else SCALE_TOKEN
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = loads(_CONFIGURATION.format(url=sentry.url, token=token))
        exporter = Exporter(unpaced(config), clock=clock)
        found = []
        for moment in (0, 1, 25):
            clock.now = _BEGIN + moment * _HOUR
            before = len(sentry.requests)
            poll_due(exporter, clock.now)
            asked = sentry.requests[before:]
            longest = max(len(f"{sentry.url}{one.path}?{urlencode(one.query)}") for one in asked)
            found.append(Polled(len(asked), _hours(asked), longest))
    (query,) = exporter.queries
    assert query.report.up
    assert query.report.view is not None
    assert query.report.view.complete
    first, then, late = found
    return first, then, late


def row(projects: int, deleted: int, hidden: int, polls: Sequence[Polled]) -> str:
    """Return the row of README's table about ``polls``."""
    gone = f"{deleted} % deleted" if deleted else f"{hidden} % hidden" if hidden else "none"
    counts = " | ".join(f"{one.requests:,}" for one in polls)
    return f"| {projects:,} | {gone} | {counts} |"


def _hours(asked: list[Asked]) -> int:
    by_project = (dict(one.query) for one in asked if ("groupBy", "project") in one.query)
    return len({question["start"] for question in by_project})


if __name__ == "__main__":
    size, gone, unseen = (int(number) for number in sys.argv[1:])
    print(row(size, gone, unseen, polled(size, gone, unseen)))  # noqa: T201 - it is a command
