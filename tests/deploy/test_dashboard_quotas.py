"""The dashboard of quotas on a real Prometheus, with the demo in which the quotas run out.

Simulator and exporter run on a clock that the test sets: a day before the budget is spent, after
it, in the last minute of the billing period, and in the next period.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from exporter.app import Exporter
from exporter.cli.demo import demo_configuration
from exporter.simulator import RateLimit, Simulator, World, demo_world
from exporter.simulator.demo_projects import ACME_TEAMS
from exporter.simulator.plans import Period, Plan
from tests.deploy.dashboards import Times, answer, chosen, numbers, panels, targets
from tests.deploy.drawing import table_rows
from tests.support.clock import Clock
from tests.support.exporters import scraped, unpaced
from tests.support.prometheus import TARGET, Prometheus, import_pages
from tests.support.prometheus import prometheus as running

pytestmark = [pytest.mark.slow, pytest.mark.programs]

HOUR: Final = 3600
DAY: Final = 86400
NOW: Final = 1_748_908_800
"""Midnight of a Tuesday in UTC, three minutes before the budget is spent."""

SPENT: Final = NOW + HOUR
SCRAPE: Final = 60
REPLICA: Final = TARGET.replace("exporter:", "exporter-2:")
ACME: Final = 1
ALL: Final = ".+"
TEAMS: Final = {
    project: teams[0] if len(teams) == 1 else "no team" for project, teams in ACME_TEAMS.items()
}

Row = Mapping[str, Any]

_HIGH_LIMIT: Final = RateLimit(limit=1000)
"""All requests of a poll fall into one second of the clock, so the default limit is too low."""


@dataclass(frozen=True, slots=True)
class Billed:
    """The simulated organization, and the Prometheus that has scraped its exporters."""

    world: World
    server: Prometheus

    @property
    def plan(self) -> Plan:
        """The plan in which the quotas run out."""
        subscription = self.world.subscription(ACME)
        assert subscription is not None
        return subscription.plan(NOW)

    @property
    def period(self) -> Period:
        """The billing period."""
        return self.plan.period(NOW)

    def sums(self, at: float, category: str, *by: str) -> Mapping[tuple[Any, ...], int]:
        """Return what Sentry has of a category since the period began."""
        start, end = self.period.start, int(at) // HOUR * HOUR + HOUR
        return self.world.store.totals(ACME, start, end, at=at, group_by=by, category=[category])

    def used(self, at: float, category: str) -> int:
        """Return what Sentry has accepted of a category since the period began."""
        return self.sums(at, category, "outcome")["accepted",]

    def table(self, title: str, at: int, quota: str = ALL) -> Sequence[Row]:
        """Return the rows of a table."""
        (panel,) = (each for each in panels("quotas") if each["title"] == title)
        return table_rows(panel, self._answers(title, at, quota))[1]

    def number(self, title: str, at: int) -> float:
        """Return the number of a panel."""
        (((series,),),) = (self._answers(title, at, ALL).values(),)
        (number,) = numbers(series)
        return number

    def _answers(self, title: str, at: int, quota: str) -> dict[str, list[dict[str, Any]]]:
        times = Times(at, 30 * DAY, SCRAPE)
        values = chosen(self.server, "quotas", times, {"organization": "acme", "quota": quota})
        return {
            shown.target["refId"]: answer(self.server, shown, values, times)
            for shown in targets("quotas", title)
        }


def run(world: World, moments: tuple[int, ...]) -> Iterator[tuple[float, str]]:
    """Yield the page of an exporter at each of ``moments``."""
    clock = Clock(moments[0])
    with Simulator(world, clock=clock, rate_limit=_HIGH_LIMIT) as sentry:
        config = unpaced(demo_configuration(sentry.url))
        yield from scraped(Exporter(config, clock=clock), clock, moments)


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Billed]:
    """Run a Prometheus that has scraped two replicas, one of which fails in the next period."""
    folder = tmp_path_factory.mktemp("quotas")
    world = demo_world(NOW, projects=3, scenario="quota")
    subscription = world.subscription(ACME)
    assert subscription is not None
    end = subscription.plan(NOW).period(NOW).end
    last, after = end - 60, end + HOUR
    pages = dict(run(world, (SPENT - DAY, SPENT, last, after)))
    import_pages(folder, pages.items())
    import_pages(folder, {**pages, after: pages[last]}.items(), REPLICA)
    with running(folder) as server:
        yield Billed(world, server)


def row_of(rows: Sequence[Row], **labels: str) -> Row:
    """Return the row with these labels."""
    (row,) = (each for each in rows if labels.items() <= each.items())
    return row


@pytest.mark.parametrize(
    ("quota", "category", "unit"),
    [("errors", "error", "events"), ("spans", "span", "events"), ("logBytes", "log_byte", "bytes")],
)
def test_used(billed: Billed, quota: str, category: str, unit: str) -> None:
    """What is used of each quota is what Sentry has accepted; replicas are not added."""
    row = row_of(billed.table(f"How much is used of quotas counted in {unit}?", SPENT), quota=quota)
    limit = billed.plan.limit(quota, SPENT)

    assert (billed.used(SPENT, category), limit) == (row["Used"], row["Limit"])


def test_lost(billed: Billed) -> None:
    """What was lost is what was rate limited, and what SDKs held back after a 429."""
    row = row_of(
        billed.table("How much is used of quotas counted in events?", SPENT), quota="spans"
    )
    lost = sum(
        value
        for (outcome, reason), value in billed.sums(SPENT, "span", "outcome", "reason").items()
        if outcome == "rate_limited" or reason == "ratelimit_backoff"
    )

    assert 0 < lost == row["Lost"]
    assert row["Submitted"] == row["Used"] + lost


def test_time_left(billed: Billed) -> None:
    """A quota that is used up has nothing left, and one that lasts has no end."""
    rows = billed.table("How long does each quota last?", SPENT)
    errors, attachments = (row_of(rows, quota=each) for each in ("errors", "attachments"))
    reached = errors["Gone on, at last week's pace"] / 1000

    assert errors["Used"] > 1
    assert 0 == errors["Left, at last week's pace"]
    assert abs(reached - (NOW - 2 * DAY)) < 2 * HOUR
    assert "Left, at last week's pace" not in attachments
    assert errors["Period ends"] / 1000 == billed.period.end - 1


def test_used_up(billed: Billed) -> None:
    """The number of quotas used up is that of the table's rows."""
    rows = billed.table("How long does each quota last?", SPENT)

    assert sum(row["Used"] >= 1 for row in rows) == billed.number("Quotas used up", SPENT) >= 2


def test_projects_add_up(billed: Billed) -> None:
    """The use and the cost of all projects are those of the quota, to the event and the cent."""
    rows = billed.table("Which projects use most of each quota?", SPENT, "errors")
    costs = billed.table("What does each quota cost?", SPENT, "errors")
    by_project = billed.sums(SPENT, "error", "project", "outcome")
    slugs = {each.id: each.slug for each in billed.world.active_projects(ACME)}

    assert {
        slugs[project]: value
        for (project, outcome), value in by_project.items()
        if outcome == "accepted" and value and project in slugs
    } == {row["project"]: row["Used"] for row in rows if row["project"] != "no project"}
    assert billed.used(SPENT, "error") == sum(row["Used"] for row in rows)
    assert pytest.approx(1) == sum(row["Share of the quota"] for row in rows)
    assert pytest.approx(costs[0]["Cost"]) == sum(row.get("Cost", 0) for row in rows)


def test_teams_add_up(billed: Billed) -> None:
    """Each team has what its projects have, and the others' use has no team."""
    projects = billed.table("Which projects use most of each quota?", SPENT, "errors")
    expected: dict[str, tuple[int, float]] = {}
    for row in projects:
        team = TEAMS.get(row["project"], "no team")
        used, cost = expected.get(team, (0, 0.0))
        expected[team] = used + row["Used"], cost + row.get("Cost", 0)
    rows = billed.table("Which teams use most of quotas counted in events?", SPENT, "errors")

    assert {"payments", "no team"} < expected.keys()
    assert {team: pytest.approx(used) for team, (used, _) in expected.items()} == {
        row["team"]: row["Used"] for row in rows
    }
    assert {team: pytest.approx(cost, abs=0.05) for team, (_, cost) in expected.items()} == {
        row["team"]: row["Cost"] for row in rows
    }


@pytest.mark.parametrize("whose", ["projects", "teams"])
def test_costs_add_up(billed: Billed, whose: str) -> None:
    """The costs of all projects, and those of all teams, are the cost of the organization."""
    rows = billed.table(f"Which {whose} cost most?", SPENT)

    assert pytest.approx(billed.number("Cost so far", SPENT)) == sum(row["Cost"] for row in rows)
    assert pytest.approx(1) == sum(row["Share of the cost"] for row in rows)


def test_last_day(billed: Billed) -> None:
    """What a project has used in a day is the difference to the day before."""
    rows = billed.table("Which projects used most in the last 24 hours?", SPENT, "logBytes")
    used = billed.used(SPENT, "log_byte") - billed.used(SPENT - DAY, "log_byte")

    assert used == sum(row["Last 24 hours (bytes)"] for row in rows)
    assert all(abs(row["Change"]) < 0.5 for row in rows[:3])


def test_last_day_after_a_new_period(billed: Billed) -> None:
    """In the first day of a period, the last 24 hours are what has been used since it began."""
    at = billed.period.end + HOUR
    day = billed.table("Which projects used most in the last 24 hours?", at, "errors")
    period = billed.table("Which projects use most of each quota?", at, "errors")

    assert {row["project"]: row["Used"] for row in period} == {
        row["project"]: row["Last 24 hours"] for row in day
    }
    assert not any("Change" in row for row in day)


def test_allocations(billed: Billed) -> None:
    """An allocation has a table of its own, and is in no sum of the organization."""
    (row,) = billed.table("Do allocations of projects and teams last?", SPENT)
    projects = billed.table("Which projects use most of each allocation?", SPENT)
    others = billed.table("Which projects use most of each quota?", SPENT, "payments-team")

    assert ("payments-team", "payments") == (row["quota"], row["team"])
    assert {"payments", "billing-worker"} == {each["project"] for each in projects}
    assert pytest.approx(row["Used"] * row["Limit"]) == sum(each["Used"] for each in projects)
    assert [] == others


def test_budget(billed: Billed) -> None:
    """Whatever quota is chosen, the table says since when the budget is spent."""
    title = "How much of the budget is spent, and when do drops begin?"
    (row,) = billed.table(title, SPENT, "logBytes")
    began = row["Drops begin, at last week's pace"] / 1000

    assert billed.plan.budget / 100 == row["Budget"]
    assert pytest.approx(row["Budget"], abs=1) == row["Spent"]
    assert HOUR >= abs(began - NOW)


def test_before_the_budget_is_spent(billed: Billed) -> None:
    """A day before, the table says when Sentry will drop."""
    title = "How much of the budget is spent, and when do drops begin?"
    (row,) = billed.table(title, SPENT - DAY)
    begins = row["Drops begin, at last week's pace"] / 1000

    assert 0.3 < row["Spent %"] < 1
    assert abs(begins - NOW) < DAY / 2


def test_last_periods(billed: Billed) -> None:
    """A period that is over has its last values; the current one has none yet."""
    end = billed.period.end
    rows = billed.table("How did the last periods end?", end + HOUR)
    errors = row_of(rows, quota="errors")

    assert {(end - 1) * 1000} == {row["Period ended"] for row in rows}
    assert billed.used(end - 60, "error") == errors["Used"]
    assert 0 < errors["Share lost"] < 1
    assert [] == billed.table("How did the last periods end?", SPENT)


def test_next_period(billed: Billed) -> None:
    """A replica that still shows the period before is not counted in the next one."""
    at = billed.period.end + HOUR
    rows = billed.table("How much is used of quotas counted in events?", at)
    start = billed.period.end
    used = billed.world.store.totals(
        ACME, start, at + HOUR, at=at, group_by=["outcome"], category=["error"]
    )["accepted",]

    assert used == row_of(rows, quota="errors")["Used"]
    assert pytest.approx(1 / 24 / 30, rel=0.01) == billed.number(
        "Share of the period that is over", at
    )


def test_plan(billed: Billed) -> None:
    """The plan counts what the measurement counts."""
    rows = billed.table("Do the plan and Sentry's stats agree?", SPENT)

    assert {"errors", "spans", "logBytes"} <= {row["quota"] for row in rows}
    assert all(abs(row["Difference %"]) < 0.01 for row in rows if "Difference %" in row)
