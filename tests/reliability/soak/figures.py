"""What is measured in a soak every hour, and whether it has grown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured after so many ``hours``; ``age`` is that of the process, in hours.

    Memory and files are in bytes; ``requests`` are those of the hour before.
    """

    hours: float
    age: float
    resident: int
    threads: int
    descriptors: int
    state: int
    series: int
    requests: int


class Figure(NamedTuple):
    """Something that must not grow: by more than the ``share``, and ``extra``, it may not vary.

    Where it belongs to a process, the first day is the process's.
    """

    name: str
    unit: str
    value: Callable[[Sample], float]
    share: float
    extra: float = 0.0
    of_process: bool = False


_MIB: Final = 1 << 20

FIGURES: Final = (
    Figure("resident memory", "MiB", lambda each: each.resident / _MIB, 0.1, 2, of_process=True),
    Figure("threads", "", lambda each: each.threads, 0, 2, of_process=True),
    Figure("open files", "", lambda each: each.descriptors, 0, 12, of_process=True),
    Figure("state file", "MiB", lambda each: each.state / _MIB, 0.1, 1),
    Figure("series", "", lambda each: each.series, 0.02),
)
"""All that has to be flat, with how much it may vary. Requests depend on the faults.

Of open files, up to 24 are connections to Sentry, of which not all are always needed.
"""


class Verdict(NamedTuple):
    """The largest values of a figure on the second day, and later; and how much it may be."""

    figure: Figure
    second_day: float
    later: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        """Return whether it has not grown."""
        return self.later <= self.allowed


def verdict(figure: Figure, samples: Sequence[Sample]) -> Verdict:
    """Return what became of a figure after the second day, of the last process if it is one's."""
    if figure.of_process:
        samples = _longest_life(samples)
    ages = [(each.age if figure.of_process else each.hours, figure.value(each)) for each in samples]
    second = max((value for age, value in ages if _DAY < age <= 2 * _DAY), default=-inf)
    later = max((value for age, value in ages if 2 * _DAY < age), default=second)
    return Verdict(figure, second, later, second * (1 + figure.share) + figure.extra)


def _longest_life(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the samples of the process that lived longest."""
    lives: list[list[Sample]] = []
    age = inf
    for each in samples:
        if each.age < age:
            lives.append([])
        lives[-1].append(each)
        age = each.age
    return max(lives, key=lambda life: life[-1].age)
