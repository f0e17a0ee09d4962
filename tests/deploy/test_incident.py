"""An incident with every cause of silence, in real Prometheus and Alertmanager processes.

They run the shipped files, changed only by the overlay, and notify a listener that stands in for
Slack and PagerDuty.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import pytest

from exporter.simulator import Scenario
from tests.deploy.incident_links import LINK, unresolved
from tests.deploy.incident_receiver import Mailbox, Notification
from tests.deploy.incident_stage import DEADLINE, Stage, evaluations, staged
from tests.deploy.incident_truth import Truth, filled
from tests.deploy.incident_world import CAUSES, ORGANIZATIONS
from tests.deploy.kit import DEPLOY, read_yaml
from tests.deploy.overlay import rule_files, shortened
from tests.support.programs import wait_until

pytestmark = pytest.mark.slow

DURATIONS: Final = {"for", "interval", "keep_firing_for"}
"""The keys of durations in rules."""

LIMITED: Final = "SentryEventsRateLimited"
STALE: Final = "SentryStatsQueryStale"

EXPECTED: Final[Mapping[Scenario, list[Notification]]] = {
    "steady": [],
    "silence": [Notification("page", "SentryProjectSilent", "critical", project="checkout")],
    "quota": [Notification("page", "SentryQuotaExceeded", "critical", category="error")],
    "key-limit": [Notification("acme-page", LIMITED, "critical", "", "", "error", "checkout")],
    "project-limit": [Notification("page", LIMITED, "critical", "", "", "error", "checkout")],
    "spike-protection": [
        Notification("chat", "SentrySpikeProtectionActive", "warning", category="error")
    ],
    "filter": [
        Notification("chat", "SentryFiltersDropMost", "warning", "", "", "error", "checkout")
    ],
    "accepts-nothing": [
        Notification("page", "SentryAcceptsNothing", "critical", category=category)
        for category in ("error", "transaction")
    ],
    "api-down": [
        Notification("exporter-page", STALE, "critical", query=query)
        for query in ("outcomes", "projects")
    ],
    "token-revoked": [
        Notification("exporter-page", STALE, "critical", query=query)
        for query in ("outcomes", "projects")
    ],
}
"""What is notified in the organization of each cause; these alerts mute others."""

LIMIT: Final = (
    "A rate limit of a key (key_quota), a project or the organization drops data. Fix the client"
    " that sends too much, or raise the limit in Sentry."
)
UNKNOWN: Final = (
    "Alerts about this data neither begin nor end until a poll succeeds. Run"
    " sentry-stats-exporter check --online: it names the cause and the remedy."
)


class Text(NamedTuple):
    """The parts of a message. ``others`` are the summaries of all alerts, if there are several."""

    summary: str
    advice: str
    projects: str = ""
    others: tuple[str, ...] = ()
    query: str = "projects"
    project: str = "checkout"


def stale(organization: str) -> Text:
    """Return the message about an organization whose polls fail."""
    summaries = tuple(
        f"{organization}: data of query {query} is stale, last successful poll {{{ago}}} ago"
        for query, ago in (("outcomes", "ago"), ("projects", "other_ago"))
    )
    return Text(f"{summaries[0]}, and 1 more", UNKNOWN, others=summaries)


NOTHING_ACCEPTED: Final = tuple(
    f"accepts-nothing: almost no {noun} accepted from any project since {{{since}}} UTC,"
    f" usually at least {{{usual}}} an hour"
    for noun, since, usual in (
        ("error events", "since", "usual"),
        ("transactions", "since_2", "transactions"),
    )
)

TEXTS: Final[Mapping[Scenario, Text]] = {
    "silence": Text(
        "silence / checkout: almost nothing since {since} UTC, usually at least {transactions}"
        " transactions and {usual} error events an hour, last event in the hour from {hour} UTC",
        "Sentry refuses none of its data. Check that the site runs, that the key is enabled, and"
        " what the last release changed, such as the DSN.",
    ),
    "quota": Text(
        "quota: {share} % of error events over quota since {since} UTC ({lost} lost),"
        " reason error_usage_exceeded",
        "The quota is used up: Sentry drops what exceeds it until the billing period ends. Raise"
        " the quota, or reduce what the largest projects send.",
        "web {recent}, ios {recent_2}, checkout {recent_3}",
        query="outcomes",
        project="",
    ),
    "key-limit": Text(
        "acme / checkout: {share} % of error events rate limited since {since} UTC ({lost} lost),"
        " reason key_quota",
        LIMIT,
        "checkout {recent}",
    ),
    "project-limit": Text(
        "project-limit / checkout: {share} % of error events rate limited since {since} UTC"
        " ({lost} lost), reason project_quota",
        LIMIT,
        "checkout {recent}",
    ),
    "spike-protection": Text(
        "spike-protection: {share} % of error events dropped by spike protection since {since} UTC"
        " ({lost} lost)",
        "Spike protection drops data because a project sends far more than usual. Find the"
        " release or issue behind the spike.",
        "checkout {recent}",
        query="outcomes",
        project="",
    ),
    "filter": Text(
        "filter / checkout: {share} % of error events filtered since {since} UTC ({lost} lost),"
        " reason error-message",
        "Inbound filters drop nearly everything. If the filter that the reason names was changed"
        " recently, undo the change in the project's settings.",
        "web {recent}, checkout {recent_2}, ios {recent_3}",
    ),
    "accepts-nothing": Text(
        f"{NOTHING_ACCEPTED[0]}, and 1 more",
        "Clients are not refused: nothing reaches Sentry, or Sentry does not count what it"
        " accepts. Check Sentry's status and the network to it.",
        others=NOTHING_ACCEPTED,
        project="",
    ),
    "api-down": stale("api-down"),
    "token-revoked": stale("token-revoked"),
}


def everything_expected() -> set[Notification]:
    """Return all expected notifications, with the names of the organizations."""
    return {
        one._replace(organization=ORGANIZATIONS[cause].slug)
        for cause, notifications in EXPECTED.items()
        for one in notifications
    }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run all programs, once for all tests of this module, and wait for the notifications."""
    with staged(tmp_path_factory.mktemp("stage")) as everything:
        expected = everything_expected()
        wait_until(lambda: expected == everything.active(), everything.explain, DEADLINE)
        # What else there is to notify is notified now.
        enough = evaluations(everything.prometheus) + 2
        wait_until(
            lambda: evaluations(everything.prometheus) >= enough, everything.explain, DEADLINE
        )
        yield everything


@pytest.fixture(scope="module")
def repeated(stage: Stage) -> Mailbox:
    """Return a mailbox with the repeated notifications, after what is muted has been muted."""
    mailbox, expected = stage.mailbox.from_here(), everything_expected()
    for _ in range(2):
        latest = stage.mailbox.from_here()
        wait_until(partial(_has_all, latest, expected), stage.explain, DEADLINE)
    return mailbox


def _has_all(mailbox: Mailbox, expected: set[Notification]) -> bool:
    return expected <= set(mailbox.fired())


@pytest.mark.programs
def test_every_cause_is_one_alert(stage: Stage) -> None:
    """Each cause has its alert and no other, and the steady organization has none."""
    assert everything_expected() == stage.active()
    assert set() == stage.mailbox.resolved()
    assert set(EXPECTED) == set(CAUSES)


@pytest.mark.programs
def test_nothing_else_was_notified(stage: Stage) -> None:
    """Beside the expected alerts, only those were notified that they mute by now."""
    unexpected = set(stage.mailbox.fired()) - everything_expected()

    assert set() == {one._replace(receiver="") for one in unexpected} - stage.muted()


@pytest.mark.programs
@pytest.mark.parametrize("cause", TEXTS)
def test_the_text_for_slack(stage: Stage, repeated: Mailbox, cause: Scenario) -> None:
    """The message has the expected text, and its numbers are those of the rows."""
    text, severity = TEXTS[cause], EXPECTED[cause][0].severity.upper()
    message = repeated.last_message(ORGANIZATIONS[cause].slug, severity)
    body = f"{text.advice}\n"
    if text.projects:
        body += f"Lost most in the last 30 minutes: {text.projects}\n"
    body += "".join(f"• {one}\n" for one in text.others)
    body_of_message, _, _ = message.text.partition("Links: ")
    title = f"{severity}: {text.summary}"

    values = filled(title, message.title) | filled(body, body_of_message)
    Truth(stage, cause, text.query, text.project).check(values)
    assert ("#acme-sentry" if cause == "key-limit" else "#sentry") == message.channel
    assert ("warning" if severity == "WARNING" else "danger") == message.color


@pytest.mark.programs
@pytest.mark.parametrize(
    "cause", [cause for cause in TEXTS if EXPECTED[cause][0].severity == "critical"]
)
def test_the_text_for_pagerduty(stage: Stage, repeated: Mailbox, cause: Scenario) -> None:
    """The page has the expected text, and its numbers are those of the rows."""
    text, organization = TEXTS[cause], ORGANIZATIONS[cause].slug
    page = repeated.last_page(organization)
    details = page["payload"]["custom_details"]["firing"]
    body = f"{text.advice}\n"
    if text.projects:
        body += f"Lost most in the last 30 minutes: {text.projects}\n"
    body += "".join(f"- {one}\n" for one in text.others or (text.summary,))
    body_of_page, _, _ = details.partition("Dashboard: ")

    values = filled(text.summary, page["payload"]["summary"]) | filled(body, body_of_page)
    Truth(stage, cause, text.query, text.project).check(values)
    assert organization == page["payload"]["component"]
    assert EXPECTED[cause][0].name == page["payload"]["class"]
    assert "critical" == page["payload"]["severity"]
    key = "pagerduty-routing-key"
    assert (f"{key}-acme" if cause == "key-limit" else key) == page["routing_key"]


@pytest.mark.programs
@pytest.mark.parametrize("cause", EXPECTED)
def test_links_are_resolved(stage: Stage, cause: Scenario) -> None:
    """Runbook, dashboard, Sentry's page and the alert in Prometheus are where links lead."""
    for message in stage.mailbox.messages_about(ORGANIZATIONS[cause].slug):
        links = {name: address for address, name in LINK.findall(message.text)}

        assert {"runbook", "dashboard", "Sentry"} <= set(links)
        assert [] == unresolved(links, stage.prometheus)


@pytest.mark.programs
def test_an_outage_of_the_exporter_is_one_alert(stage: Stage) -> None:
    """While the exporter is down, its own alert is all that is new, and nothing is resolved."""
    mailbox = stage.mailbox.from_here()
    down = Notification("exporter-page", "SentryStatsExporterDown", "critical")
    stage.site.stop()
    wait_until(lambda: down in mailbox.fired(), stage.explain, DEADLINE)
    resolved = mailbox.resolved()
    stage.site.start()
    wait_until(lambda: down in mailbox.resolved(), stage.explain, DEADLINE)

    assert set() == resolved
    assert {down} == mailbox.resolved()
    assert {down} == set(mailbox.fired()) - everything_expected()


@pytest.mark.programs
def test_alerts_about_polls_end_with_the_next_poll(stage: Stage) -> None:
    """Once Sentry answers again, the alerts about it are reported as resolved."""
    mailbox = stage.mailbox.from_here()
    failing = {one for one in everything_expected() if one.name == STALE}
    stage.sentry.faults.clear()
    stage.poll()
    wait_until(lambda: failing <= mailbox.resolved(), stage.explain, DEADLINE)
    # Slack may hear of it after PagerDuty.
    wait_until(lambda: bool(mailbox.messages_about("token-revoked")), stage.explain, DEADLINE)
    messages = mailbox.messages_about("token-revoked")

    assert "RESOLVED: token-revoked: data of query outcomes" in messages[-1].title


class TestOverlay:
    """The overlay changes nothing but what it says."""

    @pytest.mark.parametrize(
        ("length", "divisor", "short"),
        [("30s", 60, "500ms"), ("1h15m", 600, "7500ms"), ("2h", 600, "12000ms")],
    )
    def test_divides_durations(self, length: str, divisor: int, short: str) -> None:
        """Durations are divided, with milliseconds for what is left."""
        assert short == shortened(length, divisor)

    def test_leaves_the_rules_alone_but_for_intervals(self) -> None:
        """Apart from ``for``, ``keep_firing_for`` and intervals, the rules are the shipped ones."""
        shipped = {
            path.name: read_yaml(path) for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")
        }

        assert without_durations(shipped) == without_durations(rule_files())


def without_durations(node: Any) -> Any:
    """Return a document without its durations."""
    match node:
        case dict():
            return {
                key: without_durations(value) for key, value in node.items() if key not in DURATIONS
            }
        case list():
            return [without_durations(each) for each in node]
        case _:
            return node
