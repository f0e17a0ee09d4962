"""Counters: their start, the first value of new series, and the effect of late data."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from exporter.app import Exporter
from exporter.simulator import Organization, Project, Row, Simulator, Token, World, demo_world
from tests.end_to_end.exposition import Samples, data, data_sample, sample
from tests.end_to_end.stage import moment, page, polled, truths
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization

NOW = moment("2026-06-10T12:07:00Z")
LAST_HOUR = NOW - 3600
ACCEPTED = ("acme", "outcomes", "error", "accepted", "none", "")
FILTERED = ("acme", "outcomes", "error", "filtered", "web-crawlers", "")


@dataclass
class Stage:
    """An exporter with one query that is polled every five minutes."""

    world: World
    clock: Clock
    exporter: Exporter

    def poll(self) -> Samples:
        """Poll, and return the page."""
        return polled(self.exporter, self.clock.now)

    def wait(self, seconds: float) -> Samples:
        """Let time pass without a poll, and return the page."""
        self.clock.now += seconds
        (query,) = self.exporter.queries
        query.refresh(self.clock.now)
        return page(self.exporter)

    def store(self, labels: tuple[str, ...], quantity: int, timestamp: float) -> None:
        """Add rows that arrive now, with another timestamp."""
        _, _, category, outcome, reason, _ = labels
        stored = None if reason == "none" else reason
        self.world.add_rows(
            Row(1, 11, category, outcome, stored, timestamp, quantity, written_at=self.clock.now)
        )


@pytest.fixture
def world() -> World:
    """Return one organization with one project and no events."""
    return World(
        [Organization(1, "acme")],
        [Project(11, 1, "web")],
        tokens=[Token("demo-token-acme", organization=1)],
    )


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    """Store errors of the last hour and of the running hour, and poll for the first time."""
    clock = Clock(NOW)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        query = {**OUTCOMES, "poll_interval": "5m"}
        config = configuration(sentry.url, organization(query))
        stage = Stage(world, clock, Exporter(config, clock=clock))
        stage.store(ACCEPTED, 40, LAST_HOUR)
        stage.store(ACCEPTED, 2, NOW)
        stage.poll()
        yield stage


def events(samples: Samples, labels: tuple[str, ...] = ACCEPTED) -> float:
    """Return the counter of a series."""
    return samples[data_sample("sentry_stats_events_total", *labels)]


def last_bucket(samples: Samples) -> float:
    """Return the gauge of the finished bucket."""
    return samples[data_sample("sentry_stats_bucket_events", *ACCEPTED)]


def revisions(samples: Samples) -> float:
    """Return how many finished values have increased."""
    return samples[sample("sentry_stats_revisions_total", organization="acme", query="outcomes")]


def test_counters_start_at_zero(stage: Stage) -> None:
    """Events from before the first poll are in the gauge, but not in the counter."""
    samples = page(stage.exporter)

    assert (0, 40) == (events(samples), last_bucket(samples))


def test_counters_increase_by_new_events(stage: Stage) -> None:
    """Events of the running hour are counted at the next poll."""
    stage.clock.now += 300
    stage.store(ACCEPTED, 5, stage.clock.now)

    assert 5 == events(stage.poll())


def test_nothing_is_counted_twice(stage: Stage) -> None:
    """A poll without new events does not change a counter."""
    stage.store(ACCEPTED, 5, stage.clock.now)
    stage.poll()
    stage.clock.now += 300

    assert 5 == events(stage.poll())


def test_a_later_series_shows_zero_before_its_value(stage: Stage) -> None:
    """A new series is shown at 0 for two minutes, so that ``increase`` sees its first events."""
    stage.clock.now += 300
    stage.store(FILTERED, 7, stage.clock.now)
    first, before, after = stage.poll(), stage.wait(119), stage.wait(1)

    assert [0, 0, 7] == [events(samples, FILTERED) for samples in (first, before, after)]


def test_a_later_series_does_not_delay_the_others(stage: Stage) -> None:
    """During the grace period of a new series, the other counters increase."""
    stage.clock.now += 300
    stage.store(FILTERED, 7, stage.clock.now)
    stage.store(ACCEPTED, 3, stage.clock.now)

    assert 3 == events(stage.poll())


def test_late_data_increases_gauge_and_counter(stage: Stage) -> None:
    """Late events of a finished hour are shown, counted, and published as a revision."""
    stage.clock.now += 300
    stage.store(ACCEPTED, 6, LAST_HOUR)
    samples = stage.poll()

    assert (46, 6, 1) == (last_bucket(samples), events(samples), revisions(samples))


def test_the_running_bucket_is_no_revision(stage: Stage) -> None:
    """The growth of the running bucket is not a revision."""
    stage.clock.now += 300
    stage.store(ACCEPTED, 5, stage.clock.now)

    assert 0 == revisions(stage.poll())


def test_a_finished_hour_is_counted_once(stage: Stage) -> None:
    """Events counted while the hour was running are not counted again."""
    stage.store(ACCEPTED, 5, stage.clock.now)
    stage.poll()
    stage.clock.now += 3600
    samples = stage.poll()

    assert (7, 5) == (last_bucket(samples), events(samples))


def test_counters_can_be_disabled(sentry: Simulator, clock: Clock) -> None:
    """With ``counters: false``, a query has only gauges."""
    config = configuration(sentry.url, organization({**OUTCOMES, "counters": False}))
    samples = polled(Exporter(config, clock=clock), clock.now)

    assert data(samples)
    assert {} == {each: v for each, v in data(samples).items() if each[0].endswith("_total")}


@pytest.mark.parametrize("query", [OUTCOMES, PROJECTS], ids=lambda query: str(query["name"]))
def test_counters_increase_like_the_store(query: dict[str, object]) -> None:
    """Over hours with late rows, every counter increases as much as the store."""
    clock = Clock(NOW)
    with Simulator(demo_world(NOW, projects=2), clock=clock, rate_limit=None) as sentry:
        often = {**query, "lookback": "12h", "poll_interval": "5m"}
        config = configuration(sentry.url, organization(often))
        exporter = Exporter(config, clock=clock)
        polled(exporter, NOW)
        for _ in range(4):
            clock.now += 3600
            polled(exporter, clock.now)
        exporter.queries[0].refresh(clock.now + 120)
        (truth,) = truths(sentry.world, config)
    began = NOW // 3600 * 3600 - 12 * 3600
    shown = data(page(exporter))
    counted = {each: value for each, value in shown.items() if each[0].endswith("_total")}

    assert truth.gains(began, since=NOW, until=clock.now) == counted
