"""An incident and two outages in real Prometheus and Alertmanager processes.

They run the shipped files, changed only by the overlay.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from exporter.simulator import DAY, HOUR, Project
from tests.deploy.incident_receiver import Mailbox, Message, Notification
from tests.deploy.incident_stage import Stage, staged
from tests.deploy.incident_world import ACME, CHECKOUT, IOS
from tests.deploy.kit import DEPLOY, read_yaml
from tests.deploy.overlay import SPEED, in_promql, rule_files, shortened
from tests.support.clock import Clock
from tests.support.programs import wait_until

pytestmark = pytest.mark.slow

WEEK = 7 * DAY
TIMES = {"for", "interval", "keep_firing_for"}
"""The keys of durations in rules."""

NOTIFICATION_DELAY = 1500
"""Seconds, five times Alertmanager's ``group_interval``."""

INCIDENT = [
    Notification("acme-chat", "SentryEventsRateLimited", "warning", "acme", "", "error"),
    Notification(
        "acme-chat", "SentryEventsRateLimited", "warning", "acme", "", "error", "checkout"
    ),
    Notification(
        "acme-page", "SentryEventsRateLimited", "critical", "acme", "", "error", "checkout"
    ),
    Notification("acme-page", "SentryProjectSilent", "critical", "acme", "", "", "ios"),
]

MUTED = INCIDENT[1]
"""Muted once its critical alert fires: then Alertmanager may not report it as resolved."""

SENTRY_DOWN = [
    Notification(receiver, name, severity, organization, query)
    for receiver, name, severity in (
        ("exporter-chat", "SentryStatsQueryFailing", "warning"),
        ("exporter-page", "SentryStatsQueryStale", "critical"),
    )
    for organization in ("acme", "globex")
    for query in ("outcomes", "projects")
]

EXPORTER_DOWN = [Notification("exporter-page", "SentryStatsExporterDown", "critical")]

LIMITED = (
    r"• acme{place}: (\S+)% of category error are rate limited\n"
    r"  In the last 30 minutes .*, (\S+)% of the submitted data was dropped by the rate limit .*\n"
    r"  Since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC\n"
)
SILENT = (
    r"In the last hour the project sent almost nothing, of any category\."
    r" At least (\S+) an hour are usual\."
)
STALE = r"The last successful poll was 1h [23]\dm \d+s ago\."


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run all programs, once for all tests of this module."""
    with staged(tmp_path_factory.mktemp("stage")) as everything:
        yield everything


@pytest.fixture
def calm(stage: Stage) -> Mailbox:
    """Wait until nothing fires and all is notified, and return the mailbox from then on."""
    wait_until(stage.is_calm, stage.alerts)
    stage.live_until(stage.clock() + NOTIFICATION_DELAY)
    return stage.mailbox.from_here()


def await_resolved(stage: Stage, mailbox: Mailbox, expected: Sequence[Notification]) -> None:
    """Return once every expected alert is reported as resolved and nothing fires any more."""
    wait_until(
        lambda: set(expected) <= mailbox.resolved(),
        lambda: f"firing: {mailbox.fired()}\nresolved: {mailbox.resolved()}",
    )
    wait_until(stage.is_calm, stage.alerts)


def number(pattern: str, messages: Sequence[Message]) -> float:
    """Return the number in the group of ``pattern`` in a message; ``k`` means a thousand."""
    matches = [match[1] for one in messages for match in re.finditer(pattern, one.text)]

    assert matches, f"{pattern}\n{messages}"
    return float(matches[0].removesuffix("k")) * (1000 if matches[0].endswith("k") else 1)


class Truth:
    """What the rows say."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def events(
        self, hour: float, outcome: str, project: Project | None = None, category: str = "error"
    ) -> int:
        """Return how many of an outcome came within an hour."""
        filters: dict[str, Any] = {} if project is None else {"project": [project.id]}
        sums = self._stage.sentry.store.totals(
            ACME.id,
            hour,
            hour + HOUR,
            at=self._stage.clock(),
            group_by=["outcome"],
            category=[category],
            **filters,
        )
        return sums.get((outcome,), 0)

    def limited_percentage(self, hour: float, project: Project | None = None) -> float:
        """Return how much of the errors of an hour was rate limited."""
        limited = self.events(hour, "rate_limited", project)
        let_in = (self.events(hour, name, project) for name in ("accepted", "filtered", "invalid"))
        return 100 * limited / (limited + sum(let_in))

    def accepted(
        self, hours: Sequence[float], project: Project, category: str = "error"
    ) -> list[int]:
        """Return how many events of a project were accepted, hour by hour."""
        return [self.events(hour, "accepted", project, category) for hour in hours]


def hours_from(start: float, *numbers: int) -> list[float]:
    """Return the hours of these numbers, the one from ``start`` being 0."""
    return [start + each * HOUR for each in numbers]


@pytest.mark.programs
def test_an_incident_notifies_the_right_receivers(stage: Stage, calm: Mailbox) -> None:
    """Each alert of an incident is sent once, to its receiver, with true numbers, and resolves."""
    start = stage.next_hour()
    stage.incident.start = start
    stage.live_until(start + 5.5 * HOUR)
    await_resolved(stage, calm, [one for one in INCIDENT if one != MUTED])

    assert INCIDENT == calm.fired()
    assert set(INCIDENT) - {MUTED} <= calm.resolved() <= set(INCIDENT)
    assert {"#acme-sentry"} == {one.channel for one in calm.messages()}
    assert {"pagerduty-routing-key-acme"} == {key for key, _ in calm.pages()}
    check_numbers([one for one in calm.messages() if one.color != "good"], Truth(stage), start)


def check_numbers(messages: Sequence[Message], truth: Truth, start: float) -> None:
    """Compare the numbers in the messages with the rows."""
    limited = start + HOUR
    for place, project in (("", None), (" / checkout", CHECKOUT)):
        share = number(LIMITED.format(place=place), messages)
        # The first message has the share of half an hour that has just begun to be limited.
        assert 5 < share <= 1.1 * truth.limited_percentage(limited, project)
    around = hours_from(start - WEEK, 1, 2, 3, 4)
    usual = max(truth.accepted(around, IOS, "transaction"))
    assert 0.5 * usual < number(SILENT, messages) <= 1.1 * usual


@pytest.mark.programs
def test_with_sentry_down_only_exporter_alerts_fire(stage: Stage, calm: Mailbox) -> None:
    """An outage of Sentry notifies the exporter's operators and nobody else."""
    stage.sentry.faults.down = True
    stage.live_until(stage.clock() + 3.25 * HOUR)
    stage.sentry.faults.down = False
    # The stale alert mutes the failing alert of its query. If the other query of the message
    # recovers first, Alertmanager forgets that it has notified this one, and sends no resolved.
    await_resolved(stage, calm, [one for one in SENTRY_DOWN if one.severity == "critical"])

    assert SENTRY_DOWN == calm.fired()
    assert calm.resolved() <= set(SENTRY_DOWN)
    assert {"#sentry"} == {one.channel for one in calm.messages()}
    text = "\n".join(one.text for one in calm.messages())
    assert 4 == len(re.findall(STALE, text))


@pytest.mark.programs
def test_with_the_exporter_down_one_alert_fires(stage: Stage, calm: Mailbox) -> None:
    """An outage of the exporter is one alert, which resolves when the exporter is back."""
    stage.exporter.stop()
    stage.live_until(stage.clock() + 1.5 * HOUR)
    stage.exporter.start()
    await_resolved(stage, calm, EXPORTER_DOWN)

    assert EXPORTER_DOWN == calm.fired()
    assert set(EXPORTER_DOWN) == calm.resolved()
    [firing, resolved] = calm.messages()
    assert re.fullmatch(
        r"critical: The Sentry stats exporter at 127\.0\.0\.1:\d+ is down", firing.title
    )
    assert "have failed for 10 minutes. Sentry's data is not monitored" in firing.text
    assert firing.title.replace("critical", "resolved") == resolved.title


class TestOverlay:
    """The overlay changes nothing but what it says."""

    @pytest.mark.parametrize(
        ("length", "short"), [("30s", "50ms"), ("1h15m", "7500ms"), ("167h", "1002000ms")]
    )
    def test_divides_durations(self, length: str, short: str) -> None:
        """An hour becomes six seconds."""
        assert short == shortened(length)

    def test_leaves_the_rules_alone_but_for_time(self) -> None:
        """Apart from durations and the clock, the rules are the shipped ones."""
        clock = Clock(0.0, SPEED)
        shipped = {
            path.name: read_yaml(path) for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")
        }

        assert timeless(shipped, "time()") == timeless(rule_files(clock), in_promql(clock))


def timeless(node: Any, clock: str) -> Any:
    """Return a document without its durations and its calls of ``time()``."""
    match node:
        case dict():
            document = {key: timeless(value, clock) for key, value in node.items()}
            return {key: text for key, text in document.items() if key not in TIMES}
        case list():
            return [timeless(each, clock) for each in node]
        case str():
            return re.sub(r"\[\w+(:\w+)?\]|offset \w+", "", node.replace(clock, "now"))
        case _:
            return node
