"""Dividing an amount of money so that the parts add up to it. Pure."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeVar

CENT: Final = Decimal("0.01")

K = TypeVar("K")


def rounded(money: Decimal) -> Decimal:
    """Return ``money`` in cents, half a cent rounded up."""
    return money.quantize(CENT, ROUND_HALF_UP)


def shared(money: Decimal, weights: Mapping[K, int]) -> dict[K, Decimal]:
    """Return the parts of ``money`` in cents, in proportion to ``weights``, which add up to it.

    Each part is rounded down; the cents that are left go to the largest remainders, and among equal
    ones to the first. Without any weight, the first one gets everything.
    """
    cents, total = int(rounded(money) / CENT), sum(weights.values())
    if not weights:
        return {}
    if not total:
        first = next(iter(weights))
        return {key: Decimal(cents if key == first else 0) * CENT for key in weights}
    parts = {key: divmod(cents * weight, total) for key, weight in weights.items()}
    left = cents - sum(part for part, _ in parts.values())
    largest = set(sorted(parts, key=lambda key: -parts[key][1])[:left])
    return {key: (part + (key in largest)) * CENT for key, (part, _) in parts.items()}
