"""What many measurements of the same come to, and how two sides are measured in turns. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that at least ``share`` of them, 0 to 1, do not exceed.

    Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Measurements of one thing; of fewer than a hundred, ``p99`` is the largest."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value in the middle; of two in the middle, the smaller."""
        return percentile(self.values, 0.5)

    @property
    def p99(self) -> float:
        """What 99 of 100 values do not exceed."""
        return percentile(self.values, 0.99)


def in_turns(
    ours: Callable[[], T], against: Callable[[], S], rounds: int
) -> tuple[tuple[T, ...], tuple[S, ...]]:
    """Return what each of the two gives in ``rounds`` rounds; both take their turn in every one."""
    pairs = [(ours(), against()) for _ in range(rounds)]
    return tuple(one for one, _ in pairs), tuple(other for _, other in pairs)
