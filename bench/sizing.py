"""What an exporter needs for organizations of different sizes: the table of docs/sizing.md.

``python -m bench.sizing`` prints a row for each number of projects. A process of ``serve``, with
the two queries of all example configurations and a state file, reads the simulated Sentry for
three hours of its clock.
"""

import gzip
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from bench.served import Served, samples_of, serving
from bench.trees import ROOT, Tree
from exporter.simulator import SCALE_TOKEN, Simulator, scale_world
from tests.support.clock import Clock

SIZES: Final = (12, 150, 1_000, 5_000, 20_000)
ROWS: Final = 5
"""Rows of each project in an hour."""

_HOUR: Final = 3600
_POLL: Final = 300
_BEGIN: Final = 1_790_000_000 // _HOUR * _HOUR + 600.0
_HOURS: Final = 3
_CONFIGURATION: Final = """
organizations:
  - slug: scale
    url: {url}
    token: {token}
    requests_per_second: 20
    queries:
      - {{name: outcomes, groupBy: [category, outcome, reason], poll_interval: 5m}}
      - {{name: projects, groupBy: [project, category, outcome, reason], poll_interval: 15m}}
"""


def row(projects: int, folder: Path) -> str:
    """Return what so many projects need, as a row of the table."""
    clock = Clock(_BEGIN)
    world = scale_world(projects, ROWS)
    state = folder / "state"
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        text = _CONFIGURATION.format(url=sentry.url, token=SCALE_TOKEN)
        tree = Tree(ROOT, sys.executable, folder / "bytecode")
        with serving(tree, folder / "serve", text, state=state, now=clock.now) as served:
            served.wait_until(lambda: _is_polled(served, clock.now))
            for _ in range((_HOURS - 1) * _HOUR // _POLL):
                _advance(served, clock)
            requests, used = len(sentry.requests), served.processor()
            for _ in range(_HOUR // _POLL):
                _advance(served, clock)
            page = served.page()
            series = sum(1 for line in page.splitlines() if line and not line.startswith(b"#"))
            cells: Sequence[object] = (
                f"{projects:,}",
                f"{series:,}",
                f"{len(page) / 1e6:,.1f} MB",
                f"{len(gzip.compress(page, 6)) / 1e6:,.2f} MB",
                f"{served.resident() / 1e6:,.0f} MB",
                f"{sum(one.stat().st_size for one in folder.glob('state*')) / 1e6:,.1f} MB",
                f"{len(sentry.requests) - requests:,}",
                f"{served.processor() - used:,.1f} s",
            )
            return f"| {' | '.join(map(str, cells))} |"


def _advance(served: Served, clock: Clock) -> None:
    """Let five minutes pass, and wait for the polls."""
    clock.now += _POLL
    served.set_clock(clock.now)
    served.wait_until(lambda: _is_polled(served, clock.now))


def _is_polled(served: Served, now: float) -> bool:
    """Return whether nothing is due at ``now``."""
    due = samples_of(served.page(), "sentry_stats_next_poll_timestamp_seconds")
    return min(due, default=0) > now


def rows(sizes: Sequence[int]) -> Iterator[str]:
    """Yield the rows of all ``sizes``."""
    for projects in sizes:
        with TemporaryDirectory() as folder:
            yield row(projects, Path(folder))


if __name__ == "__main__":
    for line in rows([int(one) for one in sys.argv[1:]] or SIZES):
        click.echo(line)
