"""What is published of an account: sums that are exact, costs, budgets and forecasts."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.buckets import floor
from exporter.categories import Unit
from exporter.collect.quota.account import Account, BilledQuota
from exporter.collect.quota.projects import ProjectsReading
from exporter.collect.quota.published import AccountReading, disagreements, published
from exporter.collect.quota.reading import UsageReading
from exporter.quota.model import DAY, HOUR, Period, Price, Quota, Tier
from exporter.quota.view import AccountView, CostKind, QuotaView, Source
from tests.support.rows import NOON

NOW: Final = NOON + 600
TODAY: Final = floor(NOW, DAY)
PERIOD: Final = Period(TODAY - 10 * DAY, TODAY + 20 * DAY)
ERRORS: Final = Quota("errors", ("error",), Unit.EVENTS, 1000, Price((Tier(0, Decimal("0.01")),)))
SPANS: Final = Quota("spans", ("span",), Unit.EVENTS, 0, Price((Tier(0, Decimal("0.001")),)))


def billed(quota: Quota = ERRORS, **settings: Any) -> BilledQuota:
    """Return a quota of the file."""
    return BilledQuota(quota, Source.FILE, **settings)


def account(*quotas: BilledQuota, budgets: Mapping[str, Decimal] | None = None) -> Account:
    """Return an account with these quotas."""
    return Account(PERIOD, "USD", quotas or (billed(),), budgets or {})


def reading(used: Mapping[str, Mapping[int, int]], **settings: Any) -> AccountReading:
    """Return a reading of what projects have used today, by category."""
    days = {name: {TODAY: sum(values.values())} for name, values in used.items()}
    hours = {name: {NOON - HOUR: sum(values.values())} for name, values in used.items()}
    usage = UsageReading(days, hours, {"error": 7}, TODAY - 15 * DAY)
    return AccountReading(NOW, usage, ProjectsReading(used), **settings)


def shown(account: Account, read: AccountReading) -> AccountView:
    """Return what is published of an account."""
    return published(account, read, {}, plan_up=None)


def only(account: Account, read: AccountReading) -> QuotaView:
    """Return what is published of the only quota of an account."""
    (quota,) = shown(account, read).quotas
    return quota


@given(
    st.dictionaries(st.integers(0, 3000), st.integers(0, 10**12), max_size=200),
    st.decimals(0, 1, places=9),
    st.integers(0, 10**13),
)
def test_sums_over_projects_are_exact(used: dict[int, int], each: Decimal, limit: int) -> None:
    """Use and costs over all projects equal those of the quota, to the event and to the cent."""
    quota = replace(ERRORS, limit=limit, price=Price((Tier(0, each),)))
    one = billed(quota, reserved_cost=Decimal("29.99"))
    view = only(account(one), reading({"error": used}, labels={1: "web", 2: "api"}))

    assert sum(used.values()) == view.used == sum(view.projects.values())
    assert sum(view.costs.values()) == sum(view.project_costs.values())
    assert view.projects.keys() == view.project_costs.keys() <= {"", "web", "api"}


def test_forty_teams() -> None:
    """What the teams have used and cost, with what nobody owns, is all there is."""
    used = {project: project for project in range(1, 2001)}
    teams = {f"team-{number}": frozenset(range(number, 1900, 40)) for number in range(40)}
    parts = [
        billed(replace(ERRORS, name=name, team=name, price=None), billed=False) for name in teams
    ]
    read = reading({"error": used}, members=teams, parts=dict.fromkeys(teams, UsageReading()))
    errors, *views = shown(account(billed(), *parts), read).quotas
    nobody = sum(range(1900, 2001))

    assert sum(used.values()) == errors.used == sum(view.used for view in views) + nobody


def test_reserved_and_overage() -> None:
    """The reserved volume has its price, and what is beyond it the price of a unit."""
    view = only(account(billed(reserved_cost=Decimal(29))), reading({"error": {1: 1250}}))

    assert {
        CostKind.RESERVED: Decimal("29.00"),
        CostKind.OVERAGE: Decimal("2.50"),
    } == view.costs


def test_without_prices() -> None:
    """Where no price is known, no cost is."""
    view = only(account(billed(replace(ERRORS, price=None))), reading({"error": {1: 1250}}))

    assert ({}, {}) == (view.costs, view.project_costs)


def test_durations() -> None:
    """Used durations are milliseconds; limits, prices and forecasts are about seconds."""
    hours = Quota(
        "profiling",
        ("profile_duration",),
        Unit.SECONDS,
        3600,
        Price((Tier(0, Decimal("0.0315") / 3600),)),
    )
    view = only(account(billed(hours)), reading({"profile_duration": {1: 3 * 3_600_000}}))

    assert 3 * 3_600_000 == view.used
    assert {CostKind.OVERAGE: Decimal("0.06")} == view.costs
    assert 10_800 <= view.projected["day"]


def test_submitted() -> None:
    """What was lost to a limit would have been used without it."""
    assert 107 == only(account(), reading({"error": {1: 100}})).submitted


def test_budget_is_shared() -> None:
    """The overage of all billed quotas is paid from one budget; allocations are not."""
    part = billed(replace(ERRORS, name="web", projects=("web",)), billed=False)
    one = account(billed(), billed(SPANS), part, budgets={"": Decimal(10)})
    read = reading(
        {"error": {1: 1200}, "span": {1: 500}},
        members={"web": frozenset({1})},
        parts={"web": UsageReading()},
    )
    (budget,) = shown(one, read).budgets

    assert ("", Decimal(10), Decimal("2.50")) == (budget.quota, budget.amount, budget.spent)


def test_budgets_of_quotas() -> None:
    """A budget of a quota pays for that quota only."""
    budgets = {"errors": Decimal(10), "spans": Decimal("0.30")}
    one = account(billed(), billed(SPANS), budgets=budgets)
    view = shown(one, reading({"error": {1: 1200}, "span": {1: 500}}))

    assert [("errors", Decimal("2.00")), ("spans", Decimal("0.30"))] == [
        (budget.quota, budget.spent) for budget in view.budgets
    ]


def test_budget_that_is_spent() -> None:
    """A spent budget has the moment at which it was spent, at any pace."""
    one = account(billed(SPANS), budgets={"": Decimal("0.10")})
    (budget,) = shown(one, reading({"span": {1: 500}})).budgets

    assert Decimal("0.10") == budget.spent
    assert {"week", "day"} == budget.exhaustion.keys()
    assert all(moment <= NOW for moment in budget.exhaustion.values())


def test_limit_that_lasts() -> None:
    """A limit that is not reached within the period has no moment."""
    assert {} == only(account(), reading({"error": {1: 0}})).exhaustion


@pytest.mark.parametrize("proven", [True, False])
def test_complete(proven: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """Numbers of which a part may be cut are not complete."""
    read = reading({"error": {1: 100}})
    read = replace(read, by_project=replace(read.by_project, proven=proven))

    assert proven is shown(account(), read).complete


def test_nothing_reserved() -> None:
    """Where nothing is reserved, there is no limit that could be reached."""
    assert {} == only(account(billed(SPANS)), reading({"span": {1: 5}})).exhaustion


@pytest.mark.parametrize(("usage", "difference"), [(95, {"errors": -5}), (None, {})])
def test_disagreement(usage: int | None, difference: dict[str, int]) -> None:
    """The plan's own usage minus what was read, where the plan says it."""
    read = reading({"error": {1: 100}})

    assert difference == disagreements(account(billed(plan_usage=usage)), read.usage)
