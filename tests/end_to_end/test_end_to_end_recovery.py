"""Recovery: how soon data return once the cause of a failure is fixed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.simulator import DEMO_TOKENS, Fault, Simulator
from tests.end_to_end.exposition import data
from tests.end_to_end.stage import page
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.exporters import poll_due

FILTERED = {**OUTCOMES, "name": "filtered", "filter": {"project": ["web", "api"]}}
HOURS = 2
"""Until data are withdrawn and the pauses between polls no longer grow, which takes minutes."""

INTERVALS = ("5m", "15m", "1h")

FAULTS: dict[str, Callable[[Simulator], object]] = {
    "401": lambda sentry: sentry.faults.add(Fault("status", status=401)),
    "403": lambda sentry: sentry.faults.add(Fault("status", status=403)),
    "503": lambda sentry: sentry.faults.add(Fault("status", status=503)),
    "reset": lambda sentry: sentry.faults.add(Fault("reset")),
    "down": lambda sentry: setattr(sentry.faults, "down", True),
}


def up(exporter: Exporter) -> bool:
    """Return whether every query is up and has data on the page."""
    reports = exporter.page.shown()
    return all(report.up and report.view for report in reports) and bool(data(page(exporter)))


def pass_time(exporter: Exporter, clock: Clock, seconds: int, step: int = 1) -> None:
    """Run the loop until so many seconds have passed."""
    for _ in range(0, seconds, step):
        clock.now += step
        poll_due(exporter, clock.now)


def seconds_until_up(exporter: Exporter, clock: Clock) -> float:
    """Return after how many seconds all queries are up, at most six minutes."""
    began = clock.now
    while not up(exporter) and clock.now < began + 360:
        pass_time(exporter, clock, 1)
    return clock.now - began


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("fault", FAULTS)
def test_data_returns_within_five_minutes(
    sentry: Simulator, clock: Clock, fault: str, interval: str
) -> None:
    """After two hours of failures, data return within five minutes."""
    queries = [{**one, "poll_interval": interval} for one in (OUTCOMES, PROJECTS, FILTERED)]
    config = configuration(sentry.url, organization(*queries, max_age="2h"))
    exporter = Exporter(config, clock=clock)
    poll_due(exporter, clock.now)
    before = up(exporter)
    FAULTS[fault](sentry)
    pass_time(exporter, clock, HOURS * 3600 + 300, step=10)
    during = data(page(exporter))
    sentry.faults.clear()

    assert before
    assert {} == during
    assert seconds_until_up(exporter, clock) <= 300


@pytest.mark.parametrize("interval", INTERVALS)
def test_another_token_is_tried_at_once(
    sentry: Simulator, clock: Clock, tmp_path: Path, interval: str
) -> None:
    """After hours with a bad token, a new token in the file is used within a second."""
    token = tmp_path / "token"
    token.write_text("no-such-token")
    queries = [{**one, "poll_interval": interval} for one in (OUTCOMES, PROJECTS, FILTERED)]
    entry = {"slug": "acme", "token_file": str(token), "queries": queries}
    exporter = Exporter(configuration(sentry.url, entry), clock=clock)
    pass_time(exporter, clock, HOURS * 3600, step=10)
    request_count = len(sentry.requests)
    token.write_text(DEMO_TOKENS["acme"])

    assert seconds_until_up(exporter, clock) <= 1
    assert request_count < 3 * HOURS * 12 * len(queries)


def test_a_token_file_may_be_created_later(sentry: Simulator, clock: Clock, tmp_path: Path) -> None:
    """A token file that is created after the start is used at once."""
    token = tmp_path / "token"
    entry = {"slug": "acme", "token_file": str(token), "queries": [OUTCOMES]}
    exporter = Exporter(configuration(sentry.url, entry), clock=clock)
    pass_time(exporter, clock, 100)
    before = up(exporter)
    token.write_text(DEMO_TOKENS["acme"])

    assert not before
    assert seconds_until_up(exporter, clock) <= 1
