"""The episodes of the demo: what happens on each day, and what a scenario adds.

Every day has a release that breaks a project for some hours, an hour of rate limiting, in which
SDKs discard some of their errors, and some hours in which clients discard more events than usual.
When and where follows from the seed and the day alone. A scenario begins three minutes after
``now``. Apart from ``steady`` and ``incident``, each has one cause of silence, and lasts a day.
In the demo, ``quota`` is no episode, but what becomes of a plan: `exporter.simulator.demo_plans`.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, Literal, NamedTuple, get_args

from exporter.simulator.episodes import Episode
from exporter.simulator.faults import Fault
from exporter.simulator.messages import refusal
from exporter.simulator.series import DAY, HOUR

Scenario = Literal[
    "steady",
    "incident",
    "silence",
    "quota",
    "key-limit",
    "project-limit",
    "spike-protection",
    "filter",
    "accepts-nothing",
    "api-down",
    "token-revoked",
]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

_MINUTE: Final = 60
_DELAY: Final = 3 * _MINUTE
_ERRORS: Final = frozenset({"error", "default"})


class _Limit(NamedTuple):
    """Rate limiting of errors for a reason, of one project or of all.

    ``accepted`` and ``limited`` are factors of the usual traffic.
    """

    reason: str
    project: int | None
    accepted: float = 0.1
    limited: float = 1.0
    categories: frozenset[str] = _ERRORS

    def episodes(self, start: float, end: float) -> list[Episode]:
        """Return the episodes from ``start`` to ``end``."""
        project, limited, categories = self.project, self.limited, self.categories
        return [
            Episode(start, end, self.accepted, project, categories, "accepted"),
            Episode(start, end, limited, project, categories, "rate_limited", self.reason),
            _backoff(start, end, limited, project),
        ]


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
    checkout, start = projects["checkout"], now + _DELAY
    if scenario == "incident":
        return _incident(start, checkout, projects["ios"])
    limits = {
        "quota": _Limit(
            "error_usage_exceeded", None, accepted=0.0, categories=_ERRORS | {"security"}
        ),
        "key-limit": _Limit("key_quota", checkout),
        "project-limit": _Limit("project_quota", checkout),
        "spike-protection": _Limit("smart_rate_limit", checkout, accepted=1.0, limited=3.0),
    }
    if scenario in limits:
        return limits[scenario].episodes(start, start + DAY)
    one_project = {
        "silence": [Episode(start, start + DAY, 0.0, checkout)],
        "filter": _filtering(start, start + DAY, checkout),
    }
    return one_project.get(scenario) or scenario_episodes_everywhere(scenario, now)


def scenario_episodes_everywhere(scenario: Scenario, now: float) -> Sequence[Episode]:
    """Return what a scenario adds to every organization."""
    start = now + _DELAY
    return (
        [Episode(start, start + DAY, 0.0, outcome="accepted")]
        if scenario == "accepts-nothing"
        else []
    )


def scenario_faults(scenario: Scenario, now: float) -> Sequence[Fault]:
    """Return the faults that a scenario adds to the simulated Sentry."""
    start = now + _DELAY
    end = start + DAY
    match scenario:
        case "api-down":
            return [Fault("status", status=503, start=start, end=end)]
        case "token-revoked":
            body = refusal(401, "Invalid token").body
            return [
                Fault("status", status=401, body=body, organization="acme", start=start, end=end)
            ]
        case _:
            return []


def _incident(start: float, broken: int, silent: int) -> list[Episode]:
    limited = start + 7 * _MINUTE
    return [
        Episode(start, start + HOUR, 12.0, broken, _ERRORS, "accepted"),
        *_Limit("key_quota", broken).episodes(limited, limited + HOUR // 2),
        Episode(start + 12 * _MINUTE, start + 3 * HOUR, 0.0, silent),
    ]


def _filtering(start: float, end: float, project: int) -> list[Episode]:
    """Return an inbound filter that drops nearly all errors of a project."""
    return [
        Episode(start, end, 0.005, project, _ERRORS, "accepted"),
        # What is filtered is usually so much less than what is accepted.
        Episode(start, end, 17.5, project, _ERRORS, "filtered", "error-message"),
    ]


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
        *_Limit(reason, limited).episodes(exceeded, exceeded + HOUR),
    ]


def _backoff(start: float, end: float, scale: float, project: int | None) -> Episode:
    return Episode(start, end, scale, project, _ERRORS, "client_discard", "ratelimit_backoff")
