"""The way back: how soon data returns once the cause of a failure is gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.simulator import DEMO_TOKENS, Fault, Simulator
from tests.docs.clock import poll_due
from tests.end_to_end.exposition import data
from tests.end_to_end.stage import OUTCOMES, PROJECTS, Clock, configuration, organization, page

FILTERED = {**OUTCOMES, "name": "filtered", "filter": {"project": ["web", "api"]}}
HOURS = 5
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
    """Let the loop look at the clock until so many seconds have passed."""
    for _ in range(0, seconds, step):
        clock.now += step
        poll_due(exporter, clock.now)


def seconds_until_up(exporter: Exporter, clock: Clock) -> float:
    """Return after how many seconds all is well, at the most six minutes."""
    began = clock.now
    while not up(exporter) and clock.now < began + 360:
        pass_time(exporter, clock, 1)
    return clock.now - began


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("fault", FAULTS)
def test_data_returns_within_five_minutes(
    sentry: Simulator, clock: Clock, fault: str, interval: str
) -> None:
    """After five hours of failures that ended at no particular minute, five minutes are enough."""
    queries = [{**one, "poll_interval": interval} for one in (OUTCOMES, PROJECTS, FILTERED)]
    config = configuration(sentry.url, organization(*queries))
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
    """After hours with a bad token, the right one in the file is used within the next second."""
    token = tmp_path / "token"
    token.write_text("no-such-token")
    queries = [{**one, "poll_interval": interval} for one in (OUTCOMES, PROJECTS, FILTERED)]
    entry = {"slug": "acme", "token_file": str(token), "queries": queries}
    exporter = Exporter(configuration(sentry.url, entry), clock=clock)
    pass_time(exporter, clock, HOURS * 3600, step=10)
    asked = len(sentry.requests)
    token.write_text(DEMO_TOKENS["acme"])

    assert seconds_until_up(exporter, clock) <= 1
    assert asked < 3 * HOURS * 12 * len(queries)


def test_a_missing_token_file_is_looked_for(
    sentry: Simulator, clock: Clock, tmp_path: Path
) -> None:
    """A token file that comes only after the start is used as soon as it is there."""
    token = tmp_path / "token"
    entry = {"slug": "acme", "token_file": str(token), "queries": [OUTCOMES]}
    exporter = Exporter(configuration(sentry.url, entry), clock=clock)
    pass_time(exporter, clock, 100)
    before = up(exporter)
    token.write_text(DEMO_TOKENS["acme"])

    assert not before
    assert seconds_until_up(exporter, clock) <= 1
