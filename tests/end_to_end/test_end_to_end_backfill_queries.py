"""The history of all kinds of queries has the labels and values that the exporter publishes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Samples, nonzero, read_timeline
from tests.end_to_end.stage import truths
from tests.end_to_end.test_end_to_end_numbers import QUERIES
from tests.support.backfills import LABELS, backfilled
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization

HOUR: Final = 3600
NOW: Final = 1_790_000_000 // HOUR * HOUR + 600.0
INTERVALS: Final = {"1h": HOUR, "6h": 6 * HOUR, "1d": 24 * HOUR}
LENGTHS: Final = {"1h": 7 * HOUR, "6h": 30 * HOUR, "1d": 72 * HOUR}
"""How long before now each history begins."""


@pytest.fixture(scope="module")
def sentry() -> Iterator[Simulator]:
    """Serve the demo's organizations."""
    with Simulator(demo_world(NOW, projects=2), clock=Clock(NOW), rate_limit=None) as simulator:
        yield simulator


def buckets(path: Path) -> dict[float, Samples]:
    """Return what the bucket gauges show at each time, without the labels of the target."""
    shown: dict[float, Samples] = {}
    target = frozenset(LABELS.items())
    for (name, labels), values in read_timeline(path.read_text("utf-8")).items():
        if name.startswith("sentry_stats_bucket_") and "timestamp" not in name:
            for at, value in values:
                shown.setdefault(at, {})[name, labels - target] = value
    return shown


@pytest.mark.parametrize(
    ("name", "interval"),
    [(name, list(INTERVALS)[number % 3]) for number, name in enumerate(QUERIES)],
)
def test_buckets_are_those_of_the_store(
    name: str, interval: str, sentry: Simulator, tmp_path: Path
) -> None:
    """Each bucket has Sentry's values under the labels that the exporter would publish."""
    query = {"name": "query", "interval": interval, **QUERIES[name]}
    config = configuration(sentry.url, organization(query))
    start = str(int(NOW) - LENGTHS[interval])
    shown = buckets(backfilled(config, tmp_path, Clock(NOW), start))
    (truth,) = truths(sentry.world, config)

    assert shown
    for at, samples in shown.items():
        begin = at - 300 - INTERVALS[interval]
        expected = truth.stored("sentry_stats_bucket_", begin, at=NOW)
        assert pytest.approx(nonzero(expected)) == nonzero(samples)
