"""Organizations whose data is lost, silent or far above the usual, in a day and a half.

The incidents of most begin at `START`, after a day in which the exporter has learnt what is usual.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.deploy.rule_world import (
    HOUR,
    MINUTE,
    Flow,
    Rate,
    Span,
    World,
    during,
    outcomes,
    projects,
    steady,
)

LENGTH: Final = 38 * HOUR
START: Final = 27 * HOUR
END: Final = 33 * HOUR
FOREVER: Final = 10**9
INCIDENT: Final[Sequence[Span]] = [(START, END)]
LASTING: Final[Sequence[Span]] = [(START, FOREVER)]

QUOTA: Final = ("rate_limited", "error_usage_exceeded")
KEY: Final = ("rate_limited", "key_quota")
RATE: Final = 400


def refused(project: str, spans: Sequence[Span], outcome: str, reason: str) -> list[Flow]:
    """Return the flows of a project of whose data nothing is accepted within ``spans``."""
    return [
        Flow(project, during(spans, 0, RATE)),
        Flow(project, during(spans, RATE, 0), outcome, reason),
    ]


def world(organization: str, flows: Sequence[Flow], **settings: Any) -> World:
    """Return a world of the run."""
    return World(flows, LENGTH, step=5 * MINUTE, organization=organization, **settings)


def failing(*spans: Span) -> dict[str, Any]:
    """Return queries whose polls fail within ``spans``."""
    return {"queries": (outcomes(failing=spans), projects(failing=spans))}


# One project for each cause, beside one that is so large that the organization is well.
CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "quota": ("rate_limited", "error_usage_exceeded"),
    "key": ("rate_limited", "key_quota"),
    "spike": ("rate_limited", "spike_protection"),
    "abuse": ("abuse", "none"),
    "cardinality": ("cardinality_limited", "none"),
    "filter": ("filtered", "web-crawlers"),
    "invalid": ("invalid", "cors"),
    "discards": ("client_discard", "network_error"),
    "sampled": ("client_discard", "sample_rate"),
}


def causes() -> list[Flow]:
    """Return the flows of an organization in which each cause meets a project."""
    flows = [Flow("web", steady(60_000)), Flow("dead", during(INCIDENT, 0, RATE))]
    for project, (outcome, reason) in CAUSES.items():
        flows += refused(project, INCIDENT, outcome, reason)
    return flows


def disturbed() -> dict[str, list[World]]:
    """Return the organization of the causes, undisturbed and with each disturbance."""
    flows = causes()
    moved = START + 65 * MINUTE

    def one(name: str, **settings: Any) -> World:
        return world(name, flows, **settings)

    def prometheus(name: str, *missing: Span) -> World:
        labels = {"prometheus": name}
        return one("prometheus", instance="prometheus:1", more=labels, missing=missing)

    return {
        "plain": [one("plain")],
        "replica": [one("replica", instance=f"replica-{number}:1") for number in (1, 2)],
        "restarts": [
            one(
                "restarts",
                instance="restarts:1",
                resets=[START + HOUR, START + 3 * HOUR, END + HOUR],
            )
        ],
        "gaps": [
            one("gaps", instance="gaps:1", gaps=[(START + 3 * HOUR, START + 4 * HOUR)]),
        ],
        "polls": [one("polls", **failing((START + 3 * HOUR, START + 4 * HOUR)))],
        "prometheus": [
            prometheus("a", (START - HOUR, START + 3 * HOUR)),
            prometheus("b", (START + 4 * HOUR, END + HOUR)),
        ],
        "pod": [
            one("pod", instance="pod-a:1", missing=[(moved - 5 * MINUTE, FOREVER)]),
            one("pod", instance="pod-b:1", missing=[(0, moved)], resets=[moved]),
        ],
    }


def accepting_from_nobody() -> list[World]:
    """Return organizations of which all projects are silent at once."""
    nobody = [Flow(project, during(INCIDENT, 0, 900)) for project in ("web", "api", "ios")]
    filtered = Flow("web", steady(60), "filtered", "web-crawlers")
    twice = [
        world("nobody-twice", [*nobody, filtered], instance=f"nobody-{number}:1")
        for number in (1, 2)
    ]
    late = [Flow(project, during(INCIDENT, 15)) for project in ("web", "api", "ios")]
    return [
        world("nobody", [*nobody, filtered]),
        world("nobody-late", [*nobody, *late, filtered]),
        *twice,
    ]


def held_back() -> World:
    """Return an organization with a small project over quota, for which SDKs hold most back."""
    small = [
        Flow("small", during(LASTING, 0, 30)),
        Flow("small", during(LASTING, 4), *QUOTA),
        Flow("small", during(LASTING, 26), "client_discard", "ratelimit_backoff"),
    ]
    return world("held-back", [Flow("web", steady(60_000)), *small])


def alternating() -> list[World]:
    """Return organizations whose share of losses crosses a threshold each hour for a day."""
    spans = [(hour * HOUR, (hour + 1) * HOUR) for hour in range(3, 27, 2)]
    day = [(3 * HOUR, 27 * HOUR)]

    def shares(high: float, low: float) -> list[Flow]:
        lost = during(spans, high, during(day, low, 0))
        return [Flow("web", lambda time: 1000 - lost(time)), Flow("web", lost, *KEY)]

    sampled = [
        Flow("web", during(spans, 70, 30), category="transaction"),
        Flow("web", during(spans, 30, 70), "client_discard", "sample_rate", "transaction"),
    ]
    unnamed = (outcomes(by_reason=False), projects(by_reason=False))
    return [
        world("around", shares(60, 40)),
        world("half", shares(550, 10)),
        world("sampled", sampled),
        world("sampled-without-reason", sampled, queries=unnamed),
    ]


FLAPPING: Final[Mapping[str, tuple[str, str, float, float]]] = {
    "spike": ("rate_limited", "spike_protection", 0.03, 0.008),
    "abuse": ("abuse", "none", 0.06, 0.04),
    "filter": ("filtered", "web-crawlers", 0.97, 0.85),
    "invalid": ("invalid", "cors", 0.22, 0.16),
    "discards": ("client_discard", "network_error", 0.85, 0.65),
}
"""Outcome, reason and the two shares of each project."""


def flapping() -> list[World]:
    """Return organizations of which each project crosses a threshold every hour of the incident."""
    hours = range(int(START), int(END), 2 * HOUR)
    high = [(float(hour), float(hour + HOUR)) for hour in hours]

    def alternating_rate(first: float, second: float, otherwise: float) -> Rate:
        return during(high, first, during(INCIDENT, second, otherwise))

    flows = [Flow("web", steady(60_000)), Flow("silent", alternating_rate(20, 80, RATE))]
    for project, (outcome, reason, above, below) in FLAPPING.items():
        flows += [
            Flow(project, alternating_rate(2000 * (1 - above), 2000 * (1 - below), 2000)),
            Flow(project, alternating_rate(2000 * above, 2000 * below, 0), outcome, reason),
        ]
    volume = [Flow("web", steady(3000)), Flow("shop", alternating_rate(7200, 4800, 2000))]
    return [world("flapping", flows), world("flapping-volume", volume)]


OUTAGE: Final[Span] = (6 * HOUR, 18 * HOUR)
REMOVED: Final = 20 * HOUR


def unknown() -> list[World]:
    """Return organizations that are not known for hours during a loss."""
    loss = refused("web", [(3 * HOUR, 7 * HOUR)], *QUOTA)
    lasting = refused("web", [(3 * HOUR, FOREVER)], *QUOTA)
    return [
        world("no-polls", loss, **failing(OUTAGE)),
        world("no-scrapes", loss, instance="down:1", gaps=[OUTAGE]),
        world("removed", lasting, removed_at=REMOVED),
    ]


RISE: Final = START + 30 * MINUTE


def growing() -> list[World]:
    """Return organizations whose volume grows."""
    spans = [(RISE, RISE + HOUR)]
    lasting = [(RISE, FOREVER)]
    twelve = [
        Flow("web", steady(3000)),
        Flow("checkout", during(spans, 12_000, 1000)),
        Flow("small", during(spans, 120, 10)),
    ]
    web = Flow("web", steady(3000))
    return [
        world("times-twelve", twelve),
        world("times-twelve-restarts", twelve, resets=[RISE - HOUR], instance="growth:1"),
        world("floods", [web, Flow("new", during(lasting, 3000, 0))]),
        world("times-three", [web, Flow("shop", during(spans, 7000, 2000))]),
        # Counters gain what was missed at once after an outage.
        world("caught-up", [web], **failing((3 * HOUR, 25 * HOUR))),
    ]


def new() -> list[World]:
    """Return organizations with a new project or a new exporter."""
    invalid = [
        Flow("web", steady(60_000)),
        Flow("new", during(LASTING, 20, 0)),
        Flow("new", during(LASTING, 180, 0), "invalid", "cors"),
    ]
    installed: dict[str, Any] = {"missing": [(0, START + HOUR)], "resets": [START + HOUR]}
    nothing = [Flow("web", steady(5000), *KEY)]
    return [
        world("new-project", invalid),
        world("new-exporter", refused("web", INCIDENT, *QUOTA), instance="new:1", **installed),
        world("nothing-ever", nothing),
    ]


def everything() -> list[World]:
    """Return all organizations."""
    worlds = [one for some in disturbed().values() for one in some]
    others = (accepting_from_nobody, alternating, flapping, unknown, growing, new)
    return [*worlds, held_back(), *(world for some in others for world in some())]
