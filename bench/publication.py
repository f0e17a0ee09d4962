"""Publishing one of many queries again, and many of them at once."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import upstream
from bench.distribution import Distribution
from bench.samples import HOUR
from bench.served import BEFORE, Served, of_organizations, serving, without_project
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most, beside
from bench.trees import Tree

FEW: Final = 10
"""So few queries that all are due in the same second of an hour."""

_SERIES: Final = 20


def measure(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield how much more CPU a poll takes beside many other queries than beside few.

    Only publishing depends on the other queries, so this is what it takes.
    """
    yield _one_of_many(sizes, trees)
    yield _all_at_once(sizes, trees)


def _one_of_many(sizes: Sizes, trees: Sequence[Tree]) -> Row:
    """Return what a poll takes that is due with few others, in one organization."""
    work = f"CPU of publishing one of {sizes.queries:,} queries again"
    with (
        TemporaryDirectory() as name,
        upstream.serving(_SERIES, hours=sizes.publications) as sentry,
        ExitStack() as stack,
    ):
        start = partial(_started, stack, Path(name), sentry)
        many = [start(tree, f"many-{n}", sizes.queries) for n, tree in enumerate(trees)]
        few = [start(tree, f"few-{n}", FEW) for n, tree in enumerate(trees)]
        rounds = [
            (
                [_poll(one, BEFORE + number * sizes.due) for one in many],
                [_poll(one, BEFORE + number * HOUR) for one in few],
            )
            for number in range(1, sizes.publications + 1)
        ]
    of_many, of_few = (zip(*side, strict=True) for side in zip(*rounds, strict=True))
    return beside([_row(work, *sides) for sides in zip(of_many, of_few, strict=True)])


def _all_at_once(sizes: Sizes, trees: Sequence[Tree]) -> Row:
    """Return what a poll takes if as many organizations are polled in the same second."""
    work = f"CPU of each of {sizes.organizations:,} polls at once, over each of {FEW}"
    with (
        TemporaryDirectory() as name,
        upstream.serving(_SERIES, hours=sizes.publications + 1) as sentry,
        ExitStack() as stack,
    ):
        sides = [
            [
                _crowded(stack, Path(name), sentry, tree, number, size)
                for size in (sizes.organizations, FEW)
            ]
            for number, tree in enumerate(trees)
        ]
        rounds = [
            [[_poll(served, BEFORE + number * HOUR) for served in side] for side in sides]
            for number in range(2, sizes.publications + 2)
        ]
    rows = []
    for of_tree in zip(*rounds, strict=True):
        many, few = (Distribution(tuple(seconds)) for seconds in zip(*of_tree, strict=True))
        rows.append(Row(work, many, few, MILLISECONDS, many.median / few.median, at_most(2)))
    return beside(rows)


def _crowded(
    stack: ExitStack,
    folder: Path,
    sentry: upstream.Upstream,
    tree: Tree,
    number: int,
    organizations: int,
) -> Served:
    """Start a process with so many organizations, and let all of them be polled once."""
    configuration = of_organizations(sentry, organizations)
    name = f"organizations-{organizations}-{number}"
    served = stack.enter_context(serving(tree, folder / name, configuration))
    served.wait_until(lambda: served.polls() > 0)
    served.set_clock(BEFORE + HOUR)
    served.wait_until(lambda: served.polls() >= organizations)
    served.settle()
    return served


def _started(
    stack: ExitStack, folder: Path, sentry: upstream.Upstream, tree: Tree, name: str, queries: int
) -> Served:
    """Start a process that is never restarted, and wait for the polls that are due at once."""
    configuration = without_project(sentry, queries)
    served = stack.enter_context(serving(tree, folder / name, configuration))
    served.wait_until(lambda: served.polls() > 0)
    served.settle()
    return served


def _poll(served: Served, now: float) -> float:
    """Set the clock, and return the seconds of CPU that each poll took that was due by then."""
    polls, seconds = served.polls(), served.processor()
    served.set_clock(now)
    served.wait_until(lambda: served.polls() > polls)
    served.settle()
    return (served.processor() - seconds) / (served.polls() - polls)


def _row(work: str, many: Sequence[float], few: Sequence[float]) -> Row:
    ours, against = Distribution(tuple(many)), Distribution(tuple(few))
    figure = ours.median - against.median
    return Row(work, ours, against, MILLISECONDS, 1e3 * figure, at_most(5, " ms"))
