"""What is learned of the quotas of an organization, of its plan, and of who owns its projects."""

from collections.abc import Iterator, Sequence
from typing import Final

from exporter.categories import MILLISECONDS_PER_SECOND, Unit
from exporter.check.report import Plan, PlannedQuota, QuotaUse, Unowned
from exporter.collect.plan.resolved import choose_projects, missing_project
from exporter.collect.poll import ProjectDirectory, QuotaPoller, owner_of
from exporter.collect.poll.plan import period_text
from exporter.collect.poll.poll_log import PollLog
from exporter.collect.quota.account import account_of, contradiction
from exporter.collect.snapshot import Report
from exporter.config import Organization
from exporter.quota.model import Period
from exporter.sentry.client import SentryClient
from exporter.sentry.customer import CustomerPlan
from exporter.sentry.projects import Project, ProjectList

MAX_NAMED: Final = 10
"""How many projects without an owner the text names."""


class _Nowhere:
    """A publisher of reports that publishes nothing."""

    def publish(self, report: Report) -> None:
        """Publish nothing."""


def tried_quotas(
    organization: Organization, client: SentryClient, directory: ProjectDirectory, now: float
) -> Report:
    """Return the report of a poll of the quotas, which is published nowhere."""
    log = PollLog(repeats=False)
    return QuotaPoller(organization, client, directory, _Nowhere(), poll_log=log).poll(now)


def uses(report: Report) -> tuple[QuotaUse, ...]:
    """Return what was used of each quota that a poll has read."""
    account = report.quotas
    return tuple(
        QuotaUse(
            view.quota.name,
            view.quota.unit,
            view.used / MILLISECONDS_PER_SECOND if view.quota.unit is Unit.SECONDS else view.used,
            view.quota.limit,
        )
        for view in (account.quotas if account else ())
    )


def readable_plan(organization: Organization, plan: CustomerPlan, now: float) -> Plan:
    """Return what a plan that could be read would configure."""
    planned = account_of(organization, plan, now)
    periods = contradiction(organization.billing, plan)
    budgets = {quota: float(money) for quota, money in planned.budgets.items()}
    return Plan(
        readable=True,
        period=period_text(Period(plan.start, plan.end)),
        contradicts=period_text(periods[0]) if periods else "",
        currency=planned.currency,
        budget=budgets.get(""),
        quotas=tuple(
            PlannedQuota(
                one.quota.name,
                one.quota.unit,
                one.quota.limit,
                float(one.quota.price.tiers[0].each) if one.quota.price else None,
                budgets.get(one.quota.name),
            )
            for one in planned.quotas
            if one.plan_usage is not None
        ),
    )


def unowned(organization: Organization, projects: ProjectList) -> Unowned:
    """Return the slugs of the projects without an owner, by why they have none."""
    without = [one for one in projects.by_id.values() if not owner_of(organization.teams, one)]
    return Unowned(
        _slugs(one for one in without if one.teams), _slugs(one for one in without if not one.teams)
    )


def missing_names(organization: Organization, projects: ProjectList) -> Iterator[str]:
    """Yield what is wrong with the projects and teams that quotas name."""
    owners = {owner_of(organization.teams, one) for one in projects.by_id.values()}
    for quota in organization.quotas:
        for name in choose_projects(quota.project, projects).missing:
            missing = missing_project(name, projects)
            yield f"the quota {quota.name} names a project that cannot be read: {missing}"
        if quota.team and quota.team not in owners:
            yield f"the quota {quota.name} is about the team {quota.team}, which owns no project"


def named(slugs: Sequence[str]) -> str:
    """Return the first of ``slugs``, and how many more there are."""
    more = f" and {len(slugs) - MAX_NAMED} more" if len(slugs) > MAX_NAMED else ""
    return f"{', '.join(slugs[:MAX_NAMED])}{more}"


def _slugs(projects: Iterator[Project]) -> tuple[str, ...]:
    return tuple(sorted(one.slug for one in projects))
