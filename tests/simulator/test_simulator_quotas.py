"""What the simulator drops because a quota is spent, and what becomes of it."""

from collections.abc import Mapping
from math import inf
from types import MappingProxyType

import pytest

from exporter.simulator.limited import LimitedTraffic
from exporter.simulator.plans import UNLIMITED, Category, Plan, Subscription, Tier
from exporter.simulator.series import DAY, HOUR, Series
from exporter.simulator.store import Store
from exporter.simulator.traffic import Traffic

START = 1_788_220_800
"""2026-09-01, when the period begins."""
LATER = START + 60 * DAY
MACHINES = 2

SERIES = (
    Series(1, "error", "accepted", None, 1000.0, MACHINES),
    Series(2, "default", "accepted", None, 500.0, MACHINES),
    Series(2, "error", "filtered", "web-crawlers", 300.0, MACHINES),
    Series(1, "span", "accepted", None, 100_000.0, MACHINES, 100),
    Series(1, "log_byte", "accepted", None, 5e6, MACHINES, 1000),
    Series(1, "log_item", "accepted", None, 1000.0, MACHINES),
    Series(1, "profile_duration", "accepted", None, 900_000.0, MACHINES, 100),
)
FREE = Traffic(1, 1, SERIES)


def limited(**options: object) -> LimitedTraffic:
    """Return the traffic under a plan; options are its categories, by key, and its budget."""
    budget = options.pop("budget", 0)
    categories = {key: each for key, each in options.items() if isinstance(each, Category)}
    plan = Plan(categories, budget=budget if isinstance(budget, int) else 0)
    return LimitedTraffic(FREE, Subscription(plan))


def totals(traffic: Traffic, start: float, end: float, at: float = LATER) -> Mapping[str, int]:
    """Return the sums of what was stored, by category, outcome and reason."""
    sums = Store({1: traffic}).totals(
        1, start, end, at=at, group_by=["category", "outcome", "reason"]
    )
    return {"/".join(map(str, key)): value for key, value in sums.items()}


def accepted(traffic: Traffic, category: str, start: int = START, days: int = 30) -> int:
    """Return what was accepted of a category."""
    return totals(traffic, start, start + days * DAY).get(f"{category}/accepted/none", 0)


def test_without_a_limit_nothing_changes() -> None:
    """Unlimited categories, and those that are not in the plan, are accepted."""
    traffic = limited(errors=Category(UNLIMITED), spans=Category(10**9))

    assert totals(FREE, START, START + 3 * DAY) == totals(traffic, START, START + 3 * DAY)


def test_a_limit_is_accepted_and_no_more() -> None:
    """A quota without a budget accepts what is reserved, within a minute of traffic."""
    traffic = limited(errors=Category(300_000, 10_000))

    assert 310_000 == pytest.approx(accepted(traffic, "error"), abs=1500 / 60)


def test_what_is_dropped_is_limited_or_held_back() -> None:
    """Both together, and what is accepted, are what was submitted."""
    free, hour = totals(FREE, START, START + 30 * DAY), START + 20 * DAY
    sums = totals(limited(errors=Category(300_000)), START, START + 30 * DAY)
    late = totals(limited(errors=Category(300_000)), hour, hour + HOUR)
    shown = [
        sums["error/accepted/none"],
        sums["error/rate_limited/error_usage_exceeded"],
        sums["error/client_discard/ratelimit_backoff"],
    ]

    assert free["error/accepted/none"] == sum(shown)
    assert "error/accepted/none" not in late
    assert free["error/filtered/web-crawlers"] == sums["error/filtered/web-crawlers"]
    assert free["span/accepted/none"] == sums["span/accepted/none"]


def test_parts_of_the_hour_add_up() -> None:
    """In the hour in which drops begin, its minutes are its sum, and none is counted twice."""
    traffic = limited(errors=Category(300_000))
    end = traffic.drops(START)["errors"]
    hour = int(end) // HOUR * HOUR
    all_of_it = totals(traffic, hour, hour + HOUR)
    minutes = [totals(traffic, at, at + 60) for at in range(hour, hour + HOUR, 60)]

    assert all_of_it == {key: sum(minute.get(key, 0) for minute in minutes) for key in all_of_it}
    assert "error/accepted/none" not in totals(traffic, end, hour + HOUR)
    assert "error/rate_limited/error_usage_exceeded" not in totals(traffic, hour, end)


def test_what_arrives_late_is_seen_late() -> None:
    """The final values are those that are visible in the end."""
    traffic = limited(errors=Category(300_000))
    hour = START + 20 * DAY

    early = totals(traffic, hour, hour + HOUR, at=hour + HOUR / 2)
    final = totals(traffic, hour, hour + HOUR)
    dropped = "error/rate_limited/error_usage_exceeded"

    assert 0 < early[dropped] < final[dropped]
    assert list(traffic.final(hour)) == list(traffic.visible(hour, LATER))


def test_everything_is_accepted_again_in_the_next_period() -> None:
    """Drops end with the period, and the next one has its own."""
    traffic = limited(errors=Category(300_000))
    october = START + 30 * DAY
    next_day = totals(traffic, october, october + DAY)

    assert totals(FREE, october, october + DAY) == next_day
    assert 300_000 == pytest.approx(accepted(traffic, "error", october, 31), abs=1500 / 60)


def test_a_budget_is_shared() -> None:
    """Both quotas drop from the moment at which their overage together has cost the budget."""
    tiers = (Tier(0, 0, 0.1),)
    traffic = limited(
        errors=Category(200_000, tiers=tiers),
        spans=Category(20_000_000, tiers=(Tier(0, 0, 0.001),)),
        budget=20_000,
    )
    ends = traffic.drops(START)
    errors = accepted(traffic, "error") - 200_000
    spans = accepted(traffic, "span") - 20_000_000

    assert ends["errors"] == ends["spans"]
    assert 20_000 == pytest.approx(errors * 0.1 + spans * 0.001, rel=0.001)


def test_a_quota_below_its_limit_is_accepted_after_the_budget_is_spent() -> None:
    """It drops when it has used what is reserved."""
    traffic = limited(
        errors=Category(200_000, tiers=(Tier(0, 0, 0.1),)),
        spans=Category(40_000_000, tiers=(Tier(0, 0, 0.001),)),
        budget=100,
    )
    ends = traffic.drops(START)

    assert START < ends["errors"] < ends["spans"] < START + 30 * DAY


def test_budgets_per_category() -> None:
    """One that is spent does not touch the other."""
    price = (Tier(0, 0, 0.1),)
    plan = Plan(
        {
            "errors": Category(200_000, tiers=price, budget=1000),
            "spans": Category(0, tiers=price, budget=10**9),
        },
        budget_mode="per_category",
    )
    traffic = LimitedTraffic(FREE, Subscription(plan))

    assert {"errors"} == traffic.drops(START).keys()
    assert 210_000 == pytest.approx(accepted(traffic, "error"), abs=1500 / 60)


@pytest.mark.parametrize(
    "plan",
    [
        Plan({"errors": Category(1, soft_cap="TRUE_FORWARD")}),
        Plan({"errors": Category(1)}, is_trial=True),
    ],
    ids=["soft", "trial"],
)
def test_what_never_drops(plan: Plan) -> None:
    """Soft limits can be exceeded, and a trial has none."""
    assert {} == LimitedTraffic(FREE, Subscription(plan)).drops(START)


def test_logs_are_dropped_with_their_bytes() -> None:
    """Log items are not billed, and are not accepted either once their bytes are dropped."""
    traffic = limited(logBytes=Category(1))
    day = totals(traffic, START + 20 * DAY, START + 21 * DAY)
    reason = "log_byte_usage_exceeded"

    assert {f"{each}/rate_limited/{reason}" for each in ("log_byte", "log_item")} <= day.keys()
    assert not {"log_byte/accepted/none", "log_item/accepted/none"} & day.keys()


def test_dropped_profiles_are_counted_in_chunks() -> None:
    """Sentry stores no duration of what it drops: 100 hours less are 40,000 chunks more."""
    traffic = limited(profileDuration=Category(50))
    sums = totals(traffic, START, START + 30 * DAY)
    missing = accepted(FREE, "profile_duration") - sums["profile_duration/accepted/none"]
    chunks = [
        sums["profile_chunk/rate_limited/profile_duration_usage_exceeded"],
        sums["profile_chunk/client_discard/ratelimit_backoff"],
    ]

    assert missing / 9000 == pytest.approx(sum(chunks), rel=0.01)
    assert not any(key.startswith("profile_duration/rate_limited") for key in sums)


def test_a_plan_can_change_with_the_period() -> None:
    """A period has the plan that is valid in it."""
    tight, october = Plan({"errors": Category(1000)}), START + 30 * DAY
    roomy = Plan({"errors": Category(10**9)})
    later = MappingProxyType({START: tight, october: roomy})
    traffic = LimitedTraffic(FREE, Subscription(roomy, later))

    assert ["errors"] == list(traffic.drops(START))
    assert {} == traffic.drops(october) == traffic.drops(START - HOUR)


def test_an_unpriced_quota_drops_at_its_limit() -> None:
    """What has no price cannot be bought, however large the budget is."""
    traffic = limited(errors=Category(300_000), budget=10**9)

    assert traffic.drops(START).get("errors", inf) < START + 30 * DAY
