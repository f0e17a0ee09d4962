"""The limits of a token: how many requests at once, how often, and how long to pause.

Sentry counts requests per caller, so organizations that are read with the same token share one
`TokenLimits`. `read_notice` and `pause_after` read from an answer which pause it requires.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from typing import Final, Self, TypeVar

from exporter.sentry.errors import RateLimitError, SentryError, TooHeavyError
from exporter.threads import start_thread

RATE_LIMIT_RETRIES: Final = 5
"""How often a question is asked again after a 429 of the endpoint."""

MAX_REFUSALS: Final = 6
"""Questions of one call that the store may refuse as too heavy before it counts as down."""

MAX_PAUSE: Final = 60.0
"""In seconds; a header that asks for more is taken for a mistake."""

STORE_PAUSE: Final = 30.0
"""In seconds; the store behind the endpoint does not say how long it will be overloaded."""

_WINDOW: Final = 1.0
"""In seconds; the window of Sentry's rate limit for stats, where no header gives its end."""

# How Sentry's src/sentry/middleware/ratelimit.py words the limit of concurrent requests.
_CONCURRENCY_WORDS: Final = "allowed concurrency"

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

_NUMBER: Final = re.compile(r"\s*(\d{1,15})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests may be in flight, and how many may begin in a second."""

    max_concurrency: int
    requests_per_second: float

    def smaller(self, other: "Allowance") -> "Allowance":
        """Return what both allow."""
        return Allowance(
            min(self.max_concurrency, other.max_concurrency),
            min(self.requests_per_second, other.requests_per_second),
        )


@dataclass(slots=True, eq=False)
class _Times:
    """When the next request of a token may begin: by its pace, and by a pause.

    ``awaited`` is the end of the last pause that a thread has waited for.
    """

    next: float = float("-inf")
    not_before: float = float("-inf")
    awaited: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)


class TokenLimits:
    """The limits of one token, for all threads that use it.

    ``clock`` is in seconds and never goes back.
    """

    def __init__(
        self,
        allowance: Allowance,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.allowance = allowance
        self._clock = clock
        self._sleep = sleep
        self._gap = 1 / allowance.requests_per_second
        self._places = threading.BoundedSemaphore(allowance.max_concurrency)
        self._times = _Times()

    def with_allowance(self, allowance: Allowance) -> Self:
        """Return limits of the same token with another allowance.

        Both have the same pauses: one that an old request brings holds for new ones too.
        """
        limits = type(self)(allowance, clock=self._clock, sleep=self._sleep)
        # Requests that are out have their places in the old semaphore: until they end, there can
        # be more in flight than either allowance has.
        limits._times = self._times  # noqa: SLF001
        return limits

    @contextmanager
    def turn(self, waiting: Callable[[float], None] | None = None) -> Iterator[float]:
        """Hold a place for one request, once it may begin.

        Yield the seconds waited because Sentry required it, without the exporter's own pacing.
        The first thread that waits for the end of a pause calls ``waiting`` before, with the
        seconds left.
        """
        with self._places:
            yield self._wait(waiting)

    def pause(self, seconds: float) -> None:
        """Let no request begin for ``seconds``, or `MAX_PAUSE` if that is less."""
        times = self._times
        with times.lock:
            end = self._clock() + min(seconds, MAX_PAUSE)
            # Never earlier: answers to concurrent requests come in any order.
            times.not_before = max(times.not_before, end)

    def run_all(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run ``tasks``, as many at once as may be in flight; return the results in order.

        Raise the first exception; tasks that have not begun by then never do.
        """
        waiting = deque(enumerate(tasks))
        results: dict[int, Result] = {}
        errors: list[Exception] = []
        changed = threading.Condition()
        working = 0

        def work() -> None:
            while not errors and (item := _take(waiting)):
                position, task = item
                try:
                    results[position] = task()
                except Exception as error:  # noqa: BLE001  # raised below, in the caller's thread
                    errors.append(error)

        def help_out() -> None:
            nonlocal working
            # Before it takes a task: without memory, a thread can end before it begins, and is not
            # waited for.
            with changed:
                working += 1
            try:
                work()
            finally:
                with changed:
                    working -= 1
                    changed.notify()

        # This thread works too: where the host gives no other, it does everything.
        with suppress(RuntimeError):
            for _ in range(min(len(tasks), self.allowance.max_concurrency) - 1):
                start_thread(help_out)
        work()
        with changed:
            changed.wait_for(lambda: working == 0)
        if errors:
            # Whatever holds a frame of a worker holds the results too, which are large.
            results.clear()
            # Popped, as an error's traceback holds this frame, and with it the list and results.
            del errors[1:]
            raise errors.pop()
        return [results[position] for position in range(len(tasks))]

    def _wait(self, waiting: Callable[[float], None] | None) -> float:
        waited = 0.0
        while True:
            paced, paused = self._begin_if_due()
            if paced <= 0 and paused <= 0:
                return waited
            if waiting is not None and paused > 0:
                self._announce_first(waiting, paused)
            self._sleep(max(paced, paused))
            waited += max(paused, 0)

    def _announce_first(self, waiting: Callable[[float], None], seconds: float) -> None:
        """Call ``waiting``, unless another thread already waits for the end of the same pause."""
        times = self._times
        with times.lock:
            # The end identifies a pause: one that is prolonged is announced again.
            announced = times.awaited == times.not_before
            times.awaited = times.not_before
        if not announced:
            waiting(seconds)

    def _begin_if_due(self) -> tuple[float, float]:
        """Begin a request if none has to wait; return the seconds left of pacing and pause."""
        # A race: the gap counts from when a request really begins, not from when it was due, so
        # that a late thread never brings two requests closer together than they may be.
        times = self._times
        with times.lock:
            now = self._clock()
            paced, paused = times.next - now, times.not_before - now
            if paced <= 0 and paused <= 0:
                times.next = now + self._gap
            return paced, paused


def limits_by_token(
    allowances: Iterable[tuple[Key, Allowance]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[Key, TokenLimits]:
    """Return one `TokenLimits` for each token, with the smallest of its allowances.

    The keys stand for the tokens.
    """
    smallest: dict[Key, Allowance] = {}
    for key, allowance in allowances:
        smallest[key] = allowance.smaller(smallest.get(key, allowance))
    return {
        key: TokenLimits(allowance, clock=clock, sleep=sleep) for key, allowance in smallest.items()
    }


@dataclass(frozen=True, slots=True)
class Notice:
    """The limits in an answer's headers; None where a header is missing or unreadable.

    ``limit`` and ``remaining`` are requests in the server's current window, ``reset`` the seconds
    until the next one, ``retry_after`` the seconds until the next request, ``concurrent`` how many
    requests may be in flight.
    """

    limit: int | None
    remaining: int | None
    reset: float | None
    retry_after: float | None
    concurrent: int | None = None


def read_notice(headers: Mapping[str, str], now: float) -> Notice:
    """Return the limits in ``headers``; ``now`` is the time by this host's clock.

    Times are compared with the server's own ``Date`` where there is one, as the clocks of two
    hosts may differ by more than the wait.
    """
    date = read_moment(headers.get("Date"))
    here = now if date is None else date
    reset = _number(headers.get("X-Sentry-Rate-Limit-Reset"))
    return Notice(
        limit=_number(headers.get("X-Sentry-Rate-Limit-Limit")),
        remaining=_number(headers.get("X-Sentry-Rate-Limit-Remaining")),
        reset=None if reset is None else max(reset - here, 0.0),
        retry_after=_retry_after(headers.get("Retry-After"), here),
        concurrent=_number(headers.get("X-Sentry-Rate-Limit-ConcurrentLimit")),
    )


def read_date(headers: Mapping[str, str]) -> float | None:
    """Return the time of the answer by the server's clock, in seconds since the epoch.

    None where there is no such header, or where the answer comes from a cache.
    """
    return None if _number(headers.get("Age")) else read_moment(headers.get("Date"))


def read_moment(text: str | None) -> float | None:
    """Return an HTTP date in seconds since the epoch, None if ``text`` is not one."""
    try:
        parts = parsedate_tz(text or "")
        return None if parts is None else float(mktime_tz(parts))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def pause_after(notice: Notice, error: SentryError | None, fallback: float) -> float:
    """Return the seconds for which the token has to pause after an answer.

    ``fallback`` is for a 429 that does not say how long it lasts.
    """
    # None of Sentry's own 429s has a Retry-After; a proxy's may.
    retry_after = notice.retry_after or 0.0
    if isinstance(error, TooHeavyError):
        return max(retry_after, STORE_PAUSE)
    if isinstance(error, RateLimitError):
        # The reset is that of the window of requests, which says nothing about concurrency.
        is_concurrency = _CONCURRENCY_WORDS in error.detail
        return retry_after or (not is_concurrency and notice.reset) or fallback
    # On a 200 too: the next request in this window would be answered 429.
    if notice.remaining == 0:
        return max(retry_after, _WINDOW if notice.reset is None else notice.reset)
    return retry_after


def max_wait(error: SentryError | None) -> float:
    """Return the seconds after which a call that meets nothing but ``error`` gives up."""
    if isinstance(error, TooHeavyError):
        # The call gives up at the first refusal beyond MAX_REFUSALS.
        return (MAX_REFUSALS + 1) * MAX_PAUSE
    return MAX_PAUSE * (RATE_LIMIT_RETRIES if isinstance(error, RateLimitError) else 1)


def _retry_after(text: str | None, here: float) -> float | None:
    seconds = _number(text)
    if seconds is not None:
        return float(seconds)
    date = read_moment(text)
    return None if date is None else max(date - here, 0.0)


def _number(text: str | None) -> int | None:
    # Sentry writes the word None where it has no number.
    number = _NUMBER.fullmatch(text or "")
    return int(number[1]) if number else None


def _take(waiting: deque[Item]) -> Item | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None
