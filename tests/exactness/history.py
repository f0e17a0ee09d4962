"""A Sentry in memory whose rows arrive over time, and an exporter that can be killed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from exporter.collect.ledger import Change
from exporter.collect.persistence import Persistence, Restored
from exporter.collect.plan.core import Reply
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.poller_state import PollerState
from exporter.collect.poll.query import QueryPoller
from exporter.collect.snapshot import Report
from exporter.config import Organization, Query
from exporter.sentry.errors import NetworkError
from exporter.sentry.question import ROW_LIMIT, Question
from exporter.state import State
from tests.support.publishing import RecordingPublisher
from tests.support.rows import flat
from tests.support.sentry import Sentry, listed
from tests.support.store import Row

LOST_FOR = 3 * 3600
"""Seconds after which lost rows return: well before they leave the lookback."""


class Killed(BaseException):
    """The process is killed at this point."""


class Arrival(NamedTuple):
    """A row, and the time from which Sentry returns it."""

    at: float
    row: Row


class ArrivingSentry(Sentry):
    """A Sentry whose rows arrive over time; ``now`` advances a little with every request.

    For ``lost`` projects, recent values are halved, as if a lagging replica answered.
    """

    def __init__(self, arrivals: Sequence[Arrival], *projects: int, limit: int = ROW_LIMIT) -> None:
        super().__init__(projects=listed(*projects))
        self.arrivals = arrivals
        self.store.limit = limit
        self.now = 0.0
        self.lost: frozenset[int] = frozenset()
        self.fails_at: int | None = None
        self.request_count = 0

    def reply(self, question: Question) -> Reply:
        """Answer ``question`` with what has arrived, or fail at the request that is to fail."""
        self.request_count += 1
        if self.request_count == self.fails_at:
            raise NetworkError("the connection broke")
        self.now += 0.25
        self.store.seed = self.request_count
        self.store.rows = [
            row._replace(quantity=row.quantity // 2) if self._loses(row) else row
            for at, row in self.arrivals
            if at <= self.now
        ]
        return super().reply(question)

    def _loses(self, row: Row) -> bool:
        return row.project in self.lost and row.bucket > self.now - LOST_FOR


class Scrapes(RecordingPublisher):
    """Records the published counters, and each decrease of one."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[tuple[str, str, str], int] = {}
        self.decreases: list[str] = []

    def publish(self, report: Report) -> None:
        """Record the published counters."""
        super().publish(report)
        view = report.view
        for (series, number), value in flat((view and view.counters) or {}).items():
            label = view.counter_labels[number] if view else ""
            labels = series.category, series.outcome, label
            before = self.counters.get(labels, 0)
            if value < before:
                self.decreases.append(f"{labels} from {before} to {value}")
            self.counters[labels] = value


@dataclass
class KillingState:
    """Persists a poll, and kills the process before, during or after it if requested."""

    inner: Persistence
    kill: str

    def persist(self, change: Change, polled_at: float, *, succeeded: bool) -> None:
        """Persist ``change`` unless killed before."""
        if self.kill == "before":
            raise Killed
        if self.kill == "during":
            self.inner.persist(_breaking(change), polled_at, succeeded=succeeded)
        self.inner.persist(change, polled_at, succeeded=succeeded)
        if self.kill == "after":
            raise Killed


def _breaking(change: Change) -> Change:
    """Return ``change`` with contents that kill the process while they are being written."""

    class Breaking(dict[int, object]):
        def items(self) -> Iterable[tuple[int, object]]:  # type: ignore[override]
            raise Killed

    return replace(change, buckets=Breaking(change.buckets))  # type: ignore[arg-type]


@dataclass
class Exporters:
    """A sequence of exporters, with the same state file or without one."""

    organization: Organization
    query: Query
    sentry: ArrivingSentry
    path: Path | None
    scrapes: Scrapes = field(default_factory=Scrapes)
    state: State | None = None
    poller: QueryPoller | None = None
    killing_state: KillingState | None = None

    def start(self) -> None:
        """Start an exporter."""
        going_on = None
        if self.path is not None:
            self.state = State(self.path)
            restored = self.state.restore(self.organization, self.query)
            assert restored.persistence is not None

            self.killing_state = KillingState(restored.persistence, "")
            going_on = Restored(restored.ledger, restored.last_success, self.killing_state)
        directory = ProjectDirectory(self.organization.slug, self.sentry, self.scrapes)
        begun = PollerState.begin(self.organization, self.query, going_on)
        self.poller = QueryPoller(
            self.organization, self.query, self.sentry, directory, self.scrapes, state=begun
        )

    def end(self) -> None:
        """Stop the exporter."""
        if self.state is not None:
            self.state.close()
        self.poller = self.state = None

    def poll(self, now: float, *, fails_at: int | None = None, kill: str = "") -> None:
        """Poll as the loop does at ``now``, including polls that are due again at once."""
        if self.poller is None:
            self.start()
        assert self.poller is not None
        self.sentry.now = now
        self.sentry.request_count = 0
        self.sentry.fails_at = fails_at
        if self.killing_state is not None:
            self.killing_state.kill = kill
        try:
            self._poll_out(self.poller, now)
        except Killed:
            self.end()

    def pass_time(self, now: float) -> None:
        """Refresh what is published, as the loop does between polls."""
        if self.poller is not None:
            self.poller.refresh(now)

    @staticmethod
    def _poll_out(poller: QueryPoller, now: float) -> None:
        report = poller.poll(now)
        while report.up and report.next_poll <= now:
            report = poller.poll(now)
