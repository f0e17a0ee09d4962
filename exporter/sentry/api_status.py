"""What the answers of one organization's API have said about it beside the data."""

from dataclasses import dataclass

from exporter.sentry.deprecation import Deprecation


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
    with a date. It may be wrong by a second, the resolution of that date.
    """

    clock_skew: float | None = None
    rate_limit: RateLimit | None = None
    deprecations: tuple[Deprecation, ...] = ()
