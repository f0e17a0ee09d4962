"""What the exporter says about itself and its requests."""

import platform

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter import __version__
from exporter.publish.self_metrics import OwnMetrics
from exporter.sentry.errors import reasons

Samples = dict[tuple[str, frozenset[str]], float]


def labelled(*values: str) -> frozenset[str]:
    """Return the values of a sample's labels, in no order, as the client library has none."""
    return frozenset(values)


@pytest.fixture
def own() -> OwnMetrics:
    """Return the metrics of an exporter."""
    return OwnMetrics()


def settled(own: OwnMetrics) -> Samples:
    """Return the samples that move with the polls, by name and label values."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in parse(own.settled(openmetrics=False).decode())
        for sample in family.samples
    }


def test_build_info(own: OwnMetrics) -> None:
    """The versions of the exporter and of Python are told."""
    name = "sentry_stats_exporter_build_info"

    assert 1 == settled(own)[name, labelled(__version__, platform.python_version())]


def test_configuration(own: OwnMetrics) -> None:
    """When a good configuration was last read is told."""
    own.configuration_read(1_772_000_000.5)

    found = settled(own)
    assert 1 == found["sentry_stats_exporter_config_last_reload_successful", labelled()]
    assert (
        1_772_000_000.5
        == (found["sentry_stats_exporter_config_last_reload_success_timestamp_seconds", labelled()])
    )


def test_request(own: OwnMetrics) -> None:
    """A request is counted by its status, and its time is measured."""
    meter = own.meter("acme")
    meter.request("stats_v2", 200, 0.25)
    meter.request("stats_v2", 429, 0.5)

    found = settled(own)
    assert 1 == found["sentry_stats_api_requests_total", labelled("acme", "stats_v2", "200")]
    assert 1 == found["sentry_stats_api_requests_total", labelled("acme", "stats_v2", "429")]
    assert 0.75 == found["sentry_stats_api_request_duration_seconds_sum", labelled("acme")]


def test_request_without_status(own: OwnMetrics) -> None:
    """A request that brought no status is timed, not counted as answered."""
    own.meter("acme").request("stats_v2", 0, 30)

    found = settled(own)
    assert 1 == found["sentry_stats_api_request_duration_seconds_count", labelled("acme")]
    assert not any(
        value for (name, _), value in found.items() if name == "sentry_stats_api_requests_total"
    )


def test_failure(own: OwnMetrics) -> None:
    """Failures are counted by API and reason."""
    own.meter("acme").failure("projects", "timeout")

    name = "sentry_stats_api_request_failures_total"
    assert 1 == settled(own)[name, labelled("acme", "projects", "timeout")]


def test_rate_limit(own: OwnMetrics) -> None:
    """Of the limits, the last answer's are shown; waits are added up."""
    meter = own.meter("acme")
    for remaining in (19, 3):
        meter.rate_limit(20, remaining)
        meter.throttled(1.5)

    found = settled(own)
    assert 20 == found["sentry_stats_api_rate_limit", labelled("acme")]
    assert 3 == found["sentry_stats_api_rate_limit_remaining", labelled("acme")]
    assert 3.0 == found["sentry_stats_api_throttled_seconds_total", labelled("acme")]


def test_known_in_advance(own: OwnMetrics) -> None:
    """What every organization will have is at 0 before its first request."""
    own.meter("acme")

    found = settled(own)
    assert 0 == found["sentry_stats_api_throttled_seconds_total", labelled("acme")]
    assert 0 == found["sentry_stats_api_request_duration_seconds_count", labelled("acme")]


def test_counters_are_born_at_0(own: OwnMetrics) -> None:
    """Every reason, and the usual statuses, are there before they first count something."""
    own.meter("acme")

    found = settled(own)
    for api in ("stats_v2", "projects"):
        for code in ("200", "400", "401", "403", "404", "429", "500", "502", "503", "504"):
            assert 0 == found["sentry_stats_api_requests_total", labelled("acme", api, code)]
        for reason in reasons():
            name = "sentry_stats_api_request_failures_total"
            assert 0 == found[name, labelled("acme", api, reason)]


def test_clock_skew(own: OwnMetrics) -> None:
    """The difference of the clocks is the last one, and absent before there is any."""
    name = "sentry_stats_clock_skew_seconds"
    meter = own.meter("acme")
    before = settled(own)
    for seconds in (3.0, -120.5):
        meter.clock_skew(seconds)

    assert (name, labelled("acme")) not in before
    assert -120.5 == settled(own)[name, labelled("acme")]


def test_deprecation(own: OwnMetrics) -> None:
    """What is announced is shown, and absent before and once it is not announced any more."""
    name = "sentry_stats_api_deprecation_timestamp_seconds"
    meter = own.meter("acme")
    meter.deprecation("projects", None)
    meter.deprecation("stats_v2", 1_800_000_000)
    found = settled(own)
    meter.deprecation("stats_v2", None)

    assert 1_800_000_000 == found[name, labelled("acme", "stats_v2")]
    assert (name, labelled("acme", "projects")) not in found
    assert (name, labelled("acme", "stats_v2")) not in settled(own)


def test_organizations_apart(own: OwnMetrics) -> None:
    """Organizations are counted apart."""
    own.meter("acme").throttled(1)
    own.meter("globex").throttled(2)

    found = settled(own)
    assert 1 == found["sentry_stats_api_throttled_seconds_total", labelled("acme")]
    assert 2 == found["sentry_stats_api_throttled_seconds_total", labelled("globex")]


def test_exporters_apart() -> None:
    """Two exporters in one process do not count into each other's figures."""
    one, other = OwnMetrics(), OwnMetrics()
    one.meter("acme").throttled(1)
    other.meter("acme")

    assert 0 == settled(other)["sentry_stats_api_throttled_seconds_total", labelled("acme")]


def test_live(own: OwnMetrics) -> None:
    """The process is described as it is when asked, and OpenMetrics is closed."""
    plain, openmetrics = own.live(openmetrics=False), own.live(openmetrics=True)

    assert b"process_resident_memory_bytes" in plain
    assert b"python_info" in plain
    assert b"# EOF" not in plain
    assert openmetrics.endswith(b"\n# EOF\n")
    assert b"# EOF" not in own.settled(openmetrics=True)
