"""The loop: looks at the clock every second and starts the polls that are due.

Each poll runs in a thread of its own, so that an organization that hangs holds up nobody else.
The threads are daemons: the process can end while a request is still out.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock, Thread
from typing import Final, Protocol

import schedule
import structlog

TICK: Final = 1
"""Seconds between two looks at the clock."""

ALIVE_WITHIN: Final = 10
"""Seconds without a look at the clock after which the loop counts as dead."""

_GLANCE: Final = 0.02

_log = structlog.get_logger(__name__)


class Pollable(Protocol):
    """What the loop polls."""

    def due(self, now: float) -> bool:
        """Tell whether it is time to poll."""
        ...

    def changes(self, now: float) -> bool:
        """Tell whether time alone has brought something about that is to be heeded."""
        ...

    def heed(self, now: float) -> None:
        """Do what time alone brings about."""
        ...

    def poll(self, now: float) -> object:
        """Poll once."""
        ...


def in_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread."""
    Thread(target=work, daemon=True).start()


class Poller:
    """Polls what is due, each query by at most one thread at a time."""

    def __init__(
        self,
        queries: Sequence[Pollable],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._queries = queries
        self._clock = clock
        self._monotonic = monotonic
        self._start = start
        self._lock = Lock()
        self._busy: set[Pollable] = set()
        self._stopped = Event()
        self._looked_at = monotonic()

    def tick(self, now: float) -> None:
        """Look at the clock, which shows ``now``."""
        self._looked_at = self._monotonic()
        for query in self._queries:
            with self._lock:
                if query in self._busy:
                    continue
                self._busy.add(query)
            try:
                work = _work_for(query, now)
                if work is not None:
                    self._start(partial(self._work, query, work))
                    continue
            except Exception:  # noqa: BLE001 - the others must go on
                _log.exception("a query could not be looked after")
            self._release(query)

    def run(self) -> None:
        """Tick every second until stopped."""
        jobs = schedule.Scheduler()
        jobs.every(TICK).seconds.do(lambda: self.tick(self._clock()))
        jobs.run_all()
        while not self._stopped.wait(TICK):
            _heed_clock(jobs)
            jobs.run_pending()

    def stop(self, patience: float = 0) -> None:
        """Let `run` return; polls that are out get ``patience`` seconds to end."""
        self._stopped.set()
        end = self._monotonic() + patience
        while not self.idle() and self._monotonic() < end:
            time.sleep(_GLANCE)

    def alive(self) -> bool:
        """Tell whether the loop still looks at the clock."""
        return self._monotonic() - self._looked_at < ALIVE_WITHIN

    def idle(self) -> bool:
        """Tell whether no poll is out."""
        with self._lock:
            return not self._busy

    def _work(self, query: Pollable, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self._release(query)

    def _release(self, query: Pollable) -> None:
        with self._lock:
            self._busy.discard(query)


def _work_for(query: Pollable, now: float) -> Callable[[], object] | None:
    if query.due(now):
        return partial(query.poll, now)
    if query.changes(now):
        return partial(query.heed, now)
    return None


def _heed_clock(jobs: schedule.Scheduler) -> None:
    """Bring jobs back within reach: `schedule` plans in local time, which can be set back."""
    latest = datetime.now() + timedelta(seconds=TICK)  # noqa: DTZ005 - as schedule has it
    for job in jobs.get_jobs():
        if job.next_run is not None and job.next_run > latest:
            job.next_run = latest
