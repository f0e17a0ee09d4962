"""The limits of a token: how many requests at once, how often, and how long to pause.

Sentry counts requests per caller, so organizations that are read with the same token share one
`TokenLimits`, and take turns. `read_notice` and `pause_after` read from an answer which pause it
requires.
"""

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from functools import reduce
from typing import Final, Self, TypeVar

from exporter.sentry.errors import RateLimitError, SentryError, TooHeavyError
from exporter.sentry.fair_queue import FairQueue, Waiting
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
class _Pause:
    """Until when no request may begin, and the end of the last pause that a thread waited for."""

    end: float = float("-inf")
    awaited: float = float("-inf")

    def prolong(self, end: float) -> None:
        """Let it last until ``end`` at least: answers to concurrent requests come in any order."""
        self.end = max(self.end, end)


@dataclass(slots=True, eq=False)
class _Times:
    """When the next request of a token may begin: by its pace, and by pauses.

    One pause is for all, and one for each organization.
    """

    next: float = float("-inf")
    pause: _Pause = field(default_factory=_Pause)
    pauses: dict[str, _Pause] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pause_of(self, user: str) -> _Pause:
        """Return the pause that keeps an organization waiting longest."""
        return max(self.pause, self.pauses.get(user, self.pause), key=lambda one: one.end)


class TokenLimits:
    """The limits of one token, for all threads that use it.

    The users of a token are the organizations that are read with it; they take turns. Of a token
    that is ``shared``, no user gets the last place, which is for the others. ``clock`` is in
    seconds and never goes back.
    """

    def __init__(
        self,
        allowance: Allowance,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.allowance = allowance
        self.shared = False
        self._clock = clock
        self._sleep = sleep
        self._gap = 1 / allowance.requests_per_second
        self._queue = FairQueue(allowance.max_concurrency)
        self._times = _Times()

    def with_allowance(self, allowance: Allowance) -> Self:
        """Return limits of the same token with another allowance.

        Both have the same pauses: one that an old request brings holds for new ones too.
        """
        limits = type(self)(allowance, clock=self._clock, sleep=self._sleep)
        # Requests that are out have their places in the old queue: until they end, there can be
        # more in flight than either allowance has.
        limits._times = self._times  # noqa: SLF001
        return limits

    @contextmanager
    def turn(
        self, waiting: Callable[[float], None] | None = None, user: str = ""
    ) -> Iterator[float]:
        """Hold a place for one request of ``user``, once it may begin.

        Yield the seconds waited because Sentry required it, without the exporter's own pacing.
        The first thread that waits for the end of a pause calls ``waiting`` before, with the
        seconds left.
        """
        waited = self._wait(waiting, user)
        try:
            yield waited
        finally:
            with self._times.lock:
                self._queue.end(user)
                self._wake()

    def pause(self, seconds: float, user: str | None = None) -> None:
        """Let no request begin for ``seconds``, or `MAX_PAUSE` if that is less.

        With a ``user``, none of that user.
        """
        times = self._times
        with times.lock:
            pause = times.pause if user is None else times.pauses.setdefault(user, _Pause())
            pause.prolong(self._clock() + min(seconds, MAX_PAUSE))
            self._wake()

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
            # A thread that begins only now finds no error any more: it must not find a task either.
            waiting.clear()
            # Popped, as an error's traceback holds this frame, and with it the list and results.
            del errors[1:]
            raise errors.pop()
        return [results[position] for position in range(len(tasks))]

    def _wait(self, waiting: Callable[[float], None] | None, user: str) -> float:
        """Return the seconds waited for pauses, once a request of ``user`` has begun."""
        with self._times.lock:
            one = self._queue.join(user)
        waited = 0.0
        try:
            while True:
                with self._times.lock:
                    seconds, is_pause = self._begin_if_due(one)
                if seconds <= 0:
                    return waited
                if math.isinf(seconds):
                    one.woken.wait()
                    continue
                if waiting is not None and is_pause:
                    self._announce_first(waiting, user, seconds)
                self._sleep(seconds)
                waited += seconds if is_pause else 0
        except BaseException:
            with self._times.lock:
                self._queue.leave(one)
                self._wake()
            raise

    def _begin_if_due(self, one: Waiting) -> tuple[float, bool]:
        """Begin a request if it has not to wait; return the seconds left, and if it is a pause.

        Infinite is until it is woken.
        """
        # A race: the gap counts from when a request really begins, not from when it was due, so
        # that a late thread never brings two requests closer together than they may be.
        times, now = self._times, self._clock()
        one.woken.clear()
        if not self._queue.is_head(one):
            return math.inf, False
        paused = times.pause_of(one.user).end - now
        if paused > 0:
            # Another user may be next meanwhile, and wakes nobody by itself.
            self._wake()
            return paused, True
        if self._next(now) is not one:
            return math.inf, False
        if times.next > now:
            return times.next - now, False
        times.next = now + self._gap
        self._queue.begin(one)
        self._wake()
        return 0.0, False

    def _next(self, now: float) -> Waiting | None:
        """Return the request that may begin next, as soon as the pace allows it."""
        pauses, places = self._times.pauses, self.allowance.max_concurrency
        return self._queue.first(
            lambda user: user not in pauses or pauses[user].end <= now,
            places - 1 if self.shared and places > 1 else places,
        )

    def _wake(self) -> None:
        """Wake the next request, and those that have to wait for the end of a pause by themselves.

        All others are woken when one of these begins, ends or pauses.
        """
        now, times = self._clock(), self._times
        following = self._next(now)
        for one in self._queue.heads():
            if one is following or times.pause_of(one.user).end > now:
                one.woken.set()

    def _announce_first(self, waiting: Callable[[float], None], user: str, seconds: float) -> None:
        """Call ``waiting``, unless another thread already waits for the end of the same pause."""
        with self._times.lock:
            pause = self._times.pause_of(user)
            # The end identifies a pause: one that is prolonged is announced again.
            announced = pause.awaited == pause.end
            pause.awaited = pause.end
        if not announced:
            waiting(seconds)


def limits_by_token(
    allowances: Iterable[tuple[Key, Allowance]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[Key, TokenLimits]:
    """Return one `TokenLimits` for each token, with the smallest of its allowances.

    The keys stand for the tokens.
    """
    by_key: dict[Key, list[Allowance]] = {}
    for key, allowance in allowances:
        by_key.setdefault(key, []).append(allowance)
    made = {}
    for key, several in by_key.items():
        made[key] = TokenLimits(reduce(Allowance.smaller, several), clock=clock, sleep=sleep)
        made[key].shared = len(several) > 1
    return made


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
