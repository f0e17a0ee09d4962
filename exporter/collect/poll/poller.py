"""What pollers have in common: they poll when it is due, and publish what changes."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import structlog

from exporter.collect.persistence import PersistError
from exporter.collect.poll.failure import Failure
from exporter.collect.poll.poll_log import PollLog
from exporter.collect.poll.poller_state import ClosedError, DatedClient, PollState, server_time
from exporter.collect.poll.schedule import MAX_PAUSE, Slots
from exporter.collect.poll.watch import Watch
from exporter.collect.publisher import Publisher
from exporter.collect.snapshot import Poll, Report, Timing
from exporter.sentry.errors import SentryError
from exporter.sentry.token import redact

S = TypeVar("S", bound=PollState)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a poll came to; ``backlog`` if something is left for the next one.

    ``details`` are what the log says of a success.
    """

    backlog: bool = False
    failure: Failure | None = None
    details: Mapping[str, object] = field(default_factory=dict)


class PollAttempt(Protocol):
    """One poll; ``requests`` is how many questions it has asked."""

    requests: int

    def run(self) -> Outcome:
        """Poll; raises `SentryError`, `PersistError` or `ClosedError` where nothing came of it."""
        ...


class PollClient(DatedClient, Protocol):
    """What a poll asks."""

    def credentials(self) -> Hashable:
        """Return what changes when the token or the CA file does."""
        ...


class Poller(ABC, Generic[S]):
    """Polls when it is due, and publishes a report after everything that changes it.

    Times are seconds since the epoch; polls fall on ``slots``. With the ``state`` of a predecessor
    that polls the same, this one goes on where that one was. Both may be called meanwhile:
    ``working`` lets one of them work at a time. Once this one takes over, a predecessor with
    another client works no more.
    """

    def __init__(
        self,
        client: PollClient,
        publisher: Publisher,
        state: S,
        slots: Slots,
        timing: Timing,
        *,
        poll_log: PollLog | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._client = client
        self._publisher = publisher
        self._state = state
        self._slots = slots
        self._timing = timing
        self._timer = timer
        self._published: Report | None = state.report
        self._log = _log.bind(**self.about)
        self._poll_log = poll_log or PollLog()
        self.watch = Watch(state, publisher, client, timing.max_age)

    @property
    def about(self) -> Mapping[str, str]:
        """What the log says about it: its organization and query."""
        report = self._state.report
        return {"organization": report.organization, "query": report.query}

    @property
    def report(self) -> Report:
        """What was last published."""
        return self._state.shown_report

    @property
    def max_age(self) -> int:
        """The age in seconds at which its data are withdrawn."""
        return self._timing.max_age

    @property
    def state(self) -> S:
        """What a successor needs to go on."""
        return self._state

    def take_over(self) -> None:
        """Let no predecessor with another client change the state, nor hold this one up."""
        self._state.hand_over(self._client)

    def due(self, now: float) -> bool:
        """Return whether it is time to poll."""
        now = server_time(self._client, now)
        return self._is_free() and self._state.schedule.is_due(now, self._credentials)

    def must_refresh(self, now: float) -> bool:
        """Return whether what is shown must change because time has passed.

        Data get too old, the clock was set back, or a predecessor could not publish its report any
        more.
        """
        state, now = self._state, server_time(self._client, now)
        if not self._is_free():
            return False
        if self._is_clock_set_back(now):
            return True
        if state.retry_at is not None:
            return now >= state.retry_at
        return state.report is not self._published or self._must_change(now)

    def refresh(self, now: float) -> None:
        """Publish again if what is shown must change because time has passed."""
        if self.must_refresh(now):
            with self._state.working:
                if self._may_work():
                    now = server_time(self._client, now)
                    self._follow_clock(now)
                    self._publish(now)

    def poll(self, now: float) -> Report:
        """Poll once; whatever goes wrong is in the report, and changes no data."""
        with self._state.working:
            if self._may_work():
                self._state.poll_by_server(self._client, now, self._poll)
        return self._state.report

    def republish(self) -> None:
        """Let the next refresh publish, as the publisher may have dropped the last report."""
        self._published = None

    @abstractmethod
    def _must_change(self, now: float) -> bool:
        """Return whether the data that are shown are not those to be shown ``now``."""

    @abstractmethod
    def _attempt(self, now: float, elapsed: Callable[[], float]) -> PollAttempt:
        """Return a poll at ``now``; ``elapsed`` returns the seconds since it began."""

    @abstractmethod
    def _with_data(self, report: Report, now: float) -> Report:
        """Return ``report`` with the data to be shown ``now``."""

    def _is_free(self) -> bool:
        return self._may_work() and not self._state.working.locked()

    def _may_work(self) -> bool:
        return self._state.is_open_to(self._client)

    def _is_clock_set_back(self, now: float) -> bool:
        fresh_since = self._state.fresh_since()
        age_is_negative = fresh_since is not None and now < fresh_since
        return age_is_negative or self._state.schedule.is_too_late(self._slots, now)

    def _is_fresh(self, now: float) -> bool:
        """Return whether there are data that are not too old to be shown."""
        return self._state.is_fresh(now, self._timing.max_age)

    def _follow_clock(self, now: float) -> None:
        """Bring moments that lie ahead back to ``now``: the clock has been set back since.

        The real age of data from a later time is unknown: it counts as new.
        """
        state = self._state
        if state.schedule.is_too_late(self._slots, now):
            state.schedule = state.schedule.moved_to(self._slots.after(now))

    def _credentials(self) -> Hashable:
        """Return what changes when a poll may read what the last one could not."""
        # The client is part of it: a token in the configuration shows no change by itself, but a
        # changed configuration has another client.
        return self._client, self._client.credentials()

    def _start_with(self, credentials: Hashable) -> None:
        """Note what the poll tries with."""
        self._state.schedule = self._state.schedule.started(credentials)

    def _poll(self, now: float) -> None:
        began = self._timer()
        self._follow_clock(now)
        self._start_with(self._credentials())
        self._state.elapsed = elapsed = lambda: self._timer() - began
        attempt = self._attempt(now, elapsed)
        try:
            outcome, exception = _outcome(attempt)
        except ClosedError:
            return
        duration = self._timer() - began
        if outcome.failure is None:
            self._succeed(Poll(now, duration, attempt.requests), outcome)
        else:
            self._fail(Poll(now, duration, attempt.requests), outcome.failure, exception)
        # Its traceback leads to this frame, which would hold it, and with it what was read.
        exception = None
        self._publish(now)

    def _succeed(self, poll: Poll, outcome: Outcome) -> None:
        state = self._state
        state.record(poll)
        state.schedule = state.schedule.succeeded(self._slots, poll.began, backlog=outcome.backlog)
        details = {
            "requests": poll.requests,
            "seconds": round(poll.duration, 3),
            **outcome.details,
        }
        self._log.debug("polled", **details)
        self._poll_log.succeeded(self.about, poll.began, details)

    def _fail(self, poll: Poll, failure: Failure, exception: Exception | None) -> None:
        state = self._state
        state.record(
            replace(poll, reason=failure.reason, error=str(failure), remedy=failure.remedy)
        )
        end = poll.began + poll.duration
        state.schedule = state.schedule.failed(self._slots, end, lasting=failure.lasting)
        if not state.closed:
            next_poll = state.schedule.next_poll
            self._poll_log.failed(self.about, failure, end, next_poll, exception)

    def _publish(self, now: float) -> None:
        """Publish the state; if that fails, publish the failure, and the data as they were."""
        state, before = self._state, self._state.report
        try:
            self._show(self._with_data(before, now))
            state.retry_at = None
        except Exception:  # noqa: BLE001 - a fault of ours must not end the process either
            self._log.exception("publishing failed", reason="internal")
            state.report = before
            state.count_failure("internal")
            # It would fail again at once, and every second.
            again = max(state.schedule.next_poll, now + MAX_PAUSE)
            state.schedule = state.schedule.moved_to(again)
            state.retry_at = again
            self._show(state.report)

    def _show(self, report: Report) -> None:
        state = self._state
        # A predecessor may have had another settle or max_age.
        state.report = replace(report, next_poll=state.schedule.next_poll, timing=self._timing)
        # A revoked publisher drops it: a successor has another `_published`, and publishes it.
        self._published = state.report
        with state.publishing:
            self._publisher.publish(state.report)


def _outcome(attempt: PollAttempt) -> tuple[Outcome, Exception | None]:
    """Make the attempt; return what came of it, and the exception if it was not foreseen."""
    try:
        return attempt.run(), None
    except SentryError as error:
        return Outcome(failure=Failure.of(error)), None
    except PersistError as error:
        return Outcome(failure=Failure("state", redact(str(error)))), None
    except ClosedError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not end the process either
        return Outcome(failure=Failure.unforeseen(error)), error
