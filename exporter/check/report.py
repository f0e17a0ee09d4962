"""What is learned of organizations and queries, as values; ``--output json`` prints them as such.

The names of the fields are the keys of the JSON document, which docs/check.md describes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import msgspec

from exporter.check.findings import Finding
from exporter.config import Organization
from exporter.sentry.api_status import RateLimit
from exporter.sentry.deprecation import Deprecation
from exporter.sentry.token import UNKNOWN_KIND


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; ``source`` is the place that it is read from."""

    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The organization that Sentry answers about."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Projects:
    """How many projects the list has, and how many of them the token can read."""

    listed: int
    readable: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Unowned:
    """The projects without an owner: those of ``several`` teams, and those of ``none``."""

    several: tuple[str, ...]
    none: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedQuota:
    """A quota that the plan configures; ``limit`` is None where there is none.

    ``price`` is that of each unit beyond the limit, and ``budget`` what pays for this quota only;
    both are None where the plan does not say.
    """

    name: str
    unit: str
    limit: int | None
    price: float | None = None
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """What was used of a quota in the present period."""

    name: str
    unit: str
    used: float
    limit: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Whether the organization's plan can be read; ``reason`` says why not.

    ``period``, ``quotas`` and ``budget``, which pays for all of them, are what it configures;
    ``contradicts`` is the period of the file, where the file has another one.
    """

    readable: bool
    reason: str = ""
    period: str = ""
    contradicts: str = ""
    currency: str = ""
    budget: float | None = None
    quotas: tuple[PlannedQuota, ...] = ()


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to stats_v2 of the first poll, of a usual one after it, and of a day of these.

    A poll needs ``changed_bucket`` more for each bucket that has changed besides the one that every
    poll reads.
    """

    first_poll: int
    poll: int
    day: int
    changed_bucket: int


@dataclass(frozen=True, slots=True)
class Data:
    """What a query reads: ``rows`` of the latest finished bucket, and series on the page."""

    bucket_start: str
    bucket_end: str
    rows: int
    complete: bool
    series: int
    requests: Requests


@dataclass(frozen=True, slots=True)
class QueryReport:
    """One query; ``data`` is None if it failed, or if it was not ``tried``.

    It is not tried if stats_v2 was not asked: where the projects that it needs are not known, or
    where it would fail like the organization's requests before it.
    """

    name: str
    tried: bool = False
    data: Data | None = None


@dataclass(frozen=True, slots=True)
class OrganizationReport:
    """One organization; None stands for what could not be learned."""

    name: str
    slug: str
    url: str
    token: Token
    organization: Identity | None
    projects: Projects | None
    clock_skew_seconds: float | None
    rate_limit: RateLimit | None
    deprecations: tuple[Deprecation, ...]
    plan: Plan | None
    queries: tuple[QueryReport, ...]
    quotas: tuple[QuotaUse, ...] = ()
    unowned: Unowned | None = None

    @classmethod
    def unknown(cls, organization: Organization) -> Self:
        """Return the report of an organization of which nothing could be learned."""
        return cls(
            organization.name,
            organization.slug,
            organization.url,
            Token(UNKNOWN_KIND, organization.token.describe()),
            organization=None,
            projects=None,
            clock_skew_seconds=None,
            rate_limit=None,
            deprecations=(),
            plan=None,
            queries=tuple(QueryReport(query.name) for query in organization.queries),
        )


Checked = tuple[OrganizationReport, tuple[Finding, ...]]
"""What is learned of an organization, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Report:
    """The JSON document: all problems, and the organizations that were tried online."""

    config: str
    valid: bool
    online: bool
    problems: tuple[Finding, ...]
    organizations: tuple[OrganizationReport, ...]

    @classmethod
    def of(
        cls, config: str, findings: Iterable[Finding], checked: Iterable[Checked], *, online: bool
    ) -> Self:
        """Return the report of ``findings`` about the file, and of the ``checked``."""
        every = tuple(checked)
        problems = (*findings, *(finding for _, own in every for finding in own))
        valid = all(problem.severity == "warning" for problem in problems)
        return cls(config, valid, online, problems, tuple(report for report, _ in every))

    def json(self) -> str:
        """Return the document."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()
