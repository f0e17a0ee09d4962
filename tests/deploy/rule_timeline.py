"""Every alert that fires in simulated histories, from one run of promtool.

promtool's unit tests only compare. Here they expect nothing at each evaluation, and what promtool
reports as the result instead is the history of the alerts. What an evaluation costs hardly depends
on how much data there is, so that tests share a run: each has an organization of its own.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deploy.rule_world import GROUPS, Labels, World, unit_test, written
from tests.support.programs import find_program, finished

_FIRING: Final = 'timestamp(ALERTS{alertstate="firing"})'
_LEFT_OUT: Final = {"alertstate", "app", "component", "outcome"}
_MARK: Final = "mark"
_EVALUATED: Final = f'label_replace(vector(time()), "{_MARK}", "1", "", "")'
_FOUND: Final = re.compile(r"got: (.*)")
_SAMPLE: Final = re.compile(r"(\{[^}]*\}) ([\d.]+E[+-]\d+)")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')

_LESS_COLLECTION: Final = ("env", "GOGC=1000")
"""Makes promtool a quarter faster, for some 100 MB."""

Key = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert from when it fires until it does not any more."""

    labels: Labels
    start: float
    end: float

    def __str__(self) -> str:
        """Return it as a failing test shows it."""
        return f"{written(self.labels)} {self.start / 3600:.2f} h to {self.end / 3600:.2f} h"


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that has to fire once: in (after, by], and to end within ``ends``."""

    labels: Labels
    after: float
    by: float
    ends: tuple[float, float]

    def matches(self, firing: Firing) -> bool:
        """Return whether ``firing`` is what is expected."""
        return (
            self.labels.items() == firing.labels.items()
            and self.after < firing.start <= self.by
            and self.ends[0] <= firing.end <= self.ends[1]
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """The alerts of a run, in the order in which they fire."""

    firings: Sequence[Firing]

    def of(self, organization: str, **labels: str) -> list[Firing]:
        """Return the alerts of an organization that have ``labels``, without its name."""
        asked = {"organization": organization, **labels}
        return [
            Firing(
                {name: value for name, value in firing.labels.items() if name != "organization"},
                firing.start,
                firing.end,
            )
            for firing in self.firings
            if asked.items() <= firing.labels.items()
        ]


def unmet(expected: Iterable[Expected], firings: Iterable[Firing]) -> list[str]:
    """Return what of ``expected`` did not fire, and what fired beside it."""
    left = list(firings)
    missing = []
    for each in expected:
        match = next((firing for firing in left if each.matches(firing)), None)
        if match is None:
            missing.append(f"missing {each}")
        else:
            left.remove(match)
    return [*missing, *(f"unexpected {firing}" for firing in left)]


def observe(
    worlds: Sequence[World],
    folder: Path,
    more: Sequence[Mapping[str, str]] = (),
    rules: Sequence[Path] = (),
    groups: Sequence[str] = GROUPS,
) -> Timeline:
    """Return the alerts that fire in ``worlds``, which have the same length and step.

    Only the shipped ``groups`` are evaluated, and the groups of the files ``rules``.
    """
    times, step = worlds[0].times(), worlds[0].step
    series = [one for world in worlds for one in world.input_series()]
    asked = {(f"{_FIRING} or {_EVALUATED}", float(time)): () for time in times}
    path = unit_test([*series, *more], asked, step, folder, rules, groups)
    ended = finished(
        *_LESS_COLLECTION, find_program("promtool", "prometheus"), "test", "rules", path
    )
    samples = list(_samples(ended.stdout))
    evaluated = [time for labels, time in samples if _MARK in labels]

    assert [float(time) for time in times] == sorted(evaluated), ended.stdout[-2000:]
    return Timeline(_firings((one for one in samples if _MARK not in one[0]), step))


def _samples(output: str) -> Iterator[tuple[Labels, float]]:
    for line in _FOUND.findall(output):
        for labels, value in _SAMPLE.findall(line):
            yield dict(_LABEL.findall(labels)), float(value)


def _firings(samples: Iterable[tuple[Labels, float]], step: int) -> list[Firing]:
    """Return the alerts whose samples are those, one each ``step`` while it fires."""
    times: dict[Key, list[float]] = defaultdict(list)
    for labels, time in samples:
        shown = ((name, value) for name, value in labels.items() if name not in _LEFT_OUT)
        times[frozenset(shown)].append(time)
    firings = []
    for key, seen in times.items():
        starts = [time for time in seen if time - step not in seen]
        ends = [time + step for time in seen if time + step not in seen]
        firings += [Firing(dict(key), *span) for span in zip(starts, ends, strict=True)]
    return sorted(firings, key=lambda firing: firing.start)
