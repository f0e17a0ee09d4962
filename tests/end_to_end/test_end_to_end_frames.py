"""Failed polls and reloads leave no cycles behind: those hold frames, and all that was read."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.app import Exporter
from exporter.collect.poll import attempt, quota_attempt
from exporter.sentry import limits
from exporter.simulator import Fault, Simulator
from exporter.simulator.faults import Kind
from tests.end_to_end.test_end_to_end_faults import FAULTS
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, configuration, organization
from tests.support.exporters import poll_all, with_settings
from tests.support.frames import left_behind
from tests.support.logs import logged

TIMEOUT = 0.2
EVERY_FAULT = [pytest.param(fault, id=name) for name, (fault, _) in FAULTS.items()]


@pytest.fixture
def polled(
    sentry: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, int]]:
    """Return a function that polls twice, and returns for what reasons that failed."""
    monkeypatch.setattr(limits, "STORE_PAUSE", 0.0)
    query = {**PROJECTS, "lookback": "6h"}
    # One worker: what fails comes after what has been read.
    one = organization(query, max_concurrency=1, max_response_size="64KiB")
    config = configuration(sentry.url, one)
    exporter = Exporter(with_settings(config, timeout=TIMEOUT), clock=clock)

    def poll() -> dict[str, int]:
        """Poll twice."""
        for each in exporter.queries:
            each.poll(clock.now)
            each.poll(clock.now)
        return dict(exporter.queries[0].report.failures)

    return poll


@pytest.mark.slow
@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_requests(sentry: Simulator, polled: Callable[[], dict[str, int]], fault: Fault) -> None:
    """Whatever happens to a request, nothing of what was read before it stays in memory."""
    sentry.faults.add(replace(fault, endpoint="stats_v2", after=2))

    with left_behind() as names:
        failures = polled()

    assert failures
    assert [] == names


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hang", "reset", "cut"])
def test_list(sentry: Simulator, polled: Callable[[], dict[str, int]], kind: Kind) -> None:
    """Nor does a projects list that cannot be read leave anything behind."""
    sentry.faults.add(Fault(kind, endpoint="projects"))

    with left_behind() as names:
        polled()

    assert [] == names


def test_one_that_recovers(sentry: Simulator, polled: Callable[[], dict[str, int]]) -> None:
    """Nor does a connection that is opened again, because the server had closed it."""
    sentry.faults.add(Fault("reset", after=1, times=1))

    with left_behind() as names:
        failures = polled()

    assert {} == failures
    assert [] == names


def test_fault_of_ours(
    polled: Callable[[], dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does an exception that no code expects."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(attempt, "post", fail)

    with left_behind() as names:
        failures = polled()

    assert {"internal": 2} == failures
    assert [] == names


def test_fault_of_ours_in_quotas(
    sentry: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does such an exception in a poll of quotas."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(quota_attempt, "account_of", fail)
    quota = {"name": "errors", "category": "error", "limit": 1000}
    period = {"period": {"start_day": 1}}
    one = organization(PROJECTS, quotas=[quota], billing=period)
    exporter = Exporter(configuration(sentry.url, one), clock=clock)
    *_, poller = exporter.queries

    # Without a configuration, structlog looks at the variables of frames, which then hold them.
    with left_behind() as names, logged():
        report = poller.poll(clock.now)

    assert {"internal": 1} == report.failures
    assert [] == names


def test_reload(sentry: Simulator, clock: Clock) -> None:
    """A reload frees the pollers and clients that it replaces, and their connections, at once."""
    quota = {"name": "errors", "category": "error", "limit": 1000}
    quotas = {"quotas": [quota], "billing": {"period": {"start_day": 1}}}
    first, second = (
        configuration(sentry.url, {**organization(PROJECTS, timeout=timeout), **quotas})
        for timeout in ("7s", "8s")
    )
    exporter = Exporter(first, clock=clock)
    poll_all(exporter, clock.now)

    with left_behind() as names:
        exporter.apply(second)
        poll_all(exporter, clock.now)
        exporter.apply(first)

    assert [] == names
