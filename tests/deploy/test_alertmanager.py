"""Alertmanager's configuration: who hears of what, what is muted, and how it reads."""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.deploy.kit import DEPLOY, find_tool, output_of, read_yaml
from tests.programs import PATIENCE, find_program, running, wait_until

ALERTMANAGER: Final = DEPLOY / "alertmanager"
CONFIGURATION: Final = ALERTMANAGER / "alertmanager.yml"
RULES: Final = DEPLOY / "prometheus" / "rules" / "alerts.yml"

LABELS: Final = {
    rule["alert"]: rule["labels"] for group in read_yaml(RULES)["groups"] for rule in group["rules"]
}
"""The labels that the rules give each alert; of two severities, the critical ones."""

LIMITED: Final = {
    "alertname": "SentryEventsRateLimited",
    "organization": "acme",
    "query": "projects",
    "category": "error",
    "project": "checkout",
}


def alert(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert as Prometheus sends them."""
    return {"alertname": name, **LABELS[name], **labels}


def amtool(*arguments: str | Path) -> str:
    """Return what amtool prints; it must find nothing wrong."""
    return output_of(find_tool("amtool", "prometheus-alertmanager"), *arguments)


def render(template: str, data: Mapping[str, Any], folder: Path) -> str:
    """Return what one of our templates makes of ``data``, which is left in ``folder``."""
    path = folder / "data.json"
    path.write_text(json.dumps(data))
    return amtool(
        "template",
        "render",
        f"--template.glob={ALERTMANAGER / 'templates'}/*.tmpl",
        f'--template.text={{{{ template "sentry_stats.{template}" . }}}}',
        f"--template.data={path}",
    ).rstrip("\n")


class TestConfiguration:
    """What Alertmanager itself says of the files."""

    def test_is_valid(self) -> None:
        """Alertmanager takes the configuration and its templates."""
        said = amtool("check-config", CONFIGURATION)

        assert "SUCCESS" in said
        assert " 1 templates" in said

    def test_holds_no_secret(self) -> None:
        """Whatever is secret comes from a file."""
        keys = re.findall(
            r"\b(\w*(?:url|key|token|password|secret)\w*):", CONFIGURATION.read_text()
        )

        assert {"api_url_file", "routing_key_file"} == set(keys)

    def test_every_receiver_is_used(self) -> None:
        """The tree of routes names each receiver, and no other."""
        configuration = read_yaml(CONFIGURATION)
        named = re.findall(r"receiver: (\S+)", CONFIGURATION.read_text())

        assert {receiver["name"] for receiver in configuration["receivers"]} == set(named)


class TestRoutes:
    """Alerts go by organization and severity."""

    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            (alert("SentryInvalidUp", organization="acme"), "acme-chat"),
            (alert("SentryAcceptedFellToZero", organization="acme"), "acme-page"),
            (alert("SentryInvalidUp", organization="globex"), "chat"),
            (alert("SentryAcceptedFellToZero", organization="globex"), "page"),
            (alert("SentryStatsThrottled", organization="acme"), "exporter-chat"),
            (alert("SentryStatsQueryStale", organization="globex"), "exporter-page"),
            (alert("SentryStatsExporterDown"), "exporter-page"),
        ],
        ids=lambda value: value if isinstance(value, str) else value["alertname"],
    )
    def test_leads_to_the_receiver(self, labels: Mapping[str, str], receiver: str) -> None:
        """An alert reaches whoever looks after its organization, as loud as it is severe."""
        pairs = [f"{name}={value}" for name, value in labels.items()]
        wanted = f"--verify.receivers={receiver}"
        said = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", wanted, *pairs)

        assert receiver in said.splitlines()


def document(*alerts: Mapping[str, Any], status: str = "firing") -> dict[str, Any]:
    """Return what Alertmanager hands to a template: ``alerts`` of one group."""
    annotations = {"runbook_url": "docs/runbooks.md#sentryeventsratelimited"}
    common = {**LIMITED, "severity": "critical"}
    return {
        "receiver": "chat",
        "status": status,
        "alerts": alerts,
        "groupLabels": {},
        "commonLabels": common,
        "commonAnnotations": annotations,
        "externalURL": "http://alertmanager:9093",
    }


def told(summary: str, status: str = "firing") -> dict[str, Any]:
    """Return an alert as a template sees it."""
    return {
        "status": status,
        "labels": LIMITED,
        "annotations": {"summary": summary, "description": "91% of the volume."},
        "startsAt": "2026-03-01T04:05:00Z",
        "endsAt": "2026-03-01T06:05:00Z",
    }


class TestTemplates:
    """The messages, rendered by amtool."""

    def test_title_of_one_alert_is_its_summary(self, tmp_path: Path) -> None:
        """A title says how severe it is, and what."""
        data = document(told("checkout is limited"))

        assert "critical: checkout is limited" == render("title", data, tmp_path)

    def test_title_of_many_counts_them(self, tmp_path: Path) -> None:
        """A title of several alerts says how many, which and where."""
        data = document(told("web is limited"), told("checkout is limited"))

        assert "critical: 2 x SentryEventsRateLimited in acme" == render("title", data, tmp_path)

    def test_title_counts_what_still_fires(self, tmp_path: Path) -> None:
        """Of alerts that came together, those that are over already are not in the title."""
        over, rest = told("web is limited", "resolved"), told("checkout is limited")
        data = document(over, rest)

        assert "critical: checkout is limited" == render("title", data, tmp_path)

    def test_title_tells_the_end(self, tmp_path: Path) -> None:
        """A title says when it is over."""
        data = document(told("web is limited", "resolved"), status="resolved")

        assert "resolved: web is limited" == render("title", data, tmp_path)

    def test_text_tells_all(self, tmp_path: Path) -> None:
        """A text lists what fires with its numbers, what is over, and where to read on."""
        data = document(told("checkout is limited"), told("web is limited", "resolved"))

        assert (
            "• checkout is limited\n"
            "  91% of the volume.\n"
            "  Since 2026-03-01 04:05 UTC\n"
            "• Over: web is limited\n"
            "  From 2026-03-01 04:05 to 2026-03-01 06:05 UTC\n"
            "What to do: docs/runbooks.md#sentryeventsratelimited"
        ) == render("text", data, tmp_path)

    @pytest.mark.parametrize(("status", "color"), [("firing", "danger"), ("resolved", "good")])
    def test_color_follows_the_status(self, tmp_path: Path, status: str, color: str) -> None:
        """Red while it is critical, green once it is over."""
        data = document(told("web is limited", status), status=status)

        assert color == render("color", data, tmp_path)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Run Alertmanager with the shipped configuration and return where it takes alerts."""
    program = find_program("prometheus-alertmanager", "prometheus-alertmanager")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (
        program,
        f"--config.file={CONFIGURATION}",
        f"--storage.path={tmp_path}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    with running(command, tmp_path / "log") as alertmanager:
        alertmanager.wait_ready(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}/api/v2/alerts"


Name = tuple[str, str, str]


def name_of(labels: Mapping[str, str]) -> Name:
    """Return what tells the alerts of these tests apart."""
    return labels["alertname"], labels["severity"], labels.get("query", "")


def muted(address: str) -> set[Name]:
    """Return the alerts that others mute."""
    response = requests.get(address, timeout=PATIENCE)
    return {name_of(one["labels"]) for one in response.json() if one["status"]["inhibitedBy"]}


def fire(address: str, *alerts: Mapping[str, str]) -> None:
    """Let Alertmanager know of ``alerts``."""
    body = [{"labels": labels} for labels in alerts]
    requests.post(address, json=body, timeout=PATIENCE).raise_for_status()


class TestInhibition:
    """What a real Alertmanager mutes."""

    def test_critical_mutes_its_warning(self, address: str) -> None:
        """Of an alert with two severities, only the critical one is heard, project by project."""
        checkout = {**LIMITED, "component": "data"}
        web = {**checkout, "project": "web", "query": "more projects", "severity": "warning"}
        warning = {**checkout, "severity": "warning"}
        fire(address, {**checkout, "severity": "critical"}, warning, web)

        wait_until(lambda: {name_of(warning)} == muted(address))

    def test_a_failing_query_mutes_its_data(self, address: str) -> None:
        """What a query said last is not heard while it fails; what others say is."""
        place = {"organization": "acme", "category": "error"}
        frozen = alert("SentryInvalidUp", **place, query="outcomes")
        partial = alert("SentryStatsQueryIncomplete", organization="acme", query="outcomes")
        fresh = alert("SentryInvalidUp", **place, query="projects")
        failing = alert("SentryStatsQueryFailing", organization="acme", query="outcomes")
        fire(address, failing, frozen, partial, fresh)

        wait_until(lambda: {name_of(frozen), name_of(partial)} == muted(address))

    def test_stale_says_more_than_failing(self, address: str) -> None:
        """A query that has failed for long is told once."""
        failing = alert("SentryStatsQueryFailing", organization="acme", query="outcomes")
        stale = alert("SentryStatsQueryStale", organization="acme", query="outcomes")
        fire(address, stale, failing)

        wait_until(lambda: {name_of(failing)} == muted(address))

    def test_a_limit_explains_a_silence(self, address: str) -> None:
        """That nothing is accepted is not heard where nearly all is rate limited."""
        place = {"organization": "acme", "category": "error", "query": "projects"}
        silent = alert("SentryAcceptedFellToZero", **place, project="checkout")
        other = alert("SentryAcceptedFellToZero", **{**place, "query": "outcomes"})
        limited = alert("SentryEventsRateLimited", **place, project="checkout")
        fire(address, limited, silent, other)

        wait_until(lambda: {name_of(silent)} == muted(address))

    def test_exporter_down_mutes_all_else(self, address: str) -> None:
        """Without the exporter, that is all there is to hear."""
        data = alert("SentryInvalidUp", organization="acme", query="outcomes")
        stale = alert("SentryStatsQueryStale", organization="acme", query="outcomes")
        down = alert("SentryStatsExporterDown", instance="exporter:10790")
        fire(address, down, data, stale)

        wait_until(lambda: {name_of(data), name_of(stale)} == muted(address))
