"""Arithmetic of buckets. Pure, in integer seconds since the epoch, and so in UTC.

A bucket is identified by its start; its length is the query's interval, and buckets are aligned to
the epoch. Nothing here depends on a time zone or reads a clock.
"""

import math
from dataclasses import dataclass
from typing import Final

POLLS_PER_SECOND: Final = 10
"""How many of the polls that share a slot begin in the same second.

As many as `requests_per_second` allows by default: more would only wait for the token's limit.
"""


def floor(moment: float, interval: int) -> int:
    """Return the start of the bucket of ``interval`` seconds that holds ``moment``."""
    return math.floor(moment / interval) * interval


def latest_finished(now: float, interval: int, settle: int) -> int:
    """Return the start of the newest bucket that is finished: ``end + settle <= now``."""
    return floor(now - settle, interval) - interval


def next_slot(now: float, poll_interval: int, settle: int, offset: int = 0) -> int:
    """Return the first moment after ``now`` that is a query's slot.

    Slots are ``settle`` and the query's own ``offset`` past each multiple of the interval.
    """
    phase = settle + offset
    return floor(now - phase, poll_interval) + poll_interval + phase


def spread(seed: int, poll_interval: int, queries: int) -> int:
    """Return how many seconds past its slots one of ``queries`` is polled.

    ``seed``, any number, selects one of as many seconds as all of them need at `POLLS_PER_SECOND`,
    at most a tenth of the interval. If one second is enough, the offset is 0.
    """
    span = min(math.ceil(queries / POLLS_PER_SECOND), poll_interval // 10)
    return seed % max(span, 1)


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive buckets: ``start`` inclusive, ``end`` exclusive, both aligned."""

    start: int
    end: int
    interval: int

    def buckets(self) -> range:
        """Return the starts of the buckets, oldest first."""
        return range(self.start, self.end, self.interval)

    def __len__(self) -> int:
        return (self.end - self.start) // self.interval


def lookback_window(now: float, interval: int, settle: int, lookback: int) -> Window:
    """Return the buckets that a poll at ``now`` reads.

    These are ``lookback`` seconds of finished buckets (at least one bucket), the settling ones, and
    the running one, which holds ``now``.
    """
    finished = latest_finished(now, interval, settle)
    reach = max(math.ceil(lookback / interval), 1) - 1
    return Window(finished - reach * interval, floor(now, interval) + interval, interval)
