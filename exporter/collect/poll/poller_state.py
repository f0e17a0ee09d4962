"""What a poller knows of what it polls, apart from its settings.

A reload hands it to a successor with the same query, which goes on where its predecessor was.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final, Protocol, Self

from exporter.collect.ledger import Change, Ledger
from exporter.collect.persistence import Persistence, Restored
from exporter.collect.plan.core import Hints
from exporter.collect.poll.filter_projects import FilterProjects
from exporter.collect.poll.schedule import Schedule
from exporter.collect.poll.view import Shown, about_query, timing_of
from exporter.collect.snapshot import Poll, Report
from exporter.config import Organization, Query
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.errors import DeadlineError
from exporter.sentry.server_clock import TOLERANCE

MAX_DURATION: Final = 600
"""Seconds after which a poll counts as failed, though it is still out, and asks nothing more.

The largest polls by project, of 48 buckets in eight parts each, take two minutes.
"""

MAX_LAST_POLLS: Final = 20
"""How many of the last polls a report has, and of the failed polls before those."""


class ClosedError(Exception):
    """The query was removed or changed while its poll was out, or its client was replaced.

    Nothing of the poll is to remain.
    """


class DatedClient(Protocol):
    """What knows the server's clock."""

    @property
    def status(self) -> ApiStatus:
        """What the server's answers have said beside the data."""
        ...


def server_time(client: DatedClient, now: float) -> float:
    """Return the server's time when our clock shows ``now``: buckets end by the server's clock."""
    return now + client.status.correction


@dataclass(slots=True, eq=False)
class PollState(ABC):
    """How polls went, when the next one is due, and who may change what they have read.

    A ``closed`` state does not change any more, and only polls with ``client`` change it, or any
    poll as long as that is None. ``working`` is held while a poller polls or refreshes; ``waiting``
    is set while its poll waits for Sentry. ``changing`` is held while what was read or one of these
    changes. ``retry_at`` is when a failed publication is tried again. ``correction`` is what the
    poll that is out has added to our clock, None where it goes on if that was wrong; ``tick`` is
    what our clock showed then, and what it had shown at the last answer with a date; None without a
    poll. ``elapsed`` returns the seconds since the poll has begun, by a clock that nobody sets.

    ``began`` is when the poll that is out has begun. Once it is ``overdue``, for a reason, it asks
    nothing more. ``meanwhile`` is published in place of ``report``; ``publishing`` is held while
    either of them is published.
    """

    report: Report
    schedule: Schedule
    retry_at: float | None = field(default=None, kw_only=True)
    closed: bool = field(default=False, kw_only=True)
    client: object = field(default=None, kw_only=True)
    waiting: bool = field(default=False, kw_only=True)
    working: Lock = field(default_factory=Lock, kw_only=True)
    changing: Lock = field(default_factory=Lock, kw_only=True)
    correction: float | None = field(default=None, kw_only=True)
    tick: tuple[float, float | None] | None = field(default=None, kw_only=True)
    elapsed: Callable[[], float] = field(default=lambda: 0.0, kw_only=True)
    began: float | None = field(default=None, kw_only=True)
    overdue: str = field(default="", kw_only=True)
    meanwhile: Report | None = field(default=None, kw_only=True)
    publishing: Lock = field(default_factory=Lock, kw_only=True)

    @property
    def shown_report(self) -> Report:
        """What was last published."""
        return self.meanwhile or self.report

    @abstractmethod
    def fresh_since(self) -> float | None:
        """Return since when the data age, None without any."""

    @abstractmethod
    def has_data(self, report: Report) -> bool:
        """Return whether ``report`` has data."""

    @abstractmethod
    def without_data(self, report: Report) -> Report:
        """Return ``report`` without its data."""

    def is_fresh(self, now: float, max_age: float) -> bool:
        """Return whether there are data, and they are younger than ``max_age``."""
        fresh_since = self.fresh_since()
        return fresh_since is not None and now - fresh_since < max_age

    def is_open_to(self, client: object) -> bool:
        """Return whether a poll with ``client`` may change the state."""
        return not self.closed and (self.client is None or self.client is client)

    def hand_over(self, client: object) -> None:
        """Let only polls with ``client`` change the state from now on.

        A poll with another one that waits for Sentry holds up nobody any more: it changes nothing
        until Sentry answers, and then it ends. What works in another way is waited for as usual.
        """
        with self.changing:
            if self.client is not client and self.waiting:
                # That poll has the old lock.
                self.working, self.waiting = Lock(), False
                self._end()
            self.client = client

    @contextmanager
    def waited_for(self, client: DatedClient) -> Iterator[None]:
        """Note that a poll with ``client`` waits for Sentry during the block, and changes nothing.

        Raises `ClosedError`, before or after the block, where nothing would come of the answer, and
        `DeadlineError` before it if the poll takes too long.
        """
        with self.changing:
            self.check(client)
            if self.overdue:
                raise DeadlineError("the poll took too long, although each request was in time")
            self.waiting = True
        try:
            yield
        finally:
            with self.changing:
                if self.client is None or self.client is client:
                    self.waiting = False
                # Here too: it takes the place of an error of the request, which is of no interest.
                self.check(client)
            if self._has_wrong_time(client):
                raise ClosedError

    def poll_by_server(
        self, client: DatedClient, now: float, poll: Callable[[float], None]
    ) -> None:
        """Call ``poll`` with the server's time when our clock shows ``now``.

        If answers show that this was wrong, the poll ends, nothing of it remains, and ``poll`` is
        called again: once, because the clocks of several servers may disagree. A clock of ours that
        was set meanwhile ends that one too, until it is due again.
        """
        self.correction = client.status.correction
        self._poll_since(client, now, poll)
        if not self.is_open_to(client):
            # The poll that is out by now may be a successor's.
            return
        is_wrong, self.correction = self._has_wrong_time(client), None
        if is_wrong:
            latest = client.status.dated_at
            self._poll_since(client, now if latest is None else latest, poll)
        self.tick = None

    def _poll_since(self, client: DatedClient, now: float, poll: Callable[[float], None]) -> None:
        self.tick = now, client.status.dated_at
        self._poll_at(server_time(client, now), poll)

    def _poll_at(self, now: float, poll: Callable[[float], None]) -> None:
        self.began = now
        try:
            poll(now)
        finally:
            # Another poll may have begun if this one's client was replaced.
            if self.began == now:
                self._end()

    def _end(self) -> bool:
        """Note that no poll is out; return whether it was overdue, which stays counted."""
        with self.publishing:
            was_overdue = bool(self.overdue)
            if was_overdue:
                self.count_failure(self.overdue)
            self.began, self.overdue, self.meanwhile = None, "", None
        return was_overdue

    def _has_wrong_time(self, client: DatedClient) -> bool:
        used, status = self.correction, client.status
        if used is not None and abs(status.correction - used) > TOLERANCE:
            return True
        return self._is_clock_set(status.dated_at)

    def _is_clock_set(self, dated_at: float | None) -> bool:
        """Return whether our clock was set between the tick of the poll and its last answer.

        Then the tick can be from before, and the correction from after that: from an answer to
        another poll.
        """
        if self.tick is None or dated_at is None:
            return False
        tick, before = self.tick
        if dated_at == before:
            return False
        passed = dated_at - tick
        # The last round of a poll may take longer than all of it should.
        return passed < -TOLERANCE or passed > max(MAX_DURATION, self.elapsed()) + TOLERANCE

    def record(self, poll: Poll) -> None:
        """Count ``poll``, which has ended, and add it to the last ones."""
        is_counted = self._end()
        report = self.report
        if poll.reason:
            since = report.failing_since if report.failed_polls else poll.began
            report = replace(report, failed_polls=report.failed_polls + 1, failing_since=since)
        else:
            report = replace(report, last_success=poll.began, failed_polls=0, failing_since=0)
        self.report = replace(
            report,
            up=not poll.reason,
            polls=report.polls + 1,
            duration=poll.duration,
            requests=poll.requests,
            last_polls=_remembered((*report.last_polls, poll)),
        )
        if poll.reason and not is_counted:
            self.count_failure(poll.reason)

    def count_failure(self, reason: str) -> None:
        """Count a failure for ``reason``."""
        self.report = replace(self.counted(self.report, reason), up=False)

    @staticmethod
    def counted(report: Report, reason: str) -> Report:
        """Return ``report`` with one more failure for ``reason``."""
        failures = report.failures
        return replace(report, failures={**failures, reason: failures.get(reason, 0) + 1})

    def check(self, client: object) -> None:
        """Raise `ClosedError` unless a poll with ``client`` may change the state."""
        if not self.is_open_to(client):
            raise ClosedError


@dataclass(slots=True, eq=False)
class PollerState(PollState):
    """The data of a query, its counters, its schedule, and what was learned about the server.

    ``hints`` are what the last reading learned.
    """

    ledger: Ledger
    persistence: Persistence | None
    filter: FilterProjects
    hints: Hints = field(default_factory=Hints)
    shown: Shown | None = None

    @classmethod
    def begin(
        cls,
        organization: Organization,
        query: Query,
        restored: Restored | None = None,
        first_poll: float = 0,
    ) -> Self:
        """Return the state before the first poll, with the ledger of an earlier process if any."""
        restored = restored or Restored(Ledger())
        report = Report(
            organization.name,
            query.name,
            about_query(query),
            timing_of(organization, query),
            last_success=restored.last_success,
            next_poll=first_poll,
            history=dict(restored.ledger.buckets),
        )
        return cls(
            report,
            Schedule(first_poll),
            restored.ledger,
            restored.persistence,
            FilterProjects(query.filter.project),
        )

    def fresh_since(self) -> float | None:
        """Return since when the data age, None without any."""
        return None if self.shown is None else self.shown.fresh_at

    def has_data(self, report: Report) -> bool:
        """Return whether ``report`` has data."""
        return report.view is not None

    def without_data(self, report: Report) -> Report:
        """Return ``report`` without its data."""
        return replace(report, view=None)

    def commit(self, client: object, change: Change, shown: Shown, *, succeeded: bool) -> None:
        """Persist the change, then apply it; raises `PersistError` if that fails, or `ClosedError`.

        In this order, whatever was published can be restored after a kill.
        """
        # Whoever closes the state waits for this, and reads the state file afterwards: a poll that
        # is still out must not write to it any more.
        with self.changing:
            self.check(client)
            if self.persistence is not None:
                self.persistence.persist(change, shown.polled_at, succeeded=succeeded)
            self.ledger.apply(change)
        self.shown = shown
        self.report = replace(
            self.report,
            revisions=self.report.revisions + change.revisions,
            regressions=self.report.regressions + change.regressions,
        )


def _remembered(polls: tuple[Poll, ...]) -> tuple[Poll, ...]:
    """Return the last of ``polls``, and before them failures that are older."""
    older = [poll for poll in polls[:-MAX_LAST_POLLS] if poll.reason]
    return (*older[-MAX_LAST_POLLS:], *polls[-MAX_LAST_POLLS:])
