"""The plan of an organization: ``/customers/{org}/``, which Sentry has not documented.

It follows what Sentry's open frontend reads of it (``static/gsApp/types/index.tsx``). An
organization without a plan is one of a self-hosted server, which does not have the endpoint.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from exporter.buckets import Window
from exporter.simulator.columns import ColumnStore, Selection, pieces, table_for
from exporter.simulator.messages import FORBIDDEN, UNKNOWN, Answer, Refused, document
from exporter.simulator.plans import BILLED, Category, Period, Plan, scale_of
from exporter.simulator.series import HOUR
from exporter.simulator.world import GLOBAL_ROLES, Organization, Token, TokenKind, World

_ROLES: Final = GLOBAL_ROLES | {"billing", "admin"}


def answer(
    token: Token, organization: Organization, world: World, columns: ColumnStore, *, now: float
) -> Answer:
    """Return the plan of ``organization``, or refuse."""
    subscription = world.subscription(organization.id)
    if subscription is None:
        raise Refused(404, UNKNOWN)
    if token.kind is TokenKind.USER and world.role(organization.id, token.user) not in _ROLES:
        raise Refused(403, FORBIDDEN)
    plan = subscription.plan(now)
    period = plan.period(now)
    return document(
        200, _body(organization, plan, period, _usage(columns, organization, period, now))
    )


def _usage(
    columns: ColumnStore, organization: Organization, period: Period, now: float
) -> Mapping[str, int]:
    """Return what was accepted since the period's start, by key, in what the store counts."""
    window = Window(period.start, int(now) // HOUR * HOUR + HOUR, HOUR)
    selection = Selection(("category",), outcomes=frozenset({"accepted"}))
    sums = columns.sums(
        organization.id, selection, pieces(window, table_for(window, now), now), now
    )
    accepted = {key[0]: each.quantity for key, each in sums.items()}
    return {key: sum(accepted.get(each, 0) for each in stored) for key, stored in BILLED.items()}


def _body(
    organization: Organization, plan: Plan, period: Period, usage: Mapping[str, int]
) -> dict[str, Any]:
    categories = {
        key: _category(plan, period, key, order, usage[key])
        for order, key in enumerate(plan.categories, start=1)
    }
    start, end = _date(period.start), _date(period.end - 1)
    return {
        "id": str(organization.id),
        "slug": organization.slug,
        "plan": plan.name,
        "isTrial": plan.is_trial,
        "isFree": False,
        "planDetails": {
            "id": plan.name,
            "name": plan.name,
            "billingInterval": "monthly",
            "categories": list(plan.categories),
            "planCategories": {key: list(_tiers(each)) for key, each in plan.categories.items()},
        },
        "categories": categories,
        "reservedBudgets": list(plan.reserved_budgets),
        "onDemandBudgets": _budgets(plan, categories),
        "onDemandMaxSpend": plan.budget,
        "onDemandPeriodStart": start,
        "onDemandPeriodEnd": end,
        "billingPeriodStart": start,
        "billingPeriodEnd": end,
        "contractInterval": "monthly",
        "spendAllocationEnabled": False,
        "productTrials": list(_trials(plan)),
        # Of a card and a person who do not exist: whoever reads this must not pass it on.
        "paymentSource": {"last4": "4242", "expMonth": 12, "expYear": 2031, "zipCode": "10115"},
        "billingEmail": f"billing@{organization.slug}.example",
        "owner": {"name": "Ada Example", "email": f"ada@{organization.slug}.example"},
    }


def _category(plan: Plan, period: Period, key: str, order: int, used: int) -> dict[str, Any]:
    each = plan.categories[key]
    limit = plan.limit(key, period.start)
    more = 0 if each.prepaid < 0 else max(used - each.prepaid * scale_of(key), 0)
    is_billed = not (plan.is_trial or plan.is_tried(key, period.start))
    per_category = plan.budget_mode == "per_category"
    return {
        "category": key,
        "reserved": each.reserved,
        "free": each.free,
        "prepaid": each.prepaid,
        "usage": used,
        "usageExceeded": limit is not None and used >= limit and _is_spent(plan, each, more, key),
        "sentUsageWarning": False,
        "softCapType": each.soft_cap,
        "trueForward": each.soft_cap == "TRUE_FORWARD",
        "onDemandQuantity": more if is_billed else 0,
        "onDemandSpendUsed": ceil(more / scale_of(key) * each.price) if is_billed else 0,
        # In shared mode every category has no budget of its own.
        "onDemandBudget": each.budget if per_category else 0,
        "paygCpe": each.payg_cpe,
        "customPrice": each.custom_price,
        "order": order,
    }


def _is_spent(plan: Plan, each: Category, more: int, key: str) -> bool:
    """Return whether ``more`` than is reserved has used up the category's money."""
    money = each.budget if plan.budget_mode == "per_category" else plan.budget
    return more / scale_of(key) * each.price >= money - 1


def _budgets(plan: Plan, categories: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    spent = {
        key: each["onDemandSpendUsed"]
        for key, each in categories.items()
        if each["softCapType"] is None and each["onDemandSpendUsed"]
    }
    if plan.budget_mode == "per_category":
        budgets = {key: each.budget for key, each in plan.categories.items() if each.budget}
        return {
            "enabled": bool(budgets),
            "budgetMode": plan.budget_mode,
            "budgets": budgets,
            "usedSpends": spent,
        }
    return {
        "enabled": plan.budget > 0,
        "budgetMode": plan.budget_mode,
        "sharedMaxBudget": plan.budget,
        "onDemandSpendUsed": min(sum(spent.values()), plan.budget),
    }


def _tiers(each: Category) -> Iterator[dict[str, Any]]:
    for tier in each.tiers:
        yield {
            "events": tier.events,
            "price": tier.price,
            "unitPrice": tier.price / tier.events if tier.events > 0 else 0,
            "onDemandPrice": tier.on_demand_price,
        }


def _trials(plan: Plan) -> Iterator[dict[str, Any]]:
    for trial in plan.trials:
        yield {
            "category": trial.key,
            "isStarted": trial.is_started,
            "reasonCode": 1001,
            "endDate": trial.end.isoformat(),
        }


def _date(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
