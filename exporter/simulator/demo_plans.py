"""The plans of the demo, and how the quotas of ``acme`` run out in the scenario ``quota``.

``acme`` has a team plan with a shared budget, ``globex`` a contract whose limits are soft. In the
scenario, ``acme`` has reserved too little in the current period, which began 20 days before:

====================  ====================================================================
two days before       errors exceed what is reserved, and take from the budget
a day before          spans do too, so that the budget is spent faster
three minutes after   the budget is spent: errors, spans and profiles are dropped
two days after        so are logs, as soon as their reserved volume is used; it is the last drop
end of the period     everything is accepted again, and more is reserved
====================  ====================================================================

All that follows from the traffic: a clock that is set to earlier days shows how it comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from math import ceil
from types import MappingProxyType
from typing import Final

from exporter.buckets import floor
from exporter.simulator.plans import BILLED, BUDGET, UNLIMITED, Category, Plan, Subscription, Tier
from exporter.simulator.plans import scale_of as scale
from exporter.simulator.scenarios import Scenario
from exporter.simulator.series import DAY, HOUR
from exporter.simulator.traffic import Traffic

SPENT: Final = 180
"""How many seconds after its start the scenario ``quota`` has spent the budget."""

_AGE: Final = 20 * DAY

# As the pricing page has them for the team plan, in cents, and per GB or hour.
_ERRORS: Final = (
    Tier(50_000, 0, 0.03625),
    Tier(100_000, 1_450, 0.03625),
    Tier(500_000, 8_450, 0.02188),
    Tier(10_000_000, 150_950, 0.01875),
)
_SPANS: Final = (Tier(10_000_000, 0, 0.0002), Tier(100_000_000, 14_400, 0.0002))
_SPANS_AFTER: Final = (*_SPANS, Tier(1_000_000_000, 140_400, 0.00018))
_REPLAYS: Final = (Tier(50, 0, 0.375), Tier(5_000, 1_485, 0.375), Tier(100_000, 28_560, 0.3563))
_ATTACHMENTS: Final = (Tier(1, 0, 31.25), Tier(1_000, 24_975, 31.25))
_BYTES: Final = (Tier(5, 0, 50.0), Tier(1_000, 39_800, 50.0))

_ACME: Final = MappingProxyType(
    {
        "errors": Category(2_000_000, 100_000, _ERRORS),
        "spans": Category(500_000_000, 0, _SPANS_AFTER),
        "replays": Category(75_000, 0, _REPLAYS),
        "attachments": Category(90, 0, _ATTACHMENTS),
        "logBytes": Category(40, 0, _BYTES),
        "traceMetricBytes": Category(5, 0, _BYTES),
        # Hours of profiles cannot be reserved: each is paid from the budget.
        "profileDuration": Category(0, 0, (Tier(0, 0, 3.15),)),
        "profileDurationUI": Category(0, 0, (Tier(0, 0, 25.0),)),
        "monitorSeats": Category(1, 0, (Tier(1, 0, 78.0),)),
        "uptime": Category(1, 0, (Tier(1, 0, 100.0),)),
        "seerAutofix": Category(BUDGET, 0, (Tier(0, 0, 100.0),)),
        "seerScanner": Category(BUDGET, 0, (Tier(0, 0, 0.3),)),
    }
)

_GLOBEX: Final = MappingProxyType(
    {
        "errors": Category(15_000_000, 0, soft_cap="TRUE_FORWARD", payg_cpe=0.012),
        "spans": Category(UNLIMITED),
        "replays": Category(1_000_000, 0, soft_cap="ON_DEMAND", payg_cpe=0.25),
        "attachments": Category(UNLIMITED),
        "logBytes": Category(1_000, 50, soft_cap="ON_DEMAND", payg_cpe=40.0, custom_price=350_000),
        "profileDuration": Category(12_000, 0, soft_cap="ON_DEMAND", payg_cpe=2.5),
        "monitorSeats": Category(UNLIMITED),
    }
)


def acme_subscription(scenario: Scenario, now: float, traffic: Traffic) -> Subscription:
    """Return what ``acme`` has bought, if ``traffic`` is what it would use without limits."""
    start = floor(now, DAY) - _AGE
    usual = Plan(_ACME, budget=30_000, start_day=datetime.fromtimestamp(start, UTC).day)
    if scenario != "quota":
        return Subscription(usual)
    end = usual.period(start).end
    return Subscription(usual, {start: _tight(usual, start, now, traffic), end: usual})


def globex_subscription() -> Subscription:
    """Return what ``globex`` has bought."""
    plan = Plan(_GLOBEX, budget_mode="per_category", name="am3_business_ent", start_day=1)
    return Subscription(plan)


def _tight(usual: Plan, start: int, now: float, traffic: Traffic) -> Plan:
    """Return a plan under which ``traffic`` runs out as the scenario says."""
    used = _used(traffic, start, int(now) + 3 * DAY)

    def until(key: str, moment: float) -> float:
        sums = used[key]
        hour, second = divmod(moment - start, HOUR)
        before = sums[int(hour)]
        return (before + (sums[int(hour) + 1] - before) * second / HOUR) / scale(key)

    categories = {
        **usual.categories,
        "errors": Category(round(until("errors", now - 2 * DAY)), 0, _ERRORS),
        "spans": Category(round(until("spans", now - DAY)), 0, _SPANS_AFTER),
        "logBytes": Category(ceil(until("logBytes", now + 2 * DAY)), 0, _BYTES),
    }
    spent = (
        max(until(key, now + SPENT) - each.prepaid, 0) * each.price
        for key, each in categories.items()
        if each.prepaid >= 0
    )
    return replace(usual, categories=MappingProxyType(categories), budget=round(sum(spent)))


def _used(traffic: Traffic, start: int, end: int) -> Mapping[str, Sequence[int]]:
    """Return what would be used until each hour from ``start`` on, by key of the plan."""
    hourly: dict[str, list[int]] = {key: [] for key in BILLED}
    indexes = {
        key: [
            index
            for index, series in enumerate(traffic.series)
            if series.outcome == "accepted" and series.category in stored
        ]
        for key, stored in BILLED.items()
    }
    for hour in range(start, end + HOUR, HOUR):
        column = traffic.final(hour)
        for key, places in indexes.items():
            hourly[key].append(sum(column[index] for index in places))
    return {key: list(accumulate(amounts, initial=0)) for key, amounts in hourly.items()}
