"""What the status page shows: immutable values about the exporter and its queries. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from exporter.collect.snapshot import Poll, Report
from exporter.config import Organization, Query
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.errors import TokenError
from exporter.sentry.projects import ProjectList
from exporter.sentry.token import TokenSource, token_kind, token_text
from exporter.shard import Shard


class QueryState(StrEnum):
    """How a query is doing: before its first poll, after its last one, and whether data lack."""

    WAITING = "waiting"
    FAILING = "failing"
    UP = "up"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class QueryStatus:
    """One query and its published ``series``; data older than ``max_age`` seconds are withdrawn."""

    settings: Query
    report: Report
    series: int
    max_age: int

    @property
    def name(self) -> str:
        """The name of the organization and of the query."""
        return f"{self.report.organization}/{self.report.query}"

    @property
    def states(self) -> Sequence[QueryState]:
        """How the query is doing; it can be incomplete and up, or failing, at the same time."""
        report = self.report
        if not report.polls:
            last_poll = QueryState.WAITING
        else:
            last_poll = QueryState.UP if report.up else QueryState.FAILING
        complete = report.view is None or report.view.complete
        return (last_poll,) if complete else (last_poll, QueryState.INCOMPLETE)

    @property
    def lacks_data(self) -> bool:
        """Whether there are no data to show, although some poll has succeeded.

        They are too old, or were read before the start of this process, and no poll has succeeded
        since.
        """
        report = self.report
        return bool(report.polls and report.last_success and report.view is None)

    @property
    def last_failure(self) -> Poll | None:
        """The last of the remembered polls that failed."""
        return next((poll for poll in reversed(self.report.last_polls) if poll.reason), None)


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """Where a token is read from, of which kind it is, and why it cannot be used, if so."""

    place: str
    kind: str = ""
    flaw: str = ""

    def __str__(self) -> str:
        return self.flaw or token_text(self.kind, self.place)

    @classmethod
    def of(cls, source: TokenSource, projects: ProjectList | None) -> Self:
        """Return the status of the token that ``source`` has now, which reads ``projects``."""
        try:
            return cls(source.describe(), token_kind(source.read(), projects))
        except TokenError as error:
            return cls(source.describe(), flaw=str(error))


@dataclass(frozen=True, slots=True)
class OrganizationStatus:
    """One organization and its queries.

    ``listed`` projects are in the list that Sentry gave, ``hidden`` ones among them cannot be read;
    both are ``None`` where the list was not asked for. ``quotas`` is the report of its quotas, None
    where it has none.
    """

    settings: Organization
    token: TokenStatus
    queries: Sequence[QueryStatus]
    api: ApiStatus
    listed: int | None = None
    hidden: int | None = None
    quotas: Report | None = None

    @property
    def common_failure(self) -> Poll | None:
        """The last failure of its queries if they are several, and all fail for the same reason."""
        failures = [one.last_failure for one in self.queries if one.report.failed_polls]
        texts = {(one.reason, one.error, one.remedy) for one in failures if one}
        is_common = len(failures) == len(self.queries) > 1 and len(texts) == 1
        return failures[0] if is_common else None

    @property
    def failing_since(self) -> float:
        """When the first of its failing queries began to fail, 0 if none does."""
        reports = (one.report for one in self.queries)
        return min((one.failing_since for one in reports if one.failed_polls), default=0)


@dataclass(frozen=True, slots=True)
class ExporterStatus:
    """The exporter at ``now``; all times are seconds since the epoch.

    ``reload_problems`` are those of the last reload that failed, without secrets.
    """

    version: str
    now: float
    started: float
    configured: float
    reload_successful: bool
    reload_problems: Sequence[str]
    has_state: bool
    shard: Shard
    organizations: Sequence[OrganizationStatus]

    @property
    def queries(self) -> Sequence[QueryStatus]:
        """All queries, in the order of the configuration."""
        return [query for one in self.organizations for query in one.queries]


def organization_status(
    settings: Organization,
    api: ApiStatus,
    projects: ProjectList | None,
    queries: Sequence[QueryStatus],
    quotas: Report | None = None,
) -> OrganizationStatus:
    """Return the status of an organization; reads its token to learn the kind."""
    return OrganizationStatus(
        settings,
        TokenStatus.of(settings.token, projects),
        queries,
        api,
        projects.listed if projects else None,
        projects.hidden if projects else None,
        quotas,
    )
