"""When billing periods begin and end, in UTC. Pure."""

from calendar import monthrange, timegm
from dataclasses import dataclass

from exporter.moments import iso
from exporter.quota.model import Period

_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Monthly:
    """Periods that begin on a day of each month; in a shorter month on its last day."""

    start_day: int = 1


@dataclass(frozen=True, slots=True)
class Every:
    """Periods of ``length`` seconds, of which one begins at ``first``."""

    length: int
    first: int


Cycle = Monthly | Every
"""How billing periods follow each other."""


def period_at(cycle: Cycle, now: float) -> Period:
    """Return the period that contains ``now``."""
    if isinstance(cycle, Every):
        start = cycle.first + (now - cycle.first) // cycle.length * cycle.length
        return Period(int(start), int(start) + cycle.length)
    year, month = map(int, iso(now).split("-")[:2])
    number = year * _MONTHS + month - 1
    # The period of a day before the start day began in the month before.
    if now < _start(cycle, number):
        number -= 1
    return Period(_start(cycle, number), _start(cycle, number + 1))


def _start(cycle: Monthly, number: int) -> int:
    """Return when the period begins in a month, counted from the year 0."""
    year, month = number // _MONTHS, number % _MONTHS + 1
    day = min(cycle.start_day, monthrange(year, month)[1])
    return timegm((year, month, day, 0, 0, 0))
