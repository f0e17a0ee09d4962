"""Failures of Sentry: each fails the poll with its reason, and data and page stay intact."""

from dataclasses import dataclass, field

import pytest

from exporter.app import Exporter
from exporter.config import Config
from exporter.sentry import limits
from exporter.simulator import (
    Fault,
    RateLimit,
    Simulator,
    store_failure,
    store_rate_limited,
    store_timeout,
)
from tests.end_to_end.exposition import Samples, data, read_openmetrics, read_text, sample
from tests.end_to_end.stage import page, polled, truths
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.exporters import page_text, with_settings

LONG_TIMEOUT, SHORT_TIMEOUT = 30.0, 0.5
"""Timeouts: a long one for faults that answer, a short one for faults that do not."""

MAX_SIZE = 64 * 1024
ELSEWHERE = "http://127.0.0.1:9/api/0/organizations/other/stats_v2/"

FAULTS = {
    "400": (Fault("status", status=400, body=b'{"detail": "Invalid"}'), "bad_request"),
    "401": (Fault("status", status=401, body=b'{"detail": "Invalid token"}'), "unauthorized"),
    "403": (Fault("status", status=403), "forbidden"),
    "404": (Fault("status", status=404), "not_found"),
    "408": (Fault("status", status=408), "server_error"),
    "418": (Fault("status", status=418), "unexpected_status"),
    "500": (Fault("status", status=500, body=b"<title>Oops</title>"), "server_error"),
    "503": (Fault("status", status=503), "server_error"),
    "store failed": (store_failure(None), "server_error"),
    "store busy": (store_rate_limited(None), "too_heavy"),
    "store too slow": (store_timeout(None), "too_heavy"),
    "no JSON": (Fault("garbage"), "bad_answer"),
    "half a document": (Fault("garbage", body=b'{"groups": ['), "bad_answer"),
    "another document": (Fault("garbage", body=b'{"groups": 3}'), "bad_answer"),
    "a list": (Fault("garbage", body=b"[]"), "bad_answer"),
    "no buckets": (Fault("garbage", body=b'{"groups": [], "intervals": []}'), "bad_answer"),
    "huge": (Fault("garbage", body=b" " * (MAX_SIZE + 1)), "too_large"),
    "hang": (Fault("hang"), "timeout"),
    "dripping body": (Fault("drip"), "timeout"),
    "dripping headers": (Fault("drip", part="headers"), "timeout"),
    "dripping status": (Fault("drip", part="status line"), "timeout"),
    "cut": (Fault("cut"), "network"),
    "reset": (Fault("reset"), "network"),
    "redirect": (Fault("redirect", location=ELSEWHERE), "redirect"),
    "moved for good": (Fault("redirect", status=301, location="/"), "redirect"),
}

EVERY_FAULT = [
    pytest.param(name, SHORT_TIMEOUT if reason == "timeout" else LONG_TIMEOUT, id=name)
    for name, (_, reason) in FAULTS.items()
]


@dataclass
class Stage:
    """An exporter with data, and its simulated Sentry."""

    sentry: Simulator
    clock: Clock
    config: Config
    exporter: Exporter
    before: Samples = field(default_factory=dict)

    def poll(self) -> Samples:
        """Poll once, and return the page."""
        for query in self.exporter.queries:
            query.poll(self.clock.now)
        return page(self.exporter)

    def is_right(self, samples: Samples) -> bool:
        """Return whether a page has the stored values of the finished bucket."""
        (truth,) = truths(self.sentry.world, self.config)
        shown = data(samples, prefix="sentry_stats_bucket_")
        return truth.bucket(self.clock.now) == shown


@pytest.fixture
def timeout() -> float:
    """Return the long timeout, which parametrized tests replace."""
    return LONG_TIMEOUT


@pytest.fixture
def stage(
    sentry: Simulator, clock: Clock, timeout: float, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """Poll once without a fault."""
    monkeypatch.setattr(limits, "STORE_PAUSE", 0.0)
    query = {**OUTCOMES, "lookback": "2h", "poll_interval": "5m"}
    config = configuration(sentry.url, organization(query), max_response_size=f"{MAX_SIZE}B")
    stage = Stage(
        sentry, clock, config, Exporter(with_settings(config, timeout=timeout), clock=clock)
    )
    stage.before = polled(stage.exporter, clock.now)
    return stage


def value_of(samples: Samples, name: str, **labels: str) -> float:
    """Return the value of a sample about the query."""
    return samples[sample(name, organization="acme", query="outcomes", **labels)]


def failures(samples: Samples) -> dict[str, float]:
    """Return the number of failed polls by reason, without zeros."""
    return {
        dict(labels)["reason"]: value
        for (name, labels), value in samples.items()
        if name == "sentry_stats_poll_failures_total" and value
    }


@pytest.mark.parametrize(("name", "timeout"), EVERY_FAULT)
def test_a_fault_has_its_reason_and_changes_no_data(stage: Stage, name: str) -> None:
    """A poll with a fault fails, and the data remain as they were."""
    fault, reason = FAULTS[name]
    stage.sentry.faults.add(fault)
    stage.clock.now += 300
    samples = stage.poll()

    assert 0 == value_of(samples, "sentry_stats_up")
    assert {reason: 1} == failures(samples)
    assert data(stage.before) == data(samples)


@pytest.mark.parametrize(("name", "timeout"), EVERY_FAULT)
def test_after_a_fault_the_numbers_are_right_again(stage: Stage, name: str) -> None:
    """The next poll without a fault has the stored values."""
    fault, _ = FAULTS[name]
    stage.sentry.faults.add(fault)
    stage.clock.now += 300
    stage.poll()
    stage.sentry.faults.clear()
    stage.clock.now += 3600
    samples = stage.poll()

    assert 1 == value_of(samples, "sentry_stats_up")
    assert stage.is_right(samples)


@pytest.mark.parametrize("name", ["503", "another document", "reset"])
def test_the_page_stays_valid(stage: Stage, name: str) -> None:
    """After a fault, both formats can be parsed and have the same samples."""
    stage.sentry.faults.add(FAULTS[name][0])
    stage.poll()
    text = page_text(stage.exporter)

    assert read_text(text) == read_openmetrics(page_text(stage.exporter, openmetrics=True))


def test_the_endpoints_rate_limit(stage: Stage) -> None:
    """A 429 that repeats after the required wait has the reason ``rate_limited``."""
    stage.sentry.application.rate_limit = RateLimit(limit=0)
    # Close to the end of the window, so that the required wait is short.
    stage.clock.now += 300.99
    samples = stage.poll()

    assert {"rate_limited": 1} == failures(samples)
    assert data(stage.before) == data(samples)


def test_a_server_that_is_down(stage: Stage) -> None:
    """A refused connection has the reason ``network``."""
    stage.sentry.faults.down = True
    samples = stage.poll()

    assert {"network": 1} == failures(samples)
    assert data(stage.before) == data(samples)


def test_a_store_that_is_busy_once(stage: Stage) -> None:
    """A request that was too heavy is repeated in parts, and the poll succeeds."""
    stage.sentry.faults.add(store_rate_limited(times=1))
    stage.clock.now += 3600
    samples = stage.poll()

    assert {} == failures(samples)
    assert stage.is_right(samples)


def test_last_success_changes_only_on_success(stage: Stage) -> None:
    """A failed poll does not change the time of the last success."""
    began = stage.clock.now
    stage.sentry.faults.add(Fault("status", status=500))
    stage.clock.now += 300
    samples = stage.poll()

    assert began == value_of(samples, "sentry_stats_last_success_timestamp_seconds")
    assert stage.clock.now < value_of(samples, "sentry_stats_next_poll_timestamp_seconds")


def test_data_are_withdrawn_after_max_age_and_come_back(stage: Stage) -> None:
    """Data older than three hours are withdrawn until the next success."""
    (query,) = stage.exporter.queries
    stage.sentry.faults.add(Fault("status", status=500))
    stage.clock.now += 3 * 3600 - 1
    query.refresh(stage.clock.now)
    before_max_age = data(page(stage.exporter))
    stage.clock.now += 1
    query.refresh(stage.clock.now)
    withdrawn = page(stage.exporter)
    stage.sentry.faults.clear()

    assert data(stage.before) == before_max_age
    assert {} == data(withdrawn)
    assert 0 == value_of(withdrawn, "sentry_stats_series")
    assert stage.is_right(stage.poll())


def test_after_withdrawal_up_stays_down(stage: Stage) -> None:
    """Failed polls are published after the data have been withdrawn."""
    stage.sentry.faults.add(Fault("status", status=500))
    stage.clock.now += 3 * 3600
    samples = stage.poll()

    assert {} == data(samples)
    assert 0 == value_of(samples, "sentry_stats_up")


@pytest.mark.parametrize("kind", ["hang", "garbage", "reset"])
def test_ids_replace_slugs_without_a_projects_list(
    sentry: Simulator, clock: Clock, kind: str
) -> None:
    """Without a projects list, labels are ids, and the query is down."""
    reasons = {"hang": "timeout", "garbage": "bad_answer", "reset": "network"}
    sentry.faults.add(
        {
            "hang": Fault("hang", endpoint="projects"),
            "garbage": Fault("garbage", endpoint="projects"),
            "reset": Fault("reset", endpoint="projects"),
        }[kind]
    )
    config = configuration(sentry.url, organization({**PROJECTS, "lookback": "1h"}))
    exporter = Exporter(with_settings(config, timeout=2 * SHORT_TIMEOUT), clock=clock)
    (query,) = exporter.queries
    query.poll(clock.now)
    samples = page(exporter)

    assert {reasons[kind]: 1} == failures(samples)
    # The remainder, of projects that the token cannot read, has an empty label.
    shown = {dict(labels)["project"] for _, labels in data(samples)}
    assert all(project.isdecimal() for project in shown - {""})
    assert data(samples)


def test_the_last_projects_list_is_used(sentry: Simulator, clock: Clock) -> None:
    """If the list cannot be read again, the slugs of the last one are used."""
    config = configuration(sentry.url, organization({**PROJECTS, "lookback": "1h"}))
    exporter = Exporter(config, clock=clock)
    polled(exporter, clock.now)
    sentry.faults.add(Fault("status", status=503, endpoint="projects"))
    clock.now += 3600
    samples = polled(exporter, clock.now)
    (truth,) = truths(sentry.world, config)

    assert {} == failures(samples)
    assert truth.bucket(clock.now) == data(samples, prefix="sentry_stats_bucket_")
