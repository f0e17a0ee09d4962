"""The poll loop: checks every second which polls are due, and starts them.

Each poll runs in a thread of its own, so that an organization that hangs delays no other one. The
threads are daemons: the process can end while a request is still out.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock
from typing import Any, Final, Protocol, TypeVar

import schedule
import structlog

from exporter.repetition import Failures
from exporter.threads import start_thread

TICK: Final = 1
"""Seconds between two checks."""

MAX_SILENCE: Final = 10
"""Seconds without a check after which the loop counts as dead."""

MAX_DELAY: Final = 10
"""Seconds in which a thread has to begin; after that, another one takes its place.

Without memory, a thread can end before its first step.
"""

_IDLE_CHECK: Final = 0.02
"""Seconds between two checks of whether the polls have ended, while stopping."""

_UNDETERMINED: Final = "cannot determine which polls are due"

_Work = Callable[[], object]
_Busy = TypeVar("_Busy", bound="Pollable | Watched")

_log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What a poll that is out may keep from being published."""

    def must_publish(self, now: float) -> bool:
        """Return whether there is something to publish."""
        ...

    def publish(self, now: float) -> None:
        """Publish it."""
        ...


class Pollable(Protocol):
    """What the loop polls."""

    @property
    def watch(self) -> Watched:
        """What is to be published while a poll is out."""
        ...

    @property
    def about(self) -> Mapping[str, str]:
        """What the log says about it: its organization and query."""
        ...

    def due(self, now: float) -> bool:
        """Return whether it is time to poll."""
        ...

    def must_refresh(self, now: float) -> bool:
        """Return whether what is shown must change because time has passed."""
        ...

    def refresh(self, now: float) -> None:
        """Publish what must change because time has passed."""
        ...

    def poll(self, now: float) -> object:
        """Poll once."""
        ...


@dataclass(slots=True)
class _Turn:
    """Work that is out: when its thread was started, and whether that has begun."""

    since: float
    has_begun: bool = False


class PollLoop:
    """Polls what is due, each query by at most one thread at a time.

    ``queries`` returns those to poll; it is called at each tick, since a reload replaces them.
    """

    def __init__(
        self,
        queries: Callable[[], Iterable[Pollable]],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._queries = queries
        self._clock = clock
        self._monotonic = monotonic
        self._start = start
        self._lock = Lock()
        self._busy: dict[Pollable | Watched, _Turn] = {}
        self._stopped = Event()
        self._checked_at = monotonic()
        self._failures: dict[object, Failures] = {}

    def tick(self, now: float) -> None:
        """Start what is due at ``now``."""
        # Monotonic: a clock that is set must not make a loop look dead, or a dead one alive.
        self._checked_at = self._monotonic()
        for query in self._queries():
            self._begin(query, query, _work_for, now)

    def watch(self, now: float) -> None:
        """Start to publish what has changed at ``now`` because time has passed, and nothing else.

        Unlike `tick`, it looks at no file, so no disk can hold it up.
        """
        for query in self._queries():
            self._begin(query.watch, query, _to_publish, now)

    def run(self) -> None:
        """Tick every second until stopped."""
        jobs = schedule.Scheduler()
        jobs.every(TICK).seconds.do(lambda: self.tick(self._clock()))
        self._safely(jobs.run_all)
        while not self._stopped.wait(TICK):
            self._safely(partial(_run_pending, jobs))

    def run_watch(self) -> None:
        """Watch every second until stopped."""
        while not self._stopped.wait(TICK):
            self._safely(lambda: self.watch(self._clock()))

    def stop(self, timeout: float = 0) -> None:
        """Let `run` return; polls that are out get ``timeout`` seconds to end."""
        self._stopped.set()
        end = self._monotonic() + timeout
        while not self.idle() and self._monotonic() < end:
            time.sleep(_IDLE_CHECK)

    def alive(self) -> bool:
        """Return whether the loop is still running."""
        return self.silence() < MAX_SILENCE

    def silence(self) -> float:
        """Return for how many seconds the loop has not checked what is due."""
        return self._monotonic() - self._checked_at

    def idle(self) -> bool:
        """Return whether no poll is out."""
        with self._lock:
            return not self._busy

    def _begin(
        self,
        one: _Busy,
        query: Pollable,
        choose: Callable[[_Busy, float], _Work | None],
        now: float,
    ) -> None:
        """Start the work that ``choose`` returns, if any, unless ``one`` is at work.

        ``one`` is the ``query``, or its watch.
        """
        # Of thousands, next to none has work: all that it takes to start some comes afterwards.
        turn = self._busy.get(one)
        if turn is not None and (turn.has_begun or self._monotonic() - turn.since < MAX_DELAY):
            return
        try:
            work = choose(one, now)
            if work is not None:
                self._start_work(one, work)
        except Exception as error:  # noqa: BLE001 - the others must go on
            about = query.about
            self._log(tuple(about.values()), "cannot start a poll", exc_info=error, **about)

    def _start_work(self, one: Pollable | Watched, work: _Work) -> None:
        # Before its thread exists: the next tick could come before the thread begins.
        with self._lock:
            turn = self._busy[one] = _Turn(self._monotonic())
        is_out = False
        try:
            is_out = self._has_started(partial(self._work, one, turn, work))
        finally:
            if not is_out:
                self._release(one, turn)

    def _has_started(self, work: Callable[[], None]) -> bool:
        """Start ``work``, and return whether the host gives a thread for it."""
        try:
            self._start(work)
        except RuntimeError as error:
            # At the next tick, there may be one.
            self._log("thread", "cannot start polls", reason="internal", error=str(error))
            return False
        return True

    def _safely(self, work: _Work, event: str = _UNDETERMINED) -> None:
        """Do ``work``; a failure, as without memory, is logged as ``event``, and ends nothing."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - as above
            self._log(event, event, exc_info=error)

    def _log(self, key: object, event: str, **fields: Any) -> None:
        """Log a failure that may come every second; those with the same ``key`` are repetitions."""
        failures = self._failures.setdefault(key, Failures())
        if failures.note(self._monotonic()):
            _log.error(event, failures=failures.count, **fields)

    def _work(self, one: Pollable | Watched, turn: _Turn, work: _Work) -> None:
        with self._lock:
            turn.has_begun = self._busy.get(one) is turn
        if turn.has_begun:
            try:
                # Python would write a traceback to standard error, past the log and its bounds.
                self._safely(work, "a poll ended unexpectedly")
            finally:
                self._release(one, turn)

    def _release(self, one: Pollable | Watched, turn: _Turn) -> None:
        with self._lock:
            if self._busy.get(one) is turn:
                del self._busy[one]


def _to_publish(watch: Watched, now: float) -> _Work | None:
    return partial(watch.publish, now) if watch.must_publish(now) else None


def _work_for(query: Pollable, now: float) -> _Work | None:
    if query.due(now):
        return partial(query.poll, now)
    if query.must_refresh(now):
        return partial(query.refresh, now)
    return None


def _run_pending(jobs: schedule.Scheduler) -> None:
    _follow_clock(jobs)
    jobs.run_pending()


def _follow_clock(jobs: schedule.Scheduler) -> None:
    """Run jobs within a tick: `schedule` plans in local time, which can be set back by hours."""
    latest = datetime.now() + timedelta(seconds=TICK)  # noqa: DTZ005 - as schedule has it
    for job in jobs.get_jobs():
        if job.next_run is not None and job.next_run > latest:
            job.next_run = latest
