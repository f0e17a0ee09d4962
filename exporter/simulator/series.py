"""Series of generated traffic, and how their level changes over the day and the week."""

from math import cos, pi
from typing import Final, NamedTuple

HOUR: Final = 3600
DAY: Final = 86400

_FIRST_WEEKEND_DAY: Final = 5


class Series(NamedTuple):
    """A combination of labels with the quantity ``hourly`` in a typical busy hour.

    ``rhythm`` is an index of `RHYTHMS`. ``batch`` is the quantity of one stored row. ``baseline``
    is the factor that applies while no `Episode` touches the series.
    """

    project: int
    category: str
    outcome: str
    reason: str | None
    hourly: float
    rhythm: int = 0
    batch: int = 1
    baseline: float = 1.0


def office(hour: int) -> float:
    """Return the level of a service that is used at work: by day, and little at weekends."""
    return _swing(hour, peak=13, low=0.15) * (0.3 if _is_weekend(hour) else 1.0)


def evening(hour: int) -> float:
    """Return the level of a service that is used at home: in the evening, more at weekends."""
    return _swing(hour, peak=20, low=0.25) * (1.25 if _is_weekend(hour) else 1.0)


def machines(hour: int) -> float:
    """Return the level of automatic traffic, which hardly depends on the time of day."""
    return _swing(hour, peak=2, low=0.85)


RHYTHMS: Final = (office, evening, machines)


def _swing(hour: int, peak: int, low: float) -> float:
    phase = (hour % DAY / HOUR - peak) / 24 * 2 * pi
    return low + (1 - low) * (1 + cos(phase)) / 2


def _is_weekend(hour: int) -> bool:
    # The epoch began on a Thursday, which is day 3 of a week that begins on Monday.
    return (hour // DAY + 3) % 7 >= _FIRST_WEEKEND_DAY
