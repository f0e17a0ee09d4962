"""Episodes: times at which series have more or less traffic than usual."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from exporter.simulator.series import HOUR, Series


@dataclass(frozen=True, slots=True)
class Episode:
    """From ``start`` to ``end``, matching series have ``scale`` times their usual traffic.

    ``None`` matches any project, any category, any outcome, any reason.
    """

    start: float
    end: float
    scale: float
    project: int | None = None
    categories: frozenset[str] | None = None
    outcome: str | None = None
    reason: str | None = None

    def matches(self, series: Series) -> bool:
        """Return whether the episode touches ``series``."""
        return (
            self.project in (None, series.project)
            and (self.categories is None or series.category in self.categories)
            and self.outcome in (None, series.outcome)
            and self.reason in (None, series.reason)
        )


@dataclass(frozen=True, slots=True)
class Course:
    """The traffic of a series within an hour that episodes touch; a later episode wins."""

    hour: int
    baseline: float
    episodes: tuple[Episode, ...]

    def flowed(self, second: int) -> float:
        """Return the traffic up to ``second`` of the hour; 1.0 is that of a usual hour."""
        edges = [edge for each in self.episodes for edge in (each.start, each.end)]
        inside = {min(max(edge - self.hour, 0), second) for edge in edges}
        points = sorted(inside | {0, second})
        steps = pairwise(points)
        return sum((after - before) * self._scale(before) for before, after in steps) / HOUR

    def _scale(self, second: float) -> float:
        moment = self.hour + second
        active = [each.scale for each in self.episodes if each.start <= moment < each.end]
        return active[-1] if active else self.baseline


def no_episodes(_hour: int) -> Sequence[Episode]:
    """Return no episodes, whatever the hour."""
    return ()
