"""The metric families about quotas and their cost.

Forecasts are EXPERIMENTAL, because how they are made may change. So is what only Sentry's plan has,
which is read from an API that Sentry has not documented.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from exporter.publish.family import Family, Stability, Type

QUOTA_LABELS: Final = ("organization", "quota")
MONEY_LABELS: Final = (*QUOTA_LABELS, "currency")


def _gauge(
    prefix: str,
    common: Sequence[str],
    name: str,
    text: str,
    *more: str,
    unit: str = "",
    stability: Stability = Stability.STABLE,
) -> Family:
    labels = (*common, *more)
    return Family(f"sentry_stats_{prefix}{name}", Type.GAUGE, labels, text, unit, stability)


_quota = partial(_gauge, "quota_", QUOTA_LABELS)
_budget = partial(_gauge, "budget", MONEY_LABELS)

QUOTA_INFO: Final = _quota(
    "info",
    "1 for each quota. Labels: the unit of its numbers (events, bytes or seconds), its categories "
    "(sorted), whether its limit comes from the plan or from the configuration file, and its team.",
    *("unit", "category", "source", "team"),
)
QUOTA_LIMIT: Final = _quota(
    "limit", "Reserved and gifted volume of a period; absent if there is no limit."
)
QUOTA_USED: Final = _quota("used", "Volume that Sentry has accepted in the period so far.")
QUOTA_SUBMITTED: Final = _quota(
    "submitted",
    "Volume used, plus what was rate limited, plus what SDKs did not send because of a rate limit: "
    "the quota that would have been enough.",
)
QUOTA_PERIOD_START: Final = _quota(
    "period_start_timestamp_seconds", "Start of the billing period.", unit="seconds"
)
QUOTA_PERIOD_END: Final = _quota(
    "period_end_timestamp_seconds", "Last second of the billing period.", unit="seconds"
)
QUOTA_PROJECTED: Final = _quota(
    "projected",
    "Forecast of the volume used at the end of the period. The label pace says at which pace: that "
    "of the same hours of last week, or that of the last 24 hours.",
    "pace",
    stability=Stability.EXPERIMENTAL,
)
QUOTA_EXHAUSTION: Final = _quota(
    "exhaustion_timestamp_seconds",
    "Forecast of when the limit is reached, at the pace that the label pace names; absent if that "
    "is not within the period, or if the limit is 0.",
    "pace",
    unit="seconds",
    stability=Stability.EXPERIMENTAL,
)
QUOTA_COST: Final = _quota(
    "cost",
    "Cost of the period so far: the reserved volume, and the overage beyond the limit. Prices are "
    "those of the plan or of the configuration file.",
    *("currency", "kind"),
)
QUOTA_PROJECT_USED: Final = _quota(
    "project_used",
    "Volume that Sentry has accepted in the period so far, by project; projects that cannot be "
    'read are together under project="". The sum is sentry_stats_quota_used.',
    "project",
)
QUOTA_PROJECT_COST: Final = _quota(
    "project_cost",
    "Cost of the quota, all kinds together, divided among the projects by use. The sum is that of "
    "sentry_stats_quota_cost.",
    *("currency", "project"),
)
QUOTA_DISAGREEMENT: Final = _quota(
    "disagreement",
    "Usage according to Sentry's plan minus usage according to stats_v2, when the plan was last "
    "read.",
    stability=Stability.EXPERIMENTAL,
)
BUDGET: Final = _budget(
    "", 'Pay-as-you-go budget of a period; quota="" is the budget of all quotas together.'
)
BUDGET_SPENT: Final = _budget(
    "_spent", "What the budget has paid for in the period so far: overage beyond the limits."
)
BUDGET_PROJECTED: Final = _budget(
    "_projected",
    "Forecast of what the budget will have paid for at the end of the period; at most the budget. "
    "The label pace says at which pace: that of the same hours of last week, or that of the last "
    "24 hours.",
    "pace",
    stability=Stability.EXPERIMENTAL,
)
BUDGET_EXHAUSTION: Final = _budget(
    "_exhaustion_timestamp_seconds",
    "Forecast of when the budget is spent and drops begin, if the quotas that it pays for are used "
    "at the pace that the label pace names; absent if that is not within the period.",
    "pace",
    unit="seconds",
    stability=Stability.EXPERIMENTAL,
)
PLAN_UP: Final = Family(
    "sentry_stats_plan_up",
    Type.GAUGE,
    ("organization",),
    "1 if the plan could be read from Sentry; 0 if not, and then the values of the configuration "
    "file apply. Absent unless billing.plan is sentry.",
    stability=Stability.EXPERIMENTAL,
)

QUOTA_FAMILIES: Final = (
    QUOTA_INFO,
    QUOTA_LIMIT,
    QUOTA_USED,
    QUOTA_SUBMITTED,
    QUOTA_PERIOD_START,
    QUOTA_PERIOD_END,
    QUOTA_PROJECTED,
    QUOTA_EXHAUSTION,
    QUOTA_COST,
    QUOTA_PROJECT_USED,
    QUOTA_PROJECT_COST,
    QUOTA_DISAGREEMENT,
    BUDGET,
    BUDGET_SPENT,
    BUDGET_PROJECTED,
    BUDGET_EXHAUSTION,
    PLAN_UP,
)
