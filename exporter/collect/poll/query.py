"""The poller of one query: polls it when it is due, and publishes what changes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from exporter.buckets import latest_finished
from exporter.collect.persistence import PersistError
from exporter.collect.poll.attempt import Attempt, Client, Outcome, QuerySource
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.failure import Failure
from exporter.collect.poll.poll_log import PollLog
from exporter.collect.poll.poller_state import ClosedError, PollerState, server_time
from exporter.collect.poll.schedule import MAX_PAUSE, Slots
from exporter.collect.poll.view import timing_of, view_of
from exporter.collect.poll.watch import Watch
from exporter.collect.publisher import Publisher
from exporter.collect.snapshot import Poll, Report, View
from exporter.config import Organization, Query
from exporter.sentry.errors import SentryError
from exporter.sentry.token import redact

_log = structlog.get_logger(__name__)


class QueryPoller:
    """Polls one query and publishes a report after everything that changes it.

    Times are seconds since the epoch; polls begin ``offset`` seconds past the query's slots. With
    the ``state`` of a predecessor that has the same query, this one goes on where that one was.
    Both may be called meanwhile: ``working`` lets one of them work at a time. Once this one takes
    over, a predecessor with another client works no more.
    """

    def __init__(
        self,
        organization: Organization,
        query: Query,
        client: Client,
        directory: ProjectDirectory,
        publisher: Publisher,
        *,
        state: PollerState | None = None,
        poll_log: PollLog | None = None,
        offset: int = 0,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = QuerySource(organization, query, client, directory)
        self._publisher = publisher
        self._state = state or PollerState.begin(organization, query)
        self._slots = Slots(query.poll_interval, organization.settle, offset)
        self._timing = timing_of(organization, query)
        self._timer = timer
        self._published: Report | None = self._state.report
        self._log = _log.bind(**self.about)
        self._poll_log = poll_log or PollLog()
        self.watch = Watch(self._state, publisher, client, self._is_too_old, _without_data)

    @property
    def about(self) -> Mapping[str, str]:
        """What the log says about it: its organization and query."""
        return {"organization": self._source.organization.name, "query": self._source.query.name}

    @property
    def report(self) -> Report:
        """What was last published."""
        return self._state.shown_report

    @property
    def max_age(self) -> int:
        """The age in seconds at which its data are withdrawn."""
        return self._timing.max_age

    @property
    def state(self) -> PollerState:
        """What a successor needs to go on."""
        return self._state

    def take_over(self) -> None:
        """Let no predecessor with another client change the state, nor hold this one up."""
        self._state.hand_over(self._source.client)

    def due(self, now: float) -> bool:
        """Return whether it is time to poll."""
        now = server_time(self._source.client, now)
        return self._is_free() and self._state.schedule.is_due(now, self._source.credentials)

    def must_refresh(self, now: float) -> bool:
        """Return whether what is shown must change because time has passed.

        A counter's grace period ends, data get too old, or the clock was set back. A report that a
        predecessor could not publish any more has to be published too, and so have data that are
        not too old any more, because ``max_age`` has changed.
        """
        state, now = self._state, server_time(self._source.client, now)
        if not self._is_free():
            return False
        if self._is_clock_set_back(now):
            return True
        if state.retry_at is not None:
            return now >= state.retry_at
        grace_ends = state.ledger.grace_ends_at()
        return (
            state.report is not self._published
            or self._is_fresh(now) != (state.report.view is not None)
            or (grace_ends is not None and now >= grace_ends)
        )

    def refresh(self, now: float) -> None:
        """Publish again if what is shown must change because time has passed."""
        if self.must_refresh(now):
            with self._state.working:
                if self._may_work():
                    now = server_time(self._source.client, now)
                    self._follow_clock(now)
                    self._publish(now)

    def poll(self, now: float) -> Report:
        """Poll once; whatever goes wrong is in the report, and changes no data."""
        with self._state.working:
            if self._may_work():
                self._state.poll_by_server(self._source.client, now, self._poll)
        return self._state.report

    def republish(self) -> None:
        """Let the next refresh publish, as the publisher may have dropped the last report."""
        self._published = None

    def _is_free(self) -> bool:
        return self._may_work() and not self._state.working.locked()

    def _may_work(self) -> bool:
        return self._state.is_open_to(self._source.client)

    def _is_clock_set_back(self, now: float) -> bool:
        state = self._state
        age_is_negative = state.shown is not None and now < state.shown.fresh_at
        return age_is_negative or state.schedule.is_too_late(self._slots, now)

    def _is_fresh(self, now: float) -> bool:
        """Return whether there are data that are not too old to be shown."""
        shown = self._state.shown
        return shown is not None and now - shown.fresh_at < self._timing.max_age

    def _is_too_old(self, report: Report, now: float) -> bool:
        return report.view is not None and not self._is_fresh(now)

    def _follow_clock(self, now: float) -> None:
        """Bring moments that lie ahead back to ``now``: the clock has been set back since.

        The real age of data from a later time is unknown: it counts as new. A counter in its grace
        period is shown at 0 for all of that period by the new clock.
        """
        state = self._state
        if state.schedule.is_too_late(self._slots, now):
            state.schedule = state.schedule.moved_to(self._slots.after(now))
        if state.shown is not None:
            state.shown = replace(state.shown, fresh_at=min(state.shown.fresh_at, now))
        state.ledger.follow_clock(now)

    def _poll(self, now: float) -> None:
        state, began = self._state, self._timer()
        self._follow_clock(now)
        self._start_with_credentials()
        attempt = Attempt(self._source, state, now, lambda: self._timer() - began, self._log)
        before = self._latest_read()
        try:
            outcome, exception = self._outcome(attempt)
        except ClosedError:
            return
        duration = self._timer() - began
        failure = outcome.failure
        if failure is None:
            state.record(Poll(now, duration, attempt.requests))
            state.schedule = state.schedule.succeeded(self._slots, now, backlog=outcome.backlog)
            self._log_success(now, before, backlog=outcome.backlog)
        else:
            reasons = failure.reason, str(failure), failure.remedy
            state.record(Poll(now, duration, attempt.requests, *reasons))
            end = now + duration
            state.schedule = state.schedule.failed(self._slots, end, lasting=failure.lasting)
            if not state.closed:
                next_poll = state.schedule.next_poll
                self._poll_log.failed(self.about, failure, end, next_poll, exception)
            # Its traceback leads to this frame, which would hold it, and with it what was read.
            exception = None
        self._publish(now)

    def _start_with_credentials(self) -> None:
        """Note what the poll tries with; another token may read what the last one could not."""
        state, credentials = self._state, self._source.credentials()
        if state.schedule.tried_with != credentials:
            state.filter = state.filter.retrying()
        state.schedule = state.schedule.started(credentials)

    def _outcome(self, attempt: Attempt) -> tuple[Outcome, Exception | None]:
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

    def _latest_read(self) -> int | None:
        """Return the start of the latest finished bucket that was read, by any process."""
        state, organization = self._state, self._source.organization
        if state.shown is not None:
            return state.shown.start
        last_success, interval = state.report.last_success, self._source.query.interval
        if not last_success:
            return None
        return latest_finished(last_success, interval, organization.settle)

    def _log_success(self, now: float, before: int | None, *, backlog: bool) -> None:
        """Log how much was read that had finished since ``before``, if that is of interest."""
        last, shown = self._state.report, self._state.shown
        details = {"requests": last.requests, "seconds": round(last.duration, 3)}
        if before is not None and shown is not None:
            caught_up = (shown.start - before) // self._source.query.interval
            details["buckets"] = max(caught_up, 0)
        if backlog:
            details["backlog"] = backlog
        self._log.debug("polled", **details)
        self._poll_log.succeeded(self.about, now, details)

    def _publish(self, now: float) -> None:
        """Publish the state; if that fails, publish the failure, and the data as they were."""
        state = self._state
        before = state.report.view
        try:
            state.ledger.end_grace(now)
            view = self._view(now)
            # Publishers know a view that has been rendered already by identity.
            self._show(before if view == before else view)
            state.retry_at = None
        except Exception:  # noqa: BLE001 - a fault of ours must not end the process either
            self._log.exception("publishing failed", reason="internal")
            state.count_failure("internal")
            # It would fail again at once, and every second.
            again = max(state.schedule.next_poll, now + MAX_PAUSE)
            state.schedule = state.schedule.moved_to(again)
            state.retry_at = again
            self._show(before)

    def _view(self, now: float) -> View | None:
        state = self._state
        if state.shown is None or not self._is_fresh(now):
            return None
        return view_of(self._source.query, state.ledger, state.shown)

    def _show(self, view: View | None) -> None:
        state = self._state
        state.report = replace(
            state.report,
            view=view,
            next_poll=state.schedule.next_poll,
            history=dict(state.ledger.buckets),
            # A predecessor may have had another settle or max_age.
            timing=self._timing,
        )
        # A revoked publisher drops it: a successor has another `_published`, and publishes it.
        self._published = state.report
        with state.publishing:
            self._publisher.publish(state.report)


def _without_data(report: Report) -> Report:
    return replace(report, view=None)
