"""The rules of Grafana's dashboard-linter, on every dashboard.

https://github.com/grafana/dashboard-linter. It is a Go program; these are its rules for Prometheus.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.deploy.dashboards import DASHBOARDS, NAMES, SHOWN, Shown, panels

UNITS: Final = {"short", "decbytes", "bytes", "s", "percentunit", "ops", "none"}
RECORDED: Final = re.compile(r"\w+:\w+:\w+{([^}]*)}")
SCRAPED: Final = re.compile(r"(?<![\w:])(?!ALERTS)(\w+){([^}]*)}")
COUNTER: Final = re.compile(r"\w+_total{[^}]*}")


def variables(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the variables of a dashboard by name."""
    return {each["name"]: each for each in DASHBOARDS[name]["templating"]["list"]}


@pytest.mark.parametrize("name", NAMES)
def test_template_datasource_rule(name: str) -> None:
    """The data source is a variable named ``datasource``, with that label."""
    source = variables(name)["datasource"]

    assert ("prometheus", "Data source") == (source["query"], source["label"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variable", ["job", "instance"])
def test_template_job_and_instance_rules(name: str, variable: str) -> None:
    """Job and instance are variables of several values; all is ``.+``."""
    one = variables(name)[variable]

    assert ("query", variable.title(), ".+") == (one["type"], one["label"], one["allValue"])
    assert one["multi"]
    assert one["includeAll"]
    assert "${datasource}" == one["datasource"]["uid"]


@pytest.mark.parametrize("name", NAMES)
def test_template_on_time_change_reload_rule(name: str) -> None:
    """Variables are read again when the time range changes."""
    queried = [each for each in variables(name).values() if each["type"] == "query"]

    assert {2} == {each["refresh"] for each in queried}


@pytest.mark.parametrize("name", NAMES)
def test_uneditable_dashboard_rule(name: str) -> None:
    """Dashboards are not editable: they are generated."""
    assert not DASHBOARDS[name]["editable"]


@pytest.mark.parametrize("name", NAMES)
def test_panel_rules(name: str) -> None:
    """Every panel has a title, a description, a unit, targets, and the chosen data source."""
    for panel in panels(name):
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: "-".join(shown.key))
def test_target_job_and_instance_rules(shown: Shown) -> None:
    """Every scraped series is matched by job and instance; recorded series have neither label."""
    scraped = SCRAPED.findall(RECORDED.sub("", shown.expression))
    recorded = RECORDED.findall(shown.expression)

    assert scraped or recorded
    for _, matchers in scraped:
        assert matchers.startswith('job=~"$job",instance=~"$instance"')
    for matchers in recorded:
        assert "$job" not in matchers
        assert "$instance" not in matchers


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: "-".join(shown.key))
def test_target_rate_interval_rule(shown: Shown) -> None:
    """Rates are over ``$__rate_interval``."""
    ranges = re.findall(r"\birate\(|\brate\(\w+{[^}]*}\[([^]]*)\]", shown.expression)

    assert {"$__rate_interval"} >= set(ranges)


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: "-".join(shown.key))
def test_target_counter_agg_rule(shown: Shown) -> None:
    """Counters are never added before their rate or increase."""
    for match in COUNTER.finditer(shown.expression):
        assert re.search(r"(?:rate|increase)\($", shown.expression[: match.start()])


def test_no_job_is_hard_coded() -> None:
    """No dashboard needs a job of a certain name."""
    text = "".join(str(dashboard) for dashboard in DASHBOARDS.values())

    assert not re.search(r"job=~?\\?\"[^$]", text)
