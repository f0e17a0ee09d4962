"""What a poller knows of the quotas of an organization, apart from its settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from exporter.collect.poll.plan import PlanState
from exporter.collect.poll.poller_state import PollState
from exporter.collect.poll.schedule import Schedule
from exporter.collect.quota.account import Account, account_of
from exporter.collect.quota.published import AccountReading, published
from exporter.collect.snapshot import Report, Timing
from exporter.config import QUOTAS_QUERY, Organization
from exporter.quota.model import HOUR, Quota
from exporter.quota.view import AccountView

POLL_INTERVAL: Final = 900
"""Seconds between two polls: a quota changes slowly, and its period ends on a slot."""


@dataclass(slots=True, eq=False)
class QuotaState(PollState):
    """What a poller knows of the quotas of an organization.

    ``account`` and ``reading`` are those of the last poll that succeeded, whose age counts from
    ``fresh_at``.
    """

    plan: PlanState = field(default_factory=PlanState)
    account: Account | None = None
    reading: AccountReading | None = None
    fresh_at: float = 0
    disagreements: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, organization: Organization, first_poll: float = 0) -> Self:
        """Return the state before the first poll."""
        report = Report(
            organization.name,
            QUOTAS_QUERY,
            timing=timing_of(organization),
            next_poll=first_poll,
            quotas=AccountView(),
        )
        return cls(report, Schedule(first_poll))

    @classmethod
    def succeeding(cls, before: Self, organization: Organization, first_poll: float) -> Self:
        """Return the state of an organization's quotas, some of which have changed.

        What was read goes on to count, for those quotas that it is about: a limit or a price that
        has changed holds at once. The plan is not read again before its time.
        """
        state, read = cls.begin(organization, first_poll), before.reading
        if organization.billing.plan == "sentry":
            state.plan = replace(before.plan)
        if before.account is None or read is None:
            return state
        account = account_of(organization, state.plan.plan, read.now)
        if account.period == before.account.period:
            known = tuple(one for one in account.quotas if _is_known(one.quota, before))
            state.account, state.reading = replace(account, quotas=known), read
            state.fresh_at, state.disagreements = before.fresh_at, before.disagreements
            quotas = published(state.account, read, before.disagreements, plan_up=state.plan.up)
            state.report = replace(state.report, quotas=quotas)
        return state

    def fresh_since(self) -> float | None:
        """Return since when the data age, None without any."""
        return None if self.reading is None else self.fresh_at

    def has_data(self, report: Report) -> bool:
        """Return whether ``report`` has data."""
        return report.quotas is not None and report.quotas.period is not None

    def without_data(self, report: Report) -> Report:
        """Return ``report`` without its data."""
        return replace(report, quotas=AccountView(self.plan.up))


def _is_known(quota: Quota, before: QuotaState) -> bool:
    """Return whether what was read is about ``quota``."""
    if before.account is None or before.reading is None:
        return False
    if not before.reading.by_project.used.keys() >= set(quota.categories):
        return False
    scope = quota.projects, quota.team
    return scope == (None, "") or any(
        (one.quota.name, one.quota.categories) == (quota.name, quota.categories)
        and (one.quota.projects, one.quota.team) == scope
        for one in before.account.quotas
    )


def timing_of(organization: Organization) -> Timing:
    """Return how often quotas are polled, and when what was read of them is too old."""
    return Timing(HOUR, POLL_INTERVAL, 0, max(organization.max_age, 2 * POLL_INTERVAL))
