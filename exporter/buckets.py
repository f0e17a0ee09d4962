"""Arithmetic of buckets: pure, in whole seconds since the epoch, UTC by nature.

A bucket is named by its start; its length is the query's interval, and buckets are aligned to
the epoch. Nothing here knows a time zone or looks at a clock.
"""

import math
from dataclasses import dataclass


def floor(moment: float, interval: int) -> int:
    """Return the start of the bucket of ``interval`` seconds that holds ``moment``."""
    return math.floor(moment / interval) * interval


def latest_finished(now: float, interval: int, settle: int) -> int:
    """Return the start of the newest bucket that is finished: ``end + settle <= now``."""
    return floor(now - settle, interval) - interval


def next_slot(now: float, poll_interval: int, settle: int) -> int:
    """Return the first moment after ``now`` that is ``settle`` past a multiple of the interval."""
    return floor(now - settle, poll_interval) + poll_interval + settle


@dataclass(frozen=True, slots=True)
class Window:
    """A run of whole buckets: ``start`` inclusive, ``end`` exclusive, both aligned."""

    start: int
    end: int
    interval: int

    def buckets(self) -> range:
        """Return the starts of the buckets, oldest first."""
        return range(self.start, self.end, self.interval)

    def __len__(self) -> int:
        return (self.end - self.start) // self.interval


def lookback_window(now: float, interval: int, settle: int, lookback: int) -> Window:
    """Return the buckets a poll at ``now`` looks at.

    ``lookback`` seconds of finished buckets (at least one bucket), those that have ended and not
    yet settled, and the running one, which holds ``now``.
    """
    finished = latest_finished(now, interval, settle)
    reach = max(math.ceil(lookback / interval), 1) - 1
    return Window(finished - reach * interval, floor(now, interval) + interval, interval)
