"""The host's time zone changes nothing: buckets and polls are UTC's."""

import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.config import load
from exporter.simulator import Simulator
from tests.end_to_end.exposition import Samples, data, read_text, sample
from tests.end_to_end.stage import (
    OUTCOMES,
    PROJECTS,
    Clock,
    clock_for_commands,
    configuration,
    moment,
    organization,
    polled,
    run,
    truths,
)

ZONES = ("Asia/Kathmandu", "America/St_Johns")
MOMENTS = (
    "2026-03-01T00:05:00Z",
    "2026-03-01T00:04:59Z",
    "2026-01-31T23:59:59Z",
    "2025-12-31T18:20:00Z",
    "2026-03-08T05:35:00Z",
    "2026-11-01T04:40:00Z",
)
"""Around midnights and months' ends, UTC's and local ones, and changes of summer time."""


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put this process into a time zone whose hours do not begin when UTC's do."""
    name = str(request.param)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield name
    time.tzset()


def moment_told(samples: Samples, name: str, query: str = "outcomes") -> float:
    """Return what the page says of a moment in a query's life."""
    full = f"sentry_stats_{name}_timestamp_seconds"
    return samples[sample(full, organization="acme", query=query)]


@pytest.mark.parametrize("text", MOMENTS)
def test_buckets_are_those_of_utc(zone: str, sentry: Simulator, clock: Clock, text: str) -> None:
    """Across a midnight and a month's end every value equals the store for the UTC bucket."""
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
    """Polls fall on the settling time past each multiple of the interval, in UTC."""
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
    """The command prints the store's own numbers for the last hour, wherever it runs."""
    clock.now = clock_for_commands().now
    path = configured(organization(OUTCOMES, {**PROJECTS, "lookback": "2h"}))
    finished = run("once", "--config.file", path, TZ=name)
    samples = read_text(finished.stdout)

    assert (0, "") == (finished.returncode, finished.stderr)
    for truth in truths(sentry.world, load(path)):
        shown = data(samples, prefix="sentry_stats_bucket_", query=truth.query.name)
        assert (
            truth.bucket(moment_told(samples, "last_success", truth.query.name), at=clock.now)
            == shown
        )
