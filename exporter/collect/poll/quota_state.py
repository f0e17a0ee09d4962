"""What a poller knows of the quotas of an organization, apart from its settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from exporter.collect.poll.plan import PlanState
from exporter.collect.poll.poller_state import PollState
from exporter.collect.poll.schedule import Schedule
from exporter.collect.quota.account import Account
from exporter.collect.quota.published import AccountReading
from exporter.collect.snapshot import Report, Timing
from exporter.config import QUOTAS_QUERY, Organization
from exporter.quota.model import HOUR
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


def timing_of(organization: Organization) -> Timing:
    """Return how often quotas are polled, and when what was read of them is too old."""
    return Timing(HOUR, POLL_INTERVAL, 0, max(organization.max_age, 2 * POLL_INTERVAL))
