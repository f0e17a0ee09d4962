"""What one token may do: how much at once, how often, and not before when.

Sentry counts requests per caller, so organizations that are read with the same token share one
`TokenLimits`. `read_notice` tells what an answer's headers say about them.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import Final, TypeVar

LONGEST_PAUSE: Final = 60.0
"""In seconds; what a header says beyond it is taken for a mistake."""

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
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._not_before = float("-inf")
        self._awaited = float("-inf")

    @contextmanager
    def turn(self, waiting: Callable[[float], None] | None = None) -> Iterator[float]:
        """Hold a place for one request, once it may begin.

        Yields the seconds waited because Sentry said so, the token's own pace left out. The first
        who waits for the end of a pause has ``waiting`` called before, with the seconds left.
        """
        with self._places:
            yield self._wait(waiting)

    def pause(self, seconds: float) -> None:
        """Let no request begin for ``seconds``, or `LONGEST_PAUSE` if that is less."""
        with self._lock:
            end = self._clock() + min(seconds, LONGEST_PAUSE)
            self._not_before = max(self._not_before, end)

    def run_all(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run ``tasks`` on as many threads as may be in flight; return the results in order.

        The first exception is raised, and what has not begun by then never does.
        """
        waiting = deque(enumerate(tasks))
        results: dict[int, Result] = {}
        errors: list[Exception] = []

        def work() -> None:
            while not errors and (item := _take(waiting)):
                position, task = item
                try:
                    results[position] = task()
                except Exception as error:  # noqa: BLE001  # raised below, in the caller's thread
                    errors.append(error)

        # Daemons, because the process must be able to end while a request hangs.
        count = min(len(tasks), self.allowance.max_concurrency)
        workers = [threading.Thread(target=work, daemon=True) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if errors:
            raise errors[0]
        return [results[position] for position in range(len(tasks))]

    def _wait(self, waiting: Callable[[float], None] | None) -> float:
        told = 0.0
        while True:
            paced, paused = self._claim()
            if paced <= 0 and paused <= 0:
                return told
            if waiting is not None and paused > 0 and self._is_first():
                waiting(paused)
            self._sleep(max(paced, paused))
            told += max(paused, 0)

    def _is_first(self) -> bool:
        """Return whether nobody has waited for the end of the present pause yet."""
        with self._lock:
            first = self._awaited != self._not_before
            self._awaited = self._not_before
            return first

    def _claim(self) -> tuple[float, float]:
        """Return the seconds left of the pace and of the pause; begin if there are none.

        The gap is counted from when a request really begins, not from when it was due, so that
        a late thread never makes two requests closer than they may be.
        """
        with self._lock:
            now = self._clock()
            paced, paused = self._next - now, self._not_before - now
            if paced <= 0 and paused <= 0:
                self._next = now + self._gap
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
    """What an answer's headers say about limits; None where they are silent or unreadable.

    ``limit`` and ``remaining`` are requests in the server's present window, ``reset`` the seconds
    until the next one, ``retry_after`` the seconds to stay away.
    """

    limit: int | None
    remaining: int | None
    reset: float | None
    retry_after: float | None


def read_notice(headers: Mapping[str, str], now: float) -> Notice:
    """Return what ``headers`` say, to a caller whose own clock says ``now``.

    Moments are held against the server's own ``Date`` where there is one, as the clocks of two
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
    )


def read_date(headers: Mapping[str, str]) -> float | None:
    """Return what the server's clock showed at the answer, in seconds since the epoch.

    None where it is not told, or where the answer has been lying in a cache since.
    """
    return None if _number(headers.get("Age")) else read_moment(headers.get("Date"))


def read_moment(text: str | None) -> float | None:
    """Return a date as HTTP writes it in seconds since the epoch, None if it is none."""
    try:
        parts = parsedate_tz(text or "")
        return None if parts is None else float(mktime_tz(parts))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _retry_after(text: str | None, here: float) -> float | None:
    seconds = _number(text)
    if seconds is not None:
        return float(seconds)
    date = read_moment(text)
    return None if date is None else max(date - here, 0.0)


def _number(text: str | None) -> int | None:
    # Sentry writes the word None where it has no number.
    found = _NUMBER.fullmatch(text or "")
    return int(found[1]) if found else None


def _take(waiting: deque[Item]) -> Item | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None
