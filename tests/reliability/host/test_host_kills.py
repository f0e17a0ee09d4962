"""Kills at any instant, with ``SIGKILL``."""

import multiprocessing
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from exporter.app import Exporter
from exporter.collect.series import totals
from exporter.collect.snapshot import Report
from exporter.config import Config
from exporter.simulator import Simulator, demo_world
from exporter.state import State
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, configuration, organization
from tests.support.exporters import poll_all

HOUR = 3600
START = 1_790_000_000 // HOUR * HOUR + 1800.0
KILLS = 200
SPEED = 300

QUERIES = (
    {**OUTCOMES, "poll_interval": "5m"},
    {
        "name": "projects",
        "groupBy": ["project", "category", "outcome"],
        "poll_interval": "5m",
    },
)


def acme(url: str) -> Config:
    """Return a configuration for the simulated Sentry at ``url``."""
    return configuration(url, organization(*QUERIES))


def poll_forever(url: str, path: Path, clock: Clock) -> None:
    """Poll without a pause, until killed."""
    exporter = Exporter(acme(url), clock=clock, state=State(path))
    while True:
        for query in exporter.queries:
            query.poll(clock())


def reports_at(config: Config, path: Path, now: float) -> list[Report]:
    """Poll until the lookback has been read and the grace period is over; return the reports."""
    with closing(State(path)) as state:
        exporter = Exporter(config, clock=lambda: now, state=state)
        poll_all(exporter, now)
        for query in exporter.queries:
            query.refresh(now + 200)
        return [query.report for query in exporter.queries]


def counted(report: Report) -> Counter[tuple[str, ...]]:
    """Return a query's counters by category and outcome."""
    total: Counter[tuple[str, ...]] = Counter()
    assert report.view is not None
    for series, value in totals(report.view.counters or {}).items():
        total[series.category, series.outcome] += value
    return +total


def test_kills(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """After 200 kills, the counters equal the increase of Sentry's store."""
    picker = random.Random(9)
    clock = Clock(START)
    path = tmp_path / "state"
    world = demo_world(START, seed=3)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        reports_at(acme(sentry.url), path, START)
        clock.run(SPEED)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["exporter.app", "tests.reliability.host.test_host_kills"])
        max_lifetime = 0.25
        for number in range(KILLS):
            victim = context.Process(target=poll_forever, args=(sentry.url, path, clock))
            victim.start()
            victim.join(picker.uniform(0.01, max_lifetime))
            victim.kill()
            victim.join()
            victim.close()
            # On a slow machine, processes need more time to send their first request.
            if len(sentry.requests) < 2 * number:
                max_lifetime = min(max_lifetime * 1.1, 2.0)
        end = clock.stop()
        assert KILLS < len(sentry.requests)
        reports = reports_at(acme(sentry.url), path, end)

        truth = Counter(
            sentry.store.totals(
                1, int(START) - 86400, int(end) + HOUR, at=end, group_by=("category", "outcome")
            )
        ) - Counter(
            sentry.store.totals(
                1, int(START) - 86400, int(end) + HOUR, at=START, group_by=("category", "outcome")
            )
        )
    for report in reports:
        assert truth == counted(report)
    tried("faults of the host", KILLS)
