"""The poller of an organization's quotas."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.poller import Poller
from exporter.collect.poll.quota_attempt import QuotaAttempt, QuotaClient
from exporter.collect.poll.quota_state import POLL_INTERVAL, QuotaState, timing_of
from exporter.collect.poll.schedule import Slots
from exporter.collect.publisher import Publisher
from exporter.collect.quota.published import published
from exporter.collect.snapshot import Report
from exporter.config import Organization
from exporter.quota.view import AccountView


class QuotaPoller(Poller[QuotaState]):
    """Polls the quotas of an organization; polls begin ``offset`` seconds past each slot."""

    def __init__(
        self,
        organization: Organization,
        client: QuotaClient,
        directory: ProjectDirectory,
        publisher: Publisher,
        *,
        state: QuotaState | None = None,
        offset: int = 0,
        **options: Any,
    ) -> None:
        self._organization = organization
        self._quota_client = client
        self._directory = directory
        super().__init__(
            client,
            publisher,
            state or QuotaState.begin(organization),
            Slots(POLL_INTERVAL, 0, offset),
            timing_of(organization),
            **options,
        )

    def _must_change(self, now: float) -> bool:
        return self._is_fresh(now) != self._state.has_data(self._state.report)

    def _follow_clock(self, now: float) -> None:
        super()._follow_clock(now)
        self._state.fresh_at = min(self._state.fresh_at, now)

    def _attempt(self, now: float, elapsed: Callable[[], float]) -> QuotaAttempt:  # noqa: ARG002 - as in the base class
        return QuotaAttempt(
            self._organization, self._quota_client, self._directory, self._state, now
        )

    def _with_data(self, report: Report, now: float) -> Report:
        return replace(report, quotas=self._view(now))

    def _view(self, now: float) -> AccountView:
        state = self._state
        if state.account is None or state.reading is None or not self._is_fresh(now):
            return AccountView(state.plan.up)
        return published(state.account, state.reading, state.disagreements, plan_up=state.plan.up)
