"""How far a long command is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from exporter import log
from exporter.cli.output import note
from exporter.moments import elapsed

_EVERY: Final = 15.0
"""Seconds between two plain lines."""


@contextmanager
def progress(what: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show the progress of ``what`` on standard error; the value is called with what is done.

    ``done`` was done before, and does not count for the rate. ``total`` may be an estimate: when
    all is done, it is what was done.
    """
    if sys.stderr.isatty() and not log.is_json():
        with _bar(what, total, done) as update:
            yield update
    else:
        lines = Lines(what, total, done, time.monotonic)
        yield lines.update
        lines.finish()


@contextmanager
def _bar(what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=total, completed=done)
        yield lambda now_done: shown.update(task, completed=now_done, total=max(total, now_done))
        shown.update(task, total=shown.tasks[task].completed)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return the rate as text; see the parent class."""
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


class Lines:
    """Prints a line of progress every few seconds, and at the end."""

    def __init__(self, what: str, total: int, done: int, clock: Callable[[], float]) -> None:
        self._what = what
        self._total = total
        self._before = done
        self._clock = clock
        self._began = self._printed = clock()
        self._done = done
        self._is_printed = False

    def update(self, done: int) -> None:
        """Print what is ``done``, unless a line was printed a moment ago."""
        now = self._clock()
        self._done, self._is_printed = done, False
        if now - self._printed >= _EVERY:
            self._printed = now
            self._print(now, self._total)

    def finish(self) -> None:
        """Print what was done, which is all there is."""
        if not self._is_printed or self._done < self._total:
            self._print(self._clock(), self._done)

    def _print(self, now: float, total: int) -> None:
        done, self._is_printed = self._done, True
        rate = (done - self._before) / max(now - self._began, 0.001)
        left = f", {elapsed((total - done) / rate)} left" if rate and done < total else ""
        note(f"{self._what}: {done:,} of {max(total, done):,}, {rate:,.1f} per second{left}")
