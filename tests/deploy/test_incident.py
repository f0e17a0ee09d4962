"""An afternoon with an incident, and two outages, as real programs tell of them.

The shipped files of Prometheus and Alertmanager run as they are, but for the overlay.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from exporter.simulator import Project
from exporter.simulator.traffic import DAY, HOUR
from tests.deploy.incident_receiver import Heard, Mailbox, Message
from tests.deploy.incident_stage import Stage, staged
from tests.deploy.incident_world import ACME, CHECKOUT, IOS
from tests.deploy.kit import DEPLOY, read_yaml
from tests.deploy.overlay import FastTime, rule_files, shortened
from tests.programs import wait_until

WEEK = 7 * DAY
LAST_WORDS = 1500
"""Seconds, five times the interval at which Alertmanager says what is new."""

INCIDENT = [
    Heard("acme-chat", "SentryEventsRateLimited", "warning", "acme", "outcomes", "error"),
    Heard(
        "acme-chat",
        "SentryVolumeFarAboveLastWeek",
        "warning",
        "acme",
        "projects",
        "error",
        "checkout",
    ),
    *(
        Heard("acme-page", name, "critical", "acme", "projects", category, project)
        for name, category, project in (
            ("SentryAcceptedFellToZero", "error", "ios"),
            ("SentryAcceptedFellToZero", "transaction", "ios"),
            ("SentryEventsRateLimited", "error", "checkout"),
        )
    ),
]

MUTED = {
    Heard(
        "acme-chat", "SentryEventsRateLimited", "warning", "acme", "projects", "error", "checkout"
    )
}
"""A critical alert speaks for it; when both are over, Alertmanager may say so of both."""

SENTRY_DOWN = [
    Heard(receiver, name, severity, organization, query)
    for receiver, name, severity in (
        ("exporter-chat", "SentryStatsQueryFailing", "warning"),
        ("exporter-page", "SentryStatsQueryStale", "critical"),
    )
    for organization in ("acme", "globex")
    for query in ("outcomes", "projects")
]

EXPORTER_DOWN = [Heard("exporter-page", "SentryStatsExporterDown", "critical")]

LIMITED = (
    r"• Sentry drops error of acme{place}: rate limited\n"
    r"  (\S+)% of the error volume submitted in the last finished bucket was rate limited,"
    r" including what SDKs held back after a 429 \(query {query}\)\.\n"
    r"  Since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC\n"
    r"What to do: docs/runbooks\.md#sentryeventsratelimited"
)
SILENT = (
    r"Sentry accepted no {category} in the last two finished buckets; at this time of last week, or"
    r" of yesterday, it was never less than (\S+) a bucket \(query projects\)\."
)
RISEN = (
    r"(\S+) of error a bucket were submitted over the last three hours, far above the same hours of"
    r" last week \(query projects\)\."
)
STALE = r"The last successful poll was 2h 3\dm \d+s ago, more than two buckets\."


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run everything, once for all of this afternoon."""
    with staged(tmp_path_factory.mktemp("stage")) as everything:
        yield everything


@pytest.fixture
def calm(stage: Stage) -> Mailbox:
    """Wait until nothing fires and all has been said, and return what comes from then on."""
    wait_until(stage.prometheus.is_calm, stage.prometheus.alerts)
    stage.live_until(stage.clock() + LAST_WORDS)
    return stage.mailbox.from_here()


def await_the_end(stage: Stage, told: Mailbox, expected: Sequence[Heard]) -> None:
    """Return once everybody who heard of an alert has heard that it is over."""
    wait_until(
        lambda: set(expected) <= told.resolved(),
        lambda: f"told: {told.fired()}\nover: {told.resolved()}",
    )
    wait_until(stage.prometheus.is_calm, stage.prometheus.alerts)


def number(pattern: str, messages: Sequence[Message]) -> float:
    """Return the number that a message gives where ``pattern`` has a group; ``k`` is a thousand."""
    found = [match[1] for one in messages for match in re.finditer(pattern, one.text)]

    assert found, f"{pattern}\n{messages}"
    return float(found[0].removesuffix("k")) * (1000 if found[0].endswith("k") else 1)


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
def test_an_incident_is_told_to_whom_it_concerns(stage: Stage, calm: Mailbox) -> None:
    """Each alert of an incident comes once, to its receiver, with true numbers, and ends."""
    start = stage.next_hour()
    stage.incident.start = start
    stage.live_until(start + 5.5 * HOUR)
    await_the_end(stage, calm, INCIDENT)

    assert INCIDENT == calm.fired()
    assert calm.resolved() - set(INCIDENT) <= MUTED
    messages = [one for one in calm.messages() if one.color != "good"]
    titles = {
        ("warning", "warning: Far more error than last week from acme, project checkout"),
        ("warning", "warning: Sentry drops error of acme: rate limited"),
        ("danger", "critical: Sentry drops error of acme, project checkout: rate limited"),
        ("danger", "critical: 2 x SentryAcceptedFellToZero in acme"),
    }
    assert titles == {(one.color, one.title) for one in messages}
    assert {"#acme-sentry"} == {one.channel for one in calm.messages()}
    assert {
        ("pagerduty-routing-key-acme", f"{status}: {what}")
        for status in ("critical", "resolved")
        for what in (
            "Sentry drops error of acme, project checkout: rate limited",
            "2 x SentryAcceptedFellToZero in acme",
        )
    } == calm.pages()
    check_numbers(messages, Truth(stage), start)


def check_numbers(messages: Sequence[Message], truth: Truth, start: float) -> None:
    """Hold the numbers of the messages against those of the rows, but for a few late ones."""
    limited = start + HOUR
    for place, query, project in (
        ("", "outcomes", None),
        (", project checkout", "projects", CHECKOUT),
    ):
        share = number(LIMITED.format(place=place, query=query), messages)
        assert truth.limited_percentage(limited, project) == pytest.approx(share, rel=0.05)
    around = hours_from(start - WEEK, 1, 2, 3, 4)
    for category in ("error", "transaction"):
        least = min(truth.accepted(around, IOS, category))
        assert least == pytest.approx(number(SILENT.format(category=category), messages), rel=0.05)
    usual = max(truth.accepted(hours_from(start - WEEK, -1, 0, 1), CHECKOUT))
    assert 3 * usual < number(RISEN, messages) < 12 * 1.5 * usual


@pytest.mark.programs
def test_with_sentry_down_only_the_exporter_is_unwell(stage: Stage, calm: Mailbox) -> None:
    """Hours without Sentry are told to those who run the exporter, and nobody else."""
    stage.sentry.faults.down = True
    stage.live_until(stage.clock() + 3.25 * HOUR)
    stage.sentry.faults.down = False
    # A stale query mutes its failing. If the other query of the message is mended first,
    # Alertmanager forgets that it has told of this one, and does not tell of its end.
    await_the_end(stage, calm, [one for one in SENTRY_DOWN if one.severity == "critical"])

    assert SENTRY_DOWN == calm.fired()
    assert calm.resolved() <= set(SENTRY_DOWN)
    assert {"#sentry"} == {one.channel for one in calm.messages()}
    told = "\n".join(one.text for one in calm.messages())
    assert 4 == len(re.findall(STALE, told))


@pytest.mark.programs
def test_with_the_exporter_down_that_is_all(stage: Stage, calm: Mailbox) -> None:
    """Hours without the exporter are one alert, which ends when it is back."""
    stage.exporter.stop()
    stage.live_until(stage.clock() + 1.5 * HOUR)
    stage.exporter.start()
    await_the_end(stage, calm, EXPORTER_DOWN)

    assert EXPORTER_DOWN == calm.fired()
    assert set(EXPORTER_DOWN) == calm.resolved()
    [firing, over] = calm.messages()
    assert re.fullmatch(
        r"critical: The Sentry stats exporter at 127\.0\.0\.1:\d+ is down", firing.title
    )
    assert "for 10 minutes (scrapes fail). Sentry's data is not watched." in firing.text
    assert firing.title.replace("critical", "resolved") == over.title


class TestOverlay:
    """What is put over the shipped files is what it says."""

    @pytest.mark.parametrize(
        ("length", "short"), [("30s", "50ms"), ("1h15m", "7500ms"), ("167h", "1002000ms")]
    )
    def test_divides_lengths_of_time(self, length: str, short: str) -> None:
        """An hour becomes six seconds."""
        assert short == shortened(length)

    def test_leaves_the_rules_alone_but_for_time(self) -> None:
        """With lengths of time and the clock put aside, the rules are those that are shipped."""
        clock = FastTime(0.0, 0.0)
        shipped = {
            path.name: read_yaml(path) for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")
        }

        assert timeless(shipped, "time()") == timeless(rule_files(clock), clock.in_promql)


def timeless(node: Any, clock: str) -> Any:
    """Return a document without its lengths of time and its questions for the time."""
    match node:
        case dict():
            kept = {key: timeless(value, clock) for key, value in node.items()}
            return {key: value for key, value in kept.items() if key not in {"for", "interval"}}
        case list():
            return [timeless(each, clock) for each in node]
        case str():
            return re.sub(r"\[\w+\]|offset \w+", "", node.replace(clock, "now"))
        case _:
            return node
