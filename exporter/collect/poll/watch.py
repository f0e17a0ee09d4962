"""What is published while a poll, or a disk, hangs: time passes for the data all the same."""

from dataclasses import replace

import structlog

from exporter.collect.poll.poller_state import MAX_DURATION, DatedClient, PollState, server_time
from exporter.collect.publisher import Publisher
from exporter.collect.snapshot import Report
from exporter.moments import elapsed

_log = structlog.get_logger(__name__)


class Watch:
    """Publishes what a poll that is out hides: that it takes too long, or that data are too old.

    It needs nothing that such a poll may hold. ``client`` is that of the polls; data are too old
    after ``max_age`` seconds. Without a reference to its poller, a reload frees that one at once.
    """

    def __init__(
        self,
        state: PollState,
        publisher: Publisher,
        client: DatedClient,
        max_age: int,
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._client = client
        self._max_age = max_age
        self._withdrawn: Report | None = None

    def must_publish(self, now: float) -> bool:
        """Return whether something has to be published that a poll, or a disk, holds up."""
        now, report = server_time(self._client, now), self._state.shown_report
        return self._is_overdue(now) or (
            report is not self._withdrawn and self._is_too_old(report, now)
        )

    def publish(self, now: float) -> None:
        """Publish what a poll, or a disk, holds up."""
        state = self._state
        # Whoever has begun to publish is waited for: it may be the poll, which has ended then.
        with state.publishing:
            if not self.must_publish(now):
                return
            now = server_time(self._client, now)
            if self._is_overdue(now):
                is_persisting = state.changing.locked() and not state.waiting
                state.overdue = "state" if is_persisting else "timeout"
                self._log(now - (state.began or now))
            report = state.report
            if state.overdue:
                report = replace(state.counted(report, state.overdue), up=False)
            shown, is_too_old = report, self._is_too_old(report, now)
            if is_too_old:
                shown = state.without_data(report)
            self._publisher.publish(shown)
            # Only now: if publishing fails, old data are still to be withdrawn.
            if is_too_old:
                # Without a poll, the loop withdraws them too, unless a disk holds it up.
                self._withdrawn = report
            if state.began is not None:
                state.meanwhile = shown

    def _is_too_old(self, report: Report, now: float) -> bool:
        return self._state.has_data(report) and not self._state.is_fresh(now, self._max_age)

    def _is_overdue(self, now: float) -> bool:
        began = self._state.began
        return not self._state.overdue and began is not None and now - began >= MAX_DURATION

    def _log(self, seconds: float) -> None:
        report, reason = self._state.report, self._state.overdue
        _log.warning(
            "poll takes too long",
            organization=report.organization,
            query=report.query,
            reason=reason,
            error="the poll does not end, although each request has a timeout"
            if reason == "timeout"
            else "the disk of the state file does not answer",
            seconds=elapsed(seconds),
        )
