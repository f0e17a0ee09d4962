"""The server's clock, as the dates of its answers show it. Pure: the host's clocks are parameters.

What Sentry has of an hour depends on its own clock. By a clock of ours that is fast, an hour would
look finished while it is still filling.
"""

from collections import deque
from statistics import median_low
from typing import Final

TOLERANCE: Final = 60.0
"""In seconds; clocks that differ by less agree, and each of them can tell a finished bucket."""

_MAX_SKEW: Final = 366 * 86400.0
"""In seconds; a date that is further away is not the time of the data, whoever wrote it."""

_DATES: Final = 5
"""How many answers decide together: with several servers, the clock of one can be wrong."""

_MAX_DRIFT: Final = 1.5
"""Seconds by which our clock and the monotonic one may differ before ours was set."""


def halfway(sent: float, received: float, took: float) -> float:
    """Return what our clock showed in the middle of a request, for which ``took`` seconds passed.

    If our clock was set meanwhile, that is by the clock as it is now.
    """
    if abs((received - sent) - took) > _MAX_DRIFT:
        return received - took / 2
    return (sent + received) / 2


class ServerClock:
    """By how much the server's clock is ahead of ours, from the dates of the last answers.

    Any number of threads may use it.
    """

    def __init__(self) -> None:
        self._skews: deque[float] = deque(maxlen=_DATES)
        self._last = 0.0, 0.0

    def note(self, date: float, now: float, monotonic: float) -> None:
        """Note the date of an answer that came when our clock showed ``now``."""
        before, monotonic_before = self._last
        # An old date says nothing about a clock of ours that was set, or stopped in a suspended
        # host, since.
        if abs((now - before) - (monotonic - monotonic_before)) > _MAX_DRIFT:
            self._skews.clear()
        self._last = now, monotonic
        if abs(date - now) <= _MAX_SKEW:
            self._skews.append(date - now)

    @property
    def correction(self) -> float:
        """Seconds to add to our clock for the server's time, 0 where both agree."""
        skews = list(self._skews)
        skew = median_low(skews) if skews else 0.0
        return skew if abs(skew) > TOLERANCE else 0.0
