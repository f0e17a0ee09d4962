"""What is expected of the next weeks, from the last two. Pure.

The pattern is last week: each hour to come is like the same hour of last week, which has the
rhythm of days and weekends. Its days are compared with the same days of the week before it; the
logarithm of the quotient is the *growth* of a day. The growth of the newest days is the *level* at
which traffic is now, compared with a week ago.

- Where the level has not changed, each day is the mean of both weeks, which halves the noise.
- A day whose growth is not that of the level was an exception (a spike, an outage, a holiday), or
  is older than a change of level. Either it is expected again as it was, or the day of the week
  before it, taken to the level of now: the one that is more like the other days.
- If all days have grown by about the same, those of the next weeks grow on.
- Three days or more without anything, if they are over, are no pattern: they are taken to be like
  the other days.

Each needs a difference that is clearly larger than the noise of the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, sqrt
from statistics import median
from typing import Final

from exporter.quota.model import DAY, HOUR

_DAY: Final = DAY // HOUR
_DAYS: Final = 7
_WEEK: Final = _DAYS * _DAY
_NEWEST: Final = 3
"""How many days decide about the level: two of them must agree, so that a single one does not."""

_EXCEPTION: Final = log(1.35)
_NEW_LEVEL: Final = log(1.15)
_GROWTH_LIMITS: Final = (log(1.06), log(1.3))
"""Less than this growth in a week is ignored, more is a step, which will not be repeated."""

_MAX_QUOTIENT: Final = log(100.0)


@dataclass(frozen=True, slots=True)
class _Day:
    """The hours of a day, and those of the same day a week earlier."""

    now: Sequence[float]
    before: Sequence[float]
    total: float
    growth: float

    @classmethod
    def of(cls, now: Sequence[float], before: Sequence[float]) -> "_Day":
        total = sum(now)
        return cls(now, before, total, _growth(total, sum(before)))

    def mean(self) -> list[float]:
        """Return the mean of both days."""
        return [(now + before) / 2 for now, before in zip(self.now, self.before, strict=True)]

    def nearer(self, usual: float, factor: float) -> Sequence[float]:
        """Return the day, or the earlier one times ``factor``: the one that is more like usual."""
        other = [amount * factor for amount in self.before]
        # The smaller one, if both are as far away.
        return min(self.now, other, key=lambda day: (abs(_growth(sum(day), usual)), sum(day)))


def expected_by_week(hours: Mapping[int, int], finished: int, count: int) -> list[float]:
    """Return what is expected of ``count`` hours, the first of which starts at ``finished``.

    ``hours`` is what was used in each hour, of which those before ``finished`` are looked at.
    """
    first = min((hour for hour, amount in hours.items() if amount), default=finished)
    # A day at least, or else a single event would be an event every hour.
    known = max((finished - first) // HOUR, _DAY)
    week = _hours(hours, finished - _WEEK * HOUR)
    if known < _WEEK:
        return _repeated(_filled(week, range(_WEEK - known)), 0.0, count)
    week = _filled(week, _outage(week))
    before = _hours(hours, finished - 2 * _WEEK * HOUR)
    compared = min((known - _WEEK) // _DAY, _DAYS)
    starts = range(_WEEK - compared * _DAY, _WEEK, _DAY)
    days = [_Day.of(week[at : at + _DAY], before[at : at + _DAY]) for at in starts]
    if compared < _NEWEST:
        return _repeated(week, 0.0, count)
    steadied, growth = _steadied(days)
    return _repeated(week[: starts.start] + steadied, growth, count)


def _hours(hours: Mapping[int, int], start: int) -> list[float]:
    get = hours.get
    return [float(get(hour, 0)) for hour in range(start, start + _WEEK * HOUR, HOUR)]


def _repeated(week: list[float], growth: float, count: int) -> list[float]:
    """Return ``count`` hours of the weeks that follow ``week``, each larger by ``growth``."""
    hours: list[float] = []
    factor = 1.0
    while len(hours) < count:
        factor = max(factor + growth, 0.0)
        hours += week if factor == 1 else [amount * factor for amount in week]
    return hours[:count]


def _filled(week: list[float], unknown: range) -> list[float]:
    """Return a week in which the hours ``unknown`` are like those of the other days."""
    if not unknown:
        return week
    of_day: list[list[float]] = [[] for _ in range(_DAY)]
    for index, amount in enumerate(week):
        if index not in unknown:
            of_day[index % _DAY].append(amount)
    usual = [sum(amounts) / len(amounts) for amounts in of_day]
    return [
        usual[index % _DAY] if index in unknown else amount for index, amount in enumerate(week)
    ]


def _outage(week: Sequence[float]) -> range:
    """Return the hours of the last days without anything, if there are more than a weekend's.

    Such days end with the period in which a quota was spent. They are no pattern for the next one.
    """
    is_used = [any(week[at : at + _DAY]) for at in range(0, _WEEK, _DAY)]
    end = _DAYS
    while end and is_used[end - 1]:
        end -= 1
    start = end
    while start and not is_used[start - 1]:
        start -= 1
    is_over = end < _DAYS
    return range(start * _DAY, end * _DAY) if is_over and end - start >= _NEWEST else range(0)


def _steadied(days: Sequence[_Day]) -> tuple[list[float], float]:
    """Return the days to expect, and which share of them is added in each further week."""
    noise = _noise(days)
    level = median(day.growth for day in days[-_NEWEST:])
    if abs(level) < max(_NEW_LEVEL, 2 * noise):
        level = 0.0
    limit = max(_EXCEPTION, 3 * noise)
    is_alike = [abs(day.growth - level) <= limit for day in days]
    usual = median(day.total for day, alike in zip(days, is_alike, strict=True) if alike)
    growth = _trend(days, noise) if all(is_alike) else 0.0
    expected: list[float] = []
    for day, alike in zip(days, is_alike, strict=True):
        if not alike:
            expected += day.nearer(usual, exp(level))
        else:
            expected += day.now if level or growth else day.mean()
    return expected, growth


def _growth(amount: float, before: float) -> float:
    if not amount or not before:
        return _MAX_QUOTIENT * ((amount > 0) - (before > 0))
    return max(min(log(amount / before), _MAX_QUOTIENT), -_MAX_QUOTIENT)


def _noise(days: Sequence[_Day]) -> float:
    """Return the standard deviation of the growth of a day, where traffic does not change.

    It comes from the steps between days, of which a spike or a change of level makes only few, and
    is at least that of events which are counted at random.
    """
    steps = [abs(later.growth - earlier.growth) for earlier, later in pairwise(days)]
    counted = median(sqrt(2 / max(day.total, 1)) for day in days)
    # 1.48 turns a median of absolute values into a standard deviation; a step has the noise of two.
    return max(1.48 * median(steps) / sqrt(2), counted)


def _trend(days: Sequence[_Day], noise: float) -> float:
    """Return the growth of a week as a share of it, 0 if it is not clear."""
    if len(days) < _DAYS - 1:
        return 0.0
    growth = _growth(sum(day.total for day in days), sum(sum(day.before) for day in days))
    least, largest = _GROWTH_LIMITS
    if not max(least, 3 * noise / sqrt(len(days))) < abs(growth) < largest:
        return 0.0
    return exp(growth) - 1
