"""What a query poller is given in unit tests: settings, Sentry, its projects, and a publisher."""

from collections.abc import Sequence
from typing import Any

from exporter.collect.ledger.ledger import Change, KeepError
from exporter.collect.plan.core import Reply
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.query import QueryPoller
from exporter.collect.series import Rows, Series
from exporter.collect.snapshot import ProjectInfo, Report, View
from exporter.config import Filter, Organization, Query
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import QUANTITY, Question
from exporter.sentry.token import Secret, TokenLiteral
from tests.collect.store import Row, Store

HOUR = 3600
NOON = 1_700_000_000 // HOUR * HOUR
SETTLE = 300
NOW = NOON + SETTLE
"""A slot: the hour before `NOON` has just finished, the one that begins there is running."""

WEB, API, OLD = 1, 2, 9


def row(quantity: int = 1, *, bucket: int = NOON - HOUR, project: int = WEB, **labels: str) -> Row:
    """Return an outcome row, of accepted transactions unless ``labels`` say otherwise."""
    named = {"category": "transaction", "outcome": "accepted", "reason": "none"} | labels
    return Row(project=project, bucket=bucket, quantity=quantity, **named)


def series(project: int = 0, category: str = "transaction", outcome: str = "accepted") -> Series:
    """Return the series of a query by category and outcome, and by project if there is one."""
    return Series(QUANTITY, category, outcome, "", project)


def query(*group_by: str, **settings: Any) -> Query:
    """Return a query, by category and outcome unless told otherwise."""
    values: dict[str, Any] = {
        "name": "outcomes",
        "group_by": group_by or ("category", "outcome"),
        "filter": Filter(),
        "fields": (QUANTITY,),
        "interval": HOUR,
        "poll_interval": HOUR,
        "lookback": 24 * HOUR,
        "counters": True,
    }
    return Query(**values | settings)


def organization(**settings: Any) -> Organization:
    """Return an organization as the configuration has it by default."""
    values: dict[str, Any] = {
        "slug": "acme",
        "name": "acme",
        "url": "https://sentry.example",
        "token": TokenLiteral(Secret("opens-nothing")),
        "ca_file": None,
        "timeout": 30,
        "max_concurrency": 4,
        "requests_per_second": 10,
        "max_response_size": 1 << 26,
        "settle": SETTLE,
        "max_age": 3 * HOUR,
        "project_label": "slug",
        "queries": (),
    }
    return Organization(**values | settings)


def listed(*projects: int, hidden: Sequence[int] = ()) -> ProjectList:
    """Return a list of readable ``projects``, called after their ids, and of ``hidden`` ones."""
    return ProjectList.of(
        Project(number, f"project-{number}", "python", number not in hidden)
        for number in (*projects, *hidden)
    )


def by_project(counters: Rows, labels: Sequence[str]) -> dict[Series, int]:
    """Return counters whose labels are ids, or slugs that end in them, by project."""
    return {
        one.of(int(labels[one.project].rpartition("-")[2] or 0)): value
        for one, value in counters.items()
    }


class Sentry:
    """Answers from a store and a list of projects, or fails as it is told."""

    def __init__(self, rows: Sequence[Row] = (), projects: ProjectList | None = None) -> None:
        self.store = Store(list(rows))
        self.listing = projects or listed(WEB, API)
        self.clock_skew: float | None = None
        self.token = "first"
        self.refuses: frozenset[int] = frozenset()
        self.error: Exception | None = None
        self.listing_error: Exception | None = None
        self.listings = 0

    @property
    def asked(self) -> list[Question]:
        """The questions that came."""
        return self.store.asked

    def add(self, *rows: Row) -> None:
        """Let ``rows`` arrive."""
        self.store.rows = [*self.store.rows, *rows]

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Answer ``questions``."""
        if self.error is not None:
            raise self.error
        self.store.readable = self.listing.accessible - self.refuses
        return [self.store.reply(question) for question in questions]

    def credentials(self) -> str:
        """Return what changes with the token."""
        return self.token

    def projects(self) -> ProjectList:
        """Return the projects."""
        self.listings += 1
        if self.listing_error is not None:
            raise self.listing_error
        return self.listing


class RecordingPublisher:
    """Keeps what it is to show."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.projects: dict[str, Sequence[ProjectInfo]] = {}

    def publish(self, report: Report) -> None:
        """Keep a report."""
        self.reports.append(report)

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Keep who the projects are."""
        self.projects[organization] = projects


class FakeKeeper:
    """Keeps changes in a list, or says that it cannot."""

    def __init__(self) -> None:
        self.saved: list[tuple[Change, float | None]] = []
        self.full = False

    def save(self, change: Change, succeeded: float | None) -> None:
        """Keep ``change``."""
        if self.full:
            raise KeepError("no space left")
        self.saved.append((change, succeeded))


def poller(
    sentry: Sentry,
    publisher: RecordingPublisher,
    asked: Query | None = None,
    **options: Any,
) -> QueryPoller:
    """Return a poller of ``asked`` whose polls take no time; ``settings`` is the organization's."""
    options.setdefault("timer", lambda: 0.0)
    acme = organization(**options.pop("settings", {}))
    directory = ProjectDirectory(acme.slug, sentry, publisher, acme.project_label)
    return QueryPoller(acme, asked or query(), sentry, directory, publisher, **options)


def shown(one: QueryPoller) -> View:
    """Return the data that ``one`` shows, which is there."""
    assert one.report.view is not None

    return one.report.view
