"""A soak: days of polls, faults, reloads, restarts and renames, measured every hour."""

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.simulator import HOUR
from tests.end_to_end.exposition import Sample as Series
from tests.end_to_end.exposition import lines_of, read_text
from tests.reliability.soak.figures import FIGURES, Sample, Verdict, verdict
from tests.reliability.soak.process import STATE, STEP
from tests.reliability.soak.stage import Stage
from tests.reliability.soak.story import Event, events
from tests.reliability.soak.truth import Comparison, compared, counters, decreases, polls
from tests.reliability.soak.world import START, soaked

_GRACE: Final = 160.0
"""Seconds after the last polls in which counters that are new begin to be shown."""


@dataclass
class Result:
    """What a soak has come to; ``decreases`` are counters that fell, ``happened`` the events."""

    days: int
    seed: int
    samples: list[Sample] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    decreases: list[str] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)
    processor: float = 0.0
    seconds: float = 0.0

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """What became of each figure."""
        return [verdict(each, self.samples) for each in FIGURES]

    @property
    def problems(self) -> Sequence[str]:
        """All that is not as it has to be."""
        grown = [
            f"{each.figure.name}: {each.later:,.1f} instead of at most {each.allowed:,.1f}"
            for each in self.verdicts
            if not each.is_flat
        ]
        return [*self.decreases, *self.comparison.wrong, *grown]


def soak(
    days: int, seed: int, folder: Path, progress: Callable[[Sample], object] = lambda _: None
) -> Result:
    """Run a soak with the exporter's files in ``folder``; ``progress`` gets each measurement."""
    result = Result(days, seed)
    began, used = time.monotonic(), _processor()
    world = soaked(days, seed)
    with Stage(world, folder) as stage:
        _Run(stage, result, events(world, days, seed), progress).run()
    result.seconds = time.monotonic() - began
    result.processor = _processor() - used
    return result


class _Run:
    def __init__(
        self,
        stage: Stage,
        result: Result,
        story: Sequence[Event],
        progress: Callable[[Sample], object],
    ) -> None:
        self._stage = stage
        self._result = result
        self._story = iter(story)
        self._next = next(self._story, None)
        self._progress = progress
        self._counters: dict[Series, float] = {}

    def run(self) -> None:
        began = self._first_polls()
        for hour in range(1, self._result.days * 24 + 1):
            self._run_until(START + hour * HOUR)
            self._measure(hour)
        self._stage.life.run_until(self._stage.clock.now + _GRACE)
        page = self._stage.page()
        self._check_counters(page)
        self._result.comparison = compared(self._stage, began, page)

    def _first_polls(self) -> Mapping[tuple[str, str], float]:
        """Let each query be polled for the first time; return when that was."""
        began: dict[tuple[str, str], float] = {}
        number = len(polls(self._stage.page()))
        while len(began) < number:
            self._stage.life.run_until(self._stage.clock.now + STEP)
            succeeded = polls(self._stage.page())
            began = {**{each: at for each, at in succeeded.items() if at}, **began}
        return began

    def _run_until(self, moment: float) -> None:
        while self._next is not None and self._next.at <= moment:
            event = self._next
            self._next = next(self._story, None)
            if event.at > self._stage.clock.now:
                self._stage.life.run_until(event.at)
            event.act(self._stage)
            if event.name:
                self._result.happened[event.name] += 1
            if event.row:
                self._result.tried[event.row] += 1
        if moment > self._stage.clock.now:
            self._stage.life.run_until(moment)

    def _measure(self, hour: int) -> None:
        stage = self._stage
        page, usage = stage.page(), stage.life.usage()
        self._check_counters(page)
        series = read_text(lines_of(page, "sentry_stats_series"))
        sample = Sample(
            hour,
            (stage.clock.now - stage.life.began) / HOUR,
            usage.resident,
            usage.threads,
            usage.descriptors,
            sum(path.stat().st_size for path in _state_files(stage.folder)),
            int(sum(series.values())),
            stage.take_requests(),
        )
        self._result.samples.append(sample)
        self._progress(sample)

    def _check_counters(self, page: str) -> None:
        shown = counters(page)
        self._result.decreases += decreases(self._counters, shown)
        self._counters |= shown


def _state_files(folder: Path) -> Iterator[Path]:
    return folder.glob(f"{STATE}*")


def _processor() -> float:
    """Return the seconds of CPU that this process and those that have ended have used."""
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(each.ru_utime + each.ru_stime for each in usages)
