"""The plan of an organization at sentry.io, from an API that Sentry has not documented.

``/customers/{org}/`` also holds payment data. Only the fields below are decoded; nothing else of
the answer is stored, logged or published.
"""

import re
from calendar import timegm
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from exporter.sentry.errors import BadAnswerError

CUSTOMERS: Final = "customers"
"""What metrics and the log call this part of the API."""

CATEGORIES: Final = MappingProxyType(
    {
        "errors": "error",
        "transactions": "transaction",
        "spans": "span",
        "spansIndexed": "span_indexed",
        "replays": "replay",
        "attachments": "attachment",
        "logBytes": "log_byte",
        "traceMetricBytes": "trace_metric_byte",
        "profileDuration": "profile_duration",
        "profileDurationUI": "profile_duration_ui",
        "seerAutofix": "seer_autofix",
        "seerScanner": "seer_scanner",
        "sizeAnalysis": "size_analysis",
        "installableBuild": "installable_build",
    }
)
"""The plan's keys, and the categories of stats_v2 that they bill.

Seats are missing: their number is not in stats_v2.
"""

_MONTHS: Final = MappingProxyType({"monthly": 1, "annual": 12})
"""How many periods an invoice is about; usage is counted by the month, whatever the invoices."""

_SOFT_CAPS: Final = frozenset({"ON_DEMAND", "TRUE_FORWARD"})
_MAX_PERIOD: Final = 400 * 86400
_MAX_AMOUNT: Final = 10**18
_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T.*)?")


class _Category(Struct, rename="camel"):
    """A category of the plan; amounts of bytes are in GB and of durations in hours, but `usage`."""

    usage: Annotated[int, Meta(ge=0)]
    reserved: Decimal | None
    free: Decimal | None = None
    prepaid: Decimal | None = None
    soft_cap_type: str | None = None
    on_demand_budget: Decimal | None = None
    payg_cpe: Decimal | None = None
    custom_price: Decimal | None = None


class _Tier(Struct, rename="camel"):
    events: Decimal
    price: Decimal | None = None
    on_demand_price: Decimal | None = None


class _Details(Struct, rename="camel"):
    """A plan; prices of reserved volume are those of a ``billing_interval``."""

    plan_categories: dict[str, list[_Tier]]
    billing_interval: str | None = None


class _Budgets(Struct, rename="camel"):
    enabled: bool
    budget_mode: str = "shared"
    shared_max_budget: Decimal | None = None


class _Trial(Struct, rename="camel"):
    category: str | int | None = None
    is_started: bool = False
    end_date: str | None = None


class CustomerDocument(Struct, rename="camel"):
    """The fields that are read of the answer."""

    categories: dict[str, _Category]
    plan_details: _Details
    on_demand_period_start: str
    on_demand_period_end: str
    on_demand_budgets: _Budgets | None = None
    product_trials: list[_Trial] | None = None
    is_trial: bool = field(name="isTrial", default=False)


@dataclass(frozen=True, slots=True)
class PlanCategory:
    """A category of the plan; amounts are in the unit of the bill, money in cents.

    ``limit`` is None where there is none, or where it is an amount of money. ``each`` is the price
    beyond the limit, ``reserved_price`` that of the reserved volume of a month; both are None where
    the plan does not say. ``usage`` is in the unit of stats_v2.
    """

    key: str
    category: str
    limit: Decimal | None
    usage: int
    soft: bool = False
    each: Decimal | None = None
    reserved_price: Decimal | None = None
    budget: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CustomerPlan:
    """The plan: its categories and the period, from ``start`` to ``end`` exclusively.

    ``budget`` is the pay-as-you-go budget of all categories, in cents; None where each category has
    its own, or where the plan does not say.
    """

    categories: tuple[PlanCategory, ...]
    start: int
    end: int
    budget: Decimal | None


def plan_of(document: CustomerDocument, now: float) -> CustomerPlan:
    """Return the plan in ``document``; raise `BadAnswerError` where it cannot be one."""
    known = {key: one for key, one in document.categories.items() if key in CATEGORIES}
    if not known:
        raise BadAnswerError("categories", "has no known category")
    _check_amounts(document, known)
    start = _day(document.on_demand_period_start, "onDemandPeriodStart")
    # The last day is part of the period.
    end = _day(document.on_demand_period_end, "onDemandPeriodEnd") + 86400
    if not 0 < end - start <= _MAX_PERIOD:
        raise BadAnswerError("onDemandPeriodEnd", "is not the end of a period")
    budgets = document.on_demand_budgets
    per_category = bool(budgets and budgets.enabled and budgets.budget_mode == "per_category")
    tried = _tried(document, now)
    return CustomerPlan(
        tuple(
            _category(
                key,
                one,
                document.plan_details.plan_categories.get(key, []),
                months=_MONTHS.get(document.plan_details.billing_interval or "", 1),
                per_category=per_category,
                unlimited=document.is_trial or key in tried,
            )
            for key, one in known.items()
        ),
        start,
        end,
        None if per_category else _shared(budgets),
    )


def _check_amounts(document: CustomerDocument, known: Mapping[str, _Category]) -> None:
    """Raise `BadAnswerError` for amounts that cannot be: floats could not hold all of them."""
    for key, one in known.items():
        tiers = document.plan_details.plan_categories.get(key, [])
        prices = [price for tier in tiers for price in (tier.price, tier.on_demand_price)]
        amounts = [*prices, one.payg_cpe, one.custom_price, one.on_demand_budget]
        amounts += [Decimal(one.usage), one.reserved, one.free, one.prepaid]
        amounts += [tier.events for tier in tiers]
        _check(f"categories.{key}", amounts)
    if document.on_demand_budgets:
        _check("onDemandBudgets", [document.on_demand_budgets.shared_max_budget])


def _check(path: str, amounts: Iterable[Decimal | None]) -> None:
    given = [amount for amount in amounts if amount is not None]
    # A string may stand for a number, and then be "NaN", which cannot be compared.
    if any(amount.is_nan() for amount in given):
        raise BadAnswerError(path, "has an amount that is not a number")
    # Without abs(), which raises Overflow for exponents of some millions.
    if not all(-_MAX_AMOUNT <= amount <= _MAX_AMOUNT for amount in given):
        raise BadAnswerError(path, "has an amount that is too large")


def _shared(budgets: _Budgets | None) -> Decimal | None:
    if budgets is None:
        return None
    return (budgets.shared_max_budget or Decimal(0)) if budgets.enabled else Decimal(0)


def _category(
    key: str,
    one: _Category,
    tiers: list[_Tier],
    *,
    months: int,
    per_category: bool,
    unlimited: bool,
) -> PlanCategory:
    tier = _tier(one, tiers)
    each = tier.on_demand_price if tier else None
    reserved_price = tier.price if tier and one.custom_price is None else one.custom_price
    return PlanCategory(
        key,
        CATEGORIES[key],
        None if unlimited else _limit(one),
        one.usage,
        one.soft_cap_type in _SOFT_CAPS,
        each if one.payg_cpe is None else one.payg_cpe,
        None if reserved_price is None else reserved_price / months,
        (one.on_demand_budget or Decimal(0)) if per_category else None,
    )


def _limit(one: _Category) -> Decimal | None:
    """Return reserved and gifted volume together, None where there is no limit in units."""
    parts = [part for part in (one.reserved, one.free, one.prepaid) if part is not None]
    # -1 is unlimited, -2 an amount of money; no volume is negative.
    if any(part < 0 for part in parts):
        return None
    both = (one.reserved or Decimal(0)) + (one.free or Decimal(0))
    return both if one.prepaid is None else one.prepaid


def _tier(one: _Category, tiers: list[_Tier]) -> _Tier | None:
    """Return the smallest tier that holds the reserved volume, else the largest."""
    ordered = sorted(tiers, key=lambda tier: tier.events)
    reserved = max(one.reserved or Decimal(0), Decimal(0))
    holding = (tier for tier in ordered if tier.events >= reserved)
    return next(holding, ordered[-1] if ordered else None)


def _tried(document: CustomerDocument, now: float) -> frozenset[object]:
    """Return the plan's keys that are in a trial, in which they are unlimited."""
    trials = document.product_trials or ()
    return frozenset(
        trial.category
        for trial in trials
        if trial.is_started
        and (trial.end_date is None or now < _day(trial.end_date, "productTrials") + 86400)
    )


def _day(text: str, path: str) -> int:
    match = _DATE.fullmatch(text)
    try:
        day = date.fromisoformat(match[1]) if match else None
    except ValueError:
        day = None
    if day is None:
        raise BadAnswerError(path, "is not a date")
    return timegm(day.timetuple())
