"""A Sentry in memory whose rows arrive over time, and an exporter that can be killed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from exporter.collect.ledger.ledger import Change, Kept
from exporter.collect.plan.core import Reply
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.query import QueryPoller
from exporter.collect.snapshot import ProjectInfo, Report
from exporter.config import Organization, Query
from exporter.sentry.errors import NetworkError
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import Question
from exporter.state import State
from exporter.state.ledgers import QueryState
from tests.collect.store import Row, Store

LOST_FOR = 3 * 3600
"""Seconds after which everything is there: well before it leaves the lookback."""


class Killed(BaseException):
    """The process is gone, right here."""


class Arrival(NamedTuple):
    """A row and the moment from which Sentry has it."""

    at: float
    row: Row


@dataclass
class Sentry:
    """Answers with what has arrived by ``now``, which moves a little with every request.

    ``readable`` projects are called as ``slugs`` says, or after their ids. Of ``lost`` projects
    half of what the last hours have does not come, as from a replica that lags behind.
    """

    arrivals: Sequence[Arrival]
    now: float = 0
    limit: int = 10_000
    readable: frozenset[int] = frozenset()
    slugs: Mapping[int, str] = field(default_factory=dict)
    lost: frozenset[int] = frozenset()
    fails_at: int | None = None
    asked: int = 0
    clock_skew: float | None = None

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Answer, or fail at the request that is to fail."""
        return [self._ask(question) for question in questions]

    def credentials(self) -> None:
        """Return the same whatever happens: no token is needed here."""

    def projects(self) -> ProjectList:
        """Return the projects that can be read."""
        return ProjectList.of(
            Project(number, self.slugs.get(number, f"project-{number}"), "", accessible=True)
            for number in self.readable
        )

    def _ask(self, question: Question) -> Reply:
        self.asked += 1
        if self.asked == self.fails_at:
            raise NetworkError("the connection broke")
        self.now += 0.25
        rows = [
            row._replace(quantity=row.quantity // 2) if self._loses(row) else row
            for at, row in self.arrivals
            if at <= self.now
        ]
        store = Store(rows, self.limit, readable=self.readable, seed=self.asked)
        return store.reply(question)

    def _loses(self, row: Row) -> bool:
        return row.project in self.lost and row.bucket > self.now - LOST_FOR


@dataclass
class Scrapes:
    """Keeps what was shown, and sees that no counter falls."""

    counters: dict[tuple[str, str, str], int] = field(default_factory=dict)
    falls: list[str] = field(default_factory=list)
    last: Report | None = None

    def publish(self, report: Report) -> None:
        """Look at what is shown now."""
        self.last = report
        view = report.view
        for series, value in ((view and view.counters) or {}).items():
            label = view.counter_labels[series.project] if view else ""
            labels = series.category, series.outcome, label
            before = self.counters.get(labels, 0)
            if value < before:
                self.falls.append(f"{labels} from {before} to {value}")
            self.counters[labels] = value

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Leave the projects aside."""


@dataclass
class KillingKeeper:
    """Writes a poll down, and kills the process before, amid or after it if told to."""

    inner: QueryState
    kill: str

    def save(self, change: Change, succeeded: float | None) -> None:
        """Write ``change`` down unless killed first."""
        if self.kill == "before":
            raise Killed
        if self.kill == "amid":
            self.inner.save(_breaking(change), succeeded)
        self.inner.save(change, succeeded)
        if self.kill == "after":
            raise Killed


def _breaking(change: Change) -> Change:
    """Return ``change`` with books that kill the process once they are being written."""

    class Books(dict[int, object]):
        def items(self) -> Iterable[tuple[int, object]]:  # type: ignore[override]
            raise Killed

    return replace(change, books=Books(change.books))  # type: ignore[arg-type]


@dataclass
class Life:
    """One exporter after the other, with the same state file or with none."""

    organization: Organization
    query: Query
    sentry: Sentry
    path: Path | None
    scrapes: Scrapes = field(default_factory=Scrapes)
    state: State | None = None
    poller: QueryPoller | None = None
    keeper: KillingKeeper | None = None

    def start(self) -> None:
        """Start an exporter."""
        kept = None
        if self.path is not None:
            self.state = State(self.path)
            restored = self.state.restore(self.organization, self.query)
            assert isinstance(restored.keeper, QueryState)
            self.keeper = KillingKeeper(restored.keeper, "")
            kept = Kept(restored.ledger, restored.last_success, self.keeper)
        directory = ProjectDirectory(self.organization.slug, self.sentry, self.scrapes)
        self.poller = QueryPoller(
            self.organization, self.query, self.sentry, directory, self.scrapes, kept=kept
        )

    def end(self) -> None:
        """End it, however well it was."""
        if self.state is not None:
            self.state.close()
        self.poller = self.state = None

    def poll(self, now: float, *, fails_at: int | None = None, kill: str = "") -> None:
        """Poll as the loop would at ``now``, the polls that follow at once included."""
        if self.poller is None:
            self.start()
        assert self.poller is not None
        self.sentry.now = now
        self.sentry.asked = 0
        self.sentry.fails_at = fails_at
        if self.keeper is not None:
            self.keeper.kill = kill
        try:
            self._poll_out(self.poller, now)
        except Killed:
            self.end()

    def pass_time(self, now: float) -> None:
        """Let the loop look at the clock."""
        if self.poller is not None:
            self.poller.heed(now)

    @staticmethod
    def _poll_out(poller: QueryPoller, now: float) -> None:
        report = poller.poll(now)
        while report.up and report.next_poll <= now:
            report = poller.poll(now)
