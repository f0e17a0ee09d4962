"""The dashboards over history that was backfilled, on a real Prometheus."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.app import Exporter
from exporter.cli.demo import demo_configuration
from exporter.simulator import Simulator, demo_world
from tests.deploy.dashboard_kinds import VOLUMES
from tests.deploy.dashboard_rules import RULES
from tests.deploy.dashboard_world import DAY, HOUR, Day
from tests.deploy.dashboards import (
    NAMES,
    Choices,
    Shown,
    Times,
    answer,
    chosen,
    numbers,
    panels,
    targets,
)
from tests.deploy.kit import read_yaml
from tests.support.backfills import backfilled, import_history
from tests.support.clock import Clock
from tests.support.exporters import scraped, unpaced
from tests.support.prometheus import Prometheus, import_pages, prometheus

pytestmark = [pytest.mark.slow, pytest.mark.programs]

END: Final = 1_748_995_200
"""Midnight of a Wednesday, UTC."""

START: Final = END - 2 * DAY
HOURS: Final = range(START, END, HOUR)
NOW: Final = END + 8 * HOUR + 400.0
"""When the backfill is made, and an exporter has just been started."""

SCRAPE_INTERVAL: Final = 60
TIMES: Final = Times(END - SCRAPE_INTERVAL, END - START, SCRAPE_INTERVAL)
UNTIL_NOW: Final = Times(int(NOW) + 600, 3 * DAY, SCRAPE_INTERVAL)
DATA: Final = tuple(name for name in NAMES if name != "health")

MAY_BE_EMPTY: Final = {
    "Which projects differ most from last week?",
    "Which categories differ from last week?",
    "Who fell silent?",
    "What is being dropped right now, and why?",
    "When was spike protection active, by project?",
    "Where did spike protection drop data?",
}
"""Panels about the week before, and about what is not in the data."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of Prometheus."""
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def world(folder: Path) -> Day:
    """Return the simulated data, whose history is in Prometheus's database."""
    clock = Clock(NOW)
    world = demo_world(END, projects=3)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = unpaced(demo_configuration(sentry.url))
        history = backfilled(config, folder, clock, str(START), end=str(END + 6 * HOUR))
        exporter = Exporter(config, clock=clock)
        moments = range(int(NOW), UNTIL_NOW.end, SCRAPE_INTERVAL)
        pages = list(scraped(exporter, clock, moments))
    import_history(folder, history)
    import_pages(folder, pages)
    return Day(world, at=NOW)


@pytest.fixture(scope="module")
def server(world: Day, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that has the history, and the first minutes of the exporter."""
    with prometheus(folder) as started:
        yield started


@pytest.fixture(scope="module")
def choices(server: Prometheus) -> Mapping[str, Choices]:
    """Return the values of each dashboard's variables."""
    return {
        name: chosen(server, name, UNTIL_NOW, {"organization": "acme", "category": "error"})
        for name in NAMES
    }


@pytest.mark.parametrize("name", DATA)
def test_panels_have_data_on_the_first_day(
    name: str, server: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """Minutes after the exporter has been started, all panels are filled, quotas included."""
    empty = {
        panel["title"]
        for panel in panels(name)
        if not any(
            answer(server, Shown(name, panel, target), choices[name], UNTIL_NOW)
            for target in panel["targets"]
        )
    }

    assert set() == empty - MAY_BE_EMPTY


@pytest.mark.parametrize("name", DATA)
def test_bars_are_filled_over_the_range(
    name: str, server: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """The chart of every outcome has a bar for each hour of the history."""
    (shown, *_) = targets(name, "What became of it, by hour?")
    drawn = {
        at
        for series in answer(server, shown, choices[name], TIMES)
        for at, value in series["values"]
        if float(value)
    }

    assert set(HOURS) <= drawn


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("title", VOLUMES)
def test_volumes(
    name: str, title: str, world: Day, server: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """The numbers at the top are the sums of Sentry's rows, from gauges and recorded hours."""
    organizations = ("acme", "globex") if name == "overview" else ("acme",)
    (shown, *_) = targets(name, title)
    expected = sum(
        value
        for one in organizations
        for value in world.finished(
            one, (), HOURS, category=("error",), kind=VOLUMES[title]
        ).values()
    )

    assert expected == sum(map(sum, map(numbers, answer(server, shown, choices[name], TIMES))))


def test_tables_by_project(world: Day, server: Prometheus, choices: Mapping[str, Choices]) -> None:
    """A table by project has the sums of every project, including deleted ones."""
    (shown,) = (
        one
        for one in targets("project", "What did each project send and lose?")
        if one.target["legendFormat"] == "Accepted" and one.target["refId"] == "B"
    )
    expected = world.finished(
        "acme", ("project",), HOURS, category=("error",), kind=VOLUMES["Accepted"]
    )
    actual = {
        (series["metric"].get("project", ""),): value
        for series in answer(server, shown, choices["project"], TIMES)
        for value in numbers(series)
    }

    assert expected
    assert expected == actual


def test_quotas_over_the_range(world: Day, server: Prometheus) -> None:
    """At the end of each hour, what was used is what Sentry has accepted in the period."""
    labels = 'organization="acme",quota="errors"'
    for end in (START + 5 * HOUR, END, END + 3 * HOUR):
        (start,) = server.values(
            f"sentry_stats_quota_period_start_timestamp_seconds{{{labels}}}", str, end + 300
        ).values()
        used = server.values(f"sentry_stats_quota_used{{{labels}}}", str, end + 300)
        (accepted,) = world.world.store.totals(
            1, start, end, at=NOW, group_by=("category",), category=("error",),
            outcome=("accepted",),
        ).values()  # fmt: skip

        assert [accepted] == list(used.values())


def test_panels_about_last_week(tmp_path: Path) -> None:
    """With eight days of history, the last of them is compared with the first."""
    clock = Clock(NOW)
    with Simulator(demo_world(END, projects=2), clock=clock, rate_limit=None) as sentry:
        config = unpaced(demo_configuration(sentry.url))
        acme = replace(config, organizations=config.organizations[:1])
        start, end = str(END - 8 * DAY), str(END + HOUR)
        history = backfilled(acme, tmp_path, clock, start, end=end)
    import_history(tmp_path, history)
    times = Times(END - SCRAPE_INTERVAL, DAY, SCRAPE_INTERVAL)
    values = {
        "job": ".+",
        "instance": ".+",
        "organization": "acme",
        "organizations": ".*",
        "query": "outcomes",
        "project_query": "projects",
        "category": "error",
        "project": "|.*",
        "most_changed": ".*",
    }
    with prometheus(tmp_path) as server:
        for title in ("Which projects differ most from", "Which categories differ from"):
            (shown, *_) = targets("organization", f"{title} last week?")

            assert answer(server, shown, values, times), title


def test_recorded_series_are_those_of_the_rules(world: Day, folder: Path, tmp_path: Path) -> None:
    """The shipped rules would have recorded the same, from the gauges of the history."""
    (group,) = read_yaml(RULES)["groups"]
    names = {rule["record"] for rule in group["rules"]}
    shutil.copytree(folder / "data", tmp_path / "data", ignore=shutil.ignore_patterns("lock"))
    # The rules are evaluated 52 minutes after the only sample of a bucket.
    with prometheus(tmp_path, "--query.lookback-delta=59m") as server:
        for bucket in (START, START + 11 * HOUR, END - HOUR):
            at = bucket + HOUR + 57 * 60
            for name in names:
                rules = [rule for rule in group["rules"] if rule["record"] == name]
                expected = {
                    tuple(sorted((*_labels(one), *rule.get("labels", {}).items()))): _value(one)
                    for rule in rules
                    for one in server.instant(rule["expr"], at)
                }
                actual = {_labels(one): _value(one) for one in server.instant(name, at)}

                assert actual
                assert pytest.approx(expected) == actual


def _labels(one: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the labels of a sample without its name."""
    return tuple(sorted(pair for pair in one["metric"].items() if pair[0] != "__name__"))


def _value(one: Mapping[str, Any]) -> float:
    return float(one["value"][1])
