"""The plan of an organization, as ``/customers/{org}/`` has it."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from exporter.simulator import (
    DAY,
    HOUR,
    Member,
    Organization,
    Row,
    Token,
    TokenKind,
    World,
    demo_world,
)
from exporter.simulator.application import Application
from exporter.simulator.faults import Fault
from exporter.simulator.messages import Request
from exporter.simulator.plans import BUDGET, UNLIMITED, Category, Plan, Subscription, Tier, Trial

NOW = 1_788_220_800 + 9 * DAY + HOUR // 2
"""Half past midnight of the tenth day of September 2026."""
INTEGRATION = "integration"
SEPTEMBER = 1_788_220_800

PLAN = Plan(
    {
        "errors": Category(100, 20, (Tier(50, 0, 4.0), Tier(100, 500, 3.0))),
        "attachments": Category(2, 1, (Tier(1, 0, 31.25),)),
        "profileDuration": Category(0, 0, (Tier(0, 0, 3.15),)),
        "monitorSeats": Category(1),
    },
    budget=5000,
)


def world(plan: Plan | None = PLAN, *rows: Row) -> World:
    """Return an organization that has ``plan``, with a token of each kind."""
    result = World(
        [Organization(1, "acme")],
        members=[Member(1, "ada", "owner"), Member(1, "bob", "member")],
        tokens=[
            Token("integration", organization=1),
            Token("owner", TokenKind.USER, user="ada"),
            Token("member", TokenKind.USER, user="bob"),
            Token("ci", TokenKind.ORGANIZATION, 1, scopes=frozenset({"org:ci"})),
        ],
        subscriptions={1: Subscription(plan)} if plan else {},
    )
    result.add_rows(*rows)
    return result


def row(category: str, quantity: int, *, at: float = NOW - HOUR, outcome: str = "accepted") -> Row:
    """Return a stored row of a project."""
    return Row(1, 7, category, outcome, None, at, quantity)


def get(world: World, token: str = INTEGRATION, *, slug: str = "acme") -> tuple[int, Any]:
    """Return status and body of an answer."""
    application = Application(world, lambda: float(NOW), lambda _: None)
    path = f"/api/0/customers/{slug}/"
    headers = {"authorization": f"Bearer {token}"}
    answer = application.reply(Request("GET", path, "", headers)).answer
    return answer.status, answer.document()


@pytest.mark.parametrize(
    ("token", "expected"),
    [("integration", 200), ("owner", 200), ("member", 403), ("ci", 403), ("unknown", 401)],
)
def test_who_may_read_a_plan(token: str, expected: int) -> None:
    """An integration, and a user whose role has to do with billing."""
    assert expected == get(world(), token)[0]


def test_without_a_plan_there_is_no_endpoint() -> None:
    """A self-hosted server answers with 404."""
    assert 404 == get(world(None))[0]


def test_usage_is_what_was_accepted_in_the_period() -> None:
    """It is in what the store counts: events, bytes and milliseconds; drops do not count."""
    rows = [
        row("error", 70),
        row("default", 20),
        row("security", 10, at=SEPTEMBER),
        row("error", 999, at=SEPTEMBER - 1),
        row("error", 999, outcome="rate_limited"),
        row("attachment", 2_500_000_000),
        row("profile_duration", 7_200_000, at=NOW),
    ]
    categories = get(world(PLAN, *rows))[1]["categories"]
    usage = {key: each["usage"] for key, each in categories.items()}

    assert {
        "errors": 100,
        "attachments": 2_500_000_000,
        "profileDuration": 7_200_000,
        "monitorSeats": 0,
    } == usage


def test_the_overage_costs_cents() -> None:
    """Thirty errors beyond 120, and two hours of profiles, from the shared budget."""
    document = get(world(PLAN, row("error", 150), row("profile_duration", 7_200_000)))[1]
    errors, profiles = (document["categories"][key] for key in ("errors", "profileDuration"))

    assert (30, 90) == (errors["onDemandQuantity"], errors["onDemandSpendUsed"])
    assert 7 == profiles["onDemandSpendUsed"]
    assert 97 == document["onDemandBudgets"]["onDemandSpendUsed"]
    assert {0} == {each["onDemandBudget"] for each in document["categories"].values()}


def test_the_shared_budget() -> None:
    """It has one sum, and does not exceed it."""
    document = get(world(PLAN, row("error", 10_000)))[1]

    assert {
        "enabled": True,
        "budgetMode": "shared",
        "sharedMaxBudget": 5000,
        "onDemandSpendUsed": 5000,
    } == document["onDemandBudgets"]
    assert document["categories"]["errors"]["usageExceeded"]


def test_budgets_per_category() -> None:
    """Each category has its own, and what is spent of it."""
    categories = {"errors": replace(PLAN.categories["errors"], budget=300)}
    plan = Plan(categories, budget_mode="per_category")
    document = get(world(plan, row("error", 130)))[1]

    assert 300 == document["categories"]["errors"]["onDemandBudget"]
    assert {
        "enabled": True,
        "budgetMode": "per_category",
        "budgets": {"errors": 300},
        "usedSpends": {"errors": 30},
    } == document["onDemandBudgets"]


def test_no_budget_is_not_enabled() -> None:
    """A plan without pay-as-you-go says so."""
    assert not get(world(replace(PLAN, budget=0)))[1]["onDemandBudgets"]["enabled"]


def test_the_period_includes_its_last_day() -> None:
    """Start and end are dates."""
    document = get(world())[1]

    assert ("2026-09-01", "2026-09-30") == (
        document["onDemandPeriodStart"],
        document["onDemandPeriodEnd"],
    )


def test_volumes_are_in_the_unit_of_the_bill() -> None:
    """Two GB are reserved, and one is gifted."""
    attachments = get(world())[1]["categories"]["attachments"]

    assert (2, 1, 3) == (attachments["reserved"], attachments["free"], attachments["prepaid"])


@pytest.mark.parametrize("reserved", [UNLIMITED, BUDGET])
def test_what_is_no_volume(reserved: int) -> None:
    """-1 is unlimited and -2 a budget in money; neither has an overage."""
    plan = replace(PLAN, categories={"errors": Category(reserved)})
    errors = get(world(plan, row("error", 10**6)))[1]["categories"]["errors"]

    assert (reserved, reserved) == (errors["reserved"], errors["prepaid"])
    assert (0, False) == (errors["onDemandQuantity"], errors["usageExceeded"])


def test_a_soft_cap() -> None:
    """It is never exceeded, and takes nothing from the budget."""
    soft = Category(10, tiers=(Tier(10, 0, 1.0),), soft_cap="TRUE_FORWARD")
    document = get(world(replace(PLAN, categories={"errors": soft}), row("error", 500)))[1]
    errors = document["categories"]["errors"]

    assert ("TRUE_FORWARD", True) == (errors["softCapType"], errors["trueForward"])
    assert not errors["usageExceeded"]
    assert 0 == document["onDemandBudgets"]["onDemandSpendUsed"]


def test_a_trial() -> None:
    """What is tried costs nothing."""
    plan = replace(PLAN, trials=[Trial("errors", date(2026, 9, 14))])
    document = get(world(plan, row("error", 500)))[1]

    assert [
        {"category": "errors", "isStarted": True, "reasonCode": 1001, "endDate": "2026-09-14"}
    ] == document["productTrials"]
    assert 0 == document["categories"]["errors"]["onDemandSpendUsed"]


def test_tiers_have_prices_in_cents() -> None:
    """Each has the price of its volume, of a unit of it, and of a unit beyond it."""
    tiers = get(world())[1]["planDetails"]["planCategories"]["errors"]

    assert {"events": 100, "price": 500, "unitPrice": 5.0, "onDemandPrice": 3.0} == tiers[1]


def test_it_has_data_that_nobody_may_pass_on() -> None:
    """The digits of a card and an address are in it, as in Sentry's own."""
    text = json.dumps(get(world())[1])

    assert "4242" in text
    assert "billing@acme.example" in text


def test_a_fault_of_this_endpoint_only() -> None:
    """Faults can be restricted to it."""
    application = Application(world(), lambda: float(NOW), lambda _: None)
    application.faults.add(Fault("status", status=410, endpoint="customers"))
    headers = {"authorization": "Bearer integration"}
    statuses = [
        application.reply(Request("GET", f"/api/0/{path}/acme/", "", headers)).answer.status
        for path in ("customers", "organizations")
    ]

    assert [410, 200] == statuses


@pytest.mark.parametrize("slug", ["acme", "globex"])
def test_the_demo_has_plans(slug: str) -> None:
    """Both organizations use less than they have reserved, but some profiles."""
    token = {"acme": "demo-token-acme", "globex": "demo-token-globex"}[slug]
    categories = get(demo_world(NOW, projects=12), token, slug=slug)[1]["categories"]

    assert {"errors", "spans", "replays", "attachments", "logBytes"} <= categories.keys()
    assert not any(each["usageExceeded"] for each in categories.values())
