"""The summary of many measurements of the same, and measuring several sides in turns. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that at least ``share`` of them, 0 to 1, do not exceed.

    Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Measurements of one thing; with fewer than a hundred, ``p99`` is the largest."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value in the middle; of two in the middle, the smaller."""
        return percentile(self.values, 0.5)

    @property
    def p99(self) -> float:
        """The value that 99 of 100 values do not exceed."""
        return percentile(self.values, 0.99)


def in_turns(works: Sequence[Callable[[], T]], rounds: int) -> list[tuple[T, ...]]:
    """Return for each of ``works`` what it returned; each takes its turn in every round."""
    return list(zip(*[[work() for work in works] for _ in range(rounds)], strict=True))
