"""How much of a quota will be used, at two paces. Pure.

- ``week``: each hour to come is like the same hour of last week. What was unusual about last week
  is left out first; see `exporter.quota.weekly`.
- ``day``: each hour to come is like the same hour of the last day.

Both paces come from finished hours. The running hour counts in what was used, and only what is left
of it is expected.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

from exporter.buckets import floor
from exporter.quota.model import DAY, HOUR, Period
from exporter.quota.weekly import expected_by_week

SETTLE: Final = 600
"""How many seconds after its end an hour counts as finished.

Sentry stores the last rows of an hour up to six minutes after its end. What comes later still is
small, and is in the next forecast.
"""


class Pace(StrEnum):
    """What the hours to come are compared with."""

    WEEK = "week"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Course:
    """What is expected in each hour from ``start`` on, the first being what is left of an hour."""

    start: float
    amounts: tuple[float, ...]

    @property
    def total(self) -> float:
        """What is expected in all hours."""
        return sum(self.amounts)

    def moment(self, index: int, share: float) -> float:
        """Return when ``share``, 0 to 1, of the hour with that index has passed."""
        end = floor(self.start, HOUR) + (index + 1) * HOUR
        begin = max(self.start, end - HOUR)
        return begin + (end - begin) * share


def course(hours: Mapping[int, int], period: Period, now: float, pace: Pace) -> Course:
    """Return what is expected from ``now`` to the end of ``period``.

    ``hours`` is what was used in each hour, by its start; an hour that is missing had nothing.
    """
    running = floor(now, HOUR)
    finished = floor(now - SETTLE, HOUR)
    count = max((period.end - finished) // HOUR, 0)
    if pace is Pace.WEEK:
        expected = expected_by_week(hours, finished, count)
    else:
        expected = _expected_by_day(hours, finished, count)
    amounts = expected[(running - finished) // HOUR :]
    if amounts:
        amounts[0] *= 1 - (now - running) / HOUR
    return Course(now, tuple(amounts))


def projected(course: Course, used: int) -> int:
    """Return what will have been used at the end, if ``used`` was used until now."""
    return used + round(course.total)


def exhaustion(
    course: Course, used: int, limit: int | None, hours: Mapping[int, int]
) -> float | None:
    """Return when ``limit`` is reached, None if it is not reached within the course.

    Where it was reached already, this is when, as far as ``hours`` goes back.
    """
    if limit is None:
        return None
    if used >= limit:
        return _reached(hours, used, limit, course.start)
    sums = list(accumulate(course.amounts, initial=float(used)))
    index = bisect_left(sums, limit) - 1
    if index >= len(course.amounts):
        return None
    return course.moment(index, (limit - sums[index]) / course.amounts[index])


def _expected_by_day(hours: Mapping[int, int], finished: int, count: int) -> list[float]:
    day = [float(hours.get(hour, 0)) for hour in range(finished - DAY, finished, HOUR)]
    return (day * (count * HOUR // DAY + 1))[:count]


def _reached(hours: Mapping[int, int], used: int, limit: int, now: float) -> float:
    """Return when ``limit`` was reached, going back from ``now``."""
    before = used
    for hour in sorted((hour for hour in hours if hour < now), reverse=True):
        before -= hours[hour]
        if before < limit:
            length = min(now - hour, HOUR)
            return hour + length * (limit - before) / hours[hour]
    return min(now, min(hours, default=now))
