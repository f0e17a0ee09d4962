"""When a query is polled. Pure: time is a parameter, and each change is a new `Schedule`."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Final, Self

from exporter import buckets

FIRST_PAUSE: Final = 10
MAX_PAUSE: Final = 300
"""Seconds between the end of a failed poll and the next try: the first pause, which doubles with
each failure, and the longest, which applies at once where somebody has to fix something."""

_MAX_DOUBLINGS: Final = 16
"""More than `MAX_PAUSE` needs; without it, the power would grow for days of failures."""


def pause_after(failures: int) -> int:
    """Return the seconds to wait after a failure that ``failures`` others have preceded."""
    return min(FIRST_PAUSE << min(failures, _MAX_DOUBLINGS), MAX_PAUSE)


@dataclass(frozen=True, slots=True)
class Slots:
    """The regular times of a query's polls, see `buckets.next_slot`; all in seconds."""

    poll_interval: int
    settle: int
    offset: int = 0

    def after(self, now: float) -> float:
        """Return the first slot after ``now``."""
        return buckets.next_slot(now, self.poll_interval, self.settle, self.offset)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the next poll is due.

    ``failures`` counts the failed polls since the last success, ``tried_with`` are the credentials
    of the last poll.
    """

    next_poll: float = 0
    failures: int = 0
    tried_with: Hashable = None

    def is_due(self, now: float, credentials: Callable[[], Hashable]) -> bool:
        """Return whether to poll.

        A failed poll is repeated as soon as it can be tried with other credentials, which are read
        only then.
        """
        return now >= self.next_poll or (self.failures > 0 and credentials() != self.tried_with)

    def is_too_late(self, slots: Slots, now: float) -> bool:
        """Return whether the clock was set back so far that the next poll would come too late.

        The limit is two poll intervals: if the clock was set back by less, no slot comes twice.
        """
        return self.next_poll - now > 2 * slots.poll_interval

    def moved_to(self, next_poll: float) -> Self:
        """Return the schedule with another time for the next poll."""
        return replace(self, next_poll=next_poll)

    def started(self, credentials: Hashable) -> Self:
        """Return the schedule for a poll that is tried with ``credentials``."""
        return replace(self, tried_with=credentials)

    def succeeded(self, slots: Slots, now: float, *, backlog: bool) -> Self:
        """Return the schedule after a poll that began at ``now``; a backlog is read at once."""
        return replace(self, next_poll=now if backlog else slots.after(now), failures=0)

    def failed(self, slots: Slots, end: float, *, lasting: bool) -> Self:
        """Return the schedule after a poll that failed at ``end``.

        The pause counts from the end: a poll may fail after minutes, and the next one would follow
        without a pause. It ends at the next slot at the latest.
        """
        pause = MAX_PAUSE if lasting else pause_after(self.failures)
        next_poll = min(end + pause, slots.after(end))
        return replace(self, next_poll=next_poll, failures=self.failures + 1)
