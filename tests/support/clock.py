"""The clock of the tests."""

import threading
import time
from typing import Final

_SETTING: Final = threading.Lock()


class Clock:
    """A clock that shows ``now`` until it is set, or that runs at any speed.

    A copy in another process, by pickle, goes on to show the same time while the clock runs.
    """

    def __init__(self, now: float = 1000.0, speed: float = 0.0) -> None:
        self.slept: list[float] = []
        self._run_from(now, speed)

    @property
    def now(self) -> float:
        """The time that the clock shows."""
        began, shown, speed = self._running
        return shown + (time.time() - began) * speed if speed else shown

    @now.setter
    def now(self, now: float) -> None:
        """Set the time."""
        self._run_from(now, self._running[2])

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def run(self, speed: float) -> None:
        """Run from the current time on, ``speed`` times as fast as the host's clock."""
        self._run_from(self.now, speed)

    def stop(self) -> float:
        """Stop, and return the time."""
        self.run(0)
        return self.now

    def sleep(self, seconds: float) -> None:
        """Advance by ``seconds`` at once, and record that in `slept`."""
        with _SETTING:
            self.slept.append(seconds)
            self.now += seconds

    def host_time(self, moment: float) -> float:
        """Return the time of the host's clock at ``moment`` of this running clock."""
        began, shown, speed = self._running
        return began + (moment - shown) / speed

    def _run_from(self, now: float, speed: float) -> None:
        # One assignment: other threads read the clock while it is set.
        self._running = time.time(), now, speed
