"""Alertmanager's configuration: routes and inhibition."""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml

from tests.deploy.kit import DEPLOY, read_yaml
from tests.docs.markdown import blocks_of
from tests.support.programs import (
    REPOSITORY,
    TIMEOUT,
    find_program,
    output_of,
    running,
    wait_until,
)
from tests.support.prometheus import promtool

ALERTMANAGER: Final = DEPLOY / "alertmanager"
CONFIGURATION: Final = ALERTMANAGER / "alertmanager.yml"
RULES: Final = DEPLOY / "prometheus" / "rules" / "alerts.yml"

LABELS: Final = {
    rule["alert"]: rule["labels"]
    for path in sorted(RULES.parent.glob("*.yml"))
    for group in read_yaml(path)["groups"]
    for rule in group["rules"]
    if "alert" in rule
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


def of_payments(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert about a project of a team."""
    return alert(name, organization="acme", project="checkout", team="payments", **labels)


def of_quota(name: str, organization: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert about a quota."""
    return alert(name, organization=organization, quota="errors", **labels)


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


def receiver_of(configuration: Path, labels: Mapping[str, str]) -> str:
    """Return the receivers that an alert with ``labels`` reaches, in amtool's last line."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return amtool(
        "config", "routes", "test", f"--config.file={configuration}", *pairs
    ).splitlines()[-1]


class TestRoutes:
    """Alerts are routed by team, organization and severity."""

    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            (alert("SentryClientDiscardsUp", organization="acme"), "acme-chat"),
            (alert("SentryAcceptsNothing", organization="acme"), "acme-page"),
            (alert("SentryClientDiscardsUp", organization="globex"), "chat"),
            (alert("SentryAcceptsNothing", organization="globex"), "page"),
            (of_payments("SentryClientDiscardsUp"), "payments-chat"),
            (of_payments("SentryProjectSilent", severity="critical"), "payments-page"),
            (of_quota("SentryQuotaAllocationExceeded", "acme", team="payments"), "payments-chat"),
            (of_quota("SentryQuotaRunsOut", "acme", team="payments"), "payments-chat"),
            (of_quota("SentryQuotaRunsOut", "acme"), "acme-chat"),
            (of_quota("SentryQuotaUsedUp", "globex"), "chat"),
            (alert("SentryQuotaBudgetSpent", organization="globex", currency="USD"), "page"),
            (alert("SentryStatsThrottled", organization="acme"), "exporter-chat"),
            (alert("SentryStatsQueryStale", organization="globex"), "exporter-page"),
            (alert("SentryStatsExporterDown"), "exporter-page"),
        ],
        ids=lambda value: value if isinstance(value, str) else value["alertname"],
    )
    def test_leads_to_the_receiver(self, labels: Mapping[str, str], receiver: str) -> None:
        """An alert reaches the receiver for its team or organization, and its severity."""
        assert receiver == receiver_of(CONFIGURATION, labels)

    @pytest.mark.parametrize(
        "labels",
        [
            {"alertname": "SentryDown", "component": "data", "severity": "critical"},
            {"alertname": "DiskFull", "component": "exporter", "organization": "acme"},
            {"alertname": "HighLatency", "team": "payments", "severity": "warning"},
        ],
        ids=lambda labels: labels["alertname"],
    )
    def test_under_a_route_of_others_it_catches_ours_only(
        self, tmp_path: Path, labels: Mapping[str, str]
    ) -> None:
        """What is copied into another configuration leaves its other alerts alone."""
        path = tmp_path / "alertmanager.yml"
        path.write_text(yaml.safe_dump(copied_into({"receiver": "others"})), "utf-8")

        assert "others" == receiver_of(path, labels)
        assert "payments-chat" == receiver_of(
            path, alert("SentryInvalidUp", team="payments", severity="warning")
        )

    def test_all_inhibitions_are_about_ours(self) -> None:
        """No rule mutes an alert of others, or because of one."""
        for rule in read_yaml(CONFIGURATION)["inhibit_rules"]:
            assert 'app="sentry-stats"' in rule["source_matchers"]
            assert 'app="sentry-stats"' in rule["target_matchers"]

    def test_all_alerts_have_the_label(self) -> None:
        """All alerts have the label that the route matches."""
        assert {"sentry-stats"} == {labels["app"] for labels in LABELS.values()}


def copied_into(route: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration of others, with what its users copy from ours."""
    ours = read_yaml(CONFIGURATION)
    return {
        "route": {**route, "routes": ours["route"]["routes"]},
        "inhibit_rules": ours["inhibit_rules"],
        "receivers": [*ours["receivers"], {"name": "others"}],
    }


def document_block(key: str) -> str:
    """Return the block of docs/alertmanager.md with this key, or this program."""
    document = REPOSITORY / "docs" / "alertmanager.md"
    (only,) = [
        block.text
        for block in blocks_of(document)
        if block.language != "text" and re.match(rf"(?ms).*^{key}\b", block.text)
    ]
    return only


class TestDocument:
    """What users copy from docs/alertmanager.md works."""

    def test_links_are_those_of_the_rules(self, tmp_path: Path) -> None:
        """The rule with the links is the shipped one, with other addresses."""
        path = tmp_path / "rules.yml"
        path.write_text(document_block("groups"), "utf-8")
        [[theirs], [ours, *_]] = [
            read_yaml(file)["groups"][0]["rules"] for file in (path, RULES.parent / "messages.yml")
        ]

        assert "SUCCESS" in promtool("check", "rules", path)
        assert ours["record"] == theirs["record"]
        assert set(ours["labels"]) == set(theirs["labels"])

    def test_links_can_be_patched_in_kubernetes(self, tmp_path: Path) -> None:
        """The patch changes the links, and leaves the texts of the alerts alone."""
        folder = os.path.relpath(DEPLOY / "kubernetes" / "example", tmp_path)
        path = tmp_path / "kustomization.yaml"
        path.write_text(f"resources: [{folder}]\n{document_block('patches')}", "utf-8")
        built = output_of(find_program("kubectl", "kubernetes-client"), "kustomize", tmp_path)
        rules = {
            rule["metadata"]["name"].rpartition("-")[2]: rule["spec"]["groups"]
            for rule in yaml.safe_load_all(built)
            if rule["kind"] == "PrometheusRule"
        }

        assert (
            "https://grafana.example.com" == (rules["messages"][0]["rules"][0]["labels"]["grafana"])
        )
        assert read_yaml(RULES)["groups"] == rules["alerts"]

    def test_the_least_configuration_works(self, tmp_path: Path) -> None:
        """It is valid, and catches our alerts only."""
        path = tmp_path / "alertmanager.yml"
        path.write_text(document_block("templates"), "utf-8")
        (tmp_path / "templates").symlink_to(ALERTMANAGER / "templates")

        assert "1 templates" in amtool("check-config", path)
        assert "sentry-stats" == receiver_of(path, alert("SentryInvalidUp"))
        assert "everything-else" == receiver_of(path, {"alertname": "DiskFull"})

    def test_the_route_of_a_team_works(self, tmp_path: Path) -> None:
        """The team's alerts about projects and quotas reach its receivers, and no others."""
        path = tmp_path / "alertmanager.yml"
        document = read_yaml(CONFIGURATION)
        (ours,) = document["route"]["routes"]
        ours["routes"] = [*yaml.safe_load(document_block("- matchers")), *ours["routes"]]
        document["receivers"] += [{"name": "search-chat"}, {"name": "search-page"}]
        path.write_text(yaml.safe_dump(document), "utf-8")
        critical = {"team": "search", "severity": "critical"}
        exceeded = of_quota("SentryQuotaAllocationExceeded", "acme", team="search")

        assert "search-chat" == receiver_of(path, exceeded)
        assert "search-page" == receiver_of(path, alert("SentryProjectSilent", **critical))
        assert "acme-chat" == receiver_of(path, of_quota("SentryQuotaUsedUp", "acme"))

    def test_the_command_shows_a_receiver(self) -> None:
        """The command that shows where an alert goes can be typed as it is."""
        command = document_block("amtool").split()

        assert "payments-page" == amtool(*command[1:]).splitlines()[-1]


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


Name = tuple[str, ...]


def name_of(labels: Mapping[str, str]) -> Name:
    """Return the labels that identify an alert in these tests."""
    place = [labels.get(name, "") for name in ("query", "project", "quota")]
    return labels["alertname"], labels["severity"], *place


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

    def test_critical_mutes_the_warning_of_its_quota(self, address: str) -> None:
        """An alert about one quota says nothing about another."""
        critical, warning, other = (
            {**alert("SentryQuotaBudgetSpent"), "severity": severity, "quota": quota}
            for severity, quota in (("critical", "a"), ("warning", "a"), ("warning", "b"))
        )
        fire(address, critical, other, warning)

        wait_until(lambda: {name_of(warning)} == muted(address))

    def test_an_organization_mutes_its_projects(self, address: str) -> None:
        """Not those of others, of another category, of a team of its own, or more severe ones."""
        organization = {key: LIMITED[key] for key in set(LIMITED) - {"project", "query"}}
        warning = {**organization, "severity": "warning"}
        of_project = [{**warning, "project": project} for project in ("web", "api")]
        fire(
            address,
            warning,
            *of_project,
            {**warning, "project": "critical", "severity": "critical"},
            {**warning, "project": "teams", "team": "payments"},
            {**warning, "project": "others", "organization": "globex"},
            {**warning, "project": "spans", "category": "span"},
        )

        wait_until(lambda: set(map(name_of, of_project)) == muted(address))

    def test_a_critical_organization_mutes_all_of_its_projects(self, address: str) -> None:
        """A critical alert about an organization mutes what is critical about its projects."""
        organization = {key: LIMITED[key] for key in set(LIMITED) - {"project", "query"}}
        critical = {**organization, "severity": "critical"}
        of_project = [{**critical, "project": project} for project in ("web", "api")]
        fire(address, critical, *of_project)

        wait_until(lambda: set(map(name_of, of_project)) == muted(address))

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
