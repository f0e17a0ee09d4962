"""Scrape configuration, rules and runbooks, checked by promtool."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.publish.families import FAMILIES
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.programs import REPOSITORY
from tests.support.prometheus import promtool as run_promtool

PROMETHEUS: Final = DEPLOY / "prometheus"
RULE_FILES: Final = sorted((PROMETHEUS / "rules").glob("*.yml"))
RUNBOOKS: Final = REPOSITORY / "docs" / "runbooks.md"

FAMILY_NAMES: Final = {family.name for family in FAMILIES}
PROMETHEUS_OWN: Final = {"up", "scrape_duration_seconds", "process_start_time_seconds", "ALERTS"}
REQUIRED: Final = {"summary", "description", "runbook_url", "dashboard_url"}
DATA: Final = "data"
EXPORTER: Final = "exporter"

_NAME: Final = re.compile(r"(?<![\w:\"])[a-zA-Z_:][\w:]*")
_QUOTED: Final = re.compile(r'"[^"]*"')
_RUNBOOK_QUERY: Final = re.compile(r"```promql\n(.*?)```", re.DOTALL)
_LINE: Final = re.compile(r"0 \* (.+) \+ on \(([\w, ]*)\) group_left \(\) ([\w:]+)\{(.*)\}")
_BY_PROJECT: Final = (
    ({"organization", "category", "project"}, 'category!="", project!=""'),
    ({"organization", "project"}, 'category="", project!=""'),
    ({"organization", "category", "team"}, 'category!="", team!=""'),
    ({"organization", "team"}, 'category="", team!=""'),
)
_BY_ORGANIZATION: Final[tuple[tuple[set[str], str], ...]] = (
    ({"organization", "category"}, 'organization!="", category!="", project="", team=""'),
    ({"organization"}, 'organization!="", category="", project="", team=""'),
    ({"category"}, 'organization="", category!="", project="", team=""'),
    (set(), 'organization="", category="", project="", team=""'),
)
_PER_ORGANIZATION: Final = """\
sentry_stats:threshold:{name}{{organization!=""}}
or on (organization)
group by (organization) (last_over_time(sentry_stats_up[15m]))
* on () group_left () sentry_stats:threshold:{name}{{organization=""}}
"""

Rule = dict[str, Any]


def promtool(*arguments: str | Path) -> str:
    """Return the output of promtool, which must succeed."""
    return run_promtool(*arguments, folder=PROMETHEUS)


def rules(kind: str) -> Iterator[Rule]:
    """Yield the rules of a kind, ``record`` or ``alert``, of every file."""
    for path in RULE_FILES:
        for group in read_yaml(path)["groups"]:
            yield from (rule for rule in group["rules"] if kind in rule)


def recorded() -> set[str]:
    """Return the names of the recording rules."""
    return {rule["record"] for rule in rules("record")}


def alerts() -> dict[str, list[Rule]]:
    """Return the alerts by name."""
    named: dict[str, list[Rule]] = {}
    for rule in rules("alert"):
        named.setdefault(rule["alert"], []).append(rule)
    return named


def runbook_queries() -> list[str]:
    """Return the PromQL of the runbooks."""
    return _RUNBOOK_QUERY.findall(RUNBOOKS.read_text("utf-8"))


def metrics_in(expression: str) -> set[str]:
    """Return the metrics in an expression, both families and recorded ones."""
    names = set(_NAME.findall(_QUOTED.sub('""', expression)))
    return {name for name in names if ":" in name or name.startswith("sentry_") or name == "up"}


def in_force(level: str) -> Iterator[tuple[str, str]]:
    """Yield the thresholds that a rule selects for a level, each with the rule's expression."""
    for rule in rules("record"):
        before, metric, name = rule["record"].split(":")
        if metric == "sentry_stats_threshold" and before.endswith(level):
            yield name, rule["expr"]


class TestConfiguration:
    """Prometheus's own check of the files."""

    def test_configuration_is_valid(self) -> None:
        """Prometheus accepts the configuration and its rule files."""
        output = promtool("check", "config", "prometheus.yml")

        assert f"{len(RULE_FILES)} rule files found" in output

    def test_scrapes_see_a_new_counter_at_zero(self) -> None:
        """There are at least two scrapes while a new counter is shown at 0."""
        (job, _) = read_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]

        assert ("sentry-stats-exporter", "1m") == (job["job_name"], job["scrape_interval"])


class TestRules:
    """Rules for every rule."""

    def test_metrics_exist(self) -> None:
        """Rules use only families of the exporter and recorded series."""
        named = {
            name
            for kind in ("record", "alert")
            for rule in rules(kind)
            for name in metrics_in(rule["expr"])
        }

        assert set() == named - FAMILY_NAMES - PROMETHEUS_OWN - recorded()

    def test_names_follow_the_convention(self) -> None:
        """The name of a recording rule is level:metric:operations."""
        assert [] == [name for name in recorded() if name.count(":") != 2]

    def test_queries_are_never_added(self) -> None:
        """Everything that is counted comes from the one query that its category uses."""
        counted = [rule for rule in rules("record") if "_total" in rule["expr"]]
        quantities = [rule for rule in counted if ":sentry_stats_quantity:" in rule["record"]]

        assert 10 == len(quantities)
        for rule in quantities:
            used = "projects" if "_project:" in rule["record"] else "totals"
            assert f"organization_query_category:sentry_stats_query_rank:{used}" in rule["expr"]

    def test_replicas_are_not_added(self) -> None:
        """What several exporters count of the same query is counted once."""
        for rule in rules("record"):
            for call in re.findall(r"([\w ]+(?:by \([\w, ]+\))? \(\s*)increase\(", rule["expr"]):
                assert re.match(r"\s*(max by \(|or)", call) or "max by" in call

    def test_every_threshold_has_a_default(self) -> None:
        """Every threshold has a value that holds where no other does."""
        given = [rule for rule in rules("record") if rule["record"].startswith("sentry_stats:thr")]
        kinds = {(rule["record"], rule.get("labels", {}).get("outcome")) for rule in given}
        defaults = {
            (rule["record"], rule.get("labels", {}).get("outcome"))
            for rule in given
            if set(rule.get("labels", {})) <= {"outcome"}
        }

        assert kinds == defaults

    @pytest.mark.parametrize("level", ["_project", "_outcome", "_category"])
    def test_the_most_specific_threshold_is_in_force(self, level: str) -> None:
        """Project, team, organization and category are looked for in this order."""
        for name, expression in in_force(level):
            lines = [_LINE.fullmatch(line) for line in expression.strip().split("\nor\n")]
            by_outcome = "on (outcome)" in expression
            expected = (*_BY_PROJECT, *_BY_ORGANIZATION)[0 if level == "_project" else 4 :]

            assert all(lines)
            assert {f"sentry_stats:threshold:{name}"} == {line[3] for line in lines if line}
            assert [
                (on | ({"outcome"} if by_outcome else set()), labels) for on, labels in expected
            ] == [(set(filter(None, line[2].split(", "))), line[4]) for line in lines if line]
            assert 1 == len({line[1] for line in lines if line})

    def test_thresholds_of_the_exporter_can_be_overridden(self) -> None:
        """Those about polls can be given for an organization."""
        selected = dict(in_force("organization"))

        assert {"slack_seconds", "throttled_seconds"} == set(selected)
        for name, expression in selected.items():
            assert _PER_ORGANIZATION.format(name=name) == expression

    def test_every_threshold_is_used(self) -> None:
        """Each threshold of the file is selected by a rule for projects or organizations."""
        levels = ("_project", "_outcome", "_category", "organization", "_quota")
        selected = {name for level in levels for name, _ in in_force(level)}
        given = {name.rpartition(":")[2] for name in recorded() if ":threshold:" in name}

        assert given == selected


class TestAlerts:
    """Rules for every alert."""

    def test_are_complete(self) -> None:
        """Every alert has a CamelCase name, ``for``, labels for routing, and annotations."""
        for name, some in alerts().items():
            for rule in some:
                assert re.fullmatch(r"(?:[A-Z][a-z]+)+", name)
                assert {"alert", "expr", "labels", "annotations"} <= set(rule)
                assert set(rule) & {"for", "keep_firing_for"}
                assert {"app", "component", "severity"} == set(rule["labels"])
                assert rule["labels"]["component"] in {DATA, EXPORTER}
                assert rule["labels"]["severity"] in {"warning", "critical"}
                assert REQUIRED <= set(rule["annotations"]) <= {*REQUIRED, "affected", "sentry_url"}

    def test_keep_their_state_without_new_data(self) -> None:
        """Alerts about data read recorded series only, and these keep their values."""
        keeping = {rule["record"] for rule in rules("record") if "stats_unknown:" in rule["expr"]}
        for rule in rules("alert"):
            if rule["labels"]["component"] == DATA:
                named = metrics_in(rule["expr"].partition("unless")[0])
                # Quotas are remembered by their rules, and end with their period.
                of_quotas = {name for name in named if name.startswith("organization_quota")}
                thresholds = {name for name in named if ":sentry_stats_threshold:" in name}

                assert of_quotas or "keep_firing_for" in rule
                assert named - (thresholds if of_quotas else set()) <= keeping

    def test_name_no_job(self) -> None:
        """The job may have any name."""
        for kind in ("record", "alert"):
            assert not [rule for rule in rules(kind) if "job=" in rule["expr"]]

    def test_each_is_seen_to_fire(self) -> None:
        """Every alert has a test in which it fires."""
        files = (REPOSITORY / "tests" / "deploy").glob("test_alerts*.py")
        tests = "".join(path.read_text("utf-8") for path in files)

        assert [] == [name for name in alerts() if f'"{name}"' not in tests]


class TestRunbooks:
    """The runbooks match the rules."""

    def test_each_alert_has_its_runbook(self) -> None:
        """The headings are the alerts, in order."""
        headings = re.findall(r"^## (.+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)

        assert list(alerts()) == headings

    def test_alerts_point_to_their_runbooks(self) -> None:
        """The link ends in the anchor of the heading."""
        for rule in rules("alert"):
            url = rule["annotations"]["runbook_url"]

            assert url.endswith(f"{{{{ end }}}}#{rule['alert'].lower()}")

    def test_each_runbook_answers_three_questions(self) -> None:
        """Each runbook has the three paragraphs and PromQL; the advice may be about Sentry."""
        for text in re.split(r"^## ", RUNBOOKS.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            advice = "What to do" if text.startswith("SentryStats") else "What to do in Sentry"

            assert ["What it means", "How to see why", advice] == re.findall(
                r"^\*\*(.+?)\.\*\*", text, re.MULTILINE
            )
            assert _RUNBOOK_QUERY.search(text)

    def test_links_lead_to_alerts(self) -> None:
        """Links within the runbooks lead to alerts."""
        anchors = set(re.findall(r"\]\(#(.+?)\)", RUNBOOKS.read_text("utf-8")))

        assert set() == anchors - {name.lower() for name in alerts()}

    def test_queries_parse(self, tmp_path: Path) -> None:
        """Prometheus parses each query of the runbooks."""
        checked = [{"record": "a:b:c", "expr": query} for query in runbook_queries()]
        path = tmp_path / "rules.yml"
        # promtool rejects identical rules, so each gets a different label.
        labelled = [{**rule, "labels": {"n": str(n)}} for n, rule in enumerate(checked)]
        path.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": labelled}]}))

        assert f"{len(checked)} rules found" in promtool("check", "rules", path)

    def test_queries_name_what_exists(self) -> None:
        """Queries of the runbooks use only families of the exporter and recorded series."""
        named = {name for query in runbook_queries() for name in metrics_in(query)}

        assert set() == named - FAMILY_NAMES - PROMETHEUS_OWN - recorded()
