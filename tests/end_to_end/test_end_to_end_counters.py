"""Counters: where they begin, how late ones appear, and what late data does."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from exporter.app import Exporter
from exporter.simulator import Organization, Project, Row, Simulator, Token, World, demo_world
from tests.end_to_end.exposition import Samples, data, data_sample, sample
from tests.end_to_end.stage import (
    OUTCOMES,
    PROJECTS,
    Clock,
    configuration,
    moment,
    organization,
    page,
    polled,
    truths,
)

NOW = moment("2026-06-10T12:07:00Z")
LAST_HOUR = NOW - 3600
ACCEPTED = ("acme", "outcomes", "error", "accepted", "none", "")
FILTERED = ("acme", "outcomes", "error", "filtered", "web-crawlers", "")


@dataclass
class Stage:
    """An exporter of one query that is polled every five minutes."""

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
        query.heed(self.clock.now)
        return page(self.exporter)

    def store(self, labels: tuple[str, ...], quantity: int, timestamp: float) -> None:
        """Let rows arrive now that belong to another moment."""
        _, _, category, outcome, reason, _ = labels
        stored = None if reason == "none" else reason
        self.world.add_rows(
            Row(1, 11, category, outcome, stored, timestamp, quantity, written_at=self.clock.now)
        )


@pytest.fixture
def world() -> World:
    """Know one organization with one project, and nothing that has happened."""
    return World(
        [Organization(1, "acme")],
        [Project(11, 1, "web")],
        tokens=[Token("demo-token-acme", organization=1)],
    )


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    """Store some errors of the last hour and of this one, and poll for the first time."""
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
    """Return how many finished values have grown."""
    return samples[sample("sentry_stats_revisions_total", organization="acme", query="outcomes")]


def test_counters_are_born_at_zero(stage: Stage) -> None:
    """What was there before the first poll is shown by the gauge and is no gain."""
    samples = page(stage.exporter)

    assert (0, 40) == (events(samples), last_bucket(samples))


def test_counters_gain_what_is_new(stage: Stage) -> None:
    """Events of the running hour count as soon as they are seen."""
    stage.clock.now += 300
    stage.store(ACCEPTED, 5, stage.clock.now)

    assert 5 == events(stage.poll())


def test_nothing_is_counted_twice(stage: Stage) -> None:
    """Polling again without anything new gains nothing."""
    stage.store(ACCEPTED, 5, stage.clock.now)
    stage.poll()
    stage.clock.now += 300

    assert 5 == events(stage.poll())


def test_a_later_series_shows_zero_before_its_value(stage: Stage) -> None:
    """For two minutes a scrape finds a new series at 0, so that its first events are seen."""
    stage.clock.now += 300
    stage.store(FILTERED, 7, stage.clock.now)
    born, before, after = stage.poll(), stage.wait(119), stage.wait(1)

    assert [0, 0, 7] == [events(samples, FILTERED) for samples in (born, before, after)]


def test_a_later_series_does_not_hold_up_the_others(stage: Stage) -> None:
    """While a new series waits at 0, those that were there show their gains."""
    stage.clock.now += 300
    stage.store(FILTERED, 7, stage.clock.now)
    stage.store(ACCEPTED, 3, stage.clock.now)

    assert 3 == events(stage.poll())


def test_late_data_raises_gauge_and_counter(stage: Stage) -> None:
    """Events of a finished hour that arrive afterwards are shown, counted and told."""
    stage.clock.now += 300
    stage.store(ACCEPTED, 6, LAST_HOUR)
    samples = stage.poll()

    assert (46, 6, 1) == (last_bucket(samples), events(samples), revisions(samples))


def test_the_running_bucket_is_no_revision(stage: Stage) -> None:
    """Growth of the hour that still fills is as it should be."""
    stage.clock.now += 300
    stage.store(ACCEPTED, 5, stage.clock.now)

    assert 0 == revisions(stage.poll())


def test_a_finished_hour_is_counted_once(stage: Stage) -> None:
    """What was counted while the hour ran is not counted again when it is finished."""
    stage.store(ACCEPTED, 5, stage.clock.now)
    stage.poll()
    stage.clock.now += 3600
    samples = stage.poll()

    assert (7, 5) == (last_bucket(samples), events(samples))


def test_counters_may_be_left_out(sentry: Simulator, clock: Clock) -> None:
    """With counters: false a query has gauges only."""
    config = configuration(sentry.url, organization({**OUTCOMES, "counters": False}))
    samples = polled(Exporter(config, clock=clock), clock.now)

    assert data(samples)
    assert {} == {each: v for each, v in data(samples).items() if each[0].endswith("_total")}


@pytest.mark.parametrize("query", [OUTCOMES, PROJECTS], ids=lambda query: str(query["name"]))
def test_counters_gain_what_the_store_gained(query: dict[str, object]) -> None:
    """Over hours of the demo's traffic, late rows included, every counter gains the truth."""
    clock = Clock(NOW)
    with Simulator(demo_world(NOW, projects=2), clock=clock, rate_limit=None) as sentry:
        often = {**query, "lookback": "12h", "poll_interval": "5m"}
        config = configuration(sentry.url, organization(often))
        exporter = Exporter(config, clock=clock)
        polled(exporter, NOW)
        for _ in range(4):
            clock.now += 3600
            polled(exporter, clock.now)
        exporter.queries[0].heed(clock.now + 120)
        (truth,) = truths(sentry.world, config)
    began = NOW // 3600 * 3600 - 12 * 3600
    shown = data(page(exporter))
    counted = {each: value for each, value in shown.items() if each[0].endswith("_total")}

    assert truth.gains(began, since=NOW, until=clock.now) == counted
