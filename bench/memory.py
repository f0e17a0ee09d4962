"""Memory of a query by project with counters, against the same series in prometheus_client."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from bench import client_library
from bench.distribution import Distribution, in_turns
from bench.pipeline import FINISHED, RUNNING, Feed, Pipeline, as_served, configuration
from bench.processes import Channel, resident, result
from bench.samples import HOUR, Hour, hour
from bench.sizes import Sizes
from bench.table import MEGABYTES, MILLISECONDS, Row, Unit, at_most

LOOKBACK: Final = 24


@dataclass(frozen=True, slots=True)
class Polled:
    """What polls cost a fresh process: the bytes that it keeps, and seconds of the processor."""

    kept: int
    processor: float


_FIGURES: Final[tuple[tuple[str, Unit, float, Callable[[Polled], float]], ...]] = (
    ("memory", MEGABYTES, 10.5, lambda polled: polled.kept),
    ("a poll's CPU", MILLISECONDS, 11, lambda polled: polled.processor),
)
"""What grows with the number of series: its unit, the most for ten times as many, and its value."""


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield what each number of series takes, and how that grows with the number.

    There is data in the running hour and the one before; the last row has a whole lookback of it.
    The smallest number is there for the growth alone: it takes little beside the process itself.
    """
    smallest, *numbers = sizes.memory
    ours = {smallest: tuple(_polled(smallest, 1) for _ in range(sizes.memory[smallest]))}
    for series in numbers:
        ours[series], against = in_turns(
            partial(_polled, series, 1), partial(_of_client_library, series), sizes.memory[series]
        )
        yield _compared(f"memory at {series:,} series", ours[series], against)
    for (smaller, before), (larger, after) in pairwise(ours.items()):
        yield from _growth(f"{larger:,} / {smaller:,} series", before, after)
    polled, against = in_turns(
        partial(_polled, sizes.lookback, LOOKBACK), partial(_of_client_library, sizes.lookback), 1
    )
    yield _compared(f"memory at {sizes.lookback:,} series in all of 24 hours", polled, against)


def grow(parent: Channel, series: int, hours: Mapping[int, Hour], newest: list[Hour]) -> None:
    """Send the `Polled` of polls that find ``hours``, and the newest finished one in its turns."""
    as_served()
    feed = Feed(series, hours)
    gc.collect()
    before, began = resident(), time.process_time()
    pipeline = Pipeline(feed, configuration())
    for one in newest:
        feed.hours[FINISHED] = one
        pipeline.poll_out()
    seconds = time.process_time() - began
    gc.collect()
    parent.send(Polled(resident() - before, seconds))


def _polled(series: int, hours: int) -> Polled:
    """Poll twice in a fresh process: so many hours and the running one, then late data.

    The answers are made outside, so that making them leaves no free memory behind.
    """
    starts = [RUNNING - number * HOUR for number in range(hours + 1)]
    found = {start: hour(series, start) for start in starts}
    newest = [hour(series, FINISHED, turn) for turn in range(2)]
    polled: Polled = result(grow, series, found, newest)
    return polled


def _of_client_library(series: int) -> int:
    kept: int = result(client_library.grow, series)
    return kept


def _compared(work: str, polled: Sequence[Polled], against: Sequence[int]) -> Row:
    ours = Distribution(tuple(one.kept for one in polled))
    theirs = Distribution(tuple(kept for kept in against))
    return Row(work, ours, theirs, MEGABYTES, ours.median / theirs.median, at_most(0.5))


def _growth(sizes: str, before: Sequence[Polled], after: Sequence[Polled]) -> Iterator[Row]:
    for name, unit, most, figure in _FIGURES:
        smaller, larger = (Distribution(tuple(map(figure, polled))) for polled in (before, after))
        work = f"{name}, {sizes}"
        yield Row(work, larger, smaller, unit, larger.median / smaller.median, at_most(most))
