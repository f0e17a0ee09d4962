"""A month of 200 projects in which nothing happens that anybody has to know.

Sizes are log-normal; there are days, weeks, noise, a burst per project and week, and a holiday.
``python -m tests.deploy.quiet_month`` shows the alerts of the month, which takes several minutes;
the tests look at a part of it.
"""

import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import click

from tests.deploy.rule_timeline import Firing, observe
from tests.deploy.rule_world import DAY, HOUR, World, notation, written

PROJECTS: Final = 200
DAYS: Final = 30
STEP: Final = 900
PARTS: Final = 5
"""promtool loads 10,000 samples at most: a part has the organization and every fifth project."""

FIRST_DAY: Final = 3
"""Day 0 is a Thursday."""

HOLIDAY: Final = 20
"""A Wednesday."""

NAME: Final = "quiet"
INSTANCE: Final = "quiet:1"

_EVENTS: Final = 30
"""The median of the projects, in an hour of the day."""

_LOSSES: Final = {
    ("filtered", "web-crawlers"): 0.03,
    ("invalid", "cors"): 0.01,
    ("client_discard", "before_send"): 0.02,
    ("client_discard", "sample_rate"): 0.3,
}

Flow = tuple[int, str, str, list[int]]


def expected_rate(time: float, holiday: int, *, office: bool) -> float:
    """Return the part of the highest rate that is sent at a time, without noise."""
    day, hour = int(time // DAY), time % DAY / HOUR
    free = (day + FIRST_DAY) % 7 >= 5 or day == holiday
    if office:
        return 0.02 if free or not 8 <= hour < 18 else 1
    daily = 0.6 - 0.4 * math.cos((hour - 3) / 24 * 2 * math.pi)
    return daily * (0.5 if free else 1)


def noise(random: Random) -> float:
    """Return a factor whose logarithm deviates by 0.5, and whose mean is 1."""
    return random.lognormvariate(-0.125, 0.5)


def hourly(random: Random, size: float, days: int, holiday: int, *, office: bool) -> list[float]:
    """Return the events of a project hour by hour, with noise and a burst in each week."""
    bursts = {week * 168 + random.randrange(168) for week in range(days // 7 + 1)}
    return [
        size
        * expected_rate(hour * HOUR, holiday, office=office)
        * noise(random)
        * (5 if hour in bursts else 1)
        for hour in range(days * 24)
    ]


def counted(hours: list[float]) -> list[int]:
    """Return a counter at each step, of which each hour's events come evenly."""
    quarters = [value / 4 for value in hours for _ in range(4)]
    return [int(total) for total in accumulate(quarters, initial=0.0)]


@cache
def flows(days: int, holiday: int) -> tuple[Flow, ...]:
    """Return project, outcome, reason and counter of everything that the projects send."""
    random = Random(1)
    made: list[Flow] = []
    for number in range(PROJECTS):
        size = _EVENTS * random.lognormvariate(0, 1.5)
        sent = hourly(random, size, days, holiday, office=number % 5 == number // 5 % 5)
        made.append((number, "accepted", "none", counted(sent)))
        for (outcome, reason), share in _LOSSES.items():
            lost = [value * share * noise(random) for value in sent]
            made.append((number, outcome, reason, counted(lost)))
    return tuple(made)


def organization(days: int = DAYS) -> World:
    """Return the organization without its counters, which `series` has."""
    return World([], days * DAY, step=STEP, organization=NAME, instance=INSTANCE)


def series(
    part: int, parts: int = PARTS, days: int = DAYS, holiday: int = HOLIDAY
) -> Iterator[dict[str, str]]:
    """Yield the counters of the organization, and of a part of the projects."""
    totals: dict[tuple[str, str], list[int]] = {}
    for number, outcome, reason, counter in flows(days, holiday):
        if number % parts == part:
            yield _counter("projects", f"project-{number}", outcome, reason, counter)
        before = totals.get((outcome, reason), [0] * len(counter))
        totals[outcome, reason] = [a + b for a, b in zip(before, counter, strict=True)]
    for (outcome, reason), counter in totals.items():
        yield _counter("outcomes", "", outcome, reason, counter)


def _counter(
    query: str, project: str, outcome: str, reason: str, counter: list[int]
) -> dict[str, str]:
    labels = {"organization": NAME, "query": query, "category": "error", "outcome": outcome}
    labels |= {"reason": reason, "project": project, "instance": INSTANCE, "job": "j"}
    return {"series": f"sentry_stats_events_total{written(labels)}", "values": notation(counter)}


def weekly(firings: list[Firing]) -> Counter[int]:
    """Return how many alerts begin to fire in each week."""
    return Counter(int(firing.start // (7 * DAY)) for firing in firings)


@click.command()
def main() -> None:
    """Show every alert of the month, and how many there are in each week."""
    everything: dict[str, Firing] = {}
    for part in range(PARTS):
        with TemporaryDirectory() as folder:
            timeline = observe([organization()], Path(folder), list(series(part)))
        everything |= {str(firing): firing for firing in timeline.firings}
        click.echo(f"part {part + 1} of {PARTS}: {len(timeline.firings)} alerts")
    for line in everything:
        click.echo(line)
    click.echo(f"in each week: {dict(weekly(list(everything.values())))}")


if __name__ == "__main__":
    main()
