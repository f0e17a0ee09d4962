"""What use costs, and what a sum of money buys. Pure, and exact: money is never a float.

The tiers of a price are marginal, and count all that was used in a period, reserved volume
included: Sentry prices errors "above 100,000 up to 500,000" whoever has paid for the first ones in
advance. What lies beyond a limit is therefore the difference of two costs.
"""

from collections.abc import Callable, Iterator
from decimal import ROUND_FLOOR, Decimal, localcontext
from math import inf
from typing import Final

from exporter.quota.model import Price, Quota

_PRECISION: Final = 60
"""Digits of the arithmetic: far more than amounts and prices have, so that nothing is rounded."""


def cost(price: Price, amount: int) -> Decimal:
    """Return what the first ``amount`` units cost."""
    with localcontext(prec=_PRECISION):
        return sum(
            (
                each * ((amount if end is None else min(amount, end)) - above)
                for above, end, each in _steps(price)
                if amount > above
            ),
            Decimal(0),
        )


def cost_between(price: Price, first: int, last: int) -> Decimal:
    """Return what the units above ``first``, up to ``last``, cost."""
    with localcontext(prec=_PRECISION):
        return cost(price, last) - cost(price, min(first, last))


def overage_cost(quota: Quota, used: int) -> Decimal:
    """Return what was used beyond the limit costs; nothing where there is no limit or no price."""
    if quota.limit is None or quota.price is None:
        return Decimal(0)
    return cost_between(quota.price, quota.limit, max(used, quota.limit))


def amount_for(price: Price, first: int, money: Decimal) -> int | None:
    """Return how many units above ``first`` can be had for ``money``, None for any number.

    A unit that can be paid only in part is not among them.
    """
    bought, left = 0, max(money, Decimal(0))
    with localcontext(prec=_PRECISION):
        for above, end, each in _steps(price):
            start = max(above, first)
            if end is not None and end <= start:
                continue
            affordable = int((left / each).to_integral_value(ROUND_FLOOR)) if each else None
            size = None if end is None else end - start
            if affordable is None and size is None:
                return None
            taken = min(each for each in (affordable, size) if each is not None)
            bought += taken
            left -= each * taken
            if taken != size:
                break
    return bought


def approximate_overage(quota: Quota) -> Callable[[float], float]:
    """Return a function like `overage_cost` in floats, which is faster and takes any amount.

    It is for searching a moment, not for what is published.
    """
    if quota.limit is None or quota.price is None:
        return lambda _used: 0.0
    limit = quota.limit
    steps = [
        (max(above, limit), inf if end is None else end, float(each))
        for above, end, each in _steps(quota.price)
        if end is None or end > limit
    ]

    def approximate(used: float) -> float:
        return sum(each * (min(used, end) - above) for above, end, each in steps if used > above)

    return approximate


def _steps(price: Price) -> Iterator[tuple[int, int | None, Decimal]]:
    """Yield where each tier begins, where it ends, and the price of a unit in it."""
    ends: list[int | None] = [tier.above for tier in price.tiers[1:]]
    for tier, end in zip(price.tiers, [*ends, None], strict=True):
        yield tier.above, end, tier.each
