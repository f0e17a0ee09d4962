"""How large the measurements are, and how often each is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes are numbers of series where nothing else is said.

    ``scrapes`` has for each size of page the number of scrapes; each size is ten times the one
    before. Of ``crowd`` series, a page is scraped ``beside_clients`` times beside so many slow
    ``clients``. ``memory`` does the same for polls of a fresh process. Rates are measured in
    ``rounds`` of ``seconds`` each. With ``state`` series, ``hours`` are polled at once, and
    ``later`` hours one by one. Of ``queries``, those due within ``due`` seconds are polled, in as
    many rounds as ``publications``; of as many ``organizations``, all are polled at once.
    """

    scrapes: Mapping[int, int]
    crowd: int
    rounds: int
    seconds: float
    clients: int
    beside_clients: int
    disturbed: int
    disturbances: int
    answer: int
    answers: int
    memory: Mapping[int, int]
    lookback: int
    state: int
    hours: int
    later: int
    restarts: int
    queries: int
    due: int
    publications: int
    organizations: int
    projects: int
    polls: int
    starts: int


FULL: Final = Sizes(
    scrapes={1_000: 300, 10_000: 60, 100_000: 8, 1_000_000: 2},
    crowd=10_000,
    rounds=3,
    seconds=2.0,
    clients=1_000,
    beside_clients=300,
    disturbed=100_000,
    disturbances=4,
    answer=100_000,
    answers=5,
    memory={10_000: 2, 100_000: 1, 1_000_000: 1},
    lookback=100_000,
    state=100_000,
    hours=24,
    later=4,
    restarts=3,
    queries=3_000,
    due=5,
    publications=3,
    organizations=500,
    projects=5_000,
    polls=3,
    starts=6,
)

QUICK: Final = Sizes(
    scrapes={1_000: 20, 10_000: 4},
    crowd=10_000,
    rounds=1,
    seconds=0.5,
    clients=200,
    beside_clients=20,
    disturbed=10_000,
    disturbances=2,
    answer=10_000,
    answers=2,
    memory={2_000: 1, 20_000: 1},
    lookback=2_000,
    state=10_000,
    hours=2,
    later=1,
    restarts=1,
    queries=200,
    due=2,
    publications=1,
    organizations=50,
    projects=500,
    polls=1,
    starts=2,
)
