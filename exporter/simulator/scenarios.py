"""The episodes of the demo: what happens on each day, and what a scenario adds.

Every day has a release that breaks a project for some hours, an hour of rate limiting, in which
SDKs discard some of their errors, and some hours in which clients discard more events than usual.
When and where follows from the seed and the day alone. A scenario adds what happens from ``now``
on. The scenario ``quota`` has no episodes: see `exporter.simulator.demo_plans`.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, Literal, get_args

from exporter.simulator.episodes import Episode
from exporter.simulator.series import DAY, HOUR

Scenario = Literal["steady", "incident", "quota", "silence"]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

_MINUTE: Final = 60
_ERRORS: Final = frozenset({"error", "default"})


def episodes_of_hour(
    seed: int, busy: Sequence[int], additional: Sequence[Episode]
) -> Callable[[int], Sequence[Episode]]:
    """Return a function that returns the episodes of an hour.

    These are those of its day, which happen in the projects ``busy``, and the ``additional`` ones.
    """

    def of_hour(hour: int) -> Sequence[Episode]:
        daily = _of_day(seed, hour // DAY, busy) if busy else []
        return [
            each for each in (*daily, *additional) if each.start < hour + HOUR and each.end > hour
        ]

    return of_hour


def scenario_episodes(
    scenario: Scenario, now: float, projects: Mapping[str, int]
) -> Sequence[Episode]:
    """Return what a scenario adds to ``acme``; ``projects`` are the ids of its projects by slug."""
    checkout, ios = projects["checkout"], projects["ios"]
    match scenario:
        case "incident":
            broken, limited = now + 3 * _MINUTE, now + 10 * _MINUTE
            return [
                Episode(broken, broken + HOUR, 12.0, checkout, _ERRORS, "accepted"),
                *_rate_limiting(limited, limited + HOUR // 2, checkout, "key_quota"),
                Episode(now + 15 * _MINUTE, now + 3 * HOUR, 0.0, ios),
            ]
        case "silence":
            return [Episode(now + 3 * _MINUTE, now + DAY, 0.0, checkout)]
        case _:
            return []


def _of_day(seed: int, day: int, busy: Sequence[int]) -> list[Episode]:
    random = Random(f"{seed}:{busy[0]}:{day}")  # noqa: S311 - repeatable, not secret
    broken, limited, discarding = (random.choice(busy) for _ in range(3))
    reason = random.choice(("key_quota", "smart_rate_limit"))
    released = day * DAY + random.randrange(8 * HOUR, 16 * HOUR, _MINUTE)
    fixed = released + random.randrange(2 * HOUR, 5 * HOUR, _MINUTE)
    # At the same time every day, so that a lookback of one day always has an hour of it.
    exceeded = day * DAY + busy[0] % 24 * HOUR
    discards = day * DAY + random.randrange(20) * HOUR
    return [
        Episode(released, fixed, 9.0, broken, _ERRORS, "accepted"),
        Episode(discards, discards + 3 * HOUR, 6.0, discarding, outcome="client_discard"),
        # The previous episode matches this series too, but nothing is rate limited now.
        _backoff(discards, discards + 3 * HOUR, 0.0, discarding),
        *_rate_limiting(exceeded, exceeded + HOUR, limited, reason),
    ]


def _rate_limiting(start: float, end: float, project: int | None, reason: str) -> list[Episode]:
    return [
        Episode(start, end, 0.1, project, _ERRORS, "accepted"),
        Episode(start, end, 1.0, project, _ERRORS, "rate_limited", reason),
        _backoff(start, end, 1.0, project),
    ]


def _backoff(start: float, end: float, scale: float, project: int | None) -> Episode:
    return Episode(start, end, scale, project, _ERRORS, "client_discard", "ratelimit_backoff")
