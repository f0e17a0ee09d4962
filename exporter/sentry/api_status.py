"""What the answers of one organization's API have said about it beside the data."""

from dataclasses import dataclass
from typing import Final

from exporter.sentry.deprecation import Deprecation
from exporter.sentry.server_clock import TOLERANCE

_RESOLUTION: Final = 1.5
"""In seconds; the server's date is in full seconds, so a smaller difference means nothing."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The requests allowed in a window, those left in it, and how many may be in flight.

    ``concurrent`` is None where no answer has said it.
    """

    limit: int
    remaining: int
    concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class ApiStatus:
    """What is known from the answers so far; None is what none of them has said.

    ``clock_skew`` is by how many seconds the server's clock was ahead of ours at the last answer
    with a date. It may be wrong by a second, the resolution of that date. ``correction`` is what is
    added to our clock for the server's time, 0 as long as both agree. ``dated_at`` is what our
    clock showed at the last answer with a date.
    """

    clock_skew: float | None = None
    rate_limit: RateLimit | None = None
    deprecations: tuple[Deprecation, ...] = ()
    correction: float = 0.0
    dated_at: float | None = None


def clocks_agree(skew: float) -> bool:
    """Return whether a difference of ``skew`` seconds between two clocks means nothing."""
    return abs(skew) < _RESOLUTION


def is_clock_wrong(skew: float, settle: float) -> bool:
    """Return whether buckets may be read before they are finished, or long after that."""
    return abs(skew) > max(TOLERANCE, settle)
