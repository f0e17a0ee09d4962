"""The time zone of the host has no effect: buckets and schedules are in UTC."""

import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.config import load
from exporter.simulator import Simulator
from tests.end_to_end.exposition import Samples, data, read_text, sample
from tests.end_to_end.stage import clock_for_commands, moment, polled, run, truths
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization

ZONES = ("Asia/Kathmandu", "America/St_Johns")
MOMENTS = (
    "2026-03-01T00:05:00Z",
    "2026-03-01T00:04:59Z",
    "2026-01-31T23:59:59Z",
    "2025-12-31T18:20:00Z",
    "2026-03-08T05:35:00Z",
    "2026-11-01T04:40:00Z",
)
"""Around midnights and ends of months, UTC and local, and changes to daylight saving time."""


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set a time zone whose hours do not start when those of UTC do."""
    name = str(request.param)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield name
    time.tzset()


def published_time(samples: Samples, name: str, query: str = "outcomes") -> float:
    """Return a time that the page has about a query."""
    full = f"sentry_stats_{name}_timestamp_seconds"
    return samples[sample(full, organization="acme", query=query)]


@pytest.mark.parametrize("text", MOMENTS)
def test_buckets_are_those_of_utc(zone: str, sentry: Simulator, clock: Clock, text: str) -> None:
    """Across midnight and the end of a month, the values equal the store's UTC buckets."""
    clock.now = moment(text)
    queries = [
        {**query, "name": f"{query['name']}-{interval}", "interval": interval, "lookback": interval}
        for query, interval in product((OUTCOMES, PROJECTS), ("1h", "6h", "1d"))
    ]
    config = configuration(sentry.url, organization(*queries))
    samples = polled(Exporter(config, clock=clock), clock.now)

    for truth in truths(sentry.world, config):
        shown = data(samples, prefix="sentry_stats_bucket_", query=truth.query.name)
        assert truth.bucket(clock.now) == shown


@pytest.mark.parametrize(
    ("interval", "start", "next_poll"),
    [
        ("1h", "2026-02-28T23:00:00Z", "2026-03-01T01:05:00Z"),
        ("6h", "2026-02-28T18:00:00Z", "2026-03-01T06:05:00Z"),
        ("1d", "2026-02-28T00:00:00Z", "2026-03-02T00:05:00Z"),
    ],
)
def test_the_schedule_is_that_of_utc(
    zone: str, sentry: Simulator, clock: Clock, interval: str, start: str, next_poll: str
) -> None:
    """Polls are at multiples of the interval in UTC, plus the settling time."""
    query = {**OUTCOMES, "interval": interval, "lookback": "1d"}
    config = configuration(sentry.url, organization(query))
    samples = polled(Exporter(config, clock=clock), clock.now)
    labels = {"organization": "acme", "query": "outcomes"}

    assert moment(start) == samples[sample("sentry_stats_bucket_start_timestamp_seconds", **labels)]
    assert (
        moment(next_poll) == samples[sample("sentry_stats_next_poll_timestamp_seconds", **labels)]
    )


@pytest.mark.parametrize("name", ["UTC", *ZONES])
def test_once_in_a_time_zone(
    sentry: Simulator, clock: Clock, configured: Callable[..., Path], name: str
) -> None:
    """The command prints the stored values of the last hour in any time zone."""
    clock.now = clock_for_commands().now
    path = configured(organization(OUTCOMES, {**PROJECTS, "lookback": "2h"}))
    finished = run("once", "--config.file", path, TZ=name)
    samples = read_text(finished.stdout)

    assert (0, "") == (finished.returncode, finished.stderr)
    for truth in truths(sentry.world, load(path)):
        shown = data(samples, prefix="sentry_stats_bucket_", query=truth.query.name)
        assert (
            truth.bucket(published_time(samples, "last_success", truth.query.name), at=clock.now)
            == shown
        )
