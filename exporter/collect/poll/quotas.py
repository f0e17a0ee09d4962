"""The poller of an organization's quotas: polls them when it is due, and publishes what changes."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

import structlog

from exporter.collect.plan.core import Cut, Reply, drive, together
from exporter.collect.plan.resolved import choose_projects
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.failure import Failure
from exporter.collect.poll.plan import PlanClient, PlanSource, PlanState
from exporter.collect.poll.poll_log import PollLog
from exporter.collect.poll.poller_state import ClosedError, DatedClient, PollState, server_time
from exporter.collect.poll.schedule import MAX_PAUSE, Schedule, Slots
from exporter.collect.poll.watch import Watch
from exporter.collect.publisher import Publisher
from exporter.collect.quota.account import Account, account_of
from exporter.collect.quota.published import AccountReading, disagreements, published
from exporter.collect.quota.reading import (
    ProjectsReading,
    UsageReading,
    read_by_project,
    read_usage,
    with_projects,
)
from exporter.collect.snapshot import Poll, Report, Timing
from exporter.config import QUOTAS_QUERY, Organization
from exporter.quota.model import HOUR, Quota
from exporter.quota.view import AccountView
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question

POLL_INTERVAL: Final = 900
"""Seconds between two polls: a quota changes slowly, and its period ends on a slot."""

_log = structlog.get_logger(__name__)


class QuotaClient(PlanClient, DatedClient, Protocol):
    """What answers questions, and has the plan."""

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the replies in the order of the questions."""
        ...


@dataclass(slots=True, eq=False)
class QuotaState(PollState):
    """What a poller knows of the quotas of an organization.

    ``account`` and ``reading`` are those of the last poll that succeeded, whose age counts from
    ``fresh_at``. ``cuts`` are what the last reading by project has learned.
    """

    plan: PlanState = field(default_factory=PlanState)
    account: Account | None = None
    reading: AccountReading | None = None
    fresh_at: float = 0
    disagreements: Mapping[str, int] = field(default_factory=dict)
    cuts: Mapping[tuple[str, ...], Cut] = field(default_factory=dict)

    @classmethod
    def begin(cls, organization: Organization, first_poll: float = 0) -> Self:
        """Return the state before the first poll."""
        report = Report(
            organization.name,
            QUOTAS_QUERY,
            timing=_timing(organization),
            next_poll=first_poll,
            quotas=AccountView(),
        )
        return cls(report, Schedule(first_poll))


class QuotaPoller:
    """Polls the quotas of an organization, and publishes a report after everything that changes.

    Times are seconds since the epoch. With the ``state`` of a predecessor for the same quotas, this
    one goes on where that one was, as a `QueryPoller` does.
    """

    def __init__(
        self,
        organization: Organization,
        client: QuotaClient,
        directory: ProjectDirectory,
        publisher: Publisher,
        *,
        state: QuotaState | None = None,
        poll_log: PollLog | None = None,
        offset: int = 0,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._organization = organization
        self._client = client
        self._directory = directory
        self._publisher = publisher
        self._state = state or QuotaState.begin(organization)
        self._slots = Slots(POLL_INTERVAL, 0, offset)
        self._timing = _timing(organization)
        self._plan = PlanSource(organization, client, self._state.plan, self._waiting)
        self._timer = timer
        self._published: Report | None = self._state.report
        self._log = _log.bind(**self.about)
        self._poll_log = poll_log or PollLog()
        self.watch = Watch(self._state, publisher, client, self._is_too_old, _without_data)

    @property
    def about(self) -> Mapping[str, str]:
        """What the log says about it: its organization, and the name of these polls."""
        return {"organization": self._organization.name, "query": QUOTAS_QUERY}

    @property
    def report(self) -> Report:
        """What was last published."""
        return self._state.shown_report

    @property
    def state(self) -> QuotaState:
        """What a successor needs to go on."""
        return self._state

    def take_over(self) -> None:
        """Let no predecessor with another client change the state, nor hold this one up."""
        self._state.hand_over(self._client)

    def republish(self) -> None:
        """Let the next refresh publish, as the publisher may have dropped the last report."""
        self._published = None

    def due(self, now: float) -> bool:
        """Return whether it is time to poll."""
        now = server_time(self._client, now)
        return self._is_free() and self._state.schedule.is_due(now, self._credentials)

    def must_refresh(self, now: float) -> bool:
        """Return whether what is shown must change because time has passed.

        Data get too old, the clock was set back, or a predecessor could not publish its report.
        """
        state, now = self._state, server_time(self._client, now)
        if not self._is_free():
            return False
        if self._is_clock_set_back(now):
            return True
        if state.retry_at is not None:
            return now >= state.retry_at
        return state.report is not self._published or self._is_fresh(now) != self._is_shown()

    def refresh(self, now: float) -> None:
        """Publish again if what is shown must change because time has passed."""
        if self.must_refresh(now):
            with self._state.working:
                if self._may_work():
                    now = server_time(self._client, now)
                    self._follow_clock(now)
                    self._publish(now)

    def poll(self, now: float) -> Report:
        """Poll once; whatever goes wrong is in the report, and changes no data."""
        with self._state.working:
            if self._may_work():
                self._state.poll_by_server(self._client, now, self._poll)
        return self._state.report

    def _is_free(self) -> bool:
        return self._may_work() and not self._state.working.locked()

    def _may_work(self) -> bool:
        return self._state.is_open_to(self._client)

    def _is_clock_set_back(self, now: float) -> bool:
        state = self._state
        too_late = state.schedule.is_too_late(self._slots, now)
        return too_late or (state.reading is not None and now < state.fresh_at)

    def _is_fresh(self, now: float) -> bool:
        state = self._state
        return state.reading is not None and now - state.fresh_at < self._timing.max_age

    def _is_shown(self) -> bool:
        return _has_data(self._state.report)

    def _is_too_old(self, report: Report, now: float) -> bool:
        return _has_data(report) and not self._is_fresh(now)

    def _follow_clock(self, now: float) -> None:
        """Bring moments that lie ahead back to ``now``: the clock has been set back since."""
        state = self._state
        if state.schedule.is_too_late(self._slots, now):
            state.schedule = state.schedule.moved_to(self._slots.after(now))
        state.fresh_at = min(state.fresh_at, now)

    def _credentials(self) -> Hashable:
        return self._client, self._client.credentials()

    def _waiting(self) -> AbstractContextManager[None]:
        return self._state.waited_for(self._client)

    def _poll(self, now: float) -> None:
        state, began = self._state, self._timer()
        self._follow_clock(now)
        state.schedule = state.schedule.started(self._credentials())
        attempt = _Attempt(self._organization, self._client, self._directory, state, self._plan)
        exception: Exception | None = None
        try:
            failure = attempt.run(now)
        except ClosedError:
            return
        except SentryError as error:
            failure = Failure.of(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the process either
            failure, exception = Failure.unforeseen(error), error
        duration = self._timer() - began
        if failure is None:
            state.record(Poll(now, duration, attempt.requests))
            state.schedule = state.schedule.succeeded(self._slots, now, backlog=False)
            details = {"requests": attempt.requests, "seconds": round(duration, 3)}
            self._log.debug("polled", **details)
            self._poll_log.succeeded(self.about, now, details)
        else:
            reasons = failure.reason, str(failure), failure.remedy
            state.record(Poll(now, duration, attempt.requests, *reasons))
            end = now + duration
            state.schedule = state.schedule.failed(self._slots, end, lasting=failure.lasting)
            if not state.closed:
                next_poll = state.schedule.next_poll
                self._poll_log.failed(self.about, failure, end, next_poll, exception)
            # Its traceback leads to this frame, which would hold it, and with it what was read.
            exception = None
        self._publish(now)

    def _publish(self, now: float) -> None:
        """Publish the state; if that fails, publish the failure, and the quotas as they were."""
        state = self._state
        before = state.report.quotas
        try:
            self._show(self._view(now))
            state.retry_at = None
        except Exception:  # noqa: BLE001 - a fault of ours must not end the process either
            self._log.exception("publishing failed", reason="internal")
            state.count_failure("internal")
            # It would fail again at once, and every second.
            again = max(state.schedule.next_poll, now + MAX_PAUSE)
            state.schedule = state.schedule.moved_to(again)
            state.retry_at = again
            self._show(before)

    def _view(self, now: float) -> AccountView:
        state = self._state
        if state.account is None or state.reading is None or not self._is_fresh(now):
            return AccountView(state.plan.up)
        return published(state.account, state.reading, state.disagreements, plan_up=state.plan.up)

    def _show(self, quotas: AccountView | None) -> None:
        state = self._state
        state.report = replace(
            state.report,
            quotas=quotas,
            next_poll=state.schedule.next_poll,
            # A predecessor may have had another max_age.
            timing=self._timing,
        )
        self._published = state.report
        with state.publishing:
            self._publisher.publish(state.report)


class _Attempt:
    """One poll; ``requests`` is how many questions were asked."""

    def __init__(
        self,
        organization: Organization,
        client: QuotaClient,
        directory: ProjectDirectory,
        state: QuotaState,
        plan: PlanSource,
    ) -> None:
        self._organization = organization
        self._client = client
        self._directory = directory
        self._state = state
        self._plan = plan
        self.requests = 0

    def run(self, now: float) -> Failure | None:
        """Poll; return why the list of projects could not be read, if so.

        Raises `SentryError` or `ClosedError` where nothing came of it.
        """
        state = self._state
        is_read = self._plan.read(now)
        account = account_of(self._organization, state.plan.plan, now)
        projects, failure = self._projects(now)
        members = self._members(account, projects)
        # Without the list, it is not known which projects they are about.
        account = replace(
            account,
            quotas=tuple(
                one
                for one in account.quotas
                if not _is_part(one.quota) or one.quota.name in members
            ),
        )
        usage, parts = self._usage(account, members, now)
        by_project = self._by_project(account, usage, projects, now)
        labels = self._learn(by_project, projects, now)
        usage = with_projects(usage, by_project)
        with state.changing:
            state.check(self._client)
            if is_read:
                state.disagreements = disagreements(account, usage)
            elif not state.plan.up:
                state.disagreements = {}
            state.account, state.fresh_at, state.cuts = account, now, by_project.cuts
            state.reading = AccountReading(now, usage, by_project, parts, members, labels)
        return failure

    def _projects(self, now: float) -> tuple[ProjectList | None, Failure | None]:
        try:
            with self._waiting():
                return self._directory.projects(now), None
        except SentryError as error:
            # What the organization has used can be read without it.
            return None, Failure.of(error)

    def _members(
        self, account: Account, projects: ProjectList | None
    ) -> Mapping[str, frozenset[int]]:
        """Return the projects of the quotas that are about some projects only, by quota."""
        members = {}
        for one in account.quotas if projects else ():
            if one.quota.projects is not None:
                chosen = choose_projects(one.quota.projects, projects)
                members[one.quota.name] = frozenset(chosen.ids)
            elif one.quota.team:
                members[one.quota.name] = self._directory.owned_by(one.quota.team)
        return members

    def _usage(
        self, account: Account, members: Mapping[str, frozenset[int]], now: float
    ) -> tuple[UsageReading, Mapping[str, UsageReading]]:
        """Return what the organization has used, and each quota that is about some projects."""
        categories = _categories(account)
        if not categories:
            return UsageReading(), {}
        parts = [one.quota for one in account.quotas if members.get(one.quota.name)]
        plans = [
            read_usage(categories, account.period, now),
            *(
                read_usage(one.categories, account.period, now, tuple(sorted(members[one.name])))
                for one in parts
            ),
        ]
        usage, *read = drive(together(plans), self._ask_all)
        nothing = {name: UsageReading() for name, projects in members.items() if not projects}
        return usage, {
            **nothing,
            **{one.name: reading for one, reading in zip(parts, read, strict=True)},
        }

    def _by_project(
        self, account: Account, usage: UsageReading, projects: ProjectList | None, now: float
    ) -> ProjectsReading:
        categories = _categories(account)
        if not categories:
            return ProjectsReading({})
        readable = tuple(sorted(projects.accessible)) if projects else ()
        plan = read_by_project(categories, account.period, now, usage, readable, self._state.cuts)
        return drive(plan, self._ask_all)

    def _learn(
        self, by_project: ProjectsReading, projects: ProjectList | None, now: float
    ) -> Mapping[int, str] | None:
        """Return the labels of the projects, after what was learned of those that can be read."""
        if projects is None:
            return None
        with self._waiting():
            if by_project.unlisted:
                self._directory.refresh(now)
            projects = self._directory.learn(by_project.projects(), now)
        return dict(self._directory.labels(projects))

    def _ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        with self._waiting():
            self.requests += len(questions)
            return self._client.ask_all(questions)

    def _waiting(self) -> AbstractContextManager[None]:
        return self._state.waited_for(self._client)


def _has_data(report: Report) -> bool:
    return report.quotas is not None and report.quotas.period is not None


def _without_data(report: Report) -> Report:
    return replace(report, quotas=report.quotas and AccountView(report.quotas.plan_up))


def _is_part(quota: Quota) -> bool:
    return quota.projects is not None or bool(quota.team)


def _categories(account: Account) -> tuple[str, ...]:
    return tuple(sorted({name for one in account.quotas for name in one.quota.categories}))


def _timing(organization: Organization) -> Timing:
    return Timing(HOUR, POLL_INTERVAL, 0, max(organization.max_age, 2 * POLL_INTERVAL))
