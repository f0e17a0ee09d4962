"""The dashboards' files: as generated, well formed, and true to the table of metrics."""

import json
import re
from collections.abc import Mapping
from itertools import combinations
from typing import Final

import pytest

from deploy.grafana.generator import FOLDER, rendered
from exporter.publish.families import BUCKET, COUNTED, FAMILIES, RUNNING
from tests.deploy.dashboard_world import JOB
from tests.deploy.dashboards import DASHBOARDS, NAMES, SHOWN, panels
from tests.deploy.kit import DEPLOY, read_yaml

METRIC: Final = re.compile(r"\b(?:sentry_stats_|process_|python_)\w+|\bup(?={)|\bALERTS\b")
SELECTOR: Final = re.compile(r"(\w+){([^}]*)}")
DATA: Final = frozenset(
    family.name for group in (BUCKET, RUNNING, COUNTED) for family in group.values()
)


def test_generated() -> None:
    """The files are what the generator makes, no more and no fewer."""
    found = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}

    assert rendered() == found


def test_identities() -> None:
    """Addresses of dashboards never change, and all can be found by one tag."""
    found = {name: (one["uid"], one["tags"]) for name, one in DASHBOARDS.items()}

    assert {name: (f"sentry-stats-{name}", ["sentry-stats"]) for name in NAMES} == found


@pytest.mark.parametrize("name", NAMES)
def test_suits_hourly_data(name: str) -> None:
    """A dashboard shows at least a day, and refreshes no more often than polls come."""
    dashboard = DASHBOARDS[name]

    assert dashboard["time"] in ({"from": f"now-{span}", "to": "now"} for span in ("24h", "7d"))
    assert "5m" == dashboard["refresh"]
    assert 36 <= dashboard["schemaVersion"]


@pytest.mark.parametrize("name", NAMES)
def test_layout(name: str) -> None:
    """Panels have numbers of their own, and lie within the grid without overlapping."""
    found = DASHBOARDS[name]["panels"]
    cells = {panel["id"]: _cells(panel["gridPos"]) for panel in found}

    assert len(found) == len(cells)
    assert all(x < 24 for covered in cells.values() for x, _ in covered)
    assert not [ids for ids in combinations(cells, 2) if cells[ids[0]] & cells[ids[1]]]


def _cells(place: Mapping[str, int]) -> set[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    across = range(place["x"], place["x"] + place["w"])
    down = range(place["y"], place["y"] + place["h"])
    return {(x, y) for x in across for y in down}


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_described(name: str) -> None:
    """Each panel says what it shows, names every metric it comes from, and has units."""
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
    """Nothing is tied to one Prometheus: the data source is the first choice at the top."""
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
    """Every metric is in the table of metrics, or is the process's or Prometheus's own."""
    named = {metric for one in SHOWN for metric in METRIC.findall(one.expression)}
    ours = {metric.removesuffix("_bucket") for metric in named if metric.startswith("sentry_")}

    assert set() == ours - {family.name for family in FAMILIES}


def test_queries_are_never_added() -> None:
    """Every selector of data names the one query, and one category unless it keeps them apart."""
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
    """From every dashboard the others can be reached, with the same variables and time."""
    (link,) = DASHBOARDS[name]["links"]

    assert ("dashboards", ["sentry-stats"]) == (link["type"], link["tags"])
    assert link["includeVars"]
    assert link["keepTime"]


@pytest.mark.parametrize("name", ["overview", "organization"])
def test_drill_down(name: str) -> None:
    """A cell's link leads to a dashboard of ours, and sets variables that it has."""
    (url,) = re.findall(r'"url": "(/d/[^"]+)"', json.dumps(DASHBOARDS[name]))
    uid, _, query = url.removeprefix("/d/").partition("?")
    target = DASHBOARDS[uid.removeprefix("sentry-stats-")]
    variables = {variable["name"] for variable in target["templating"]["list"]}
    given = set(re.findall(r"var-(\w+)=|\${(\w+):queryparam}", query))

    assert {first or second for first, second in given} <= variables
    assert "${__url_time_range}" in query


def test_alerts_are_annotated() -> None:
    """What the annotations look for takes in every alert of the rules beside them."""
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
    """Grafana is told where the dashboards are, and at what interval Prometheus scrapes."""
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = read_yaml(folder / "datasources" / "prometheus.yaml")["datasources"]
    (provider,) = read_yaml(folder / "dashboards" / "sentry-stats.yaml")["providers"]
    scraping = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    grafana = read_yaml(DEPLOY / "docker" / "compose.yaml")["services"]["grafana"]

    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert [source["jsonData"]["timeInterval"]] == [
        one["scrape_interval"] for one in scraping if one["job_name"] == JOB
    ]
