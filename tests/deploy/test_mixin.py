"""The jsonnet mixin, compared with the shipped files."""

import json
from pathlib import Path
from typing import Any, Final

import _jsonnet
import pytest

from tests.deploy.kit import DEPLOY, read_yaml
from tests.docs.markdown import blocks_of
from tests.support.programs import REPOSITORY
from tests.support.prometheus import promtool

MIXIN: Final = "(import 'deploy/mixin/mixin.libsonnet')"
DOCUMENT: Final = REPOSITORY / "docs" / "mixin.md"


def evaluated(snippet: str) -> Any:
    """Return what jsonnet makes of ``snippet`` at the top of the repository."""
    return json.loads(_jsonnet.evaluate_snippet(f"{REPOSITORY}/snippet.jsonnet", snippet))


def shipped() -> list[Any]:
    """Return the shipped groups of rules, sorted by the names of their files."""
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    return [group for file in files for group in read_yaml(file)["groups"]]


def thresholds(configured: str) -> list[Any]:
    """Return the rules of the mixin's thresholds that are not shipped."""
    groups = evaluated(f"({MIXIN} + {{_config+:: {{thresholds: {configured}}}}}).prometheusRules")
    (of_mixin,) = (each for each in groups["groups"] if each["name"] == "sentry_stats_thresholds")
    (of_file,) = (each for each in shipped() if each["name"] == "sentry_stats_thresholds")
    return [rule for rule in of_mixin["rules"] if rule not in of_file["rules"]]


def test_rules_are_the_shipped_ones() -> None:
    """Alerts and rules together are the groups of the shipped files, in their order."""
    alerts = [one for one in shipped() if any("alert" in rule for rule in one["rules"])]
    others = [one for one in shipped() if one not in alerts]

    assert evaluated(f"{MIXIN}.prometheusAlerts") == {"groups": alerts}
    assert evaluated(f"{MIXIN}.prometheusRules") == {"groups": others}


def test_dashboards_are_the_shipped_ones() -> None:
    """Every dashboard is in the mixin, under its name with a prefix."""
    files = (DEPLOY / "grafana" / "dashboards").glob("*.json")

    assert evaluated(f"{MIXIN}.grafanaDashboards") == {
        f"sentry-stats-{file.name}": json.loads(file.read_text("utf-8")) for file in files
    }


def test_a_threshold_replaces_the_one_with_its_labels() -> None:
    """No rule is there twice."""
    rule = {
        "record": "sentry_stats:threshold:warning_ratio",
        "expr": "vector(0.1)",
        "labels": {"outcome": "limit"},
    }

    assert [rule] == thresholds("[{name: 'warning_ratio', value: 0.1, labels: {outcome: 'limit'}}]")


def test_a_threshold_with_other_labels_is_added() -> None:
    """It wins over the default by its labels."""
    (rule,) = thresholds("[{name: 'silence_quantity', value: 7, labels: {organization: 'acme'}}]")

    assert {"organization": "acme"} == rule["labels"]


def test_a_threshold_that_does_not_exist() -> None:
    """It is refused, with those that exist."""
    with pytest.raises(RuntimeError, match=r"no threshold .*rate.*; there are .*ratio"):
        thresholds("[{name: 'warning_rate', value: 1}]")


@pytest.mark.programs
def test_the_example_of_the_documents(tmp_path: Path) -> None:
    """Prometheus accepts its files, and the links are those of the example."""
    (example,) = (each.text for each in blocks_of(DOCUMENT) if each.language == "jsonnet")
    files = evaluated(example)
    for name in ("alerts.json", "rules.json"):
        (tmp_path / name).write_text(json.dumps(files[name]), "utf-8")
    output = promtool("check", "rules", tmp_path / "alerts.json", tmp_path / "rules.json")

    assert "FAILED" not in output
    assert "https://wiki.example.com/runbooks/sentry-stats" in json.dumps(files["rules.json"])
    assert "https://sentry.io" in json.dumps(files["rules.json"])
