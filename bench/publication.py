"""Publishing one of many queries again."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import upstream
from bench.distribution import Distribution
from bench.samples import HOUR
from bench.served import BEFORE, Served, serving, without_project
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
    yield beside([_row(work, *sides) for sides in zip(of_many, of_few, strict=True)])


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
