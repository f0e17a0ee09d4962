"""Every value on the page equals the value in the store."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.app import Exporter
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Samples, data, nonzero
from tests.end_to_end.stage import polled, truths
from tests.support.clock import Clock
from tests.support.configuration import Entry, configuration, organization

WEB, API = "4505123000000001", "4505123000000005"

QUERIES: dict[str, Entry] = {
    "category, outcome, reason": {"groupBy": ["category", "outcome", "reason"]},
    "project, category, outcome, reason": {
        "groupBy": ["project", "category", "outcome", "reason"],
    },
    "category and project in another order": {"groupBy": ["category", "project"]},
    "outcome of one category": {"groupBy": ["outcome"], "filter": {"category": "error"}},
    "outcome of two categories": {
        "groupBy": ["outcome"],
        "filter": {"category": ["error", "transaction"]},
    },
    "outcome of bytes": {"groupBy": ["outcome"], "filter": {"category": "attachment"}},
    "reason of seconds": {"groupBy": ["reason"], "filter": {"category": "profile_duration"}},
    "nothing, of one category": {"filter": {"category": "span"}},
    "pinned outcome and reason": {
        "groupBy": ["category"],
        "filter": {"outcome": "filtered", "reason": "browser-extensions"},
    },
    "projects by slug": {
        "groupBy": ["project", "category", "outcome"],
        "filter": {"project": ["web", "api"]},
    },
    "projects by id": {
        "groupBy": ["project", "category", "outcome"],
        "filter": {"project": [WEB, API]},
    },
    "one project, not grouped by it": {
        "groupBy": ["category", "outcome"],
        "filter": {"project": ["checkout"]},
    },
    "two projects, not grouped by them": {
        "groupBy": ["category", "outcome"],
        "filter": {"project": ["checkout", API]},
    },
    "times seen": {"groupBy": ["category", "outcome"], "field": "sum(times_seen)"},
    "times seen by project": {
        "groupBy": ["project", "outcome"],
        "filter": {"category": "error"},
        "field": "sum(times_seen)",
    },
    "both fields": {
        "groupBy": ["category", "outcome", "reason"],
        "field": ["sum(quantity)", "sum(times_seen)"],
    },
    "both fields by project": {
        "groupBy": ["project", "category"],
        "field": ["sum(quantity)", "sum(times_seen)"],
    },
}
DIMENSIONS = ("project", "category", "outcome", "reason")
LOOKBACKS = {"1h": "4h", "6h": "12h", "1d": "2d"}


def shown_and_true(sentry: Simulator, now: float, query: Entry) -> tuple[Samples, Samples]:
    """Return the data of the finished bucket on the page, and their expected values."""
    config = configuration(sentry.url, organization({"name": "query", **query}))
    samples = polled(Exporter(config, clock=lambda: now), now)
    (truth,) = truths(sentry.world, config)
    return data(samples, prefix="sentry_stats_bucket_"), truth.bucket(now)


@st.composite
def queries(draw: st.DrawFn) -> Entry:
    """Draw any query that the configuration allows."""
    interval = draw(st.sampled_from(list(LOOKBACKS)))
    group_by = draw(st.lists(st.sampled_from(DIMENSIONS), min_size=1, unique=True))
    filters = {
        "category": st.sampled_from([["error"], ["attachment"], ["error", "span"]]),
        "outcome": st.sampled_from(["accepted", ["filtered", "rate_limited"]]),
        "reason": st.sampled_from(["none", "key_quota", "spike_protection"]),
        "project": st.sampled_from([["web"], ["android", API]]),
    }
    chosen = draw(st.sets(st.sampled_from(list(filters))))
    needed = set() if "category" in group_by else {"category"}
    return {
        "groupBy": group_by,
        "filter": {name: draw(filters[name]) for name in sorted(chosen | needed)},
        "field": draw(st.sampled_from(["sum(quantity)", "sum(times_seen)"])),
        "interval": interval,
        "lookback": LOOKBACKS[interval],
    }


@pytest.fixture(scope="module")
def shared_sentry() -> Iterator[tuple[Simulator, Clock]]:
    """Serve the demo's organizations with a clock that all examples share."""
    clock = Clock(0)
    with Simulator(demo_world(0, projects=2), clock=clock, rate_limit=None) as simulator:
        yield simulator, clock


@settings(max_examples=25, deadline=None)
@given(query=queries(), now=st.integers(1_770_000_000, 1_800_000_000))
def test_any_query_at_any_time_equals_the_store(
    shared_sentry: tuple[Simulator, Clock], query: Entry, now: int
) -> None:
    """Any grouping and any filter, polled at any time, has the stored values."""
    sentry, clock = shared_sentry
    clock.now = now
    shown, true = shown_and_true(sentry, now, query)

    assert true == shown


@pytest.mark.parametrize("interval", LOOKBACKS)
@pytest.mark.parametrize("name", QUERIES)
def test_the_finished_bucket_equals_the_store(
    sentry: Simulator, clock: Clock, name: str, interval: str
) -> None:
    """The page has exactly the stored series and values, whatever the query is."""
    query = {**QUERIES[name], "interval": interval, "lookback": LOOKBACKS[interval]}
    shown, true = shown_and_true(sentry, clock.now, query)

    assert true == shown
    assert nonzero(shown)


@pytest.mark.parametrize("name", ["category, outcome, reason", "both fields by project"])
def test_other_series_of_the_lookback_are_zero(sentry: Simulator, clock: Clock, name: str) -> None:
    """A series that is only in another hour of the lookback has the value 0."""
    shown, true = shown_and_true(sentry, clock.now, QUERIES[name])

    assert true == shown
    assert nonzero(shown) != shown


def test_each_unit_has_a_family(sentry: Simulator, clock: Clock) -> None:
    """Events, bytes and seconds are published in separate families."""
    shown, _ = shown_and_true(sentry, clock.now, QUERIES["category, outcome, reason"])
    units = {(name, dict(labels)["category"]) for name, labels in shown}

    assert {"attachment", "log_byte"} == {
        category for name, category in units if name == "sentry_stats_bucket_bytes"
    }
    assert {"profile_duration"} == {
        category for name, category in units if name == "sentry_stats_bucket_seconds"
    }
    assert ("sentry_stats_bucket_events", "error") in units


def test_the_running_bucket_equals_the_store(sentry: Simulator, clock: Clock) -> None:
    """A query polled more often than its interval also shows the running bucket."""
    query = {"name": "often", "groupBy": ["category", "outcome"], "poll_interval": "5m"}
    config = configuration(sentry.url, organization(query))
    samples = polled(Exporter(config, clock=clock), clock.now)
    (truth,) = truths(sentry.world, config)

    assert truth.running(clock.now) == data(samples, prefix="sentry_stats_running_bucket_")


def test_an_organization_by_id(sentry: Simulator, clock: Clock) -> None:
    """An organization can be configured by its id, which is then its label."""
    entry = {**organization(), "slug": "1"}
    config = configuration(sentry.url, entry)
    samples = polled(Exporter(config, clock=clock), clock.now)
    (truth,) = truths(sentry.world, config)

    assert truth.bucket(clock.now) == data(samples, prefix="sentry_stats_bucket_")
