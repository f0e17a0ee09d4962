"""What a poller knows of its query, apart from its settings.

A reload hands it to a successor with the same query, which goes on where its predecessor was.
"""

from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final, Self

from exporter.collect.ledger import Change, Ledger
from exporter.collect.persistence import Persistence, Restored
from exporter.collect.plan.core import Hints
from exporter.collect.poll.filter_projects import FilterProjects
from exporter.collect.poll.schedule import Schedule
from exporter.collect.poll.view import Shown, about_query
from exporter.collect.snapshot import Poll, Report
from exporter.config import Organization, Query

MAX_LAST_POLLS: Final = 20
"""How many of the last polls a report has."""


class ClosedError(Exception):
    """The query was removed or changed while its poll was out: nothing of the poll is to remain."""


@dataclass(slots=True, eq=False)
class PollerState:
    """The data of a query, its counters, its schedule, and what was learned about the server.

    ``hints`` are what the last reading learned. ``retry_at`` is when a failed publication is tried
    again. A ``closed`` state does not change any more. ``working`` is
    held by the one poller that polls or refreshes, ``changing`` while the ledger changes.
    """

    ledger: Ledger
    persistence: Persistence | None
    report: Report
    filter: FilterProjects
    schedule: Schedule
    hints: Hints = field(default_factory=Hints)
    shown: Shown | None = None
    retry_at: float | None = None
    closed: bool = False
    working: Lock = field(default_factory=Lock)
    changing: Lock = field(default_factory=Lock)

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
            last_success=restored.last_success,
            next_poll=first_poll,
        )
        return cls(
            restored.ledger,
            restored.persistence,
            report,
            FilterProjects(query.filter.project),
            Schedule(first_poll),
        )

    def commit(self, change: Change, shown: Shown, *, succeeded: bool) -> None:
        """Persist the change, then apply it; raises `PersistError` if that fails, or `ClosedError`.

        In this order, whatever was published can be restored after a kill.
        """
        # Whoever closes the state waits for this, and reads the state file afterwards: a poll that
        # is still out must not write to it any more.
        with self.changing:
            if self.closed:
                raise ClosedError
            if self.persistence is not None:
                self.persistence.persist(change, shown.polled_at, succeeded=succeeded)
            self.ledger.apply(change)
        self.shown = shown
        self.report = replace(
            self.report,
            revisions=self.report.revisions + change.revisions,
            regressions=self.report.regressions + change.regressions,
        )

    def record(self, poll: Poll) -> None:
        """Count ``poll``, and add it to the last ones."""
        report = self.report
        if not poll.reason:
            report = replace(report, last_success=poll.began)
        self.report = replace(
            report,
            up=not poll.reason,
            polls=report.polls + 1,
            duration=poll.duration,
            requests=poll.requests,
            last_polls=(*report.last_polls, poll)[-MAX_LAST_POLLS:],
        )
        if poll.reason:
            self.count_failure(poll.reason)

    def count_failure(self, reason: str) -> None:
        """Count a failure for ``reason``."""
        failures = self.report.failures
        self.report = replace(
            self.report, up=False, failures={**failures, reason: failures.get(reason, 0) + 1}
        )
