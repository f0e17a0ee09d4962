"""The forecast of quotas, compared with what happened afterwards, in simulated months.

``python -m bench.backtest`` (or ``make backtest``) prints for each kind of traffic and each pace:

- false alarms: of all forecasts in months in which the quota lasts, those that say it runs out;
- misses: of all forecasts made before the quota ran out, those that say it lasts;
- the median error: by how many days the forecast moment of running out differs from the real one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import exp
from random import Random
from statistics import median
from types import MappingProxyType
from typing import Final

import click

from exporter.buckets import floor
from exporter.quota.forecast import Pace, course, exhaustion
from exporter.quota.model import DAY, HOUR, Period
from exporter.simulator.series import RHYTHMS

KINDS: Final = ("steady", "growing", "spike", "step", "holiday")
MONTHS: Final = 250
INSTANTS: Final = 14

_HISTORY: Final = 15 * DAY
_MONTH: Final = 30 * DAY
_FIRST_PERIOD: Final = 1_788_220_800
_HOURLY_NOISE: Final = 0.1
_DAILY_NOISE: Final = 0.01


@dataclass(slots=True)
class Score:
    """What became of the forecasts of one kind of traffic at one pace."""

    lasting: int = 0
    false_alarms: int = 0
    ending: int = 0
    misses: int = 0
    errors: list[float] = field(default_factory=list)

    def add(self, forecast: float | None, ended: float | None) -> None:
        """Count a forecast, and what happened: when the quota ran out, None if it lasted."""
        if ended is None:
            self.lasting += 1
            self.false_alarms += forecast is not None
            return
        self.ending += 1
        if forecast is None:
            self.misses += 1
        else:
            self.errors.append(abs(forecast - ended) / DAY)

    @property
    def false_alarm_share(self) -> float:
        """The share of false alarms, 0 to 1."""
        return self.false_alarms / max(self.lasting, 1)

    @property
    def miss_share(self) -> float:
        """The share of misses, 0 to 1."""
        return self.misses / max(self.ending, 1)

    @property
    def median_error(self) -> float:
        """The median error in days."""
        return median(self.errors) if self.errors else 0.0


def scores(kind: str, months: int, instants: int, seed: int) -> Mapping[Pace, Score]:
    """Return the scores of both paces, in ``months`` months with ``instants`` forecasts each."""
    result = {pace: Score() for pace in Pace}
    for month in range(months):
        random = Random(f"{seed}:{kind}:{month}")  # noqa: S311 - repeatable, not secret
        _play(kind, instants, random, result)
    return MappingProxyType(result)


def _play(kind: str, instants: int, random: Random, result: Mapping[Pace, Score]) -> None:
    """Simulate a month, and add its forecasts to ``result``.

    Each has a limit of its own, from half of what is used in the month to twice as much: with one
    limit a month, the figures would depend on few months in which it is nearly used up.
    """
    start = _FIRST_PERIOD + random.randrange(7) * DAY
    period = Period(start, start + _MONTH)
    hours = traffic(kind, period, random)
    inside = [hours[hour] for hour in range(period.start, period.end, HOUR)]
    sums = list(accumulate(inside))
    for number in range(instants):
        now = period.start + (number + random.random()) * _MONTH / instants
        limit = round(sums[-1] * 2 ** random.uniform(-1, 1))
        ended = _ended(period, inside, sums, limit)
        if ended is not None and now >= ended:
            continue
        running = int(now - period.start) // HOUR
        # From the beginning of a day on, as the exporter reads it.
        since = floor(now - _HISTORY, DAY)
        seen = {hour: amount for hour, amount in hours.items() if since <= hour < now}
        part = int(inside[running] * (now % HOUR / HOUR))
        seen[period.start + running * HOUR] = part
        used = sums[running] - inside[running] + part
        for pace, score in result.items():
            expected = course(seen, period, now, pace)
            score.add(exhaustion(expected, used, limit, seen), ended)


def _ended(period: Period, inside: Sequence[int], sums: Sequence[int], limit: int) -> float | None:
    for index, total in enumerate(sums):
        if total >= limit:
            missing = limit - (total - inside[index])
            return period.start + (index + missing / inside[index]) * HOUR
    return None


def traffic(kind: str, period: Period, random: Random) -> dict[int, int]:
    """Return a month's use by the hour, and that of the 16 days before it."""
    rhythm, size = random.choice(RHYTHMS), 10 ** random.uniform(2, 5)
    level = _LEVELS[kind](period, random)
    daily: dict[int, float] = {}
    hours = {}
    for hour in range(period.start - _HISTORY - DAY, period.end, HOUR):
        if hour // DAY not in daily:
            daily[hour // DAY] = exp(random.gauss(0, _DAILY_NOISE))
        noise = daily[hour // DAY] * exp(random.gauss(0, _HOURLY_NOISE))
        hours[hour] = round(size * rhythm(hour) * level(hour) * noise)
    return hours


Level = Callable[[int], float]


def _steady(_period: Period, _random: Random) -> Level:
    return lambda _hour: 1.0


def _growing(period: Period, random: Random) -> Level:
    """Return traffic that grows by up to 3 % a day."""
    rate = random.uniform(0.005, 0.03)
    return lambda hour: exp(rate * (hour - period.start) / DAY)


def _spike(period: Period, random: Random) -> Level:
    """Return traffic that is many times as large for some hours."""
    return _between(period, random, random.uniform(2, 18) * HOUR, random.uniform(5, 20))


def _step(period: Period, random: Random) -> Level:
    """Return traffic that is larger, or smaller, from some moment on."""
    factor = random.choice((random.uniform(0.4, 0.7), random.uniform(1.4, 2.5)))
    return _between(period, random, 2 * _MONTH, factor)


def _holiday(period: Period, random: Random) -> Level:
    """Return traffic that is much smaller on one to three days."""
    return _between(period, random, random.randint(1, 3) * DAY, random.uniform(0.2, 0.5), DAY)


def _between(
    period: Period, random: Random, length: float, factor: float, unit: int = HOUR
) -> Level:
    start = period.start + random.randrange(0, _MONTH, unit)
    return lambda hour: factor if start <= hour < start + length else 1.0


_LEVELS: Final[Mapping[str, Callable[[Period, Random], Level]]] = MappingProxyType(
    {"steady": _steady, "growing": _growing, "spike": _spike, "step": _step, "holiday": _holiday}
)


def lines(months: int, instants: int, seed: int) -> Iterator[str]:
    """Yield the table, line by line."""
    yield f"{'traffic':<8} {'pace':<5} {'false alarms':>13} {'misses':>8} {'median error':>13}"
    for kind in KINDS:
        for pace, score in scores(kind, months, instants, seed).items():
            yield (
                f"{kind:<8} {pace:<5} {score.false_alarm_share:>13.1%} {score.miss_share:>8.1%} "
                f"{score.median_error:>8.2f} days"
            )


@click.command()
@click.option("--months", default=MONTHS, show_default=True, help="Months of each kind.")
@click.option("--instants", default=INSTANTS, show_default=True, help="Forecasts in each month.")
@click.option("--seed", default=1, show_default=True, help="Seed of the random numbers.")
def main(months: int, instants: int, seed: int) -> None:
    """Compare forecasts with what happened afterwards, and print the figures."""
    for line in lines(months, instants, seed):
        click.echo(line)


if __name__ == "__main__":
    main()
