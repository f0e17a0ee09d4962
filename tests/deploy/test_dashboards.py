"""The dashboard files: generated, well formed, and consistent with the table of metrics."""

import json
import re
from collections.abc import Mapping
from itertools import combinations
from typing import Final

import pytest

from deploy.grafana.generator import FOLDER, rendered
from deploy.grafana.generator.expressions import (
    ALL_PROJECTS,
    RECORDED,
    RECORDED_TOTALS,
    RECORDED_VOLUMES,
)
from exporter.publish.families import BUCKET, COUNTED, DATA_LABELS, FAMILIES, RUNNING
from tests.deploy.dashboards import DASHBOARDS, HIDDEN, NAMES, SHOWN, panels
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.programs import REPOSITORY
from tests.support.prometheus import JOB

METRIC: Final = re.compile(
    r"(?<![\w:])(?:sentry_stats_|process_|python_)\w+|\w+:\w+:\w+|\bup(?={)|\bALERTS\b"
)
SELECTOR: Final = re.compile(r"(\w+){([^}]*)}")
DATA: Final = frozenset(
    family.name for group in (BUCKET, RUNNING, COUNTED) for family in group.values()
)

RECORDED_DATA: Final = frozenset({RECORDED, RECORDED_TOTALS, RECORDED_VOLUMES})


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

    spans = ("24h", "7d", "30d")

    assert dashboard["time"] in ({"from": f"now-{span}", "to": "now"} for span in spans)
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
        assert "\n\nFrom `" in panel["description"]


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
        for name, matchers in SELECTOR.findall(shown.expression):
            if name in DATA or name in RECORDED_DATA:
                assert re.search(r'\bquery="\$(project_)?query"', matchers), shown.key
                apart = re.search(r"sum by \([a-z, ]*category", shown.expression)
                assert apart or 'category="$category"' in matchers, shown.key


def test_replicas_are_never_added() -> None:
    """Sums are of one replica of each series: what a sum adds was reduced by ``max`` before."""
    for shown in SHOWN:
        for selector, name in re.findall(r"((\w+){)", shown.expression):
            if name in DATA:
                before = shown.expression.split(selector)[0]
                assert f"max by ({', '.join(DATA_LABELS)}) (" in before, shown.key


@pytest.mark.parametrize("name", NAMES)
def test_links_keep_variables_and_time(name: str) -> None:
    """Every dashboard links to the others, with the same variables and time range."""
    (link,) = DASHBOARDS[name]["links"]

    assert ("dashboards", ["sentry-stats"]) == (link["type"], link["tags"])
    assert link["includeVars"]
    assert link["keepTime"]


LINKS: Final = {
    "overview": {"organization", "quotas"},
    "organization": {"project", "quotas"},
    "project": {"project"},
    "quotas": {"project"},
}
"""Which dashboards the cells of a dashboard lead to."""


@pytest.mark.parametrize("name", LINKS)
def test_drill_down(name: str) -> None:
    """A cell's link leads to one of the dashboards, and sets variables that both have."""
    own = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    urls = set(re.findall(r'"url": "/d/sentry-stats-([^"]+)"', json.dumps(DASHBOARDS[name])))

    assert LINKS[name] == {url.partition("?")[0] for url in urls}
    for url in urls:
        target, _, query = url.partition("?")
        variables = {one["name"] for one in DASHBOARDS[target]["templating"]["list"]}
        passed = set(re.findall(r"\${(\w+):queryparam}", query))

        assert passed <= own
        assert passed | set(re.findall(r"var-(\w+)=", query)) <= variables
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


def test_annotations_are_of_the_chosen_organization() -> None:
    """Alerts of other organizations and projects are not shown."""
    matchers = {
        name: dashboard["annotations"]["list"][0]["expr"].partition('"Sentry.+"')[2]
        for name, dashboard in DASHBOARDS.items()
    }

    assert {
        "overview": "}",
        "organization": ',organization="$organization"}',
        "project": ',organization="$organization",project=~"$project|"}',
        "quotas": ',organization="$organization"}',
        "health": ',organization=~"$organizations|"}',
    } == matchers


@pytest.mark.parametrize("name", NAMES)
def test_hours_are_utc(name: str) -> None:
    """Grafana aligns steps in the time zone of the dashboard; Sentry's hours and days are UTC."""
    assert "utc" == DASHBOARDS[name]["timezone"]


@pytest.mark.parametrize("name", NAMES)
def test_charts_of_buckets_begin_at_their_hours(name: str) -> None:
    """Bars extend from the start of their step, which is an hour or a day."""
    drawn = [panel for panel in panels(name) if "$__interval" in json.dumps(panel["targets"])]

    assert drawn
    assert {"1h", "1d"} >= {panel["interval"] for panel in drawn}
    for panel in drawn:
        custom = panel["fieldConfig"]["defaults"]["custom"]
        assert (custom.get("drawStyle"), custom.get("barAlignment")) in {("bars", 1), (None, None)}


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_sorted(name: str) -> None:
    """Tables with a number in each row have the largest on top, in whatever unit."""
    unsorted = {
        panel["title"]
        for panel in panels(name)
        if panel["type"] == "table" and not panel["options"]["sortBy"]
    }

    assert unsorted <= {
        "Is the data fresh and complete?",
        "What are these projects, and whose?",
        "Which versions run, and is the configuration valid?",
    }


@pytest.mark.parametrize("name", NAMES)
def test_legends_are_short(name: str) -> None:
    """A chart by project, organization, query or reason has at most ten series of each target."""
    for panel in panels(name):
        for target in panel["targets"]:
            if panel["type"] == "timeseries" and re.search(
                r"{{(project|organization|reason)", target["legendFormat"]
            ):
                limited = r"\b(?:topk|bottomk)\(10,|,project=~\"\$most_(?:submitted|dropped)\|\""
                assert re.search(limited, target["expr"]), panel["title"]


_OF_VOLUMES: Final = {"most_submitted", "most_dropped", "largest", "most_changed", "silent"}
HIDDEN_NAMES: Final = {
    "organization": _OF_VOLUMES,
    "project": _OF_VOLUMES,
    "quotas": {"most_used", "most_used_in_a_day", "most_allotted"},
}


@pytest.mark.parametrize("name", HIDDEN_NAMES)
def test_hidden_variables(name: str) -> None:
    """Hidden variables find a bounded number of projects; panels use all of them."""
    hidden = {
        each["name"]: each
        for each in DASHBOARDS[name]["templating"]["list"]
        if each.get("hide") == HIDDEN
    }

    assert HIDDEN_NAMES[name] == hidden.keys()
    for each in hidden.values():
        assert re.match(r"query_result\(topk\(\d+,", each["query"]["query"])
        assert each["multi"]
        assert each["includeAll"]
        assert "$__all" == each["current"]["value"]


def test_recorded_names_are_recorded() -> None:
    """Every recorded series that a dashboard reads is one of the shipped rules."""
    text = "".join(path.read_text("utf-8") for path in FOLDER.iterdir())
    names = set(re.findall(r"\w+:\w+:\w+", text))
    recorded = {
        rule["record"]
        for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")
        for group in read_yaml(path)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }

    assert RECORDED_DATA <= names <= recorded


def test_all_projects() -> None:
    """The value of all projects matches every name; after ``~`` it does, and others do not."""
    names = ("", "checkout", "billing-worker")
    matching = {
        value: [
            [name for name in names if re.fullmatch(f"(?:{prefix}{value})", name)]
            for prefix in ("", "~")
        ]
        for value in (ALL_PROJECTS, "checkout", "(checkout|billing-worker)")
    }

    assert {
        ALL_PROJECTS: [[*names], [*names]],
        "checkout": [["checkout"], []],
        "(checkout|billing-worker)": [["checkout", "billing-worker"], []],
    } == matching


ADDRESSES: Final = re.compile(r"`/d/sentry-stats-(\w+)\?([^`]+)`")


def test_addresses_in_the_documents() -> None:
    """The documented addresses name variables that the dashboards have, all of them optional."""
    text = (REPOSITORY / "docs" / "dashboards.md").read_text("utf-8")
    addresses = {
        name: set(re.findall(r"var-(\w+)=", query)) for name, query in ADDRESSES.findall(text)
    }

    assert set(NAMES) == addresses.keys()
    for name, given in addresses.items():
        variables = {each["name"] for each in DASHBOARDS[name]["templating"]["list"]}
        hidden = {
            each["name"]
            for each in DASHBOARDS[name]["templating"]["list"]
            if each.get("hide") == HIDDEN
        }

        assert variables - hidden == given


@pytest.mark.parametrize("name", ["overview", "organization"])
def test_quotas_have_a_place(name: str) -> None:
    """The panel says where no quotas are known, and leads to their dashboard otherwise."""
    (panel,) = (one for one in panels(name) if "quota" in one["title"])

    assert "No quotas are known" == panel["fieldConfig"]["defaults"]["noValue"]
    assert "/d/sentry-stats-quotas?" in json.dumps(panel["fieldConfig"]["overrides"])


def test_alerts_about_quotas_open_their_dashboard() -> None:
    """The alerts about quotas set variables that the dashboard has."""
    rules = (DEPLOY / "prometheus" / "rules" / "quotas.yml").read_text("utf-8")
    (opened,) = set(re.findall(r"/d/(sentry-stats-quotas\?var-organization=)", rules))
    variables = {one["name"] for one in DASHBOARDS["quotas"]["templating"]["list"]}

    assert opened.startswith(f"{DASHBOARDS['quotas']['uid']}?")
    assert {"organization", "quota"} <= variables
    assert "&var-quota=" in rules


def test_tables_by_project_and_team_are_short() -> None:
    """With thousands of projects, each table of the quotas has at most 50 rows."""
    tables = [one for one in panels("quotas") if re.match("Which (projects|teams)", one["title"])]

    assert 10 == len(tables)
    for panel in tables:
        for target in panel["targets"]:
            assert "topk(50, " in target["expr"], panel["title"]


QUESTIONS: Final = {
    "organization": {
        "Which projects sent the most?",
        "Which projects lost the most?",
        "What was dropped, and why?",
        "What did your filters and sampling rules drop?",
        "What did clients discard, and why?",
        "What is being dropped right now, and why?",
        "Who fell silent?",
        "Is it different from last week?",
        "Which projects differ most from last week?",
        "Where did spike protection drop data?",
        "The last 30 days, by day",
        "How much of the quota is used, and when is it gone?",
        "How much belongs to each team?",
        "Is the data fresh and complete?",
    },
    "quotas": {
        "How long does each quota last?",
        "What share of each quota is used?",
        "How much is used of quotas counted in events?",
        "Which projects use most of each quota?",
        "Which projects used most in the last 24 hours?",
        "Which teams use most of quotas counted in events?",
        "Do allocations of projects and teams last?",
        "What does each quota cost?",
        "How much of the budget is spent, and when do drops begin?",
        "Which projects cost most?",
        "Which teams cost most?",
        "Which projects lost most because a quota was used up?",
        "Which teams lost most because a quota was used up?",
        "How did the last periods end?",
        "Could the plan be read?",
        "Do the plan and Sentry's stats agree?",
    },
    "health": {
        "Is the data fresh and complete?",
        "What does it cost Sentry in requests a day?",
    },
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_have_panels(name: str) -> None:
    """Each question of an owner has a panel with that title."""
    assert QUESTIONS[name] <= {panel["title"] for panel in panels(name)}


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
