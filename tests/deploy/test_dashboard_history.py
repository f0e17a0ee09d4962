"""The dashboards over history that was backfilled, on a real Prometheus."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.app import Exporter
from exporter.cli.demo import demo_configuration
from exporter.config import Organization
from exporter.moments import iso
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
from tests.deploy.drawing import table_rows
from tests.deploy.kit import read_yaml
from tests.support.backfills import backfilled, import_history
from tests.support.clock import Clock
from tests.support.exporters import scraped, unpaced
from tests.support.programs import REPOSITORY
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
VOLUME_DATA: Final = tuple(name for name in DATA if name != "quotas")

_WEEK: Final = "needs the week before the time range"
_NOTHING: Final = "nothing of this kind has happened"
_NO_PERIOD: Final = "no billing period has ended in the history"
_NOW: Final = "is about the present"
_PLAN: Final = "what Sentry's plan says is not in the history"

MAY_BE_EMPTY: Final[Mapping[str, str]] = {
    "Which projects differ most from last week?": _WEEK,
    "Which categories differ from last week?": _WEEK,
    "Who fell silent?": _NOTHING,
    "When was spike protection active, by project?": _NOTHING,
    "Where did spike protection drop data?": _NOTHING,
    "Quotas used up": _NOTHING,
    "Next gone, last week's pace": _NOTHING,
    "Next gone, the pace of 24 hours": _NOTHING,
    "How did the last periods end?": _NO_PERIOD,
}
"""Panels that are empty on the first day, and why."""

ABOUT_THE_PRESENT: Final[Mapping[str, str]] = {
    "What is happening in this hour?": _NOW,
    "What is being dropped right now, and why?": _NOW,
    "What happened in the last finished hour?": _NOW,
    "Is the data fresh and complete?": _NOW,
    "Could the plan be read?": _PLAN,
    "Do the plan and Sentry's stats agree?": _PLAN,
}
"""Panels that have nothing where the time range ends before the exporter was started, and why."""


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


def empty_panels(
    name: str, server: Prometheus, choices: Mapping[str, Choices], times: Times
) -> set[str]:
    """Return the titles of the panels of a dashboard that have nothing."""
    return {
        panel["title"]
        for panel in panels(name)
        if not any(
            answer(server, Shown(name, panel, target), choices[name], times)
            for target in panel["targets"]
        )
    }


@pytest.mark.parametrize("name", DATA)
def test_panels_have_data_on_the_first_day(
    name: str, server: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """Minutes after the exporter has been started, all panels are filled, quotas included."""
    empty = empty_panels(name, server, choices, UNTIL_NOW)

    assert set() == empty - MAY_BE_EMPTY.keys() - {"What is being dropped right now, and why?"}


@pytest.mark.parametrize("name", DATA)
def test_panels_have_data_of_the_past(
    name: str, server: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """They are filled where the time range ends before the exporter was started, too."""
    empty = empty_panels(name, server, choices, TIMES)

    assert set() == empty - MAY_BE_EMPTY.keys() - ABOUT_THE_PRESENT.keys()


@pytest.mark.parametrize("title", sorted(MAY_BE_EMPTY.keys() | ABOUT_THE_PRESENT.keys()))
def test_document_names_empty_panels(title: str) -> None:
    """docs/history.md says which panels can be empty, and why."""
    assert f"*{title}*" in (REPOSITORY / "docs" / "history.md").read_text("utf-8")


@pytest.mark.parametrize("name", VOLUME_DATA)
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


@pytest.mark.parametrize("name", VOLUME_DATA)
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


def latest(server: Prometheus, name: str, quota: str, at: float) -> Mapping[str, float]:
    """Return the values of a quota by project."""
    vector = server.instant(f'{name}{{organization="acme",quota="{quota}"}}', at)
    return {one["metric"].get("project", ""): _value(one) for one in vector}


@pytest.mark.parametrize(
    ("quota", "end"),
    [
        ("errors", START),
        ("errors", START + 7 * HOUR),
        ("errors", END),
        ("payments-team", END),
        ("payments-team", START + 31 * HOUR),
    ],
)
def test_use_of_projects(quota: str, end: int, world: Day, server: Prometheus) -> None:
    """A minute before each hour ends, it is what Sentry has accepted of each in the period."""
    used = latest(server, "sentry_stats_quota_project_used", quota, end - 1)
    (start,) = (
        _value(one)
        for one in server.instant(
            f'sentry_stats_quota_period_start_timestamp_seconds{{quota="{quota}"}}', end + 299
        )
        if one["metric"]["organization"] == "acme"
    )
    projects = {one.id: one for one in world.world.active_projects(1)}
    expected = {"": 0} if quota == "errors" else {}
    for (project,), value in world.world.store.totals(
        1, start, end, at=NOW, group_by=("project",), category=("error",), outcome=("accepted",)
    ).items():
        one = projects.get(int(project))
        label = one.slug if one else ""
        if quota == "errors" or (one and one.teams == ("payments",)):
            expected[label] = expected.get(label, 0) + value

    if end > START:
        assert {label: value for label, value in expected.items() if value or not label} == used
        assert [sum(used.values())] == [*latest(server, TOTAL, quota, end - 1).values()]
    else:
        assert {} == used


TOTAL: Final = "sentry_stats_quota_used"


def test_costs_of_projects(server: Prometheus) -> None:
    """Their sum is the cost of the quota, to the cent."""
    costs = latest(server, "sentry_stats_quota_project_cost", "errors", END)
    vector = server.instant('sentry_stats_quota_cost{organization="acme",quota="errors"}', END)

    assert "" in costs
    assert round(sum(map(_value, vector)) * 100) == round(sum(costs.values()) * 100) > 0


def test_last_day_of_projects(
    world: Day, server: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """On the first day, what was used in the last 24 hours is known to the hour."""
    choice = {**choices["quotas"], "quota": "errors"}
    (shown, *_) = targets("quotas", "Which projects used most in the last 24 hours?")
    actual = sum(map(sum, map(numbers, answer(server, shown, choice, UNTIL_NOW))))
    now = UNTIL_NOW.end
    shortest, longest = (
        sum(
            world.world.store.totals(
                1, now // HOUR * HOUR - hours * HOUR, now, at=now, group_by=(),
                category=("error",), outcome=("accepted",),
            ).values()
        )
        for hours in (23, 24)
    )  # fmt: skip

    assert 0 < shortest <= actual <= longest


def test_periods_that_are_over(tmp_path: Path) -> None:
    """They end with all that was used in them, and so with what they have cost."""
    clock = Clock(NOW)
    ended = END - DAY
    billed = {
        "billing": {"period": {"every": "2d", "from": iso(ended)[:10]}},
        "quotas": [{"name": "errors", "category": "error", "limit": 1000, "price": 0.01}],
    }
    with Simulator(demo_world(END, projects=2), clock=clock, rate_limit=None) as sentry:
        config = unpaced(demo_configuration(sentry.url))
        acme = config.organizations[0]
        entry = Organization.model_validate({"slug": "acme", "token": "opens-nothing", **billed})
        acme = acme.model_copy(update={"billing": entry.billing, "quotas": entry.quotas})
        start, end = str(ended - DAY), str(END)
        history = backfilled(
            replace(config, organizations=(acme,)), tmp_path, clock, start, end=end
        )
        (accepted,) = sentry.world.store.totals(
            1, ended - 2 * DAY, ended, at=NOW, group_by=(), category=("error",),
            outcome=("accepted",),
        ).values()  # fmt: skip
    import_history(tmp_path, history)
    times = Times(END - SCRAPE_INTERVAL, 2 * DAY, SCRAPE_INTERVAL)
    with prometheus(tmp_path) as server:
        choice = {"job": ".+", "instance": ".+", "organization": "acme", "quota": ".+"}
        shown = targets("quotas", "How did the last periods end?")
        answers = {one.target["refId"]: answer(server, one, choice, times) for one in shown}
    _, (row,) = table_rows(shown[0].panel, answers)

    assert (ended - 1) * 1000 == row["Period ended"]
    assert accepted == row["Used"]
    assert pytest.approx((accepted - 1000) * 0.01, abs=0.01) == row["Cost"]


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
