"""Sentry's rate limits: a fixed window per caller, a count of requests in flight, odd headers."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from exporter.simulator.messages import HTML, Answer, refusal
from exporter.simulator.world import Token, TokenKind


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``limit`` requests in each window of ``window`` seconds, and ``concurrent`` in flight.

    The number in flight is always told, but requests beyond it are refused only with
    ``enforce_concurrent``, which is how Sentry ships.
    """

    limit: int = 20
    window: int = 1
    concurrent: int = 25
    enforce_concurrent: bool = False


STATS_LIMIT: Final = RateLimit()
OTHER_LIMIT: Final = RateLimit(limit=40)
"""For endpoints without a limit of their own, as seen on the hosted service."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request may pass; ``headers`` go on whatever is answered."""

    headers: tuple[tuple[str, str], ...] = ()
    refused: Answer | None = None


class Limiter:
    """Counts requests per endpoint and caller."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}
        self._running: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def admit(
        self, limit: RateLimit | None, endpoint: str, caller: str, now: float
    ) -> Iterator[Admission]:
        """Count a request in for as long as it runs; without a limit nothing is told."""
        if limit is None:
            yield Admission()
            return
        key = (endpoint, caller)
        with self._lock:
            count = self._count(key, limit, now)
            running = self._running[key] = self._running.get(key, 0) + 1
        try:
            yield _admission(limit, count, running, now)
        finally:
            with self._lock:
                self._running[key] -= 1

    def _count(self, key: tuple[str, str], limit: RateLimit, now: float) -> int:
        window = math.floor(now / limit.window)
        known, count = self._windows.get(key, (window, 0))
        count = count + 1 if known == window else 1
        self._windows[key] = (window, count)
        return count


def caller_of(token: Token | None, address: str) -> str:
    """Return who shares a budget: a user's tokens, an installation's, or an address."""
    if token is not None and token.kind is TokenKind.USER:
        return f"user {token.user}"
    if token is not None and token.kind is TokenKind.INTEGRATION:
        return f"organization {token.organization}"
    return f"address {address}"


def _admission(limit: RateLimit, count: int, running: int, now: float) -> Admission:
    refused = _refused(limit, count, running)
    # An older server sends the text "None" on a 429; a newer one leaves the header out.
    left = "None" if refused else str(max(limit.concurrent - running, 0))
    reset = (math.floor(now / limit.window) + 1) * limit.window
    headers = (
        ("X-Sentry-Rate-Limit-Remaining", str(max(limit.limit - count, 0))),
        ("X-Sentry-Rate-Limit-Limit", str(limit.limit)),
        ("X-Sentry-Rate-Limit-Reset", str(reset)),
        ("X-Sentry-Rate-Limit-ConcurrentRemaining", left),
        ("X-Sentry-Rate-Limit-ConcurrentLimit", str(limit.concurrent)),
    )
    return Admission(headers, refused)


def _refused(limit: RateLimit, count: int, running: int) -> Answer | None:
    if count > limit.limit:
        detail = (
            "You are attempting to use this endpoint too frequently. "
            f"Limit is {limit.limit} requests in {limit.window} seconds"
        )
    elif limit.enforce_concurrent and running > limit.concurrent:
        detail = (
            "You are attempting to go above the allowed concurrency for this endpoint. "
            f"Concurrency limit is {limit.concurrent}"
        )
    else:
        return None
    return Answer(429, refusal(429, detail).body, HTML)
