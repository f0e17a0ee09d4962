"""What the Helm chart has for Prometheus, Grafana and Alertmanager."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.charts import (
    CHART,
    NAME,
    NAMESPACE,
    Object,
    Objects,
    given_values,
    of_file,
    of_kind,
    only,
    rendered,
    with_values,
)
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.programs import find_program, output_of
from tests.support.prometheus import promtool

RULES: Final = {path.stem: read_yaml(path) for path in DEPLOY.glob("prometheus/rules/*.yml")}
DASHBOARDS: Final = sorted(DEPLOY.glob("grafana/dashboards/*.json"))
ALERTMANAGER: Final = read_yaml(DEPLOY / "alertmanager" / "alertmanager.yml")
TEMPLATES: Final = DEPLOY / "alertmanager" / "templates"
STACK: Final = {"release": "kube-prometheus-stack"}
WARNING_OF_QUOTAS: Final = {"name": "warning_ratio", "value": 0.1, "labels": {"outcome": "quota"}}

Rule = dict[str, Any]


def with_rules(**values: Any) -> Objects:
    """Return what the chart makes of values for rules."""
    return rendered(with_values(prometheusRule={"enabled": True, **values}))


def groups(objects: Objects) -> dict[str, Any]:
    """Return the groups of the rules by the name of their file."""
    return {
        one["metadata"]["name"].removeprefix(f"{NAME}-"): one["spec"]
        for one in of_kind(objects, "PrometheusRule")
    }


def rules_in(files: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield the rules of all groups."""
    for file in files.values():
        for group in file["groups"]:
            yield from group["rules"]


class TestMonitors:
    """ServiceMonitor and PodMonitor."""

    @pytest.mark.parametrize(
        ("kind", "value", "endpoints"),
        [
            ("ServiceMonitor", "serviceMonitor", "endpoints"),
            ("PodMonitor", "podMonitor", "podMetricsEndpoints"),
        ],
    )
    def test_is_complete(self, kind: str, value: str, endpoints: str) -> None:
        """It has the label of the stack, a job for all releases, and pods' names as instance."""
        objects = rendered(with_values(**{value: {"enabled": True, "labels": STACK}}))
        monitor = only(objects, kind)
        (endpoint,) = monitor["spec"][endpoints]
        (relabeling,) = endpoint["relabelings"]
        job = monitor["spec"]["jobLabel"]

        assert STACK.items() <= monitor["metadata"]["labels"].items()
        assert NAME == only(objects, "Service")["metadata"]["labels"][job]
        assert NAME == (only(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"][job])
        assert ("http", "1m") == (endpoint["port"], endpoint["interval"])
        assert {
            "sourceLabels": ["__meta_kubernetes_pod_name"],
            "targetLabel": "instance",
        } == relabeling

    def test_more_keys_of_the_endpoint(self) -> None:
        """Other keys are added, and relabelings come after ours."""
        (endpoint,) = only(of_file("sharded"), "PodMonitor")["spec"]["podMetricsEndpoints"]

        assert "30s" == endpoint["scrapeTimeout"]
        assert ["instance", "cluster"] == [one["targetLabel"] for one in endpoint["relabelings"]]

    def test_labels_cannot_be_replaced(self) -> None:
        """A label of one's own does not replace those that tell releases apart."""
        labels = {"app.kubernetes.io/instance": "other", **STACK}
        values = with_values(serviceMonitor={"enabled": True, "labels": labels})
        monitor = only(rendered(values), "ServiceMonitor")

        assert NAME == monitor["metadata"]["labels"]["app.kubernetes.io/instance"]


class TestRules:
    """The PrometheusRules."""

    def test_are_the_shipped_ones(self) -> None:
        """Without values, they are exactly the rules of deploy/prometheus, by file."""
        assert RULES == groups(with_rules())

    def test_have_the_label_of_the_stack(self) -> None:
        """Prometheus selects each of them by its label."""
        for one in of_kind(of_file("operator"), "PrometheusRule"):
            assert STACK.items() <= one["metadata"]["labels"].items()

    @pytest.mark.programs
    def test_are_valid(self, tmp_path: Path) -> None:
        """Prometheus accepts them with thresholds, links and labels of one's own."""
        files = groups(of_file("operator"))
        for name, spec in files.items():
            (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(spec), "utf-8")
        output = promtool("check", "rules", *sorted(tmp_path.iterdir()))

        assert set(RULES) == set(files)
        assert "FAILED" not in output

    def test_links(self) -> None:
        """The addresses of runbooks, Grafana and Sentry are those of the values."""
        links = given_values(CHART / "ci" / "operator-values.yaml")["prometheusRule"]["links"]
        by_name = {
            rule["record"]: rule
            for rule in rules_in(groups(of_file("operator")))
            if ":sentry_stats_message:links" in rule.get("record", "")
            or rule.get("record") == "sentry_stats:message:links"
        }

        assert links == by_name["sentry_stats:message:links"]["labels"]
        assert {
            "organization": "acme-internal",
            "slug": "acme",
            "sentry": "https://sentry.example.com",
        } == by_name["organization:sentry_stats_message:links"]["labels"]

    def test_one_link(self) -> None:
        """One address can be changed, and the others stay."""
        shipped = next(rules_in({"messages": RULES["messages"]}))["labels"]
        changed = next(
            rules_in(
                {
                    "messages": groups(with_rules(links={"grafana": "https://g.example.com"}))[
                        "messages"
                    ]
                }
            )
        )["labels"]

        assert {**shipped, "grafana": "https://g.example.com"} == changed

    def test_a_threshold_replaces_its_default(self) -> None:
        """A threshold with the labels of a default takes its place, and nothing else changes."""
        ours, shipped = groups(with_rules(thresholds=[WARNING_OF_QUOTAS])), dict(RULES)
        changed = [
            (one, other)
            for one, other in zip(
                rules_in({"": ours.pop("thresholds")}),
                rules_in({"": shipped.pop("thresholds")}),
                strict=True,
            )
            if one != other
        ]

        assert shipped == ours
        assert [("vector(0.1)", "vector(0.05)")] == [
            (one["expr"], other["expr"]) for one, other in changed
        ]
        assert {"outcome": "quota"} == changed[0][0]["labels"]

    def test_a_threshold_with_more_labels_is_added(self) -> None:
        """A threshold for an organization or a project is one more."""
        added = [
            rule
            for rule in rules_in({"": groups(of_file("operator"))["thresholds"]})
            if "organization" in rule.get("labels", {})
        ]

        assert [("warning_ratio", "vector(0.1)"), ("silence_quantity", "vector(1e+18)")] == [
            (rule["record"].rpartition(":")[2], rule["expr"]) for rule in added
        ]

    def test_labels_of_alerts(self) -> None:
        """Labels of one's own are added to all alerts, and to nothing else."""
        ours = list(rules_in(groups(with_rules(alertLabels={"cluster": "east", "app": "other"}))))

        for rule, shipped in zip(ours, rules_in(dict(sorted(RULES.items()))), strict=True):
            added = {"cluster": "east"} if "alert" in rule else {}
            assert {**shipped, **({"labels": {**shipped["labels"], **added}} if added else {})} == (
                rule
            )


class TestDashboards:
    """The ConfigMaps with dashboards."""

    def test_are_the_shipped_ones(self) -> None:
        """There is one for each dashboard, with the label of Grafana's sidecar."""
        maps = [
            one
            for one in of_kind(of_file("operator"), "ConfigMap")
            if "grafana_dashboard" in one["metadata"]["labels"]
        ]
        files = dict(file for one in maps for file in one["data"].items())

        assert {f"sentry-stats-{path.name}" for path in DASHBOARDS} == set(files)
        assert len(DASHBOARDS) == len(maps)
        for path in DASHBOARDS:
            assert json.loads(path.read_text("utf-8")) == json.loads(
                files[f"sentry-stats-{path.name}"]
            )
        for one in maps:
            assert "1" == one["metadata"]["labels"]["grafana_dashboard"]
            assert {"grafana_folder": "Sentry stats"} == one["metadata"]["annotations"]

    def test_fit_into_a_config_map(self) -> None:
        """Each is well below the 1 MiB that a ConfigMap can have."""
        for one in of_kind(of_file("operator"), "ConfigMap"):
            assert sum(len(text.encode()) for text in one["data"].values()) < 2**19

    def test_namespace(self) -> None:
        """They can be where the sidecar looks for them."""
        values = with_values(dashboards={"enabled": True, "namespace": "grafana"})
        namespaces = [
            one["metadata"]["namespace"] for one in of_kind(rendered(values), "ConfigMap")
        ]

        assert sorted(["sentry-stats", *["grafana"] * len(DASHBOARDS)]) == sorted(namespaces)


def matchers(given: list[Mapping[str, str]]) -> list[str]:
    """Return matchers of an AlertmanagerConfig as Alertmanager writes them."""
    return [f'{one["name"]}{one["matchType"]}"{one["value"]}"' for one in given]


def native_route(route: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a route of an AlertmanagerConfig as Alertmanager writes it."""
    keys = {"groupBy": "group_by", "groupWait": "group_wait", "groupInterval": "group_interval"}
    keys |= {"repeatInterval": "repeat_interval"}
    return {
        **{name: route[key] for key, name in keys.items() if key in route},
        "matchers": matchers(route["matchers"]),
        "receiver": names.get(route["receiver"], route["receiver"]),
        **(
            {"routes": [native_route(one, names) for one in route["routes"]]}
            if "routes" in route
            else {}
        ),
    }


def native_inhibition(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an inhibit rule of an AlertmanagerConfig as Alertmanager writes it."""
    return {
        "source_matchers": matchers(rule["sourceMatch"]),
        "target_matchers": matchers(rule["targetMatch"]),
        "equal": rule["equal"],
    }


NAMES: Final = {
    f"{ours}-{kind}": f"{shipped}-{kind}"
    for kind in ("chat", "page")
    for ours, shipped in (("team-payments", "payments"), ("organization-acme", "acme"))
}
"""The receivers of the values file, by the names in deploy/alertmanager."""


@pytest.fixture(scope="module")
def config() -> Object:
    """Return the specification of the AlertmanagerConfig of a values file."""
    specification: Object = only(of_file("operator"), "AlertmanagerConfig")["spec"]
    return specification


class TestAlertmanager:
    """The AlertmanagerConfig, compared with deploy/alertmanager."""

    def test_routes(self, config: Object) -> None:
        """The routes are those of the shipped configuration."""
        (shipped,) = ALERTMANAGER["route"]["routes"]

        assert shipped == native_route(config["route"], NAMES)

    def test_inhibition(self, config: Object) -> None:
        """The inhibit rules are those of the shipped configuration."""
        assert ALERTMANAGER["inhibit_rules"] == [
            native_inhibition(one) for one in config["inhibitRules"]
        ]

    def test_every_team_is_left_out(self) -> None:
        """Alerts of each team with receivers of its own are not muted by their organization."""
        addressee: dict[str, Any] = {"receiver": {"webhookConfigs": []}}
        teams = dict.fromkeys(("payments", "search"), addressee)
        values = with_values(
            alertmanagerConfig={"enabled": True, "default": addressee, "teams": teams}
        )
        spec = only(rendered(values), "AlertmanagerConfig")["spec"]
        left_out = [
            [one["value"] for one in rule["targetMatch"] if one["name"] == "team"]
            for rule in spec["inhibitRules"]
        ]

        assert [[], ["payments", "search"], ["payments", "search"], [], []] == left_out

    def test_receivers(self, config: Object) -> None:
        """Receivers and their channels and secrets are those of the shipped configuration."""
        shipped = {one["name"]: one for one in ALERTMANAGER["receivers"]}
        ours = {NAMES.get(one["name"], one["name"]): one for one in config["receivers"]}

        assert set(shipped) == set(ours)
        for name, theirs in shipped.items():
            (slack,), (our_slack,) = theirs["slack_configs"], ours[name]["slackConfigs"]

            assert slack["channel"] == our_slack["channel"]
            assert slack["api_url_file"].endswith(f"/{our_slack['apiURL']['key']}")
            assert ("pagerduty_configs" in theirs) == ("pagerdutyConfigs" in ours[name])
            for one, other in zip(
                theirs.get("pagerduty_configs", ()),
                ours[name].get("pagerdutyConfigs", ()),
                strict=True,
            ):
                assert one["routing_key_file"].endswith(f"/{other['routingKey']['key']}")

    def test_every_key_of_the_receivers(self, config: Object) -> None:
        """All keys of the shipped receivers are there, and each text is the same template."""
        shipped = {one["name"]: one for one in ALERTMANAGER["receivers"]}["page"]
        ours = {one["name"]: one for one in config["receivers"]}["page"]
        (slack,), (pagerduty,) = shipped["slack_configs"], shipped["pagerduty_configs"]
        (our_slack,), (our_pagerduty,) = ours["slackConfigs"], ours["pagerdutyConfigs"]
        texts = {"color", "title", "text", "fallback"}

        assert {camel(key) for key in slack} - {"apiUrlFile"} == set(our_slack) - {"apiURL"}
        assert {camel(key) for key in pagerduty} - {"routingKeyFile", "clientUrl", "links"} == set(
            our_pagerduty
        ) - {"routingKey", "clientURL", "pagerDutyLinkConfigs"}
        for key in texts:
            assert our_slack[key].endswith(last_part(slack[key]))
        assert our_slack["titleLink"].endswith(last_part(slack["title_link"]))
        assert our_pagerduty["description"].endswith(last_part(pagerduty["description"]))
        assert our_pagerduty["clientURL"].endswith(last_part(pagerduty["client_url"]))
        for detail in our_pagerduty["details"]:
            assert detail["value"].endswith(last_part(pagerduty["details"][detail["key"]]))
        for key in ("severity", "class", "component", "client"):
            assert pagerduty[key] == our_pagerduty[key]
        assert [{"alt": one["text"], "href": one["href"]} for one in pagerduty["links"]] == (
            our_pagerduty["pagerDutyLinkConfigs"]
        )

    @pytest.mark.slow
    @pytest.mark.programs
    @pytest.mark.parametrize("status", ["firing", "resolved"])
    def test_texts(self, status: str, tmp_path: Path) -> None:
        """Each text needs no file of templates, and is what the shipped template makes."""
        data = tmp_path / "data.json"
        data.write_text(json.dumps(notification(status)), "utf-8")
        texts = {path.stem: path.read_text("utf-8") for path in CHART.glob("files/messages/*")}
        nothing = tmp_path / "nothing.tmpl"
        nothing.touch()
        for name, text in texts.items():
            shipped = f'{{{{ template "sentry_stats.{name}" . }}}}'

            assert expanded(shipped, f"{TEMPLATES}/*.tmpl", data) == expanded(text, nothing, data)
        assert {"link", "slack.color", "slack.text", "slack.title"} <= set(texts)

    def test_alerts_have_the_label_of_the_namespace(self) -> None:
        """The operator gives an AlertmanagerConfig only alerts with the label of its namespace."""
        alerts = [one for one in rules_in(groups(of_file("operator"))) if "alert" in one]

        assert {NAMESPACE} == {one["labels"]["namespace"] for one in alerts}

    def test_without_pagerduty(self) -> None:
        """Critical alerts go where all alerts go, with receivers of any other kind."""
        webhook = {"webhookConfigs": [{"urlSecret": {"name": "alerts", "key": "webhook"}}]}
        values = with_values(alertmanagerConfig={"enabled": True, "default": {"receiver": webhook}})
        spec = only(rendered(values), "AlertmanagerConfig")["spec"]

        assert [{"name": "chat", **webhook}] == spec["receivers"]
        assert "routes" not in spec["route"]

    def test_somebody_must_get_the_alerts(self) -> None:
        """Without addressee, the error says which value is missing."""
        with pytest.raises(Exception, match=r"alertmanagerConfig\.default is empty"):
            rendered(with_values(alertmanagerConfig={"enabled": True}))


def camel(key: str) -> str:
    """Return a key of Alertmanager as the operator writes it."""
    return re.sub("_([a-z])", lambda match: match[1].upper(), key)


def last_part(text: str) -> str:
    """Return the use of a template, without the braces before it."""
    return text.removeprefix("{{ ")


def expanded(text: str, templates: str | Path, data: Path) -> str:
    """Return what Alertmanager makes of a text."""
    return output_of(
        find_program("amtool", "prometheus-alertmanager"),
        *("template", "render", f"--template.glob={templates}"),
        *(f"--template.text={text}", f"--template.data={data}"),
    )


def notification(status: str) -> Mapping[str, Any]:
    """Return two alerts as Alertmanager passes them to templates."""
    alert = {
        "status": status,
        "labels": {"alertname": "SentryInvalidUp", "organization": "acme", "severity": "critical"},
        "annotations": {
            "summary": "acme: 61 % of error events rejected <b>",
            "description": "Fix the client.",
            "affected": "Lost most: checkout 900",
            "runbook_url": "https://example.com/runbooks.md#sentryinvalidup",
            "dashboard_url": "http://grafana/d/a",
            "sentry_url": "https://sentry.io/organizations/acme",
        },
        "startsAt": "2026-03-01T04:05:00Z",
        "endsAt": "2026-03-01T07:17:20Z",
        "generatorURL": "http://prometheus:9090/graph",
    }
    other = {**alert, "labels": {**alert["labels"], "project": "checkout"}}  # type: ignore[dict-item]
    return {
        "status": status,
        "alerts": [other, alert],
        "commonLabels": alert["labels"],
        "commonAnnotations": {},
    }
