"""Costs under marginal tiers, and what money buys: exact, to any digit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.categories import Unit
from exporter.quota.model import Price, Quota, Tier
from exporter.quota.price import (
    amount_for,
    approximate_overage,
    cost,
    cost_between,
    overage_cost,
)

ERRORS = Price(
    (
        Tier(0, Decimal("0.0003625")),
        Tier(100_000, Decimal("0.0002188")),
        Tier(500_000, Decimal("0.0001875")),
    )
)
PER_GB = Price((Tier(0, Decimal("0.5") / 10**9),))


def price_of(steps: list[tuple[int, Decimal]]) -> Price:
    """Return a price with tiers of the given sizes."""
    above, tiers = 0, []
    for size, each in steps:
        tiers.append(Tier(above, each))
        above += size
    return Price(tuple(tiers))


prices = st.lists(
    st.tuples(st.integers(1, 10**9), st.decimals(0, 1, places=9)), min_size=1, max_size=4
).map(price_of)
amounts = st.integers(0, 10**12)


def slowly(price: Price, amount: int) -> Fraction:
    """Return the cost of ``amount`` as the sum of differences between prices of tiers."""
    earlier, total = Fraction(0), Fraction(0)
    for tier in price.tiers:
        each = Fraction(tier.each)
        total += (each - earlier) * max(amount - tier.above, 0)
        earlier = each
    return total


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, "0"),
        (1, "0.0003625"),
        (100_000, "36.25"),
        (100_001, "36.2502188"),
        (500_000, "123.77"),
        (600_000, "142.52"),
    ],
)
def test_tiers_are_marginal(amount: int, expected: str) -> None:
    """Each tier prices only the units in it."""
    assert Decimal(expected) == cost(ERRORS, amount)


def test_a_price_per_gigabyte_is_exact() -> None:
    """Seven bytes at 0.50 a gigabyte are not rounded to anything."""
    assert Decimal("0.0000000035") == cost(PER_GB, 7)


def test_overage_is_priced_by_all_that_was_used() -> None:
    """What is used above a limit of 400,000 begins in the tier of 100,000 to 500,000."""
    quota = Quota("errors", ("error",), Unit.EVENTS, limit=400_000, price=ERRORS)

    assert Decimal("21.88") + Decimal("18.75") == overage_cost(quota, 600_000)
    assert Decimal(0) == overage_cost(quota, 399_999)


@pytest.mark.parametrize(
    "quota",
    [
        Quota("unlimited", ("error",), Unit.EVENTS, limit=None, price=ERRORS),
        Quota("unpriced", ("error",), Unit.EVENTS, limit=10, price=None),
    ],
    ids=lambda quota: quota.name,
)
def test_without_limit_or_price_there_is_no_overage(quota: Quota) -> None:
    """An unlimited quota costs nothing more, and neither does one whose price is not known."""
    assert Decimal(0) == overage_cost(quota, 10**9)
    assert 0.0 == approximate_overage(quota)(1e9)


@given(prices, amounts)
def test_cost_is_that_of_every_unit(price: Price, amount: int) -> None:
    """The cost equals, exactly, a sum that is made in another way."""
    assert slowly(price, amount) == Fraction(cost(price, amount))


@given(prices, amounts, amounts)
def test_costs_add_up(price: Price, first: int, more: int) -> None:
    """The cost of a part and the cost of what follows it are the cost of both."""
    both = cost(price, first) + cost_between(price, first, first + more)

    assert cost(price, first + more) == both


@given(prices, st.integers(0, 10**9), st.decimals(0, 10**6, places=2))
def test_money_buys_as_much_as_it_can(price: Price, first: int, money: Decimal) -> None:
    """What is bought costs at most the money, and one unit more would cost more than it."""
    bought = amount_for(price, first, money)

    if bought is None:
        assert 0 == price.tiers[-1].each
    else:
        assert cost_between(price, first, first + bought) <= money
        assert cost_between(price, first, first + bought + 1) > money


def test_a_free_tier_ends_where_the_next_one_begins() -> None:
    """Money that buys nothing at a price still gets what is free."""
    price = Price((Tier(0, Decimal(0)), Tier(1000, Decimal(5))))

    assert 900 == amount_for(price, 100, Decimal("4.99"))
    assert 901 == amount_for(price, 100, Decimal(5))


def test_no_debt_buys_anything() -> None:
    """Less than no money buys as much as none."""
    assert 0 == amount_for(ERRORS, 0, Decimal(-1))


@given(prices, st.integers(0, 10**9), amounts)
def test_the_approximation_is_near(price: Price, limit: int, used: int) -> None:
    """The search for a moment uses floats, which differ from the cost by less than a millionth."""
    quota = Quota("errors", ("error",), Unit.EVENTS, limit=limit, price=price)
    exact = overage_cost(quota, used)

    assert abs(float(exact) - approximate_overage(quota)(used)) <= 1e-6 * max(1, float(exact))
