"""The metrics about the exporter itself and its requests."""

import platform
from collections.abc import Callable
from functools import partial

import pytest

from exporter import __version__
from exporter.publish.families import API_DURATION, API_REQUESTS, API_THROTTLED
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.errors import reasons
from tests.publish.reports import families_of

Samples = dict[tuple[str, frozenset[str]], float]
Shown = Callable[[], Samples]


def labelled(*values: str) -> frozenset[str]:
    """Return the values of a sample's labels, in no order, as the client library has none."""
    return frozenset(values)


@pytest.fixture
def own() -> SelfMetrics:
    """Return the metrics of an exporter."""
    return SelfMetrics()


def samples(page: Page) -> Samples:
    """Publish, and return the page's samples by name and label values."""
    page.publish()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families_of(page).values()
        for sample in family.samples
    }


@pytest.fixture
def shown(own: SelfMetrics) -> Shown:
    """Return a function that publishes, and returns what the page then shows."""
    return partial(samples, Page(own))


def test_build_info(shown: Shown) -> None:
    """The versions of the exporter and of Python are shown."""
    name = "sentry_stats_exporter_build_info"

    assert 1 == shown()[name, labelled(__version__, platform.python_version())]


def test_web_configuration(own: SelfMetrics, shown: Shown) -> None:
    """Whether the web configuration could be used is shown, if there is one."""
    name = "sentry_stats_exporter_web_config_last_reload_successful", labelled()
    values = [shown().get(name)]
    for usable in (True, False, True):
        own.web_configuration(usable=usable)
        values.append(shown().get(name))

    assert [None, 1, 0, 1] == values


def test_configuration(own: SelfMetrics, shown: Shown) -> None:
    """When a valid configuration was last read is shown."""
    own.configuration_read(1_772_000_000.5)

    values, name = shown(), "sentry_stats_exporter_config_last_reload_success"
    assert 1 == values[f"{name}ful", labelled()]
    assert 1_772_000_000.5 == values[f"{name}_timestamp_seconds", labelled()]


def test_request(own: SelfMetrics, shown: Shown) -> None:
    """A request is counted by its status, and its time is measured."""
    meter = own.meter("acme")
    meter.request("stats_v2", 200, 0.25)
    meter.request("stats_v2", 429, 0.5)

    values = shown()
    assert 1 == values["sentry_stats_api_requests_total", labelled("acme", "stats_v2", "200")]
    assert 1 == values["sentry_stats_api_requests_total", labelled("acme", "stats_v2", "429")]
    assert 0.75 == values["sentry_stats_api_request_duration_seconds_sum", labelled("acme")]


def test_request_without_status(own: SelfMetrics, shown: Shown) -> None:
    """A request that brought no status is timed, not counted as answered."""
    own.meter("acme").request("stats_v2", 0, 30)

    values = shown()
    assert 1 == values["sentry_stats_api_request_duration_seconds_count", labelled("acme")]
    assert not any(
        value for (name, _), value in values.items() if name == "sentry_stats_api_requests_total"
    )


def test_failure(own: SelfMetrics, shown: Shown) -> None:
    """Failures are counted by API and reason."""
    own.meter("acme").failure("projects", "timeout")

    name = "sentry_stats_api_request_failures_total"
    assert 1 == shown()[name, labelled("acme", "projects", "timeout")]


def test_rate_limit(own: SelfMetrics, shown: Shown) -> None:
    """The limits are those of the last answer; waiting times are added up."""
    meter = own.meter("acme")
    for remaining in (19, 3):
        meter.rate_limit(20, remaining)
        meter.throttled(1.5)

    values = shown()
    assert 20 == values["sentry_stats_api_rate_limit", labelled("acme")]
    assert 3 == values["sentry_stats_api_rate_limit_remaining", labelled("acme")]
    assert 3.0 == values["sentry_stats_api_throttled_seconds_total", labelled("acme")]


def test_known_in_advance(own: SelfMetrics, shown: Shown) -> None:
    """What every organization will have is shown at 0 before its first request."""
    own.meter("acme")

    values = shown()
    assert 0 == values["sentry_stats_api_throttled_seconds_total", labelled("acme")]
    assert 0 == values["sentry_stats_api_request_duration_seconds_count", labelled("acme")]


def test_counters_begin_at_0(own: SelfMetrics, shown: Shown) -> None:
    """Every reason and the usual statuses are shown at 0 before they first occur."""
    own.meter("acme")

    values = shown()
    for api in ("stats_v2", "projects"):
        for code in ("200", "400", "401", "403", "404", "429", "500", "502", "503", "504"):
            assert 0 == values["sentry_stats_api_requests_total", labelled("acme", api, code)]
        for reason in reasons():
            name = "sentry_stats_api_request_failures_total"
            assert 0 == values[name, labelled("acme", api, reason)]


def test_clock_skew(own: SelfMetrics, shown: Shown) -> None:
    """The clock difference is that of the last answer, and absent before the first."""
    name = "sentry_stats_clock_skew_seconds"
    meter = own.meter("acme")
    before = shown()
    for seconds in (3.0, -120.5):
        meter.clock_skew(seconds)

    assert (name, labelled("acme")) not in before
    assert -120.5 == shown()[name, labelled("acme")]


def test_deprecation(own: SelfMetrics, shown: Shown) -> None:
    """A removal date is shown while it is announced, and absent before and afterwards."""
    name = "sentry_stats_api_deprecation_timestamp_seconds"
    meter = own.meter("acme")
    meter.deprecation("projects", None)
    meter.deprecation("stats_v2", 1_800_000_000)
    values = shown()
    meter.deprecation("stats_v2", None)

    assert 1_800_000_000 == values[name, labelled("acme", "stats_v2")]
    assert (name, labelled("acme", "projects")) not in values
    assert (name, labelled("acme", "stats_v2")) not in shown()


def test_organizations_apart(own: SelfMetrics, shown: Shown) -> None:
    """Organizations are counted separately."""
    own.meter("acme").throttled(1)
    own.meter("globex").throttled(2)

    values = shown()
    assert 1 == values["sentry_stats_api_throttled_seconds_total", labelled("acme")]
    assert 2 == values["sentry_stats_api_throttled_seconds_total", labelled("globex")]


def test_one_meter(own: SelfMetrics, shown: Shown) -> None:
    """An organization has one meter, which counts on when it is requested again."""
    for _ in range(2):
        own.meter("acme").throttled(1)

    assert 2 == shown()["sentry_stats_api_throttled_seconds_total", labelled("acme")]


def test_dropped(own: SelfMetrics, shown: Shown) -> None:
    """A dropped organization leaves the page, and its old meter cannot bring it back."""
    acme, globex = own.meter("acme"), own.meter("globex")
    before = {labels for _, labels in shown()}
    own.drop("acme")
    acme.throttled(1)
    globex.throttled(2)

    after = {labels for _, labels in shown()}
    assert labelled("acme") in before
    assert [] == [labels for labels in after if "acme" in labels]
    assert labelled("globex") in after


def test_dropped_and_back(own: SelfMetrics, shown: Shown) -> None:
    """An organization that comes back after it was dropped counts from 0."""
    own.meter("acme").throttled(1)
    own.drop("acme")
    own.drop("never there")
    own.meter("acme")

    assert 0 == shown()["sentry_stats_api_throttled_seconds_total", labelled("acme")]


def test_drained_once(own: SelfMetrics) -> None:
    """Only what has changed since the last time is rendered."""
    own.meter("acme")
    globex = own.meter("globex")
    first = {key for key, _ in own.drain()}
    globex.throttled(1)

    assert {(), ("acme",), ("globex",)} == first
    assert [(("globex",), [API_THROTTLED])] == [(key, [*lines]) for key, lines in own.drain()]
    assert [] == list(own.drain())


def test_drain_ends(own: SelfMetrics) -> None:
    """What is counted while a drain is under way is left to the next one."""
    meter = own.meter("acme")
    for number, _ in enumerate(own.drain()):
        meter.request("stats_v2", 200, 0.25)
        assert number < 100

    assert {(API_REQUESTS,), (API_DURATION,)} <= {tuple(lines) for _, lines in own.drain()}


def test_failed_drain(own: SelfMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be rendered is rendered with the next drain."""
    keys = {key for key, _ in own.drain()}
    own.configuration_read(1)
    with monkeypatch.context() as patch:
        patch.setattr("exporter.publish.self_metrics.line", _fail)
        with pytest.raises(MemoryError):
            list(own.drain())

    assert keys == {key for key, _ in own.drain()}


def _fail(*_: object) -> str:
    raise MemoryError


def test_exporters_apart() -> None:
    """Two exporters in one process count separately."""
    one, other = SelfMetrics(), SelfMetrics()
    one.meter("acme").throttled(1)
    other.meter("acme")

    assert 0 == samples(Page(other))["sentry_stats_api_throttled_seconds_total", labelled("acme")]


def test_live(own: SelfMetrics) -> None:
    """The process is described as it is when asked, and OpenMetrics ends with its mark."""
    plain, openmetrics = own.live(openmetrics=False), own.live(openmetrics=True)

    assert b"process_resident_memory_bytes" in plain
    assert b"python_info" in plain
    assert b"# EOF" not in plain
    assert openmetrics.endswith(b"\n# EOF\n")


def of_exporter(samples: Samples) -> Samples:
    """Return the samples that are not about the process."""
    return {each: value for each, value in samples.items() if each[0].startswith("sentry_stats_")}


def test_refused_configuration(own: SelfMetrics, shown: Shown) -> None:
    """A configuration that is refused leaves the time of the one in effect."""
    own.configuration_read(1_772_000_000.5)
    own.configuration_refused()

    values, name = shown(), "sentry_stats_exporter_config_last_reload_success"
    assert 0 == values[f"{name}ful", labelled()]
    assert 1_772_000_000.5 == values[f"{name}_timestamp_seconds", labelled()]


def test_restored(own: SelfMetrics, shown: Shown) -> None:
    """Meters that were dropped are back with what they count, and new ones have left."""
    meter = own.meter("acme")
    before = of_exporter(shown())
    restore = own.restorer()
    own.drop("acme")
    own.meter("globex")
    own.configuration_read(7)
    between = of_exporter(shown())
    restore()
    restored = of_exporter(shown())
    meter.throttled(3)

    assert before != between
    assert before == restored
    assert 3 == shown()["sentry_stats_api_throttled_seconds_total", labelled("acme")]
