"""What happens in a soak, and when: drawn from a seed, so that each run has the same story."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from random import Random
from typing import Final, Literal, NamedTuple

from exporter.simulator import (
    DAY,
    HOUR,
    Fault,
    store_failure,
    store_rate_limited,
    store_timeout,
)
from exporter.simulator.faults import Endpoint, Kind, Part
from tests.reliability.soak.stage import Stage
from tests.reliability.soak.world import MOVING_NAMES, START, Soaked, Stay, appear

MINUTE: Final = 60.0
CALM: Final = 9 * HOUR
"""The last hours, in which only late data and a restart are left to come."""

_MEASURED: Final = 2.5
"""Days that one process has to run, so that its third day can be compared with its second."""

_KINDS: Final[Sequence[Kind]] = ("status", "garbage", "redirect", "hang", "drip", "cut", "reset")
_LASTING: Final[Sequence[Kind]] = ("status", "garbage", "redirect", "cut", "reset")
"""Without those that take real time until the request's timeout."""

_PARTS: Final[Sequence[Part]] = ("status line", "headers", "body")
_STATUSES: Final = (400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504)
_ENDPOINTS: Final[Sequence[Endpoint | None]] = ("stats_v2", "projects", "customers", None, None)
_WRONG: Final = (-40 * DAY, -DAY, -HOUR, -10 * MINUTE, 10 * MINUTE, HOUR, DAY, 40 * DAY)
_LOOKBACKS: Final = ("24h", "30h", "36h")
_BAD: Final = ("organizations: [", "organizations:\n  - slug: Acme Inc\n", "")

Row = Literal["faults of Sentry and the network", "faults of the host", ""]


class Event(NamedTuple):
    """Something that happens at a time; ``row`` is where the tally counts it, if it is a fault."""

    at: float
    name: str
    act: Callable[[Stage], None]
    row: Row = ""


def events(soaked: Soaked, days: float, seed: int) -> Sequence[Event]:
    """Return what happens in so many days, in order."""
    random = Random(f"{seed}:story")
    end = START + days * DAY - CALM
    drawn = [
        *_churn(soaked),
        *_renames(random, soaked, end),
        *_upstream(random, end),
        *_outages(random, end),
        *_clock(random, end),
        *_reloads(random, end),
        *_tokens(random, soaked, end),
        *_restarts(random, days),
    ]
    chosen = [event for event in drawn if START < event.at < end or event.name == "restart"]
    return sorted([*chosen, Event(end, "", _calm_down)], key=lambda event: event.at)


def _calm_down(stage: Stage) -> None:
    """End every fault, and undo what is undone by another event, which may be left out."""
    stage.sentry.faults.clear()
    stage.clock.set_host(0)
    stage.without.clear()
    _reload(stage)
    for organization in stage.world.organizations():
        stage.use_token(organization.id)


def _times(random: Random, end: float, per_day: float, start: float = START) -> Iterator[float]:
    """Yield random moments, so many a day on average."""
    moment = start
    while (moment := moment + random.expovariate(per_day / DAY)) < end:
        yield moment


def _churn(soaked: Soaked) -> Iterator[Event]:
    for stay in soaked.stays:
        yield Event(stay.start, "project created", partial(_appear, stay))
        yield Event(stay.end, "project deleted", partial(_leave, stay))


def _appear(stay: Stay, stage: Stage) -> None:
    appear(stage.world, stay)


def _leave(stay: Stay, stage: Stage) -> None:
    stage.world.delete_project(stay.project)


def _renames(random: Random, soaked: Soaked, end: float) -> Iterator[Event]:
    for projects in soaked.moving.values():
        # On the first day, every project gets every name, so that no label comes later.
        for number in range(10):
            moment = START + (1 + 2 * number) * HOUR
            yield Event(moment, "projects renamed", partial(_rotate, projects, number))
        for moment in _times(random, end, 0.5, START + DAY):
            number = random.randrange(10)
            yield Event(moment, "projects renamed", partial(_rotate, projects, number))
        for moment in _times(random, end, 1, START + DAY):
            first, second = random.sample(projects, 2)
            yield Event(moment, "slugs swapped", partial(_swap, first, second))


def _rotate(projects: Sequence[int], number: int, stage: Stage) -> None:
    """Give each project one of the names of all, by turns."""
    names = sorted(MOVING_NAMES)
    stage.world.rename_projects(
        {project: names[(place + number) % len(names)] for place, project in enumerate(projects)}
    )


def _swap(first: int, second: int, stage: Stage) -> None:
    stage.world.swap_slugs(first, second)


def _upstream(random: Random, end: float) -> Iterator[Event]:
    for moment in _times(random, end, 8):
        yield _begin(moment, _once(random))
    for moment in _times(random, end, 3):
        until = moment + random.uniform(10, 180) * MINUTE
        fault = _fault(random, random.choice(_LASTING), moment, until)
        yield _begin(moment, fault)
        yield Event(until, "", partial(_remove, fault))


def _once(random: Random) -> Fault:
    """Return a fault of one to three requests in a row."""
    times = random.choice((1, 1, 2, 3))
    if random.random() < 0.2:
        return random.choice((store_failure, store_rate_limited, store_timeout))(times)
    kind = random.choice(_KINDS)
    return Fault(
        kind,
        status=_status(random, kind),
        location="https://elsewhere.example/",
        part=random.choice(_PARTS),
        endpoint=random.choice(_ENDPOINTS),
        after=random.randrange(6),
        times=times,
    )


def _fault(random: Random, kind: Kind, start: float, end: float) -> Fault:
    return Fault(
        kind,
        status=_status(random, kind),
        organization=random.choice(("acme", "globex", "initech", None)),
        endpoint=random.choice(_ENDPOINTS),
        start=start,
        end=end,
    )


def _status(random: Random, kind: Kind) -> int | None:
    return random.choice(_STATUSES) if kind == "status" else None


def _begin(moment: float, fault: Fault) -> Event:
    row: Row = "faults of Sentry and the network"
    return Event(moment, f"fault: {fault.kind}", partial(_add, fault), row)


def _add(fault: Fault, stage: Stage) -> None:
    stage.sentry.faults.add(fault)


def _remove(fault: Fault, stage: Stage) -> None:
    stage.sentry.faults.remove(fault)


def _outages(random: Random, end: float) -> Iterator[Event]:
    for moment in _times(random, end, 0.3):
        row: Row = "faults of Sentry and the network"
        yield Event(moment, "fault: all is down", partial(_set_down, True), row)  # noqa: FBT003
        until = moment + random.uniform(3, 20) * HOUR
        yield Event(until, "", partial(_set_down, False))  # noqa: FBT003


def _set_down(down: bool, stage: Stage) -> None:  # noqa: FBT001
    stage.sentry.faults.down = down


def _clock(random: Random, end: float) -> Iterator[Event]:
    row: Row = "faults of the host"
    for moment in _times(random, end, 1):
        yield Event(moment, "clock set", partial(_set_clock, random.choice(_WRONG)), row)
        yield Event(moment + random.uniform(0.1, 8) * HOUR, "", partial(_set_clock, 0.0))
    for moment in _times(random, end, 0.4):
        yield Event(moment, "host suspended", partial(_suspend, random.uniform(0.5, 6) * HOUR), row)


def _set_clock(wrong: float, stage: Stage) -> None:
    stage.clock.set_host(wrong)


def _suspend(seconds: float, stage: Stage) -> None:
    stage.clock.suspend(seconds)


def _reloads(random: Random, end: float) -> Iterator[Event]:
    for moment in _times(random, end, 6):
        yield Event(moment, "reload", partial(_change, random.choice(_LOOKBACKS)))
    for moment in _times(random, end, 1):
        yield Event(moment, "reload refused", partial(_refuse, random.choice(_BAD)))
    for moment in _times(random, end, 0.7):
        query = random.choice(("acme", "globex")), random.choice(("outcomes", "projects"))
        until = moment + random.uniform(0.5, 12) * HOUR
        yield Event(moment, "query removed", partial(_take_out, query))
        yield Event(until, "query added", partial(_put_back, query))


def _change(lookback: str, stage: Stage) -> None:
    stage.settings["max_concurrency"] = 8 if lookback == "24h" else 4
    stage.settings["max_age"] = "3h" if lookback == "24h" else "4h"
    stage.lookback = lookback
    _reload(stage)


def _refuse(text: str, stage: Stage) -> None:
    stage.write(text)
    stage.reload(succeeds=False)
    _reload(stage)


def _take_out(query: tuple[str, str], stage: Stage) -> None:
    # An organization without any query is no valid configuration.
    if query[0] not in {organization for organization, _ in stage.without}:
        stage.without.add(query)
        _reload(stage)


def _put_back(query: tuple[str, str], stage: Stage) -> None:
    stage.without.discard(query)
    _reload(stage)


def _reload(stage: Stage) -> None:
    stage.write(stage.document())
    stage.reload()


def _tokens(random: Random, soaked: Soaked, end: float) -> Iterator[Event]:
    for moment in _times(random, end, 0.5):
        organization = random.choice(soaked.world.organizations()).id
        revoked = partial(Stage.new_token, organization=organization)
        yield Event(moment, "token revoked", revoked, "faults of Sentry and the network")
        until = moment + random.uniform(0.05, 4) * HOUR
        yield Event(until, "token replaced", partial(Stage.use_token, organization=organization))


def _restarts(random: Random, days: float) -> Iterator[Event]:
    """Yield restarts in the first part, and one at the end: between them, memory is measured."""
    row: Row = "faults of the host"
    part = min(days / 3, days - _MEASURED) * DAY
    moments = [*_times(random, START + part, 2.5, START + 2 * HOUR)]
    moments = [START + 2 * HOUR, *moments] if len(moments) < 2 else moments
    for before, moment in pairwise([START, *moments]):
        # Not while the one before may still be without a process.
        if moment - before < HOUR:
            continue
        pause = random.choice((0.0, 0.0, 5 * MINUTE, random.uniform(1, min(days, 30)) * HOUR))
        how = random.choice((Stage.stop, Stage.kill, _killing(random), _killing(random)))
        yield Event(moment, "restart", partial(_restart, how, pause), row)
    last = START + days * DAY - 2 * HOUR
    yield Event(last, "restart", partial(_restart, _killing(random), 5 * MINUTE), row)


def _killing(random: Random) -> Callable[[Stage], None]:
    return partial(Stage.kill_in_request, number=random.randrange(12))


def _restart(how: Callable[[Stage], None], pause: float, stage: Stage) -> None:
    how(stage)
    stage.clock.now += pause
    stage.start()
