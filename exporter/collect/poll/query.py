"""The poller of one query."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from exporter.collect.poll.attempt import Attempt, Client, QuerySource
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.poller import Poller
from exporter.collect.poll.poller_state import PollerState
from exporter.collect.poll.schedule import Slots
from exporter.collect.poll.view import timing_of, view_of
from exporter.collect.publisher import Publisher
from exporter.collect.snapshot import Report, View
from exporter.config import Organization, Query


class QueryPoller(Poller[PollerState]):
    """Polls one query; polls begin ``offset`` seconds past its slots."""

    def __init__(
        self,
        organization: Organization,
        query: Query,
        client: Client,
        directory: ProjectDirectory,
        publisher: Publisher,
        *,
        state: PollerState | None = None,
        offset: int = 0,
        **options: Any,
    ) -> None:
        self._source = QuerySource(organization, query, client, directory)
        super().__init__(
            client,
            publisher,
            state or PollerState.begin(organization, query),
            Slots(query.poll_interval, organization.settle, offset),
            timing_of(organization, query),
            **options,
        )

    def _must_change(self, now: float) -> bool:
        """Return whether a counter's grace period has ended, or data have become too old.

        Or they are not too old any more, because ``max_age`` has changed.
        """
        grace_ends = self._state.ledger.grace_ends_at()
        is_shown = self._state.has_data(self._state.report)
        return self._is_fresh(now) != is_shown or (grace_ends is not None and now >= grace_ends)

    def _follow_clock(self, now: float) -> None:
        """Bring moments that lie ahead back to ``now``.

        A counter in its grace period is shown at 0 for all of that period by the new clock.
        """
        super()._follow_clock(now)
        state = self._state
        if state.shown is not None:
            state.shown = replace(state.shown, fresh_at=min(state.shown.fresh_at, now))
        state.ledger.follow_clock(now)

    def _start_with(self, credentials: Hashable) -> None:
        """Note what the poll tries with; another token may read what the last one could not."""
        state = self._state
        if state.schedule.tried_with != credentials:
            state.filter = state.filter.retrying()
        super()._start_with(credentials)

    def _attempt(self, now: float, elapsed: Callable[[], float]) -> Attempt:
        return Attempt(self._source, self._state, now, elapsed, self._log)

    def _with_data(self, report: Report, now: float) -> Report:
        ledger = self._state.ledger
        ledger.end_grace(now)
        view = self._view(now)
        # Publishers know a view that has been rendered already by identity.
        shown = report.view if view == report.view else view
        return replace(report, view=shown, history=dict(ledger.buckets))

    def _view(self, now: float) -> View | None:
        state = self._state
        if state.shown is None or not self._is_fresh(now):
            return None
        return view_of(self._source.query, state.ledger, state.shown)
