"""Every number on the page is the number in the store."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.app import Exporter
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Samples, data, nonzero
from tests.end_to_end.stage import Clock, Entry, configuration, organization, polled, truths

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
    """Return the data of the finished bucket on the page, and what it has to be."""
    config = configuration(sentry.url, organization({"name": "asked", **query}))
    samples = polled(Exporter(config, clock=lambda: now), now)
    (truth,) = truths(sentry.world, config)
    return data(samples, prefix="sentry_stats_bucket_"), truth.bucket(now)


@st.composite
def queries(draw: st.DrawFn) -> Entry:
    """Draw a query of any shape that the configuration allows."""
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
def lasting_sentry() -> Iterator[tuple[Simulator, Clock]]:
    """Serve the demo's organizations on a clock for many moments."""
    clock = Clock(0)
    with Simulator(demo_world(0, projects=2), clock=clock, rate_limit=None) as simulator:
        yield simulator, clock


@settings(max_examples=25, deadline=None)
@given(query=queries(), now=st.integers(1_770_000_000, 1_800_000_000))
def test_any_question_at_any_moment_equals_the_store(
    lasting_sentry: tuple[Simulator, Clock], query: Entry, now: int
) -> None:
    """Whatever is grouped by and filtered, whenever it is asked, the page has the truth."""
    sentry, clock = lasting_sentry
    clock.now = now
    shown, true = shown_and_true(sentry, now, query)

    assert true == shown


@pytest.mark.parametrize("interval", LOOKBACKS)
@pytest.mark.parametrize("name", QUERIES)
def test_the_finished_bucket_equals_the_store(
    sentry: Simulator, clock: Clock, name: str, interval: str
) -> None:
    """Whatever is asked, the page has exactly the series and values that were stored."""
    query = {**QUERIES[name], "interval": interval, "lookback": LOOKBACKS[interval]}
    shown, true = shown_and_true(sentry, clock.now, query)

    assert true == shown
    assert nonzero(shown)


@pytest.mark.parametrize("name", ["category, outcome, reason", "both fields by project"])
def test_what_was_seen_in_the_lookback_is_zero(sentry: Simulator, clock: Clock, name: str) -> None:
    """A series of another hour is there at 0, so that it does not look like a gap."""
    shown, true = shown_and_true(sentry, clock.now, QUERIES[name])

    assert true == shown
    assert nonzero(shown) != shown


def test_units_are_kept_apart(sentry: Simulator, clock: Clock) -> None:
    """Events, bytes and seconds each have a family of their own."""
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
    """A query that is polled more often than its interval shows the bucket that still fills."""
    query = {"name": "often", "groupBy": ["category", "outcome"], "poll_interval": "5m"}
    config = configuration(sentry.url, organization(query))
    samples = polled(Exporter(config, clock=clock), clock.now)
    (truth,) = truths(sentry.world, config)

    assert truth.running(clock.now) == data(samples, prefix="sentry_stats_running_bucket_")


def test_an_organization_can_be_named_by_its_id(sentry: Simulator, clock: Clock) -> None:
    """The numeric id works where the slug does, and is the label then."""
    entry = {**organization(), "slug": "1"}
    config = configuration(sentry.url, entry)
    samples = polled(Exporter(config, clock=clock), clock.now)
    (truth,) = truths(sentry.world, config)

    assert truth.bucket(clock.now) == data(samples, prefix="sentry_stats_bucket_")
