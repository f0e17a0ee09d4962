"""Believable traffic: what an organization's store holds for any hour, made when it is asked for.

The traffic of an hour depends on the seed, the organization and the hour alone, so any process
that simulates the same world answers the same. A series has one compact number per hour, its
final quantity; how much of it is visible at a moment follows from a rule of growth: it fills
during the hour, `LAG` behind the clock, and a few rows get their last percent up to
`LONGEST_DELAY` later.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from math import cos, pi
from random import Random
from typing import Final, NamedTuple

from exporter.buckets import floor
from exporter.simulator.recent import Recent

HOUR: Final = 3600
DAY: Final = 86400
LAG: Final = 60
LONGEST_DELAY: Final = 6 * HOUR

_MOST_VALUES: Final = 12_000_000
_MARKS: Final = 1009
_LATE_MARKS: Final = 120
_FIRST_WEEKEND_DAY: Final = 5


class Series(NamedTuple):
    """One combination of labels that gets ``hourly`` of its unit in a typical busy hour.

    ``rhythm`` is an index of `RHYTHMS`; ``batch`` is how much of the quantity one stored row
    stands for; ``resting`` is the share that flows while no `Episode` says otherwise.
    """

    project: int
    category: str
    outcome: str
    reason: str | None
    hourly: float
    rhythm: int = 0
    batch: int = 1
    resting: float = 1.0


@dataclass(frozen=True, slots=True)
class Episode:
    """For a while, from ``start`` to ``end``, matching series flow at ``scale`` of their usual.

    ``None`` matches any project, any category, any outcome, any reason.
    """

    start: float
    end: float
    scale: float
    project: int | None = None
    categories: frozenset[str] | None = None
    outcome: str | None = None
    reason: str | None = None

    def matches(self, series: Series) -> bool:
        """Return whether ``series`` is touched."""
        return (
            self.project in (None, series.project)
            and (self.categories is None or series.category in self.categories)
            and self.outcome in (None, series.outcome)
            and self.reason in (None, series.reason)
        )


def office(hour: int) -> float:
    """Return the level of a service people use at work: by day, little at weekends."""
    return _swing(hour, peak=13, low=0.15) * (0.3 if _is_weekend(hour) else 1.0)


def evening(hour: int) -> float:
    """Return the level of a service people use at home: evenings, more at weekends."""
    return _swing(hour, peak=20, low=0.25) * (1.25 if _is_weekend(hour) else 1.0)


def machines(hour: int) -> float:
    """Return the level of what runs by itself, hardly moved by the time of day."""
    return _swing(hour, peak=2, low=0.85)


RHYTHMS: Final = (office, evening, machines)


def _swing(hour: int, peak: int, low: float) -> float:
    phase = (hour % DAY / HOUR - peak) / 24 * 2 * pi
    return low + (1 - low) * (1 + cos(phase)) / 2


def _is_weekend(hour: int) -> bool:
    days_since_thursday = hour // DAY  # the epoch began on one
    return (days_since_thursday + 3) % 7 >= _FIRST_WEEKEND_DAY


def no_episodes(_hour: int) -> Sequence[Episode]:
    """Return nothing: every hour is ordinary."""
    return ()


@dataclass(frozen=True, slots=True)
class Course:
    """How a series flows through one hour that an episode touches; later episodes win."""

    hour: int
    resting: float
    episodes: tuple[Episode, ...]

    def flowed(self, second: int) -> float:
        """Return how much has flowed by ``second`` of the hour; 1.0 is an ordinary hour."""
        edges = [edge for each in self.episodes for edge in (each.start, each.end)]
        inside = {min(max(edge - self.hour, 0), second) for edge in edges}
        points = sorted(inside | {0, second})
        steps = pairwise(points)
        return sum((after - before) * self._scale(before) for before, after in steps) / HOUR

    def _scale(self, second: float) -> float:
        moment = self.hour + second
        running = [each.scale for each in self.episodes if each.start <= moment < each.end]
        return running[-1] if running else self.resting


class Traffic:
    """The generated outcomes of one organization.

    ``episodes`` tells which episodes touch an hour. The sum of ``times_seen`` is exact for whole
    hours only, the sum of ``quantity`` for any part of one.
    """

    def __init__(
        self,
        seed: int,
        organization: int,
        series: Iterable[Series],
        episodes: Callable[[int], Sequence[Episode]] = no_episodes,
    ) -> None:
        self.series = tuple(series)
        self.batches = array("q", (each.batch for each in self.series))
        self._name = f"{seed}:{organization}"
        self._episodes = episodes
        self._typical = array("d", (each.hourly * each.resting for each in self.series))
        self._rhythms = bytes(each.rhythm for each in self.series)
        self._hours: Recent[int, array[int]] = Recent(_MOST_VALUES // max(len(self.series), 1) + 1)

    def places(self, projects: Iterable[int] | None) -> Iterable[int]:
        """Return where in ``series`` those of ``projects`` are; ``None`` means all of them."""
        if projects is None:
            return range(len(self.series))
        return chain.from_iterable(
            self._of_project.get(project, ()) for project in sorted(projects)
        )

    def final(self, hour: int) -> Sequence[int]:
        """Return the quantity of every series, in their order, once all of it has arrived."""
        return self._hours.get(hour, lambda: self._generate(hour))

    def visible(self, hour: int, at: float, first: int = 0, last: int = HOUR) -> Sequence[int]:
        """Return what can be seen at ``at`` of seconds ``first`` to ``last`` of ``hour``."""
        final = self.final(hour)
        if first == 0 and last == HOUR and at >= hour + HOUR + LONGEST_DELAY:
            return final
        late = list(_late(hour, final))
        on_time = array("q", final)
        for index, quantity, _ in late:
            on_time[index] -= quantity
        seen = min(max(int(at - hour - LAG), 0), HOUR)
        shown = self._between(hour, on_time, min(first, seen), min(last, seen))
        for index, quantity, arrives in late:
            if last == HOUR and arrives <= at:
                shown[index] += quantity
        return shown

    def _between(self, hour: int, on_time: "array[int]", first: int, last: int) -> "array[int]":
        if first == 0 and last == HOUR:
            return on_time
        shown = array(
            "q", [quantity * last // HOUR - quantity * first // HOUR for quantity in on_time]
        )
        for index, course in self._courses(hour).items():
            whole = course.flowed(HOUR) or 1.0
            until_last = int(on_time[index] * (course.flowed(last) / whole))
            shown[index] = until_last - int(on_time[index] * (course.flowed(first) / whole))
        return shown

    def _generate(self, hour: int) -> "array[int]":
        random = Random(f"{self._name}:{hour}").random  # noqa: S311 - repeatable, not secret
        noise = [random() for _ in self.series]
        levels = [rhythm(hour) for rhythm in RHYTHMS]
        rows = zip(self._typical, self._rhythms, noise, strict=True)
        quantities = array("q", [_drawn(usual * levels[which], at) for usual, which, at in rows])
        for index, course in self._courses(hour).items():
            series = self.series[index]
            usual = series.hourly * levels[series.rhythm] * course.flowed(HOUR)
            quantities[index] = _drawn(usual, noise[index])
        return quantities

    def _courses(self, hour: int) -> dict[int, Course]:
        touching: dict[int, tuple[Episode, ...]] = {}
        for episode in self._episodes(hour):
            for index in self._of_project.get(episode.project, ()):
                if episode.matches(self.series[index]):
                    touching[index] = (*touching.get(index, ()), episode)
        return {
            index: Course(hour, self.series[index].resting, episodes)
            for index, episodes in touching.items()
        }

    @cached_property
    def _of_project(self) -> dict[int | None, Sequence[int]]:
        found: dict[int | None, list[int]] = {}
        for index, series in enumerate(self.series):
            found.setdefault(series.project, []).append(index)
        return {None: range(len(self.series)), **found}


def hours_between(start: float, end: float) -> range:
    """Return the starts of the hours that overlap ``start`` to ``end``."""
    return range(floor(start, HOUR), -floor(-end, HOUR), HOUR)


def _drawn(usual: float, noise: float) -> int:
    # The second term rounds at random, so that rare things happen now and then.
    return int(usual * (0.8 + 0.4 * noise) + noise * 997.0 % 1.0)


def _late(hour: int, final: Sequence[int]) -> Iterable[tuple[int, int, int]]:
    """Yield ``(index, quantity, moment of arrival)`` for the rows that come in part late."""
    delay_per_mark = (LONGEST_DELAY - 2 * LAG) // _LATE_MARKS
    offset = hour // HOUR * 30011
    for index, quantity in enumerate(final):
        mark = (index * 40503 + offset) % _MARKS
        if mark < _LATE_MARKS and quantity:
            yield index, -(-quantity * 3 // 100), hour + HOUR + 2 * LAG + mark * delay_per_mark
