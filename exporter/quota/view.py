"""What is published of the quotas of an organization. Pure.

Used amounts are in Sentry's own units, in which durations are milliseconds; projected ones are in
the base unit of the quota.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from exporter.quota.model import Period, Quota


class Source(StrEnum):
    """Where the limit of a quota comes from."""

    PLAN = "plan"
    FILE = "file"


class CostKind(StrEnum):
    """What is paid for: the reserved volume, or what was used beyond the limit."""

    RESERVED = "reserved"
    OVERAGE = "overage"


@dataclass(frozen=True, slots=True)
class QuotaView:
    """A quota and what was used of it.

    ``submitted`` is what would have been used without any limit. ``projects`` has what was used by
    label of the project, the remainder under ``""``, and ``project_costs`` its share of all costs.
    ``projected`` is what will have been used at the end of the period, and ``exhaustion`` when the
    limit is reached within it, each by pace. ``disagreement`` is the plan's own usage minus what
    was read, None where the plan does not say.
    """

    quota: Quota
    source: Source
    used: int
    submitted: int
    projects: Mapping[str, int] = field(default_factory=dict)
    costs: Mapping[CostKind, Decimal] = field(default_factory=dict)
    project_costs: Mapping[str, Decimal] = field(default_factory=dict)
    projected: Mapping[str, float] = field(default_factory=dict)
    exhaustion: Mapping[str, float] = field(default_factory=dict)
    disagreement: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A pay-as-you-go budget: that of a quota, or under ``""`` that of all quotas together.

    ``exhaustion`` is when it is spent, and drops begin, by pace.
    """

    quota: str
    amount: Decimal
    spent: Decimal
    projected: Mapping[str, Decimal] = field(default_factory=dict)
    exhaustion: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountView:
    """The quotas of an organization; ``plan_up`` is None where the plan is not asked for.

    Without a ``period`` there are no data, or they are too old. ``complete`` data are known not to
    be cut.
    """

    plan_up: bool | None = None
    period: Period | None = None
    currency: str = ""
    quotas: tuple[QuotaView, ...] = ()
    budgets: tuple[BudgetView, ...] = ()
    complete: bool = True
