"""The clocks of a soak: one file holds the time for the simulated Sentry and for the exporter."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from exporter.collect.poll.poller import Poller
from exporter.sentry.api import OrganizationApi
from exporter.sentry.limits import limits_by_token

_NUMBER: Final = struct.Struct("d")
_NOW, _WRONG, _SUSPENDED = (_NUMBER.size * place for place in range(3))
_SIZE: Final = 3 * _NUMBER.size

_SHORT: Final = 1.0
"""Seconds; pauses that are shorter pace requests, and do not let the shared clock go on."""


class SharedClock:
    """The time, and by how much the host's clock differs from it, in a file that is mapped.

    One process at a time sets it; any other sees that at once.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)

    def __call__(self) -> float:
        """Return the time, which is Sentry's."""
        return self.now

    @property
    def now(self) -> float:
        """The time, which is Sentry's."""
        return self._read(_NOW)

    @now.setter
    def now(self, now: float) -> None:
        """Set the time."""
        _NUMBER.pack_into(self._map, _NOW, now)

    def host(self) -> float:
        """Return what the clock of the exporter's host shows."""
        return self.now + self._read(_WRONG)

    def monotonic(self) -> float:
        """Return what the clock of the host shows that nobody sets."""
        return self.now - self._read(_SUSPENDED)

    def set_host(self, wrong: float) -> None:
        """Let the clock of the host be ahead by ``wrong`` seconds."""
        _NUMBER.pack_into(self._map, _WRONG, wrong)

    def suspend(self, seconds: float) -> None:
        """Let ``seconds`` pass in which the host does nothing."""
        _NUMBER.pack_into(self._map, _SUSPENDED, self._read(_SUSPENDED) + seconds)
        self.now += seconds

    def _read(self, place: int) -> float:
        return float(_NUMBER.unpack_from(self._map, place)[0])


class _Pauses:
    """The clock of a token's limits: whoever waits lets the time go on, at once."""

    def __init__(self, clock: SharedClock) -> None:
        self._clock = clock
        self._paced = 0.0

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._paced

    def sleep(self, seconds: float) -> None:
        # Polls that are only paced read Sentry as it is at one moment, which can be computed.
        if seconds < _SHORT:
            self._paced += seconds
            return
        # Not added up: several threads may wait for the same moment.
        self._clock.now = max(self._clock.now, self._clock.now + seconds)


def use(clock: SharedClock) -> None:
    """Let pauses, durations of polls and comparisons of clocks in this process use ``clock``.

    Timeouts of requests go on to use the real one.
    """
    pauses = _Pauses(clock)
    _set_defaults(limits_by_token, clock=pauses.monotonic, sleep=pauses.sleep)
    _set_defaults(OrganizationApi.__init__, monotonic=clock.monotonic)
    _set_defaults(Poller.__init__, timer=clock.monotonic)


def _set_defaults(function: Callable[..., Any], **values: object) -> None:
    defaults: dict[str, Any] = function.__kwdefaults__ or {}
    assert values.keys() <= defaults.keys()
    defaults.update(values)
