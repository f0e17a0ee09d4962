"""Billing periods, limits and prices of the simulated plans."""

from datetime import UTC, date, datetime

import pytest

from exporter.simulator.plans import (
    BUDGET,
    UNLIMITED,
    Category,
    Plan,
    Subscription,
    Tier,
    Trial,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()


def days(plan: Plan, text: str) -> tuple[str, str]:
    """Return the first day of the period at a time, and that of the next one."""
    period = plan.period(datetime.fromisoformat(f"{text}+00:00").timestamp())
    start, end = (datetime.fromtimestamp(each, UTC).isoformat() for each in period)
    return start.removesuffix("T00:00:00+00:00"), end.removesuffix("T00:00:00+00:00")


@pytest.mark.parametrize(
    ("start_day", "at", "expected"),
    [
        (1, "2026-03-01T00:00:00", ("2026-03-01", "2026-04-01")),
        (17, "2026-01-16T23:59:59", ("2025-12-17", "2026-01-17")),
        (17, "2026-01-17T00:00:00", ("2026-01-17", "2026-02-17")),
        (31, "2026-02-10T00:00:00", ("2026-01-31", "2026-02-28")),
        (31, "2026-02-28T00:00:00", ("2026-02-28", "2026-03-31")),
        (31, "2028-02-28T23:59:59", ("2028-01-31", "2028-02-29")),
        (30, "2026-12-31T12:00:00", ("2026-12-30", "2027-01-30")),
    ],
)
def test_a_period_is_a_month(start_day: int, at: str, expected: tuple[str, str]) -> None:
    """It begins on the day of the contract, or on the last day of a shorter month."""
    assert expected == days(Plan({}, start_day=start_day), at)


@pytest.mark.parametrize(
    ("key", "category", "expected"),
    [
        ("errors", Category(50_000, 5_000), 55_000),
        ("attachments", Category(1, 1), 2 * 10**9),
        ("profileDuration", Category(10), 36_000_000),
        ("errors", Category(UNLIMITED, 100), None),
        ("seerAutofix", Category(BUDGET), None),
        ("errors", Category(50_000, soft_cap="ON_DEMAND"), None),
        ("errors", Category(0), 0),
        ("errors", Category(None), 0),
    ],
)
def test_a_limit_is_in_what_the_store_counts(
    key: str, category: Category, expected: int | None
) -> None:
    """GB are 10^9 bytes, hours are milliseconds; soft limits and what is below 0 are none."""
    assert expected == Plan({key: category}).limit(key, NOON)


@pytest.mark.parametrize(
    ("trial", "is_tried"),
    [
        (Trial("errors", date(2026, 3, 10)), True),
        (Trial("errors", date(2026, 3, 9)), False),
        (Trial("errors", date(2026, 3, 11), is_started=False), False),
        (Trial("replays", date(2026, 3, 11)), False),
    ],
)
def test_a_trial_lifts_the_limit(trial: Trial, is_tried: bool) -> None:  # noqa: FBT001
    """While a product is tried, to the end of the last day, it is unlimited."""
    plan = Plan({"errors": Category(5)}, trials=[trial])

    assert is_tried == plan.is_tried("errors", NOON)
    assert (None if is_tried else 5) == plan.limit("errors", NOON)


def test_a_trial_of_the_plan_lifts_all_limits() -> None:
    """An organization that tries the plan itself has no limits."""
    assert Plan({"errors": Category(5)}, is_trial=True).limit("errors", NOON) is None


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (Category(50, tiers=(Tier(50, 0, 3.0), Tier(100, 10, 2.0))), 3.0),
        (Category(80, tiers=(Tier(50, 0, 3.0), Tier(100, 10, 2.0))), 2.0),
        (Category(500, tiers=(Tier(50, 0, 3.0), Tier(100, 10, 2.0))), 2.0),
        (Category(50, tiers=(Tier(50, 0, 3.0),), payg_cpe=1.5), 1.5),
        (Category(50), 0.0),
    ],
)
def test_the_price_beyond_a_volume(category: Category, expected: float) -> None:
    """It is that of the tier which holds the reserved volume, unless there is one by contract."""
    assert expected == category.price


def test_plans_change_with_time() -> None:
    """The newest plan that is valid is the plan."""
    first, second, third = Plan({}, budget=1), Plan({}, budget=2), Plan({}, budget=3)
    subscription = Subscription(first, {200: third, 100: second})

    assert [first, second, second, third] == [subscription.plan(at) for at in (99, 100, 199, 200)]
