"""What an organization has bought: reserved volume, budgets and prices, and its billing periods.

Amounts are in the unit of the bill: events, GB of 10^9 bytes, or hours. Money is in cents, as in
Sentry's own answers.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from exporter.categories import Unit, unit_of

UNLIMITED: Final = -1
BUDGET: Final = -2
"""Reserved volumes that are none: no limit, and an amount of money instead of a volume."""

SCALES: Final = MappingProxyType({Unit.EVENTS: 1, Unit.BYTES: 10**9, Unit.SECONDS: 3_600_000})
"""What the store counts, per unit of the bill; of durations it counts milliseconds."""

BILLED: Final = MappingProxyType(
    {
        "errors": ("error", "default", "security"),
        "transactions": ("transaction",),
        "spans": ("span",),
        "spansIndexed": ("span_indexed",),
        "replays": ("replay",),
        "attachments": ("attachment",),
        "logBytes": ("log_byte",),
        "traceMetricBytes": ("trace_metric_byte",),
        "profileDuration": ("profile_duration",),
        "profileDurationUI": ("profile_duration_ui",),
        "monitorSeats": (),
        "uptime": (),
        "seerAutofix": ("seer_autofix",),
        "seerScanner": ("seer_scanner",),
        "seerUsers": (),
        "sizeAnalysis": ("size_analysis",),
        "installableBuild": ("installable_build",),
    }
)
"""The keys of a plan, and the stored categories that count against them; seats are not stored."""

BudgetMode = Literal["shared", "per_category"]
SoftCap = Literal["ON_DEMAND", "TRUE_FORWARD"]


class Tier(NamedTuple):
    """A volume that can be reserved, what it costs, and what each unit beyond it costs."""

    events: int
    price: float
    on_demand_price: float


class Period(NamedTuple):
    """A billing period in epoch seconds; ``end`` is exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Category:
    """A billed category. ``budget`` is its own, and only used if budgets are per category."""

    reserved: int | None = 0
    free: int = 0
    tiers: tuple[Tier, ...] = ()
    soft_cap: SoftCap | None = None
    budget: int = 0
    payg_cpe: float | None = None
    custom_price: int | None = None

    @property
    def prepaid(self) -> int:
        """Reserved and gifted volume together."""
        reserved = self.reserved or 0
        return reserved if reserved < 0 else reserved + self.free

    @property
    def price(self) -> float:
        """The price of a unit beyond the volume: that of the tier which is reserved."""
        if self.payg_cpe is not None:
            return self.payg_cpe
        reached = [tier for tier in self.tiers if tier.events >= (self.reserved or 0)]
        return (reached or [*self.tiers[-1:], Tier(0, 0.0, 0.0)])[0].on_demand_price


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of one product, in which it is unlimited, until the end of the day ``end``."""

    key: str
    end: date
    is_started: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan. Its periods begin on ``start_day``, or on the last day of a shorter month.

    ``budget`` is what may be spent beyond the reserved volumes by all categories; in the other
    mode, each has its own.
    """

    categories: Mapping[str, Category]
    budget: int = 0
    budget_mode: BudgetMode = "shared"
    start_day: int = 1
    name: str = "am3_team"
    trials: Sequence[Trial] = ()
    is_trial: bool = False
    reserved_budgets: Sequence[Mapping[str, object]] = field(default_factory=tuple)

    def period(self, at: float) -> Period:
        """Return the period that ``at`` is in."""
        day = datetime.fromtimestamp(at, UTC).date()
        start = self._start(day.year, day.month)
        if start > day:
            before = day.replace(day=1) - timedelta(days=1)
            start = self._start(before.year, before.month)
        after = start.replace(day=1) + timedelta(days=31)
        return Period(_epoch(start), _epoch(self._start(after.year, after.month)))

    def limit(self, key: str, at: float) -> int | None:
        """Return how much of ``key`` the store may count in a period, ``None`` for any number."""
        category = self.categories[key]
        if self.is_trial or category.prepaid < 0 or category.soft_cap or self.is_tried(key, at):
            return None
        return category.prepaid * scale_of(key)

    def is_tried(self, key: str, at: float) -> bool:
        """Return whether there is a trial of ``key`` at that time."""
        day = datetime.fromtimestamp(at, UTC).date()
        return any(
            trial.key == key and trial.is_started and day <= trial.end for trial in self.trials
        )

    def _start(self, year: int, month: int) -> date:
        return date(year, month, min(self.start_day, monthrange(year, month)[1]))


def scale_of(key: str) -> int:
    """Return how much the store counts for one unit of the bill."""
    stored = BILLED[key]
    return SCALES[unit_of(stored[0])] if stored else 1


class Subscription:
    """The plans of an organization, each valid from a time on."""

    def __init__(self, plan: Plan, later: Mapping[int, Plan] = MappingProxyType({})) -> None:
        self._plans = [(float("-inf"), plan), *sorted(later.items(), key=lambda item: item[0])]

    def plan(self, at: float) -> Plan:
        """Return the plan that is valid at that time."""
        return next(plan for since, plan in reversed(self._plans) if since <= at)


def _epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
