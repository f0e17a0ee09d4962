"""The counters in a real Prometheus, over an outage, a restart and late rows."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter.app import Exporter
from exporter.categories import Unit, unit_of
from exporter.config import Config
from exporter.simulator import Row, Simulator, demo_world
from exporter.state import State
from exporter.web.address import Address
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.exporters import poll_all
from tests.support.programs import TIMEOUT, wait_until
from tests.support.prometheus import Prometheus, prometheus, scraping
from tests.support.serving import free_port, serving

HOUR = 3600
START = 1_790_000_000 // HOUR * HOUR + 2400.0
SPEED = 90
"""Slow enough that a new counter's grace period is longer than a scrape interval."""

PROJECT = 4_505_123_000_000_002

QUERIES = (
    {**OUTCOMES, "poll_interval": "5m"},
    {**PROJECTS, "poll_interval": "5m"},
)

COUNTERS = "sentry_stats_events_total"
LABELS = ("query", "category", "outcome", "reason", "project")


@contextmanager
def exporting(config: Config, clock: Clock, path: Path, port: int) -> Iterator[Exporter]:
    """Run an exporter with its loop and its page."""
    with closing(State(path)) as state:
        exporter = Exporter(config, clock=clock, state=state)
        poll_all(exporter, clock())
        thread = threading.Thread(target=exporter.loop.run)
        with serving(exporter, Address("127.0.0.1", port)):
            thread.start()
            try:
                yield exporter
            finally:
                exporter.loop.stop()
                thread.join(TIMEOUT)
                wait_until(exporter.loop.idle)


def labels_of(metric: dict[str, str]) -> tuple[str, ...]:
    """Return the data labels of a series."""
    return tuple(metric.get(label, "") for label in LABELS)


def on_page(port: int) -> dict[tuple[str, ...], float]:
    """Return the counters of the page."""
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT).text
    return {
        tuple(sample.labels[label] for label in LABELS): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == COUNTERS
    }


def pass_until(clock: Clock, moment: float) -> None:
    """Wait until ``clock`` shows ``moment``."""
    never = threading.Event()
    while clock() < moment:
        never.wait(0.05)


def stopped(exporter: Exporter, clock: Clock) -> float:
    """Stop the clock, poll once more, end all grace periods, and return the time."""
    end = clock.stop()
    wait_until(exporter.loop.idle)
    for query in exporter.queries:
        query.poll(end)
        query.refresh(end + 130)
    return end


def counted(reader: Prometheus, port: int) -> dict[tuple[str, ...], float]:
    """Return the counters in Prometheus once it has scraped the current page."""
    wait_until(lambda: reader.values(COUNTERS, labels_of) == on_page(port))
    return reader.values(COUNTERS, labels_of)


def gained(sentry: Simulator, end: float) -> dict[tuple[str, ...], int]:
    """Return the increase of the store until ``end``, for categories counted in events."""
    hours = int(START) - 24 * HOUR, int(end) + HOUR
    labels = ("category", "outcome", "reason")
    now, then = (sentry.store.totals(1, *hours, at=at, group_by=labels) for at in (end, START))
    gains = Counter({tuple(map(str, key)): value for key, value in now.items()})
    gains.subtract({tuple(map(str, key)): value for key, value in then.items()})
    return {key: value for key, value in (+gains).items() if unit_of(key[0]) is Unit.EVENTS}


def summed(gains: dict[tuple[str, ...], float], query: str) -> dict[tuple[str, ...], float]:
    """Return the increases of ``query``, summed over projects."""
    total: Counter[tuple[str, ...]] = Counter()
    for (of, *labels, _), gain in gains.items():
        if of == query:
            total[tuple(labels)] += int(gain)
    return dict(total)


@pytest.mark.programs
def test_differences_are_exact_and_increase_agrees(tmp_path: Path) -> None:
    """An outage, a restart and late rows lose no event and count none twice."""
    clock = Clock(START)
    port = free_port()
    world = demo_world(START, seed=5)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, organization(*QUERIES))
        path = tmp_path / "state"
        with prometheus(tmp_path, configuration=scraping(f"127.0.0.1:{port}")) as reader:
            with exporting(config, clock, path, port):
                wait_until(lambda: bool(reader.instant(COUNTERS)))
                before = reader.values(COUNTERS, labels_of)
                clock.run(SPEED)
                pass_until(clock, START + 15 * 60)
                late = START - 5 * HOUR
                world.add_rows(
                    Row(1, PROJECT, "error", "accepted", None, late, 1000, written_at=clock()),
                    Row(
                        1, PROJECT, "replay", "invalid", "never-seen", late, 77, written_at=clock()
                    ),
                )
                pass_until(clock, START + 30 * 60)
                sentry.faults.down = True
                pass_until(clock, START + 45 * 60)
            sentry.faults.down = False
            with exporting(config, clock, path, port) as exporter:
                pass_until(clock, START + 65 * 60)
                end = stopped(exporter, clock)
                after = counted(reader, port)
                increases = reader.values(f"increase({COUNTERS}[5m])", labels_of)
                lost = reader.values(f"resets({COUNTERS}[5m]) > 0", labels_of)

        truth = gained(sentry, end)
    gains = {
        labels: value - before.get(labels, 0)
        for labels, value in after.items()
        if value != before.get(labels, 0)
    }
    assert truth == summed(gains, "outcomes")
    assert truth == summed(gains, "projects")
    assert {} == lost
    for labels, gain in gains.items():
        assert increases[labels] == pytest.approx(gain, rel=0.03, abs=1)


@pytest.mark.programs
def test_a_rename_and_a_take_over(tmp_path: Path) -> None:
    """A rename changes whose counter increases, but not the sum, and resets no counter."""
    clock = Clock(START)
    port = free_port()
    world = demo_world(START, seed=7)
    renamed, replaced, taking_over = (project.id for project in world.active_projects(1)[:3])
    slug = next(project.slug for project in world.active_projects(1) if project.id == replaced)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, organization(*QUERIES))
        with (
            prometheus(tmp_path, configuration=scraping(f"127.0.0.1:{port}")) as reader,
            exporting(config, clock, tmp_path / "state", port) as exporter,
        ):
            wait_until(lambda: bool(reader.instant(COUNTERS)))
            before = reader.values(COUNTERS, labels_of)
            clock.run(SPEED)
            pass_until(clock, START + 20 * 60)
            world.rename_projects({renamed: "renamed", replaced: "replaced", taking_over: slug})
            # The projects list is read once an hour.
            pass_until(clock, START + 80 * 60)
            end = stopped(exporter, clock)
            after = counted(reader, port)
            increases = reader.values(f"increase({COUNTERS}[5m])", labels_of)
            lost = reader.values(f"resets({COUNTERS}[5m]) > 0", labels_of)

        truth = gained(sentry, end)
    gains = {labels: value - before.get(labels, 0) for labels, value in after.items()}
    by_project = [increase for labels, increase in increases.items() if labels[0] == "projects"]
    grown = {labels[-1] for labels, gain in gains.items() if labels[0] == "projects" and gain}
    assert truth == {labels: gain for labels, gain in summed(gains, "projects").items() if gain}
    assert {"renamed", "replaced", slug} <= grown
    assert {} == lost
    assert sum(by_project) == pytest.approx(sum(truth.values()), rel=0.03)
