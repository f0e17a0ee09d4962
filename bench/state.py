"""The state file: what it adds to polls, what a restart with it takes, and how large it is."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import upstream
from bench.distribution import Distribution, in_turns
from bench.memory import compared, of_client_library
from bench.samples import FIRST_HOUR, hour
from bench.served import by_project, hours_later, served_series, serving, started
from bench.sizes import Sizes
from bench.table import MEGABYTES, MILLISECONDS, Row, at_most, beside
from bench.trees import Tree
from bench.upstream import Upstream

_MAX_RATIO: Final = at_most(1.15)


@dataclass(frozen=True, slots=True)
class Polls:
    """Polls of one process: the CPU of the first and of each later one, and memory at the end."""

    first: float
    later: Sequence[float]
    memory: int


@dataclass(frozen=True, slots=True)
class Polled:
    """Polls of one tree with state and without, and the state file."""

    tree: Tree
    state: Path
    with_state: Polls
    without: Polls


def measure(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield rows about polls with state, and about restarts with that state.

    The first poll reads several hours at once, as after a pause. Each later one reads the hour
    that has just ended.
    """
    what = f"{sizes.hours} hours of {sizes.state:,} series"
    hours = sizes.hours + sizes.later
    with TemporaryDirectory() as name, upstream.serving(sizes.state, hours) as sentry:
        polled = _polled(trees, Path(name), sentry, sizes)
        work = f"CPU with state / without, {what} at once"
        yield beside([_more(work, [p.with_state.first], [p.without.first]) for p in polled])
        work = f"CPU with state / without, one hour of {sizes.state:,} series"
        yield beside([_more(work, p.with_state.later, p.without.later) for p in polled])
        work, against = f"memory of serve with {what}", of_client_library(sizes.state)
        yield beside([compared(work, [p.with_state.memory], against, None) for p in polled])
        yield beside([_size(f"state file of {what}", p.state, sizes) for p in polled])
        yield beside(_restarts(f"CPU of a restart with {what}", polled, sentry, sizes))


def _polled(
    trees: Sequence[Tree], folder: Path, sentry: Upstream, sizes: Sizes
) -> Sequence[Polled]:
    """Poll the hours from each tree, with state and without, in turns."""
    states = [folder / f"state-{number}" for number in range(len(trees))]
    moments = [hours_later(sizes.hours + number) for number in range(sizes.later + 1)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started(tree, folder / name, by_project(sentry), state=state))
            for tree, file in zip(trees, states, strict=True)
            for name, state in ((f"{file.name}-with", file), (f"{file.name}-without", None))
        ]
        before = [process.resident() for process in processes]
        seconds = [[process.poll(moment) for process in processes] for moment in moments]
        memory = [process.resident() for process in processes]
        for process in processes:
            # Closing the state file brings it to its size.
            process.stop()
    polls = [
        Polls(first, later, after - start)
        for first, *later, after, start in zip(*seconds, memory, before, strict=True)
    ]
    return list(map(Polled, trees, states, polls[::2], polls[1::2]))


def _more(work: str, with_state: Sequence[float], without: Sequence[float]) -> Row:
    """Return a row about the CPU that state adds to polls."""
    ours, against = Distribution(tuple(with_state)), Distribution(tuple(without))
    return Row(work, ours, against, MILLISECONDS, ours.median / against.median, _MAX_RATIO)


def _size(work: str, state: Path, sizes: Sizes) -> Row:
    """Return a row about the state file, beside the answers that it was made from."""
    # Whatever SQLite may have left beside it belongs to it.
    files = state.parent.glob(f"{state.name}*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    answers = len(hour(sizes.state, FIRST_HOUR).body()) * sizes.hours
    sides = Distribution((size,)), Distribution((answers,))
    return Row(work, *sides, MEGABYTES, size / 1e6, at_most(12, " MB"))


def _restarts(work: str, polled: Sequence[Polled], sentry: Upstream, sizes: Sizes) -> Sequence[Row]:
    """Return a row for each tree: starts with its state, and starts without any."""
    starts = [
        partial(_started, one.tree, state, sentry, sizes)
        for one in polled
        for state in (one.state, None)
    ]
    seconds = list(map(Distribution, in_turns(starts, sizes.restarts)))
    return [
        Row(work, ours, against, MILLISECONDS, ours.median - against.median, at_most(0.3, " s"))
        for ours, against in zip(seconds[::2], seconds[1::2], strict=True)
    ]


def _started(tree: Tree, state: Path | None, sentry: Upstream, sizes: Sizes) -> float:
    """Return the CPU of a start up to its first request, which is held.

    With state, raises ValueError if the series are not on the page after the poll.
    """
    now = hours_later(sizes.hours + sizes.later)
    with TemporaryDirectory() as name, sentry.held() as release:
        folder, before = Path(name) / "served", sentry.requests()
        with serving(tree, folder, by_project(sentry), state=state, now=now) as served:
            served.wait_until(lambda: sentry.requests() > before)
            seconds = served.processor()
            if state is not None:
                release()
                served.wait_until(lambda: served.polled(now))
                _verify(served.page(), sizes.state)
    return seconds


def _verify(page: bytes, series: int) -> None:
    if served_series(page) != series:
        raise ValueError(f"{served_series(page)} series were restored instead of {series}")
