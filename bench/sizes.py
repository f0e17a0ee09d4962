"""How large the measurements are, and how often each is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes in series unless told otherwise.

    ``scrapes`` says for each size of page how often it is scraped; each size is ten times the one
    before. ``memory`` does the same for polls of a fresh process. ``rounds`` of ``seconds`` each
    are what rates are taken from.
    """

    scrapes: Mapping[int, int]
    crowd: int
    rounds: int
    seconds: float
    disturbed: int
    disturbances: int
    answer: int
    answers: int
    memory: Mapping[int, int]
    lookback: int
    projects: int
    polls: int
    starts: int


FULL: Final = Sizes(
    scrapes={1_000: 300, 10_000: 60, 100_000: 8, 1_000_000: 2},
    crowd=10_000,
    rounds=3,
    seconds=2.0,
    disturbed=100_000,
    disturbances=4,
    answer=100_000,
    answers=5,
    memory={10_000: 2, 100_000: 1, 1_000_000: 1},
    lookback=100_000,
    projects=5_000,
    polls=3,
    starts=6,
)

QUICK: Final = Sizes(
    scrapes={1_000: 40, 10_000: 8},
    crowd=10_000,
    rounds=2,
    seconds=0.5,
    disturbed=10_000,
    disturbances=3,
    answer=10_000,
    answers=3,
    memory={2_000: 1, 20_000: 1},
    lookback=2_000,
    projects=500,
    polls=2,
    starts=3,
)
