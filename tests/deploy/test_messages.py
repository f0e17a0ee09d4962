"""The messages in full: of the templates by amtool, and as a real Alertmanager sends them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml

from tests.deploy.incident_receiver import Mailbox, listening
from tests.deploy.kit import DEPLOY
from tests.support.programs import TIMEOUT, find_program, output_of, running, wait_until
from tests.support.serving import free_port

ALERTMANAGER: Final = DEPLOY / "alertmanager"
RUNBOOKS: Final = "https://example.com/sentry-stats-exporter/docs/runbooks.md"
GRAFANA: Final = "http://localhost:3000/d"
SENTRY: Final = "https://sentry.io/organizations"
LIMITED: Final = "SentryEventsRateLimited"
SECRETS: Final = "/etc/alertmanager/secrets"
BOUND: Final = 3000
"""Characters of a message in a chat."""


def template_alert(summary: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    """Return an alert as Alertmanager passes it to templates, and as it gets it."""
    return {
        "status": status,
        "labels": {
            "alertname": LIMITED,
            "app": "sentry-stats",
            "component": "data",
            "severity": "critical",
            "organization": "acme",
            "category": "error",
            "outcome": "limit",
            **labels,
        },
        "annotations": {
            "summary": summary,
            "description": "Fix the flood at its source.",
            "affected": "Lost most in the last 30 minutes: checkout 900, web 80 and 35 more",
            "runbook_url": f"{RUNBOOKS}#sentryeventsratelimited",
            "dashboard_url": f"{GRAFANA}/sentry-stats-organization?var-organization=acme",
            "sentry_url": f"{SENTRY}/acme/stats/?statsPeriod=24h",
        },
        "startsAt": "2026-03-01T04:05:00Z",
        "endsAt": "2026-03-01T07:17:20Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x&g0.tab=1",
    }


def of_project(number: int, status: str = "firing") -> dict[str, Any]:
    """Return the alert of one of many projects."""
    summary = f"acme / p{number}: 61 % of error events rate limited since 04:00 UTC (90 lost)"
    return template_alert(summary, status, project=f"p{number}")


def render(template: str, alerts: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Return the text that a shipped template makes of a group of alerts."""
    firing = any(alert["status"] == "firing" for alert in alerts)
    path = folder / "data.json"
    document = {
        "status": "firing" if firing else "resolved",
        "alerts": list(alerts),
        "commonLabels": {"alertname": LIMITED, "organization": "acme", "severity": "critical"},
        "commonAnnotations": {},
    }
    path.write_text(json.dumps(document), "utf-8")
    return output_of(
        find_program("amtool", "prometheus-alertmanager"),
        "template",
        "render",
        f"--template.glob={ALERTMANAGER / 'templates'}/*.tmpl",
        f'--template.text={{{{ template "sentry_stats.{template}" . }}}}',
        f"--template.data={path}",
    ).rstrip("\n")


ACME: Final = "acme: 61 % of error events rate limited since 04:00 UTC (1,480 lost)"
LINKS: Final = (
    f"Links: <{RUNBOOKS}#sentryeventsratelimited|runbook>"
    f" <{GRAFANA}/sentry-stats-organization?var-organization=acme|dashboard>"
    f" <{SENTRY}/acme/stats/?statsPeriod=24h|Sentry>"
    " <http://prometheus:9090/graph?g0.expr=x&g0.tab=1|Prometheus>"
)


class TestChat:
    """The messages for Slack, rendered by amtool."""

    def test_of_one_alert(self, tmp_path: Path) -> None:
        """The title says what happens, the text what to do, which projects, and where to look."""
        alerts = [template_alert(ACME)]

        assert f"CRITICAL: {ACME}" == render("slack.title", alerts, tmp_path)
        assert (
            "Fix the flood at its source.\n"
            "Lost most in the last 30 minutes: checkout 900, web 80 and 35 more\n"
            f"{LINKS}"
        ) == render("slack.text", alerts, tmp_path)

    def test_of_an_organization_and_projects(self, tmp_path: Path) -> None:
        """The title is that of the organization, whatever the order; the text lists all."""
        alerts = [of_project(1), template_alert(ACME)]

        assert f"CRITICAL: {ACME}, and 1 more" == render("slack.title", alerts, tmp_path)
        assert (
            "Fix the flood at its source.\n"
            "Lost most in the last 30 minutes: checkout 900, web 80 and 35 more\n"
            "• acme / p1: 61 % of error events rate limited since 04:00 UTC (90 lost)\n"
            f"• {ACME}\n"
            f"{LINKS}"
        ) == render("slack.text", alerts, tmp_path)

    @pytest.mark.parametrize(
        ("count", "lines", "more"), [(5, 5, ""), (6, 5, "• and 1 more"), (300, 5, "• and 295 more")]
    )
    def test_of_many_projects(self, tmp_path: Path, count: int, lines: int, more: str) -> None:
        """Five are listed, the others are counted."""
        alerts = [of_project(number) for number in range(count)]
        text = render("slack.text", alerts, tmp_path).splitlines()
        listed = [line for line in text if line.startswith("• acme / p")]

        assert lines == len(listed)
        assert [more] * bool(more) == [line for line in text if line.startswith("• and")]
        assert render("slack.title", alerts, tmp_path).endswith(f"(90 lost), and {count - 1} more")

    def test_of_resolved_alerts(self, tmp_path: Path) -> None:
        """A resolved alert says that it is over, for how long it lasted, and from when to when."""
        alerts = [template_alert(ACME, "resolved")]

        assert f"RESOLVED after 3h12m: {ACME}" == render("slack.title", alerts, tmp_path)
        assert (
            "It is over. The alert lasted from 1 March 04:05 to 1 March 07:17 UTC.\n" + LINKS
        ) == render("slack.text", alerts, tmp_path)

    def test_of_several_resolved_alerts(self, tmp_path: Path) -> None:
        """Each of up to five says how long it lasted."""
        alerts = [of_project(number, "resolved") for number in range(7)]
        [first, *_, last, _] = render("slack.text", alerts, tmp_path).splitlines()

        assert render("slack.title", alerts, tmp_path).startswith("RESOLVED: acme / p0: ")
        assert first.startswith("• Over after 3h12m: acme / p0: ")
        assert "• and 2 more that are over" == last

    def test_while_others_still_fire(self, tmp_path: Path) -> None:
        """The title is about what still fires; the text has both."""
        alerts = [of_project(1, "resolved"), of_project(2)]
        text = render("slack.text", alerts, tmp_path)

        assert render("slack.title", alerts, tmp_path).startswith("CRITICAL: acme / p2: ")
        assert "• Over after 3h12m: acme / p1: 61 % of error events" in text

    @pytest.mark.parametrize(
        ("status", "color"), [("firing", "danger"), ("resolved", "good")], ids=str
    )
    def test_color_follows_the_status(self, tmp_path: Path, status: str, color: str) -> None:
        """A message is red while its alert is critical, green once it is resolved."""
        assert color == render("slack.color", [template_alert(ACME, status)], tmp_path)

    def test_names_cannot_change_the_format(self, tmp_path: Path) -> None:
        """Names cannot mention, link or format anything, nor begin a new line."""
        name = "a\n<!channel> & <http://x|y> `z` *b* ~c~"
        title = render("slack.title", [template_alert(name)], tmp_path)

        assert "CRITICAL: a &lt;!channel&gt; &amp; &lt;http://x|y&gt; 'z' 'b' 'c'" == title

    @pytest.mark.parametrize("resolved", [0, 300])
    @pytest.mark.parametrize("firing", [1, 5, 300])
    def test_are_bounded(self, tmp_path: Path, firing: int, resolved: int) -> None:
        """However many alerts there are and however long their texts, a message has a limit."""
        long = {"summary": "s" * 900, "description": "d" * 900, "affected": "p" * 900}
        links = {"dashboard_url": f"{GRAFANA}/{'x' * 330}", "sentry_url": f"{SENTRY}/{'y' * 230}"}
        alerts = [
            {**alert, "annotations": {**alert["annotations"], **long, **links}}
            for status, count in (("firing", firing), ("resolved", resolved))
            for alert in [of_project(number, status) for number in range(count)]
        ]
        for alert in alerts:
            alert["generatorURL"] = f"http://prometheus:9090/{'g' * 2000}"

        assert len(render("slack.text", alerts, tmp_path)) < BOUND
        assert len(render("slack.title", alerts, tmp_path)) < 300
        assert len(render("pagerduty.summary", alerts, tmp_path)) <= 1024
        assert len(render("pagerduty.firing", alerts, tmp_path)) < 2 * BOUND


class TestPage:
    """The messages for PagerDuty, rendered by amtool."""

    def test_summary_and_details(self, tmp_path: Path) -> None:
        """The summary says what happens, the details have everything else as plain text."""
        alerts = [of_project(1), template_alert(ACME)]

        assert f"{ACME}, and 1 more" == render("pagerduty.summary", alerts, tmp_path)
        assert (
            "Fix the flood at its source.\n"
            "Lost most in the last 30 minutes: checkout 900, web 80 and 35 more\n"
            "- acme / p1: 61 % of error events rate limited since 04:00 UTC (90 lost)\n"
            f"- {ACME}\n"
            f"Dashboard: {GRAFANA}/sentry-stats-organization?var-organization=acme\n"
            f"Sentry: {SENTRY}/acme/stats/?statsPeriod=24h\n"
            "Prometheus: http://prometheus:9090/graph?g0.expr=x&g0.tab=1"
        ) == render("pagerduty.firing", alerts, tmp_path)

    def test_text_is_not_escaped(self, tmp_path: Path) -> None:
        """PagerDuty shows plain text: only line breaks are replaced."""
        alerts = [template_alert("a <b> &\n`c`")]

        assert "a <b> & `c`" == render("pagerduty.summary", alerts, tmp_path)

    def test_resolved(self, tmp_path: Path) -> None:
        """The details say how long each alert lasted."""
        text = render("pagerduty.resolved", [template_alert(ACME, "resolved")], tmp_path)

        assert f"- over after 3h12m: {ACME}" == text


@contextmanager
def alertmanager(folder: Path) -> Iterator[tuple[str, Mailbox]]:
    """Run Alertmanager with the shipped configuration; yields its URL and what it sends.

    Changed are only how long it waits, where the secrets are, and the address of PagerDuty.
    """
    with listening() as (listener, mailbox):
        text = (ALERTMANAGER / "alertmanager.yml").read_text("utf-8")
        text = text.replace(SECRETS, str(folder)).replace("group_wait: 30s", "group_wait: 500ms")
        text = text.replace("templates/*.tmpl", f"{ALERTMANAGER}/templates/*.tmpl")
        document = yaml.safe_load(text.replace("group_interval: 5m", "group_interval: 1s"))
        path = folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump({**document, "global": _addresses(listener)}), "utf-8")
        for name in ("", "-acme", "-payments"):
            (folder / f"slack-webhook-url{name}").write_text(f"{listener}/slack")
            (folder / f"pagerduty-routing-key{name}").write_text(f"key{name}")
        address = f"127.0.0.1:{free_port()}"
        command = (
            find_program("prometheus-alertmanager", "prometheus-alertmanager"),
            f"--config.file={path}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        )
        with running(command, folder / "log") as program:
            program.wait_ready(f"http://{address}/-/ready")
            yield f"http://{address}", mailbox


def _addresses(listener: str) -> Mapping[str, str]:
    return {"pagerduty_url": f"{listener}/pagerduty"}


def send(address: str, *alerts: Mapping[str, Any]) -> None:
    """Send alerts to Alertmanager as Prometheus does.

    Those that fire begin now: Alertmanager does not wait for others where one is old.
    """
    body = []
    for alert in alerts:
        times = {"startsAt", "endsAt"} if alert["status"] == "firing" else set()
        body.append({key: alert[key] for key in set(alert) - times - {"status"}})
    url = f"{address}/api/v2/alerts"
    requests.post(url, json=body, timeout=TIMEOUT).raise_for_status()


def sent(mailbox: Mailbox, path: str, count: int = 1) -> list[Any]:
    """Return what was sent to a path, once there are ``count`` of them."""

    def letters() -> list[Any]:
        return [letter for to, letter in mailbox.letters if to.startswith(path)]

    wait_until(lambda: len(letters()) >= count, lambda: str(mailbox.letters))
    return letters()


@pytest.mark.slow
@pytest.mark.programs
class TestDelivery:
    """What a real Alertmanager sends."""

    def test_a_message_and_a_page(self, tmp_path: Path) -> None:
        """The organization's chat and pager get all of it, of the project what is different."""
        alert = template_alert(f"{ACME} & more", project="checkout")
        with alertmanager(tmp_path) as (address, mailbox):
            send(address, alert)
            [message] = sent(mailbox, "/slack")
            [page] = sent(mailbox, "/pagerduty")

        [attachment] = message["attachments"]
        assert {
            "channel": "#acme-sentry",
            "color": "danger",
            "title": f"CRITICAL: {ACME} &amp; more",
            "title_link": f"{GRAFANA}/sentry-stats-organization?var-organization=acme",
            "text": "Fix the flood at its source.\n"
            f"Lost most in the last 30 minutes: checkout 900, web 80 and 35 more\n{LINKS}",
            "fallback": f"CRITICAL: {ACME} &amp; more",
        } == {
            "channel": message["channel"],
            **{
                key: attachment[key] for key in ("color", "title", "title_link", "text", "fallback")
            },
        }
        assert {
            "routing_key": "key-acme",
            "event_action": "trigger",
            "summary": f"{ACME} & more",
            "severity": "critical",
            "class": LIMITED,
            "component": "acme",
            "client_url": f"{GRAFANA}/sentry-stats-organization?var-organization=acme",
            "links": [{"text": "Runbook", "href": f"{RUNBOOKS}#sentryeventsratelimited"}],
        } == {
            **{key: page[key] for key in ("routing_key", "event_action", "client_url", "links")},
            **{key: page["payload"][key] for key in ("summary", "severity", "class", "component")},
        }
        assert page["payload"]["custom_details"]["firing"].startswith(
            "Fix the flood at its source.\nLost most"
        )

    @pytest.mark.parametrize("of_organization", [True, False])
    def test_300_projects_are_one_message(self, tmp_path: Path, of_organization: bool) -> None:  # noqa: FBT001 - a parameter
        """300 projects make one short message, with or without an alert of their organization."""
        alerts = [of_project(number) for number in range(300)]
        if of_organization:
            alerts.append(template_alert(ACME))
        with alertmanager(tmp_path) as (address, mailbox):
            send(address, *alerts)
            [message] = sent(mailbox, "/slack")
            sent(mailbox, "/pagerduty")

        [attachment] = message["attachments"]
        assert len(json.dumps(message)) < BOUND
        assert 1 == len([to for to, _ in mailbox.letters if to == "/slack"])
        expected = (
            ACME if of_organization else f"{of_project(0)['annotations']['summary']}, and 299"
        )
        assert expected in attachment["title"]

    def test_the_end_is_a_message(self, tmp_path: Path) -> None:
        """When the alert is over, the chat says for how long it lasted, and the page resolves."""
        with alertmanager(tmp_path) as (address, mailbox):
            send(address, template_alert(ACME))
            sent(mailbox, "/slack")
            send(address, template_alert(ACME, "resolved"))
            [_, message] = sent(mailbox, "/slack", 2)
            [_, page] = sent(mailbox, "/pagerduty", 2)

        [attachment] = message["attachments"]
        assert ("good", f"RESOLVED after 3h12m: {ACME}") == (
            attachment["color"],
            attachment["title"],
        )
        assert "resolve" == page["event_action"]

    def test_a_team_gets_the_alerts_of_its_projects(self, tmp_path: Path) -> None:
        """A team with its own receivers is notified although its organization is."""
        with alertmanager(tmp_path) as (address, mailbox):
            send(
                address,
                template_alert(ACME),
                template_alert("acme / web: 9 %", project="web"),
                template_alert("acme / checkout: 9 %", project="checkout", team="payments"),
            )
            messages = sent(mailbox, "/slack", 2)

        assert {
            ("#acme-sentry", f"CRITICAL: {ACME}"),
            ("#payments-sentry", "CRITICAL: acme / checkout: 9 %"),
        } == {(one["channel"], one["attachments"][0]["title"]) for one in messages}
