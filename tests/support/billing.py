"""A Sentry in memory that has a plan too, and settings of quotas."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec.json import Decoder

from exporter.config import BillingSettings, Organization, QuotaSettings
from exporter.sentry.decoding import decode
from exporter.sentry.projects import ProjectList
from tests.support.sentry import Sentry
from tests.support.settings import organization
from tests.support.store import Row

D = TypeVar("D")
T = TypeVar("T")

CARD: Final = "4242424242424242"
EMAIL: Final = "billing@acme.example"
"""What the answer about a plan holds beside the plan."""


def category(**values: Any) -> dict[str, Any]:
    """Return a category of the plan, with nothing used of 50,000 unless ``values`` say so."""
    usual = {"usage": 0, "reserved": 50_000, "free": 0, "prepaid": 50_000, "softCapType": None}
    return {**usual, "onDemandBudget": 0, "paygCpe": None, "customPrice": None, **values}


def customer(**values: Any) -> dict[str, Any]:
    """Return the document about a plan: errors, and logs in GB, paid from 300 dollars."""
    return {
        "categories": {
            "errors": category(),
            "logBytes": category(reserved=5, prepaid=5),
            "monitorSeats": category(reserved=1, prepaid=1),
        },
        "planDetails": {
            "planCategories": {
                "errors": [
                    {"events": 50_000, "price": 0, "unitPrice": 0.1, "onDemandPrice": 0.03625},
                    {"events": 100_000, "price": 1500, "unitPrice": 0.1, "onDemandPrice": 0.02},
                ],
                "logBytes": [{"events": 5, "price": 0, "unitPrice": 50, "onDemandPrice": 50}],
            }
        },
        "onDemandPeriodStart": "2026-02-17",
        "onDemandPeriodEnd": "2026-03-16",
        "onDemandBudgets": {
            "enabled": True,
            "budgetMode": "shared",
            "sharedMaxBudget": 30_000,
            "onDemandSpendUsed": 0,
        },
        "productTrials": [],
        "paymentSource": {"last4": CARD[-4:], "number": CARD},
        "billingEmail": EMAIL,
        **values,
    }


def body(document: Mapping[str, Any]) -> bytes:
    """Return ``document`` as Sentry sends it."""
    return json.dumps(document).encode()


def billed(
    *quotas: Mapping[str, Any], billing: Mapping[str, Any] | None = None, **settings: Any
) -> Organization:
    """Return an organization with these ``quotas`` and ``billing``, as the file writes them."""
    return organization(
        quotas=tuple(QuotaSettings.model_validate(one) for one in quotas),
        billing=BillingSettings.model_validate(billing or {}),
        **settings,
    )


class BillingSentry(Sentry):
    """A client that also answers with a plan, or fails with ``plan_error``."""

    def __init__(
        self,
        rows: Sequence[Row] = (),
        projects: ProjectList | None = None,
        plan: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(rows, projects)
        self.plan = body(plan or customer())
        self.plan_error: Exception | None = None
        self.looked_up: list[str] = []

    def look_up(self, api: str, url: str, kind: type[D], use: Callable[[D], T]) -> T:
        """Return what ``use`` makes of the plan, as far as ``kind`` has its fields."""
        self.looked_up.append(f"{api} {url}")
        if self.plan_error is not None:
            raise self.plan_error
        return use(decode(Decoder(kind), self.plan))
