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
UNIT_TESTS: Final = sorted(
    path for path in (PROMETHEUS / "tests").glob("*.yml") if "tests" in read_yaml(path)
)
RUNBOOKS: Final = REPOSITORY / "docs" / "runbooks.md"

FAMILY_NAMES: Final = {family.name for family in FAMILIES}
PROMETHEUS_OWN: Final = {"up", "scrape_duration_seconds"}
DATA: Final = "data"
EXPORTER: Final = "exporter"

_NAME: Final = re.compile(r"(?<![\w:\"])[a-zA-Z_:][\w:]*")
_QUOTED: Final = re.compile(r'"[^"]*"')
_RUNBOOK_QUERY: Final = re.compile(r"```promql\n(.*?)```", re.DOTALL)
_PER_CATEGORY: Final = """\
sentry_stats:threshold:{name}{{organization!="", category!=""}}
or on (organization, category)
organization_category:sentry_stats_bucket_quantity:group
* on (organization) group_left () sentry_stats:threshold:{name}{{organization!="", category=""}}
or on (organization, category)
organization_category:sentry_stats_bucket_quantity:group
* on (category) group_left () sentry_stats:threshold:{name}{{organization="", category!=""}}
or on (organization, category)
organization_category:sentry_stats_bucket_quantity:group
* on () group_left () sentry_stats:threshold:{name}{{organization="", category=""}}
"""
_PER_ORGANIZATION: Final = """\
sentry_stats:threshold:{name}{{organization!=""}}
or on (organization)
group by (organization) (last_over_time(sentry_stats_up[15m]))
* on () group_left () sentry_stats:threshold:{name}{{organization=""}}
"""
_IN_FORCE: Final = {
    "organization_category:sentry_stats_threshold:": _PER_CATEGORY,
    "organization:sentry_stats_threshold:": _PER_ORGANIZATION,
}

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


def expectations() -> Iterator[tuple[str, list[Any]]]:
    """Yield each alert that a unit test checks, with the alerts that it expects."""
    for path in UNIT_TESTS:
        for test in read_yaml(path)["tests"]:
            for one in test.get("alert_rule_test", ()):
                yield one["alertname"], one["exp_alerts"]


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

    @pytest.mark.slow
    @pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
    def test_unit_tests_pass(self, path: Path) -> None:
        """The rules pass promtool's unit tests."""
        assert "SUCCESS" in promtool("test", "rules", path)


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
        """Every recorded series of data has the label query."""
        levels = {name.partition(":")[0] for name in recorded()}

        assert {
            "sentry_stats",
            "organization",
            "organization_category",
            "organization_query",
            "organization_query_category",
            "organization_query_category_outcome",
            "organization_query_category_outcome_project",
            "organization_query_category_outcome_reason_project",
            "organization_query_category_project",
        } == levels

    def test_every_threshold_has_a_default(self) -> None:
        """Every threshold has a value without labels."""
        given = [rule for rule in rules("record") if rule["record"].startswith("sentry_stats:")]
        defaults = {rule["record"] for rule in given if "labels" not in rule}

        assert {rule["record"] for rule in given} == defaults

    def test_every_threshold_can_be_overridden(self) -> None:
        """For each threshold there is a rule that selects the most specific value."""
        in_force = {
            name.removeprefix(level): rule["expr"] == text.format(name=name.removeprefix(level))
            for rule in rules("record")
            for level, text in _IN_FORCE.items()
            if (name := rule["record"]).startswith(level)
        }
        thresholds = {name.rpartition(":")[2] for name in recorded() if ":threshold:" in name}

        assert dict.fromkeys(thresholds, True) == in_force


class TestAlerts:
    """Rules for every alert."""

    def test_are_complete(self) -> None:
        """Every alert has a CamelCase name, ``for``, labels for routing, and annotations."""
        for name, some in alerts().items():
            for rule in some:
                assert re.fullmatch(r"(?:[A-Z][a-z]+)+", name)
                assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
                assert {"component", "severity"} == set(rule["labels"])
                assert rule["labels"]["component"] in {DATA, EXPORTER}
                assert rule["labels"]["severity"] in {"warning", "critical"}
                assert {"summary", "description", "runbook_url"} == set(rule["annotations"])

    def test_descriptions_give_numbers(self) -> None:
        """A description contains the alert's value or duration."""
        for rule in rules("alert"):
            assert re.search(r"\$value|\d+ minutes", rule["annotations"]["description"])

    def test_do_not_act_on_old_data(self) -> None:
        """Alerts about data read rules that require fresh data, or require it themselves."""
        for rule in rules("alert"):
            raw = metrics_in(rule["expr"]) & FAMILY_NAMES
            if rule["labels"]["component"] == DATA and raw:
                assert "organization_query:sentry_stats_bucket_age_seconds:fresh" in rule["expr"]

    def test_unit_tests_see_each_fire_and_be_quiet(self) -> None:
        """Every alert has a unit test in which it fires, and one in which it does not."""
        tested = list(expectations())

        assert set(alerts()) == {name for name, expected in tested if expected}
        assert set(alerts()) == {name for name, expected in tested if not expected}


class TestRunbooks:
    """The runbooks match the rules."""

    def test_each_alert_has_its_runbook(self) -> None:
        """The headings are the alerts, in order."""
        headings = re.findall(r"^## (.+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)

        assert list(alerts()) == headings

    def test_alerts_point_to_their_runbooks(self) -> None:
        """The link ends in the anchor of the heading."""
        for rule in rules("alert"):
            url = f"docs/runbooks.md#{rule['alert'].lower()}"

            assert url == rule["annotations"]["runbook_url"]

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
