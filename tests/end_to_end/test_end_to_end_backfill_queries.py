"""The history of all kinds of queries has the labels and values that the exporter publishes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.backfill.backfill import Backfill, Request
from exporter.backfill.progress_file import ProgressFile
from exporter.clients import clients_for
from exporter.moments import iso
from exporter.publish.self_metrics import SelfMetrics
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Sample, Samples, nonzero, read_timeline
from tests.end_to_end.stage import truths
from tests.end_to_end.test_end_to_end_numbers import QUERIES
from tests.support.backfills import LABELS, backfilled
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization

HOUR: Final = 3600
DAY: Final = 24 * HOUR
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


@pytest.mark.parametrize(
    ("queries", "requests"),
    [([OUTCOMES, PROJECTS], 0), ([OUTCOMES], 7)],
    ids=["hours of a query", "days"],
)
def test_use_of_quotas_by_project(
    queries: list[dict[str, object]], requests: int, sentry: Simulator, tmp_path: Path
) -> None:
    """It is read in the requests that were planned, and adds up, to the unit and the cent."""
    midnight = int(NOW) // DAY * DAY
    first = iso(midnight - 5 * DAY)[:10]
    billed: dict[str, Any] = {
        "billing": {"period": {"every": "5d", "from": first}},
        "quotas": [
            {"name": "errors", "category": "error", "limit": 100, "price": 0.001},
            {"name": "mine", "category": "error", "team": "payments", "limit": 100},
        ],
    }
    config = configuration(sentry.url, organization(*queries, **billed))
    request = Request(str(midnight - 5 * DAY), str(midnight), tmp_path / "history.om")
    with closing(ProgressFile(None)) as file:
        clients = clients_for(config, SelfMetrics().meter, Clock(NOW))
        work = Backfill(config, request, clients, file, Clock(NOW), lambda _: None)
        planned, before = work.plan(), work.counted.requests
        work.read()
        texts = ["".join(work.history().lines()) for _ in range(2)]
    timeline = read_timeline(texts[0])
    of_days = [one.requests for one in planned.jobs if one.job.name.endswith("(by project)")]
    totals, sums = (added_up(timeline, *names) for names in (TOTALS, BY_PROJECT))

    # After a kill, what had been worked out for the file is there already.
    assert texts[0] == texts[1]
    assert planned.requests == work.counted.requests - before
    assert [requests][: bool(requests)] == of_days
    # Every hour of five days, or every day, of two quotas and a cost.
    assert 3 * (24 * 5 if len(queries) > 1 else 5) <= len(sums)
    assert pytest.approx({key: totals[key] for key in sums}) == sums


TOTALS: Final = ("sentry_stats_quota_used", "sentry_stats_quota_cost")
BY_PROJECT: Final = ("sentry_stats_quota_project_used", "sentry_stats_quota_project_cost")


def added_up(
    timeline: Mapping[Sample, Sequence[tuple[float, float]]], *names: str
) -> dict[tuple[str, str, float], float]:
    """Return the sums of families over all labels but the quota, by family, quota and time."""
    sums: dict[tuple[str, str, float], float] = {}
    for (name, labels), values in timeline.items():
        if name in names:
            for at, value in values:
                key = name.replace("project_", ""), dict(labels)["quota"], at
                sums[key] = sums.get(key, 0) + value
    return sums
