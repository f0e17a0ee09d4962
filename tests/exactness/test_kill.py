"""``kill -9`` at any instant."""

import multiprocessing
import random
from collections import Counter
from contextlib import closing
from pathlib import Path

from exporter.app import Exporter
from exporter.collect.snapshot import Report
from exporter.config import Config
from exporter.simulator import DEMO_TOKENS, Simulator, demo_world
from exporter.state import State
from tests.exactness.acceleration import FastClock, SetClock, configuration

HOUR = 3600
START = 1_790_000_000 // HOUR * HOUR + 1800.0
KILLS = 200
SPEED = 300

QUERIES = (
    "{name: outcomes, groupBy: [category, outcome, reason], poll_interval: 5m}",
    "{name: projects, groupBy: [project, category, outcome], poll_interval: 5m}",
)


def acme(url: str) -> Config:
    """Return a configuration for the simulated Sentry at ``url``."""
    return configuration(url, DEMO_TOKENS["acme"], "acme", QUERIES)


def poll_for_ever(url: str, path: Path, clock: FastClock) -> None:
    """Poll without a pause, until killed."""
    exporter = Exporter(acme(url), clock=clock, state=State(path))
    while True:
        for query in exporter.queries:
            query.poll(clock())


def poll_out(config: Config, path: Path, now: float) -> list[Report]:
    """Poll until all is read, and long enough for every counter to be shown; return the reports."""
    with closing(State(path)) as state:
        exporter = Exporter(config, clock=lambda: now, state=state)
        for query in exporter.queries:
            while query.poll(now).next_poll <= now:
                pass
            query.heed(now + 200)
        return [query.report for query in exporter.queries]


def counted(report: Report) -> Counter[tuple[str, ...]]:
    """Return a query's counters by category and outcome, and by project if it has them."""
    total: Counter[tuple[str, ...]] = Counter()
    assert report.view is not None
    for series, value in (report.view.counters or {}).items():
        total[series.category, series.outcome] += value
    return +total


def test_two_hundred_kills_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    """After 200 kills at random instants the counters equal what Sentry's store gained."""
    picker = random.Random(9)
    clock = SetClock(START)
    path = tmp_path / "state"
    world = demo_world(START, seed=3)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        poll_out(acme(sentry.url), path, START)
        running = clock.run(SPEED)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["exporter.app", "tests.exactness.test_kill"])
        longest = 0.25
        for number in range(KILLS):
            victim = context.Process(target=poll_for_ever, args=(sentry.url, path, running))
            victim.start()
            victim.join(picker.uniform(0.01, longest))
            victim.kill()
            victim.join()
            victim.close()
            # On a slow machine victims need longer to get as far as a request at all.
            if len(sentry.requests) < 2 * number:
                longest = min(longest * 1.1, 2.0)
        end = clock.stop()
        assert KILLS < len(sentry.requests)
        reports = poll_out(acme(sentry.url), path, end)

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
