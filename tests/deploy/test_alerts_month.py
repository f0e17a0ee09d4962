"""A month of 200 projects in which nothing happens that anybody has to know."""

import math
from collections.abc import Mapping
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest

from tests.deploy.rule_world import DAY, HOUR, World, notation, unit_test, written
from tests.support.prometheus import promtool

pytestmark = pytest.mark.slow

PROJECTS = 200
DAYS = 30
STEP = 900
HOLIDAY = 20
"""A Wednesday: day 0 is a Thursday."""

MAX_A_WEEK = 2
"""Notifications a week that nobody needs."""

PARTS = 5
"""promtool loads 10,000 samples at most: each part has the organization and 40 projects."""

FALSE: Mapping[int, tuple[tuple[str, str], ...]] = {}
"""Alerts that begin in each week, with their projects."""

LOSSES: Mapping[tuple[str, str], float] = {
    ("filtered", "web-crawlers"): 0.03,
    ("invalid", "cors"): 0.01,
    ("client_discard", "before_send"): 0.02,
    ("client_discard", "sample_rate"): 0.3,
}


def expected_rate(time: float, *, office: bool) -> float:
    """Return the part of the highest rate that is sent at a time, without noise."""
    day, hour = int(time // DAY), time % DAY / HOUR
    weekend = (day + 3) % 7 >= 5 or day == HOLIDAY
    if office:
        return 0.02 if weekend or not 8 <= hour < 18 else 1
    daily = 0.6 - 0.4 * math.cos((hour - 3) / 24 * 2 * math.pi)
    return daily * (0.5 if weekend else 1)


def hourly(random: Random, size: float, *, office: bool) -> list[float]:
    """Return the events of a project hour by hour, with noise and a burst in each week."""
    bursts = {week * 168 + random.randrange(168) for week in range(DAYS // 7 + 1)}
    return [
        size
        * expected_rate(hour * HOUR, office=office)
        * random.lognormvariate(-0.125, 0.5)
        * (5 if hour in bursts else 1)
        for hour in range(DAYS * 24)
    ]


def counted(hours: list[float]) -> list[int]:
    """Return a counter at each step, of which each hour's events come evenly."""
    quarters = [value / 4 for value in hours for _ in range(4)]
    return [int(total) for total in accumulate(quarters, initial=0.0)]


Flow = tuple[str, str, str, list[int]]


@cache
def flows() -> tuple[Flow, ...]:
    """Return project, outcome, reason and counter of everything that the projects send."""
    random = Random(1)
    made: list[Flow] = []
    for number in range(PROJECTS):
        name, office = f"project-{number}", number % 5 == 0
        sent = hourly(random, 30 * random.lognormvariate(0, 1.5), office=office)
        made.append((name, "accepted", "none", counted(sent)))
        for (outcome, reason), share in LOSSES.items():
            noisy = [value * share * random.lognormvariate(-0.125, 0.5) for value in sent]
            made.append((name, outcome, reason, counted(noisy)))
    return tuple(made)


def month(part: int) -> list[dict[str, str]]:
    """Return what Prometheus scrapes: the organization, and a part of the projects."""
    series = World([], DAYS * DAY, step=STEP).input_series()
    totals: dict[tuple[str, str], list[int]] = {}
    for project, outcome, reason, counter in flows():
        if int(project.removeprefix("project-")) % PARTS == part:
            series.append(_series("projects", project, outcome, reason, counter))
        before = totals.get((outcome, reason), [0] * len(counter))
        totals[outcome, reason] = [a + b for a, b in zip(before, counter, strict=True)]
    for (outcome, reason), counter in totals.items():
        series.append(_series("outcomes", "", outcome, reason, counter))
    return series


def _series(
    query: str, project: str, outcome: str, reason: str, counter: list[int]
) -> dict[str, str]:
    labels = {"organization": "acme", "query": query, "category": "error", "outcome": outcome}
    labels |= {"reason": reason, "project": project, "instance": "exporter:10790", "job": "j"}
    return {"series": f"sentry_stats_events_total{written(labels)}", "values": notation(counter)}


@pytest.mark.parametrize("part", range(PARTS))
def test_a_quiet_month_is_quiet(part: int, tmp_path: Path) -> None:
    """Few alerts begin in weeks of noise, bursts, weekends and a holiday, and these are known."""
    firing = 'ALERTS{alertstate="firing"}'
    begun = f"count_over_time(({firing} unless {firing} offset {STEP}s)[1w:{STEP}s])"
    which = f"max by (alertname, project) ({begun})"
    vectors: dict[tuple[str, float], list[dict[str, str]]] = {
        (which, DAY * 7 * week): [
            {"alertname": name, **({"project": project} if project else {})}
            for name, project in FALSE.get(week, ())
            if not project or int(project.removeprefix("project-")) % PARTS == part
        ]
        for week in range(1, 5)
    }
    path = unit_test(month(part), vectors, STEP, tmp_path)

    assert "SUCCESS" in promtool("test", "rules", path)


def test_few_notifications_are_false() -> None:
    """There are at most two a week."""
    assert all(len(known) <= MAX_A_WEEK for known in FALSE.values())
