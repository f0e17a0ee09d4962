"""Generated traffic: the stored quantities of an organization, computed when they are needed.

The traffic of an hour depends only on the seed, the organization and the hour, so that every
process that simulates the same world gives the same answers. A series has one number per hour, its
final quantity. How much of it is visible at a moment follows from a rule: the quantity grows
steadily during the hour, `LAG` seconds behind the clock, and some rows get their last three percent
up to `MAX_DELAY` later.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import chain
from random import Random
from typing import Final

from exporter.buckets import floor
from exporter.simulator.episodes import Course, Episode, no_episodes
from exporter.simulator.lru_cache import LRUCache
from exporter.simulator.series import HOUR, RHYTHMS, Series

LAG: Final = 60
MAX_DELAY: Final = 6 * HOUR

# About 100 MB of quantities: a day of 500,000 series, or a month of 16,000.
_MAX_CACHED_VALUES: Final = 12_000_000
# 120 of 1,009 rows arrive late in part. A prime number spreads them over all series.
_MARKS: Final = 1009
_LATE_MARKS: Final = 120


class Traffic:
    """The generated outcomes of one organization.

    ``episodes`` returns the episodes that touch an hour. The sum of ``quantity`` is exact for any
    part of an hour, the sum of ``times_seen`` only for complete hours.
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
        self._typical = array("d", (each.hourly * each.baseline for each in self.series))
        self._rhythms = bytes(each.rhythm for each in self.series)
        cached_hours = _MAX_CACHED_VALUES // max(len(self.series), 1) + 1
        self._hours: LRUCache[int, array[int]] = LRUCache(cached_hours)

    def indexes(self, projects: Iterable[int] | None) -> Iterable[int]:
        """Return the indexes in ``series`` of those of ``projects``; ``None`` is all projects."""
        if projects is None:
            return range(len(self.series))
        return chain.from_iterable(
            self._of_project.get(project, ()) for project in sorted(projects)
        )

    def final(self, hour: int) -> Sequence[int]:
        """Return the final quantity of every series, in the order of ``series``."""
        return self._hours.get(hour, lambda: self._generate(hour))

    def visible(self, hour: int, at: float, first: int = 0, last: int = HOUR) -> Sequence[int]:
        """Return what is visible at ``at`` of the seconds ``first`` to ``last`` of ``hour``."""
        final = self.final(hour)
        if first == 0 and last == HOUR and at >= hour + HOUR + MAX_DELAY:
            return final
        late = list(_late(hour, final))
        on_time = array("q", final)
        for index, quantity, _ in late:
            on_time[index] -= quantity
        seen = min(max(int(at - hour - LAG), 0), HOUR)
        visible = self._between(hour, on_time, min(first, seen), min(last, seen))
        # Late quantities belong to the last second, so that parts of an hour add up to the hour.
        for index, quantity, arrives in late:
            if last == HOUR and arrives <= at:
                visible[index] += quantity
        return visible

    def _between(self, hour: int, on_time: "array[int]", first: int, last: int) -> "array[int]":
        if first == 0 and last == HOUR:
            return on_time
        # A difference of two rounded numbers, so that adjacent parts of an hour add up exactly.
        quantities = array(
            "q", [quantity * last // HOUR - quantity * first // HOUR for quantity in on_time]
        )
        for index, course in self._courses(hour).items():
            flow_of_hour = course.flowed(HOUR) or 1.0
            until_last = int(on_time[index] * (course.flowed(last) / flow_of_hour))
            until_first = int(on_time[index] * (course.flowed(first) / flow_of_hour))
            quantities[index] = until_last - until_first
        return quantities

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
            index: Course(hour, self.series[index].baseline, episodes)
            for index, episodes in touching.items()
        }

    @cached_property
    def _of_project(self) -> dict[int | None, Sequence[int]]:
        indexes: dict[int | None, list[int]] = {}
        for index, series in enumerate(self.series):
            indexes.setdefault(series.project, []).append(index)
        return {None: range(len(self.series)), **indexes}


def hours_between(start: float, end: float) -> range:
    """Return the starts of the hours that overlap ``start`` to ``end``."""
    return range(floor(start, HOUR), -floor(-end, HOUR), HOUR)


def _drawn(usual: float, noise: float) -> int:
    # The second term rounds up or down at random: a rare event occurs in some hours, not in none.
    return int(usual * (0.8 + 0.4 * noise) + noise * 997.0 % 1.0)


def _late(hour: int, final: Sequence[int]) -> Iterable[tuple[int, int, int]]:
    """Yield index, quantity and time of arrival of the parts of rows that arrive late."""
    delay_per_mark = (MAX_DELAY - 2 * LAG) // _LATE_MARKS
    offset = hour // HOUR * 30011
    for index, quantity in enumerate(final):
        # No factor is a multiple of the prime, so different series are late in each hour.
        mark = (index * 40503 + offset) % _MARKS
        if mark < _LATE_MARKS and quantity:
            yield index, -(-quantity * 3 // 100), hour + HOUR + 2 * LAG + mark * delay_per_mark
