"""The report of a soak as Markdown, and a chart of each figure over time as SVG."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import leather

from tests.reliability.soak.figures import FIGURES, Figure, Verdict
from tests.reliability.soak.soak import Result

_REQUESTS: Final = Figure("requests an hour", "", lambda each: each.requests, 0)
_DAY: Final = 24
_SIZE: Final = 1000, 600


def report(result: Result) -> str:
    """Return what a soak has tried and found."""
    return "".join(f"{line}\n" for line in _lines(result))


def chart(result: Result, path: Path) -> None:
    """Draw each figure by days."""
    grid = leather.Grid()
    for figure in (*FIGURES, _REQUESTS):
        drawn = leather.Chart(f"{figure.name} ({figure.unit})" if figure.unit else figure.name)
        points = [(each.hours / _DAY, figure.value(each)) for each in result.samples]
        drawn.add_line(points, width=1)
        drawn.add_x_scale(0, result.days)
        drawn.add_y_scale(0, max(1.0, *(value for _, value in points)))
        drawn.add_x_axis(name="days")
        grid.add_one(drawn)
    grid.to_svg(str(path), *_SIZE)


def _lines(result: Result) -> Iterator[str]:
    yield (
        f"{result.days} simulated days with seed {result.seed}: "
        f"{sum(each.requests for each in result.samples):,} requests to Sentry, in "
        f"{result.seconds / 60:,.0f} minutes, with {result.processor / 60:,.0f} minutes of CPU."
    )
    yield ""
    yield "| what happened | times |"
    yield "|---|--:|"
    for name, number in sorted(result.happened.items()):
        yield f"| {name} | {number:,} |"
    yield ""
    yield "| figure | most on the second day | most later | allowed | |"
    yield "|---|--:|--:|--:|---|"
    for each in result.verdicts:
        yield _row(each)
    yield ""
    comparison = result.comparison
    yield (
        f"{comparison.number:,} values compared with the store at the end, "
        f"{len(comparison.wrong):,} wrong; {len(result.decreases):,} counters fell."
    )
    yield from (f"- {problem}" for problem in result.problems)


def _row(each: Verdict) -> str:
    name = f"{each.figure.name}, {each.figure.unit}" if each.figure.unit else each.figure.name
    judged = "flat" if each.is_flat else "**grown**"
    numbers = " | ".join(f"{n:,.1f}" for n in (each.second_day, each.later, each.allowed))
    return f"| {name} | {numbers} | {judged} |"
