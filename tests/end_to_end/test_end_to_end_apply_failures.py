"""Whatever fails while a configuration is put in place, the present one goes on."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.app import Exporter
from exporter.collect.publisher import RevocablePublisher
from exporter.config import Config
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.simulator import Simulator
from exporter.state import State, StateError
from tests.end_to_end.exposition import data, sample
from tests.end_to_end.stage import page, polled
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.logs import logged

HOUR = 3600
SHORT = {**OUTCOMES, "lookback": "2h", "poll_interval": "5m"}
BY_PROJECT = {**PROJECTS, "lookback": "2h", "poll_interval": "5m"}

pytestmark = pytest.mark.slow

STEPS = {
    "state": (State, "restore"),
    "clients": ("exporter.app", "clients_for"),
    "old publisher": (RevocablePublisher, "revoke"),
    "meters": (SelfMetrics, "drop"),
    "time": (SelfMetrics, "configuration_read"),
    "page": (Page, "publish"),
    "swap": ("exporter.publish.page", "joined"),
}
"""The steps of putting a configuration in place, and a function that each of them calls."""


class ForeseenByNobodyError(Exception):
    """A fault that nobody has foreseen."""


@pytest.fixture
def untouched(sentry: Simulator, clock: Clock) -> Exporter:
    """Return an exporter that nobody reloads."""
    return Exporter(present(sentry), clock=clock)


@pytest.fixture
def exporter(
    untouched: Exporter, sentry: Simulator, clock: Clock, tmp_path: Path
) -> Iterator[Exporter]:
    """Return an exporter with a state file that has polled two organizations, as the other one."""
    with closing(State(tmp_path / "state")) as state:
        made = Exporter(present(sentry), clock=clock, state=state)
        for _ in range(2):
            polled(made, clock.now)
            polled(untouched, clock.now)
            clock.now += HOUR
        yield made


def present(sentry: Simulator) -> Config:
    """Return the configuration that is to go on."""
    gone = organization(BY_PROJECT, slug="globex", name="gone")
    return configuration(sentry.url, organization(SHORT, BY_PROJECT), gone)


def another(sentry: Simulator) -> Config:
    """Return a configuration in which everything differs: added, removed, changed."""
    new = organization(SHORT, slug="globex", name="new")
    changed = {**BY_PROJECT, "lookback": "3h"}
    return configuration(sentry.url, organization(SHORT, changed, timeout="7s"), new)


def failing_at(patch: pytest.MonkeyPatch, step: str) -> None:
    """Let a step fail."""

    def fail(*_: object, **__: object) -> None:
        raise ForeseenByNobodyError

    target, name = STEPS[step]
    if isinstance(target, str):
        patch.setattr(f"{target}.{name}", fail)
    else:
        patch.setattr(target, name, fail)


@pytest.mark.parametrize("step", STEPS)
def test_goes_on(
    exporter: Exporter,
    untouched: Exporter,
    sentry: Simulator,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The page stays as it is, and polls count as if nothing had been tried."""
    before, queries = page(exporter), exporter.queries

    with monkeypatch.context() as patch:
        failing_at(patch, step)
        with pytest.raises(ForeseenByNobodyError):
            exporter.apply(another(sentry))
    exporter.page.publish()
    between = page(exporter)

    assert queries == exporter.queries
    assert before == between
    assert data(polled(untouched, clock.now)) == data(polled(exporter, clock.now)) != data(before)


@pytest.mark.parametrize("error", [StateError("locked"), ForeseenByNobodyError()])
def test_old_data_cannot_be_deleted(
    exporter: Exporter, sentry: Simulator, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Once a configuration is in effect, no fault makes that look like a failure."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(State, "forget", fail)
    config = another(sentry)
    with logged() as records:
        exporter.apply(config)

    assert config == exporter.config
    assert 1 == len(records)


def test_reload_metrics_stay(
    exporter: Exporter, sentry: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the last success is that of the configuration in effect."""
    name = sample("sentry_stats_exporter_config_last_reload_success_timestamp_seconds")
    before = page(exporter)

    with monkeypatch.context() as patch:
        failing_at(patch, "swap")
        with pytest.raises(ForeseenByNobodyError):
            exporter.apply(another(sentry))
    exporter.refused(["a problem"])

    assert clock.now - 2 * HOUR == before[name] == page(exporter)[name]


def test_report_in_between(
    exporter: Exporter, sentry: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a poll could not publish meanwhile is published by the next refresh."""
    query, original = exporter.queries[0], Page.publish

    def publish(page: Page, *reports: Any, **options: Any) -> None:
        if "dropped" in options:
            query.poll(clock.now)
            raise ForeseenByNobodyError
        original(page, *reports, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Page, "publish", publish)
        with pytest.raises(ForeseenByNobodyError):
            exporter.apply(another(sentry))
    unpublished = query.report not in exporter.page.shown()
    refreshed = query.must_refresh(clock.now)
    query.refresh(clock.now)

    assert unpublished
    assert refreshed
    assert query.report in exporter.page.shown()


def test_another_try(
    exporter: Exporter, sentry: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure, the same configuration can be put in place."""
    with monkeypatch.context() as patch:
        failing_at(patch, "swap")
        with pytest.raises(ForeseenByNobodyError):
            exporter.apply(another(sentry))
    exporter.apply(another(sentry))
    organizations = {dict(each[1]).get("organization") for each in polled(exporter, clock.now)}

    assert {None, "acme", "new"} == organizations
