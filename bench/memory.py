"""Memory and CPU of polls with state, against the same series in prometheus_client."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import client_library
from bench.distribution import Distribution
from bench.pipeline import FINISHED, Feed, Pipeline, as_served, configuration
from bench.processes import Channel, resident, result
from bench.samples import HOUR, Hour, hour
from bench.sizes import Sizes
from bench.table import MEGABYTES, MILLISECONDS, Row, Target, Unit, at_most

LOOKBACK: Final = 24

_TARGETS: Final = {100_000: at_most(0.36), 1_000_000: at_most(0.38)}
_TARGET: Final = at_most(0.5)


@dataclass(frozen=True, slots=True)
class Polled:
    """The bytes of memory that polls left in use, and the seconds of CPU that they took."""

    memory: int
    processor: float


@dataclass(frozen=True, slots=True)
class Growing:
    """What grows with the number of series; ``most`` is the target for ten times as many."""

    name: str
    unit: Unit
    most: float
    value: Callable[[Polled], float]


_GROWING: Final = (
    Growing("memory", MEGABYTES, 10.5, lambda polled: polled.memory),
    Growing("a poll's CPU", MILLISECONDS, 11, lambda polled: polled.processor),
)


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield the memory of each number of series, and the growth of memory and CPU.

    There are data in the running hour and the one before; in the last row in all of the lookback.
    The smallest number is only there for the growth: it takes little beside the process itself.
    """
    smallest, *_ = sizes.memory
    ours: dict[int, tuple[Polled, ...]] = {}
    for series, rounds in sizes.memory.items():
        ours[series] = tuple(_polled(series, 1) for _ in range(rounds))
        if series != smallest:
            work, target = f"memory at {series:,} series", _TARGETS.get(series, _TARGET)
            memory = [one.memory for one in ours[series]]
            yield compared(work, memory, of_client_library(series), target)
    for (smaller, before), (larger, after) in pairwise(ours.items()):
        numbers = f"{larger:,} / {smaller:,} series"
        yield from (_growth(growing, numbers, before, after) for growing in _GROWING)
    work = f"memory at {sizes.lookback:,} series in all of {LOOKBACK} hours"
    memory = [_polled(sizes.lookback, LOOKBACK).memory]
    yield compared(work, memory, of_client_library(sizes.lookback), _TARGET)


def compared(work: str, ours: Sequence[int], against: int, target: Target | None) -> Row:
    """Return a row about bytes of memory."""
    sides = Distribution(tuple(ours)), Distribution((against,))
    return Row(work, *sides, MEGABYTES, sides[0].median / against, target)


def of_client_library(series: int) -> int:
    """Return the bytes of memory that the same series take in prometheus_client."""
    memory: int = result(client_library.grow, series)
    return memory


def grow(parent: Channel, series: int, hours: Mapping[int, Hour], newest: list[Hour]) -> None:
    """Send the `Polled` of polls that read ``hours``, then each of the ``newest`` finished hour."""
    as_served()
    feed = Feed(series, hours)
    gc.collect()
    before, began = resident(), time.process_time()
    with TemporaryDirectory() as folder:
        pipeline = Pipeline(feed, configuration(), Path(folder) / "state")
        for one in newest:
            feed.hours[FINISHED] = one
            pipeline.poll_everything()
        seconds = time.process_time() - began
        gc.collect()
        parent.send(Polled(resident() - before, seconds))


def _polled(series: int, hours: int) -> Polled:
    """Poll twice in a fresh process: so many hours and the running one, then late data.

    The answers are made outside, so that making them leaves no free memory behind.
    """
    starts = [FINISHED + HOUR - number * HOUR for number in range(hours + 1)]
    answers = {start: hour(series, start) for start in starts}
    newest = [hour(series, FINISHED, turn) for turn in range(2)]
    polled: Polled = result(grow, series, answers, newest)
    return polled


def _growth(
    growing: Growing, numbers: str, before: Sequence[Polled], after: Sequence[Polled]
) -> Row:
    smaller, larger = (
        Distribution(tuple(map(growing.value, polled))) for polled in (before, after)
    )
    figure = larger.median / smaller.median
    work = f"{growing.name}, {numbers}"
    return Row(work, larger, smaller, growing.unit, figure, at_most(growing.most))
