"""When to log what happens again and again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.moments import iso

FIRST_DISTANCE: Final = 10
MAX_DISTANCE: Final = 3600
"""Seconds between two lines about something that is repeated: at first, and at most."""

FORGET: Final = 60
"""Seconds without a failure, after which the next one is logged at once."""

_GROWTH: Final = 4


@dataclass(slots=True)
class Repetition:
    """Something that happens again and again from ``since`` on, and when it is to be logged."""

    since: float
    count: int = 0
    _distance: float = FIRST_DISTANCE
    _next_line: float = field(init=False)

    def __post_init__(self) -> None:
        self._next_line = self.since + FIRST_DISTANCE

    @property
    def is_old(self) -> bool:
        """Whether the distances have reached their maximum."""
        return self._distance == MAX_DISTANCE

    def note(self, now: float) -> bool:
        """Count it, and return whether to log it: the first time, then at growing distances."""
        self.count += 1
        if self.count == 1:
            return True
        # A clock that is set back by hours must not silence the log for that long.
        if self._next_line - MAX_DISTANCE <= now < self._next_line:
            return False
        self._distance = min(self._distance * _GROWTH, MAX_DISTANCE)
        self._next_line = now + self._distance
        return True

    def about(self) -> Mapping[str, object]:
        """Return what a line says about it."""
        return {"failures": self.count, "since": iso(self.since)}


class Failures:
    """Failures of one kind, which can come at any time; those that follow soon are repetitions."""

    def __init__(self) -> None:
        self._repetition = Repetition(0)
        self._last: float | None = None

    @property
    def count(self) -> int:
        """How many there were since the first of those that follow each other."""
        return self._repetition.count

    def note(self, now: float) -> bool:
        """Count one, and return whether to log it."""
        if self._last is None or not 0 <= now - self._last < FORGET:
            self._repetition = Repetition(now)
        self._last = now
        return self._repetition.note(now)
