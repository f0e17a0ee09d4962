"""A clock that runs fast, the same in several processes, and configurations made for it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from exporter.config import Config, loads


@dataclass(frozen=True)
class FastClock:
    """Epoch seconds: ``start`` at the moment of making, then ``speed`` times as fast as time."""

    start: float
    speed: float
    made: float

    @classmethod
    def at(cls, start: float, speed: float) -> "FastClock":
        """Return a clock that shows ``start`` now."""
        return cls(start, speed, time.monotonic())

    def __call__(self) -> float:
        """Return the time."""
        return self.start + (time.monotonic() - self.made) * self.speed


class SetClock:
    """A clock that another one can be put in the place of."""

    def __init__(self, now: float) -> None:
        self.read: Callable[[], float] = lambda: now

    def __call__(self) -> float:
        """Return the time."""
        return self.read()

    def run(self, speed: float) -> FastClock:
        """Go on from here, ``speed`` times as fast as time."""
        clock = FastClock.at(self(), speed)
        self.read = clock
        return clock

    def stop(self) -> float:
        """Stand still, and return when."""
        return self.set(self())

    def set(self, now: float) -> float:
        """Stand still at ``now``."""
        self.read = lambda: now
        return now


def configuration(
    url: str, token: str, organization: str, queries: Sequence[str], *, settle: str = "5m"
) -> Config:
    """Return a configuration whose pace does not hold up a fast clock.

    ``queries`` are flow mappings of YAML.
    """
    listed = "\n".join(f"      - {query}" for query in queries)
    config = loads(
        f"""
organizations:
  - slug: {organization}
    url: {url}
    token: {token}
    settle: {settle}
    queries:
{listed}
"""
    )
    unhurried = [replace(one, requests_per_second=10_000.0) for one in config.organizations]
    return replace(config, organizations=tuple(unhurried))
