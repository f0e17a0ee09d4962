"""The number of requests that the exporter sends, counted at the simulated Sentry.

``python -m tests.docs.cost 5000`` prints the row of docs/cost.md for that many projects.
"""

import sys
from datetime import UTC, datetime
from typing import Final

from exporter.app import Exporter
from exporter.config import loads
from exporter.simulator import DEMO_TOKENS, Simulator, demo_world
from tests.support.clock import Clock
from tests.support.exporters import poll_due, unpaced

_CONFIGURATION: Final = """
organizations:
  - slug: {slug}
    url: {url}
    token: {token}
    queries:
      - name: outcomes
        groupBy: [category, outcome, reason]
        poll_interval: 5m
      - name: projects
        groupBy: [project, category, outcome, reason]
        poll_interval: {poll_interval}
"""

_BEGIN: Final = datetime(2026, 3, 5, 9, 37, tzinfo=UTC).timestamp()
_HOUR_BEGINS: Final = datetime(2026, 3, 5, 11, tzinfo=UTC).timestamp()
_HOUR_ENDS: Final = datetime(2026, 3, 5, 12, tzinfo=UTC).timestamp()
_MINUTE: Final = 60

ACME_PROJECTS: Final = 12


def requests_of(projects: int, poll_interval: str) -> tuple[int, int]:
    """Return the number of requests of the first polls, and of one hour of polls after them."""
    slug = "acme" if projects == ACME_PROJECTS else "globex"
    clock = Clock(_BEGIN)
    with Simulator(demo_world(_BEGIN, projects=projects), clock=clock, rate_limit=None) as sentry:
        text = _CONFIGURATION.format(
            slug=slug, url=sentry.url, token=DEMO_TOKENS[slug], poll_interval=poll_interval
        )
        exporter = Exporter(unpaced(loads(text)), clock=clock)
        poll_due(exporter, clock.now)
        first = len(sentry.requests)
        while clock.now < _HOUR_ENDS:
            clock.now += _MINUTE
            poll_due(exporter, clock.now)
        hour = [one for one in sentry.requests if _HOUR_BEGINS < one.time <= _HOUR_ENDS]
    return first, len(hour)


def row(projects: int) -> str:
    """Return the row of docs/cost.md for an organization with that many projects."""
    first, hourly = requests_of(projects, "1h")
    _, quarterly = requests_of(projects, "15m")
    return f"| {projects:,} | {first} | {hourly} | {quarterly} |"


if __name__ == "__main__":
    print(row(int(sys.argv[1])))  # noqa: T201 - it is a command
