"""Accounts to publish, with everything that can be known of a quota."""

from decimal import Decimal
from typing import Any, Final

from exporter.categories import Unit
from exporter.quota.model import Period, Quota
from exporter.quota.view import AccountView, BudgetView, CostKind, QuotaView, Source

PERIOD: Final = Period(1_771_286_400, 1_773_705_600)
"""2026-02-17 to 2026-03-16, in UTC."""


def quota(**settings: Any) -> QuotaView:
    """Return a quota of errors, of which two projects have used more than the limit."""
    values: dict[str, Any] = {
        "quota": Quota("errors", ("error",), Unit.EVENTS, 1000),
        "source": Source.PLAN,
        "used": 1500,
        "submitted": 1700,
        "projects": {"": 0, "web": 500, "api": 1000},
        "costs": {CostKind.RESERVED: Decimal("29.00"), CostKind.OVERAGE: Decimal("1.00")},
        "project_costs": {"": Decimal("0.00"), "web": Decimal("10.00"), "api": Decimal("20.00")},
        "projected": {"week": 3000, "day": 2000},
        "exhaustion": {"week": 1_772_000_000.5},
        "disagreement": -3,
    }
    return QuotaView(**{**values, **settings})


def account(*quotas: QuotaView, **settings: Any) -> AccountView:
    """Return an account with a budget of which a third is spent."""
    budget = BudgetView("", Decimal(3), Decimal(1), {"week": Decimal(3)}, {"week": 1_773_000_000.0})
    values: dict[str, Any] = {"plan_up": True, "period": PERIOD, "currency": "EUR"}
    return AccountView(quotas=quotas or (quota(),), **{**values, "budgets": (budget,), **settings})
