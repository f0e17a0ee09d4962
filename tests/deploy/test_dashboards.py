"""The dashboard files: generated, well formed, and consistent with the table of metrics."""

import json
import re
from collections.abc import Mapping
from itertools import combinations
from typing import Final

import pytest

from deploy.grafana.generator import FOLDER, rendered
from exporter.publish.families import BUCKET, COUNTED, FAMILIES, RUNNING
from tests.deploy.dashboards import DASHBOARDS, NAMES, SHOWN, panels
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.prometheus import JOB

METRIC: Final = re.compile(r"\b(?:sentry_stats_|process_|python_)\w+|\bup(?={)|\bALERTS\b")
SELECTOR: Final = re.compile(r"(\w+){([^}]*)}")
DATA: Final = frozenset(
    family.name for group in (BUCKET, RUNNING, COUNTED) for family in group.values()
)


def test_generated() -> None:
    """The files are exactly the generator's output."""
    files = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}

    assert rendered() == files


def test_identities() -> None:
    """Addresses of dashboards never change, and all dashboards have one tag."""
    identities = {name: (one["uid"], one["tags"]) for name, one in DASHBOARDS.items()}

    assert {name: (f"sentry-stats-{name}", ["sentry-stats"]) for name in NAMES} == identities


@pytest.mark.parametrize("name", NAMES)
def test_suits_hourly_data(name: str) -> None:
    """A dashboard shows at least a day, and refreshes no more often than queries are polled."""
    dashboard = DASHBOARDS[name]

    assert dashboard["time"] in ({"from": f"now-{span}", "to": "now"} for span in ("24h", "7d"))
    assert "5m" == dashboard["refresh"]
    assert 36 <= dashboard["schemaVersion"]


@pytest.mark.parametrize("name", NAMES)
def test_layout(name: str) -> None:
    """Panels have unique ids, and are within the grid without overlapping."""
    placed = DASHBOARDS[name]["panels"]
    cells = {panel["id"]: _cells(panel["gridPos"]) for panel in placed}

    assert len(placed) == len(cells)
    assert all(x < 24 for covered in cells.values() for x, _ in covered)
    assert not [ids for ids in combinations(cells, 2) if cells[ids[0]] & cells[ids[1]]]


def _cells(place: Mapping[str, int]) -> set[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    across = range(place["x"], place["x"] + place["w"])
    down = range(place["y"], place["y"] + place["h"])
    return {(x, y) for x in across for y in down}


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_described(name: str) -> None:
    """Each panel has a description that names all its metrics, and a unit."""
    for panel in panels(name):
        named = {
            f"`{metric}`" for one in panel["targets"] for metric in METRIC.findall(one["expr"])
        }

        assert named
        assert [] == [metric for metric in named if metric not in panel["description"]]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert re.search(r"poll|scrape|bucket", panel["description"].partition("From `")[2])


@pytest.mark.parametrize("name", NAMES)
def test_data_source_is_a_variable(name: str) -> None:
    """The data source is the first variable, and everything uses it."""
    dashboard = DASHBOARDS[name]
    first, *others = dashboard["templating"]["list"]
    asking = [
        *others,
        *dashboard["annotations"]["list"],
        *panels(name),
        *(target for panel in panels(name) for target in panel["targets"]),
    ]

    assert ("datasource", "datasource", "prometheus") == (
        first["name"],
        first["type"],
        first["query"],
    )
    assert {"${datasource}"} == {one["datasource"]["uid"] for one in asking}


def test_metrics_exist() -> None:
    """Every metric is in the table of metrics, or one of the process or of Prometheus."""
    named = {metric for one in SHOWN for metric in METRIC.findall(one.expression)}
    ours = {metric.removesuffix("_bucket") for metric in named if metric.startswith("sentry_")}

    assert set() == ours - {family.name for family in FAMILIES}


def test_queries_are_never_added() -> None:
    """Every selector of data names one query, and one category unless it sums by category."""
    for shown in SHOWN:
        selectors = SELECTOR.findall(shown.expression)
        gains = (f"increase({name}{{{matchers}}}[$__range])" for name, matchers in selectors)
        apart = f"sum by (category) ({' or '.join(gains)})"
        for name, matchers in selectors:
            if name in DATA:
                assert re.search(r'\bquery="\$(project_)?query"', matchers), shown.key
                assert 'category="$category"' in matchers or apart == shown.expression, shown.key


@pytest.mark.parametrize("name", NAMES)
def test_links_keep_variables_and_time(name: str) -> None:
    """Every dashboard links to the others, with the same variables and time range."""
    (link,) = DASHBOARDS[name]["links"]

    assert ("dashboards", ["sentry-stats"]) == (link["type"], link["tags"])
    assert link["includeVars"]
    assert link["keepTime"]


@pytest.mark.parametrize("name", ["overview", "organization"])
def test_drill_down(name: str) -> None:
    """A cell's link leads to one of the dashboards, and sets variables that it has."""
    (url,) = re.findall(r'"url": "(/d/[^"]+)"', json.dumps(DASHBOARDS[name]))
    uid, _, query = url.removeprefix("/d/").partition("?")
    target = DASHBOARDS[uid.removeprefix("sentry-stats-")]
    variables = {variable["name"] for variable in target["templating"]["list"]}
    given = set(re.findall(r"var-(\w+)=|\${(\w+):queryparam}", query))

    assert {first or second for first, second in given} <= variables
    assert "${__url_time_range}" in query


def test_alerts_are_annotated() -> None:
    """The annotations' pattern matches every alert of the shipped rules."""
    (pattern,) = {
        re.findall(r'alertname=~"([^"]+)"', dashboard["annotations"]["list"][0]["expr"])[0]
        for dashboard in DASHBOARDS.values()
    }
    alerts = {
        rule["alert"]
        for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")
        for group in read_yaml(path)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    assert alerts
    assert {name for name in alerts if re.fullmatch(pattern, name)} == alerts


def test_provisioning() -> None:
    """Grafana is provisioned with the folder of the dashboards and the scrape interval."""
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = read_yaml(folder / "datasources" / "prometheus.yaml")["datasources"]
    (provider,) = read_yaml(folder / "dashboards" / "sentry-stats.yaml")["providers"]
    scraping = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    grafana = read_yaml(DEPLOY / "docker" / "compose.yaml")["services"]["grafana"]

    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert [source["jsonData"]["timeInterval"]] == [
        one["scrape_interval"] for one in scraping if one["job_name"] == JOB
    ]
