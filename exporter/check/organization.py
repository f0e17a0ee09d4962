"""What one organization's server says about its token, its projects, its limits and queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from exporter.check.dry_poll import DryPoll
from exporter.check.findings import (
    Finding,
    Severity,
    category_warnings,
    deprecated,
    failure,
    incomplete,
    quotas_failed,
    unforeseen,
    warning,
)
from exporter.check.lookups import identity, plan
from exporter.check.quotas import missing_names, tried_quotas, unowned, uses
from exporter.check.report import (
    Checked,
    OrganizationReport,
    Plan,
    Projects,
    QueryReport,
    QuotaUse,
    Token,
)
from exporter.collect.poll import ProjectDirectory, owner_of
from exporter.collect.poll.attempt import QuerySource
from exporter.collect.snapshot import ProjectInfo
from exporter.config import Config, Organization, Query
from exporter.moments import elapsed
from exporter.sentry.api_status import is_clock_wrong
from exporter.sentry.client import SentryClient
from exporter.sentry.errors import SentryError, TokenError, UnknownProjectError
from exporter.sentry.projects import ProjectList
from exporter.sentry.token import UNKNOWN_KIND, token_kind

_SLOW: Final = frozenset({"network", "timeout", "server_error", "rate_limited", "too_heavy"})
"""Reasons of failures that take long: after the second one, no other query is tried."""


@dataclass(slots=True)
class OrganizationCheck:
    """The check of one organization at ``now``.

    ``reasons`` are those of the failures so far, the first one that of the projects list if
    ``list_failed``.
    """

    config: Config
    organization: Organization
    client: SentryClient
    now: float
    findings: list[Finding] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    list_failed: bool = False

    def run(self) -> Checked:
        """Ask, and return what was learned; never raises."""
        try:
            report = self._ask()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the other checks
            self.findings.append(unforeseen(self.config, self.organization, error))
            report = OrganizationReport.unknown(self.organization)
        self._add_category_warnings(report.queries)
        return report, tuple(self.findings)

    def _ask(self) -> OrganizationReport:
        owner = partial(owner_of, self.organization.teams)
        directory = ProjectDirectory(
            self.organization.name, self.client, _Nowhere(), self.organization.project_label, owner
        )
        cannot_read = self._cannot_read(directory)
        queries = tuple(
            QueryReport(query.name)
            if cannot_read or self._is_down()
            else self._try(query, directory)
            for query in self.organization.queries
        )
        quotas = () if cannot_read or self._is_down() else self._try_quotas(directory)
        report = self._report(directory.state.projects, queries, quotas)
        self._warn(report, directory.state.projects)
        return report

    def _try_quotas(self, directory: ProjectDirectory) -> tuple[QuotaUse, ...]:
        if not self.organization.has_quotas:
            return ()
        report = tried_quotas(self.organization, self.client, directory, self.now)
        last = report.last_polls[-1]
        if last.reason and not (self.list_failed and last.reason == self.reasons[0]):
            self.findings.append(quotas_failed(self.config, self.organization, last))
        return uses(report)

    def _cannot_read(self, directory: ProjectDirectory) -> bool:
        """Read the projects list; return whether nothing else can be read either."""
        try:
            directory.projects(self.now)
        except SentryError as error:
            self._note(error)
            self.list_failed = True
            return error.lasting
        return False

    def _is_down(self) -> bool:
        # Not after the first one: a connection that breaks once says little about the next.
        return sum(reason in _SLOW for reason in self.reasons) > 1

    def _try(self, query: Query, directory: ProjectDirectory) -> QueryReport:
        data = None
        source = QuerySource(self.organization, query, self.client, directory)
        poll = DryPoll(source, self.now)
        try:
            data = poll.run()
        except UnknownProjectError:
            # It names the projects that `missing` has one by one.
            pass
        except SentryError as error:
            # Where nothing was asked, the failure is the one of the projects list, again.
            if poll.has_asked or not self.list_failed:
                self._note(error, query)
        # As for the exporter: a query goes on without a project, as long as one is left.
        severity: Severity = "error" if data is None else "warning"
        for missing in poll.missing():
            self._note(missing, query, severity)
        if data is not None and not data.complete:
            self.findings.append(incomplete(self.config, self.organization, query))
        return QueryReport(query.name, tried=poll.has_asked, data=data)

    def _note(
        self, error: SentryError, query: Query | None = None, severity: Severity = "error"
    ) -> None:
        """Add a finding, unless the query fails as the organization does."""
        repeated = self.list_failed and error.reason == self.reasons[0]
        self.reasons.append(error.reason)
        if not repeated:
            finding = failure(self.config, self.organization, error, query, severity)
            self.findings.append(finding)

    def _report(
        self,
        projects: ProjectList | None,
        queries: Sequence[QueryReport],
        quotas: tuple[QuotaUse, ...],
    ) -> OrganizationReport:
        organization, client = self.organization, self.client
        answered = projects is not None or any(query.data for query in queries)
        # Before the lookups, which are none of the exporter's requests.
        status = client.status
        skew = status.clock_skew
        return OrganizationReport(
            organization.name,
            organization.slug,
            organization.url,
            Token(_token_kind(organization, projects), organization.token.describe()),
            identity(organization, client) if answered else None,
            Projects(projects.listed, projects.readable, projects.hidden) if projects else None,
            # Without the sum, a small negative difference would be -0.0 in the document.
            None if skew is None else round(skew, 1) + 0.0,
            status.rate_limit,
            status.deprecations,
            plan(organization, client, self.now) if answered else None,
            tuple(queries),
            quotas,
            unowned(organization, projects) if projects else None,
        )

    def _add_category_warnings(self, queries: Sequence[QueryReport]) -> None:
        """Add what the file's check says of categories, where Sentry has not said more."""
        refused = {finding.path for finding in self.findings}
        for query, report in zip(self.organization.queries, queries, strict=True):
            # Data prove that Sentry has these categories.
            if report.data is None:
                warnings = category_warnings(self.config, self.organization, query)
                self.findings += (one for one in warnings if one.path not in refused)

    def _warn(self, report: OrganizationReport, projects: ProjectList | None) -> None:
        for one in report.deprecations:
            self.findings.append(deprecated(self.config, self.organization, one))
        for key, text in _warnings(self.organization, report):
            self.findings.append(warning(self.config, self.organization, key, text))
        for text in missing_names(self.organization, projects) if projects else ():
            self.findings.append(warning(self.config, self.organization, "quotas", text))


class _Nowhere:
    """A publisher for projects that publishes nothing."""

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Publish nothing."""


def _warnings(organization: Organization, report: OrganizationReport) -> Iterator[tuple[str, str]]:
    """Yield what works and is worth a warning, with the setting that it is about."""
    skew, projects = report.clock_skew_seconds, report.projects
    if skew is not None and is_clock_wrong(skew, organization.settle):
        text = (
            f"this host's clock is {elapsed(abs(skew))} {'slow' if skew > 0 else 'fast'} "
            "compared with Sentry's: correct it, as it determines which buckets are finished"
        )
        yield "settle", text
    # Without queries by project, what the token cannot read is counted all the same.
    if projects and projects.hidden and any("project" in q.group_by for q in organization.queries):
        text = (
            f"the token cannot read {projects.hidden} of {projects.listed} projects, which are "
            'counted together under project="": to see each of them, use the token of an internal '
            "integration with the permission Organization: Read"
        )
        yield _token_key(organization), text
    yield from _plan_warnings(organization, report.plan)


def _plan_warnings(organization: Organization, plan: Plan | None) -> Iterator[tuple[str, str]]:
    if organization.billing.plan == "off" or plan is None:
        return
    if not plan.readable:
        text = f"the plan cannot be read, the values of the file are used: {plan.reason}"
        yield "billing.plan", text
    if plan.contradicts:
        text = (
            f"the period is {plan.contradicts} here but {plan.period} in the plan, whose period is "
            "used"
        )
        yield "billing.period", text


def _token_key(organization: Organization) -> str:
    if organization.token_file is not None:
        return "token_file"
    return "token_env" if organization.token_env is not None else "token"


def _token_kind(organization: Organization, projects: ProjectList | None) -> str:
    try:
        return token_kind(organization.token.read(), projects)
    except TokenError:
        return UNKNOWN_KIND
