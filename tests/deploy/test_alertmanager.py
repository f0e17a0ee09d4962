"""Alertmanager's configuration: routes and inhibition."""

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.programs import TIMEOUT, find_program, output_of, running, wait_until

ALERTMANAGER: Final = DEPLOY / "alertmanager"
CONFIGURATION: Final = ALERTMANAGER / "alertmanager.yml"
RULES: Final = DEPLOY / "prometheus" / "rules" / "alerts.yml"

LABELS: Final = {
    rule["alert"]: rule["labels"] for group in read_yaml(RULES)["groups"] for rule in group["rules"]
}
"""The labels that the rules give each alert; of two severities, the critical ones."""

LIMITED: Final = {
    "alertname": "SentryEventsRateLimited",
    "app": "sentry-stats",
    "component": "data",
    "organization": "acme",
    "query": "projects",
    "category": "error",
    "project": "checkout",
}


def alert(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert as Prometheus sends them."""
    return {"alertname": name, **LABELS[name], **labels}


def amtool(*arguments: str | Path) -> str:
    """Return the output of amtool, which must succeed."""
    return output_of(find_program("amtool", "prometheus-alertmanager"), *arguments)


class TestConfiguration:
    """Alertmanager's own check of the files."""

    def test_is_valid(self) -> None:
        """Alertmanager accepts the configuration and its templates."""
        output = amtool("check-config", CONFIGURATION)

        assert "SUCCESS" in output
        assert " 1 templates" in output

    def test_holds_no_secret(self) -> None:
        """Every secret comes from a file."""
        keys = re.findall(
            r"\b(\w*(?:url|key|token|password|secret)\w*):", CONFIGURATION.read_text()
        )

        assert {"api_url_file", "routing_key_file", "client_url"} == set(keys)

    def test_every_receiver_is_used(self) -> None:
        """The routes name every receiver, and no other."""
        configuration = read_yaml(CONFIGURATION)
        named = re.findall(r"receiver: (\S+)", CONFIGURATION.read_text())

        assert {receiver["name"] for receiver in configuration["receivers"]} == set(named)


class TestRoutes:
    """Alerts are routed by organization and severity."""

    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            (alert("SentryClientDiscardsUp", organization="acme"), "acme-chat"),
            (alert("SentryAcceptsNothing", organization="acme"), "acme-page"),
            (alert("SentryClientDiscardsUp", organization="globex"), "chat"),
            (alert("SentryAcceptsNothing", organization="globex"), "page"),
            (alert("SentryStatsThrottled", organization="acme"), "exporter-chat"),
            (alert("SentryStatsQueryStale", organization="globex"), "exporter-page"),
            (alert("SentryStatsExporterDown"), "exporter-page"),
        ],
        ids=lambda value: value if isinstance(value, str) else value["alertname"],
    )
    def test_leads_to_the_receiver(self, labels: Mapping[str, str], receiver: str) -> None:
        """An alert reaches the receiver for its organization and severity."""
        pairs = [f"{name}={value}" for name, value in labels.items()]
        verify = f"--verify.receivers={receiver}"
        output = amtool(
            "config", "routes", "test", f"--config.file={CONFIGURATION}", verify, *pairs
        )

        assert receiver in output.splitlines()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Run Alertmanager with the shipped configuration and return the URL of its alerts."""
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
    """Return the labels that identify an alert in these tests."""
    return labels["alertname"], labels["severity"], labels.get("query", "")


def muted(address: str) -> set[Name]:
    """Return the alerts that are muted by others."""
    response = requests.get(address, timeout=TIMEOUT)
    return {name_of(one["labels"]) for one in response.json() if one["status"]["inhibitedBy"]}


def fire(address: str, *alerts: Mapping[str, str]) -> None:
    """Send ``alerts`` to Alertmanager."""
    body = [{"labels": labels} for labels in alerts]
    requests.post(address, json=body, timeout=TIMEOUT).raise_for_status()


class TestInhibition:
    """Which alerts a real Alertmanager mutes."""

    def test_critical_mutes_its_warning(self, address: str) -> None:
        """A critical alert mutes the warning of the same project, and no other."""
        web = {**LIMITED, "project": "web", "query": "more projects", "severity": "warning"}
        warning = {**LIMITED, "severity": "warning"}
        fire(address, {**LIMITED, "severity": "critical"}, warning, web)

        wait_until(lambda: {name_of(warning)} == muted(address))

    def test_a_failing_query_mutes_that_it_is_incomplete(self, address: str) -> None:
        """A failing query mutes that its data is incomplete, and nothing that the data says."""
        data = alert("SentryQuotaExceeded", organization="acme", category="error")
        partial = alert("SentryStatsQueryIncomplete", organization="acme", query="outcomes")
        other = alert("SentryStatsQueryIncomplete", organization="acme", query="projects")
        failing = alert("SentryStatsQueryFailing", organization="acme", query="outcomes")
        fire(address, failing, data, partial, other)

        wait_until(lambda: {name_of(partial)} == muted(address))

    def test_stale_says_more_than_failing(self, address: str) -> None:
        """A query that has failed for long causes one notification, not two."""
        failing = alert("SentryStatsQueryFailing", organization="acme", query="outcomes")
        stale = alert("SentryStatsQueryStale", organization="acme", query="outcomes")
        fire(address, stale, failing)

        wait_until(lambda: {name_of(failing)} == muted(address))
