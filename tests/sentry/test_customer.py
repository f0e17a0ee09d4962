"""The plan: what is read of Sentry's undocumented answer, and what it means."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exporter.sentry.customer import CustomerDocument, CustomerPlan, PlanCategory, plan_of
from exporter.sentry.decoding import decode
from exporter.sentry.errors import BadAnswerError
from tests.support.billing import CARD, EMAIL, body, category, customer

FEBRUARY_17 = 1_771_286_400
MARCH_17 = 1_773_705_600


def document(**values: Any) -> CustomerDocument:
    """Return what is decoded of an answer."""
    return decode(msgspec.json.Decoder(CustomerDocument), body(customer(**values)))


def plan(**values: Any) -> CustomerPlan:
    """Return the plan in an answer."""
    return plan_of(document(**values), FEBRUARY_17)


def errors(tiers: Any = None, **values: Any) -> PlanCategory:
    """Return the category of errors in an answer."""
    details = {"planDetails": {"planCategories": {"errors": tiers}}} if tiers else {}
    (one,) = plan(categories={"errors": category(**values)}, **details).categories
    return one


def without(path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` without the key at ``path``, which is under another name."""
    key, _, more = path.partition(".")
    if more:
        return {**values, key: without(more, values[key])}
    return {**{k: v for k, v in values.items() if k != key}, f"{key}Renamed": values[key]}


def test_plan() -> None:
    """Categories of stats_v2, the period until its last day, and the budget are read."""
    assert (
        CustomerPlan(
            (
                PlanCategory(
                    "errors",
                    "error",
                    Decimal(50_000),
                    0,
                    each=Decimal("0.03625"),
                    reserved_price=Decimal(0),
                ),
                PlanCategory(
                    "logBytes",
                    "log_byte",
                    Decimal(5),
                    0,
                    each=Decimal(50),
                    reserved_price=Decimal(0),
                ),
            ),
            FEBRUARY_17,
            MARCH_17,
            Decimal(30_000),
        )
        == plan()
    )


def test_payment_data_is_not_decoded() -> None:
    """Nothing of the answer but the named fields is in memory afterwards."""
    text = f"{document()!r} {msgspec.json.encode(document())!r} {plan()!r}"

    assert CARD not in text
    assert CARD[-4:] not in text
    assert EMAIL not in text


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({"reserved": 100, "free": 20, "prepaid": 120}, 120),
        ({"reserved": 100, "free": 20, "prepaid": None}, 120),
        ({"reserved": -1, "prepaid": -1}, None),
        ({"reserved": -2, "prepaid": None}, None),
        ({"reserved": 100, "free": -1, "prepaid": None}, None),
        ({"reserved": -3, "prepaid": -3}, None),
        ({"reserved": None, "free": None, "prepaid": None}, 0),
        ({"reserved": 0, "free": 0, "prepaid": 0}, 0),
    ],
)
def test_limit(values: dict[str, Any], limit: int | None) -> None:
    """Reserved and gifted volume make the limit; -1 is unlimited, and -2 an amount of money."""
    assert limit == errors(**values).limit


@pytest.mark.parametrize(
    ("soft_cap", "soft"),
    [(None, False), ("ON_DEMAND", True), ("TRUE_FORWARD", True), ("OTHER", False)],
)
def test_soft_cap(soft_cap: str | None, soft: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """Soft caps never drop."""
    assert soft == errors(softCapType=soft_cap).soft


def test_price_is_that_of_the_reserved_tier() -> None:
    """The tier that holds the reserved volume has its price, and the price beyond it."""
    tiers = customer()["planDetails"]["planCategories"]["errors"]
    one = errors(tiers, reserved=100_000, prepaid=100_000)

    assert (Decimal("0.02"), Decimal(1500)) == (one.each, one.reserved_price)


def test_own_prices() -> None:
    """Prices of the customer's own replace those of the plan."""
    one = errors(paygCpe=0.01, customPrice=990)

    assert (Decimal("0.01"), Decimal(990)) == (one.each, one.reserved_price)


@pytest.mark.parametrize(("interval", "cents"), [("monthly", 1500), ("annual", 125), (None, 1500)])
@pytest.mark.parametrize("own", [False, True])
def test_price_of_a_year(interval: str | None, cents: int, own: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """Of a price for a year, each period has a twelfth; the price of a unit is the same."""
    tiers = [{"events": 50_000, "price": 0 if own else 1500, "onDemandPrice": 0.02}]
    details = {"planCategories": {"errors": tiers}, "billingInterval": interval}
    one = category(customPrice=1500 if own else None)
    (read,) = plan(categories={"errors": one}, planDetails=details).categories

    assert (Decimal(cents), Decimal("0.02")) == (read.reserved_price, read.each)


def test_shared_budget() -> None:
    """In shared mode every category says 0, which means nothing."""
    assert Decimal(30_000) == plan().budget
    assert {None} == {one.budget for one in plan().categories}


def test_budgets_per_category() -> None:
    """In the other mode each category has its own budget, and there is no shared one."""
    budgets = {"enabled": True, "budgetMode": "per_category", "sharedMaxBudget": 0}
    read = plan(onDemandBudgets=budgets, categories={"errors": category(onDemandBudget=7_000)})

    assert (None, Decimal(7_000)) == (read.budget, read.categories[0].budget)


@pytest.mark.parametrize(
    ("budgets", "budget"), [(None, None), ({"enabled": False, "sharedMaxBudget": 500}, 0)]
)
def test_no_budget(budgets: object, budget: int | None) -> None:
    """Where pay-as-you-go is off, its budget is 0; an answer without budgets does not say."""
    assert budget == plan(onDemandBudgets=budgets).budget


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({"isTrial": True}, None),
        (
            {"productTrials": [{"category": "errors", "isStarted": True, "endDate": "2026-02-17"}]},
            None,
        ),
        (
            {"productTrials": [{"category": "errors", "isStarted": True, "endDate": "2026-02-16"}]},
            50_000,
        ),
        ({"productTrials": [{"category": "errors", "isStarted": False}]}, 50_000),
        ({"productTrials": [{"category": "replays", "isStarted": True}]}, 50_000),
    ],
)
def test_trial(values: dict[str, Any], limit: int | None) -> None:
    """In a trial there is no limit, of everything or of one product until its last day."""
    assert limit == plan(**values).categories[0].limit


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-02-17", "2026-02-16"),
        ("2026-02-17", "2028-02-16"),
        ("17 February", "2026-03-16"),
        ("2026-02-30", "2026-03-16"),
    ],
)
def test_period_that_is_none(start: str, end: str) -> None:
    """Dates that cannot be a period make the answer unusable."""
    with pytest.raises(BadAnswerError, match="onDemandPeriod"):
        plan(onDemandPeriodStart=start, onDemandPeriodEnd=end)


@pytest.mark.parametrize(
    "path",
    [
        "categories",
        "categories.errors.reserved",
        "categories.errors.usage",
        "planDetails",
        "planDetails.planCategories",
        "onDemandPeriodStart",
        "onDemandPeriodEnd",
    ],
)
def test_renamed_field(path: str) -> None:
    """Without one of its fields the answer is unusable, and the error repeats none of it."""
    with pytest.raises(BadAnswerError) as caught:
        decode(msgspec.json.Decoder(CustomerDocument), body(without(path, customer())))

    assert path.rpartition(".")[2] in str(caught.value)
    assert EMAIL not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"categories": {"errors": category(reserved=1e300)}},
        {"categories": {"errors": category(usage=10**18 + 1)}},
        {"categories": {"errors": category(paygCpe=1e19)}},
        {"categories": {"errors": category(customPrice="-1e4000000")}},
        {"planDetails": {"planCategories": {"errors": [{"events": "1e4000000"}]}}},
        {"onDemandBudgets": {"enabled": True, "sharedMaxBudget": 1e19}},
        {"planDetails": {"planCategories": {"errors": [{"events": 1, "price": -1e19}]}}},
    ],
)
def test_amounts_that_are_too_large(values: dict[str, Any]) -> None:
    """Amounts of which no bill is make the answer unusable."""
    with pytest.raises(BadAnswerError, match="too large"):
        plan(**values)


@pytest.mark.parametrize("amount", ["NaN", "-nan", "sNaN"])
@pytest.mark.parametrize(
    "values",
    [
        {"categories": {"errors": category(reserved="AMOUNT")}},
        {"categories": {"errors": category(onDemandBudget="AMOUNT")}},
        {"onDemandBudgets": {"enabled": True, "sharedMaxBudget": "AMOUNT"}},
        {"planDetails": {"planCategories": {"errors": [{"events": "AMOUNT"}] * 2}}},
    ],
)
def test_amounts_that_are_not_numbers(values: dict[str, Any], amount: str) -> None:
    """Nothing can be compared with such an amount, which a string can hold."""
    with pytest.raises(BadAnswerError, match="not a number"):
        plan(**json.loads(json.dumps(values).replace("AMOUNT", amount)))


def test_no_known_category() -> None:
    """Where nothing is known that is billed, the answer is about something else."""
    with pytest.raises(BadAnswerError, match="no known category"):
        plan(categories={"monitorSeats": category()})
