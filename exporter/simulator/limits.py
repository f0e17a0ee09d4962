"""Sentry's rate limits: a fixed window per caller, concurrent requests, and their headers.

They follow ``src/sentry/middleware/ratelimit.py`` and ``src/sentry/ratelimits/``.
"""

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
    """``limit`` requests per window of ``window`` seconds, and ``concurrent`` requests at a time.

    The headers always have the concurrency limit. Requests beyond it are refused only if
    ``enforce_concurrent`` is set, which is not Sentry's default.
    """

    limit: int = 20
    window: int = 1
    concurrent: int = 25
    enforce_concurrent: bool = False


STATS_LIMIT: Final = RateLimit()
OTHER_LIMIT: Final = RateLimit(limit=40)
"""The default limit, for endpoints without one of their own, as observed on hosted Sentry."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request is refused, and the ``headers`` that its answer gets in either case."""

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
        """Count a request while it runs. Without a limit, no headers are added."""
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
        counted_window, count = self._windows.get(key, (window, 0))
        count = count + 1 if counted_window == window else 1
        self._windows[key] = (window, count)
        return count


def caller_of(token: Token | None, address: str) -> str:
    """Return whose limit a request counts towards: a user's, an organization's, or an address's.

    All tokens of a user share one limit, and so do all integration tokens of an organization.
    """
    if token is not None and token.kind is TokenKind.USER:
        return f"user {token.user}"
    if token is not None and token.kind is TokenKind.INTEGRATION:
        return f"organization {token.organization}"
    return f"address {address}"


def _admission(limit: RateLimit, count: int, running: int, now: float) -> Admission:
    refused = _refused(limit, count, running)
    # On a 429, older servers send the text "None"; newer ones omit the header.
    concurrent_remaining = "None" if refused else str(max(limit.concurrent - running, 0))
    reset = (math.floor(now / limit.window) + 1) * limit.window
    headers = (
        ("X-Sentry-Rate-Limit-Remaining", str(max(limit.limit - count, 0))),
        ("X-Sentry-Rate-Limit-Limit", str(limit.limit)),
        ("X-Sentry-Rate-Limit-Reset", str(reset)),
        ("X-Sentry-Rate-Limit-ConcurrentRemaining", concurrent_remaining),
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
    # The middleware sends a JSON body as text/html, and no Retry-After.
    return Answer(429, refusal(429, detail).body, HTML)
