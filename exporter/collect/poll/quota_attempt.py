"""One poll of the quotas of an organization: read the plan, what was used, and by whom."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Protocol

from exporter.buckets import floor
from exporter.collect.plan.core import Reply, drive, together
from exporter.collect.plan.resolved import choose_projects
from exporter.collect.poll.directory import FRESH_FOR, ProjectDirectory
from exporter.collect.poll.failure import Failure
from exporter.collect.poll.plan import PlanClient, PlanSource
from exporter.collect.poll.poller import Outcome
from exporter.collect.poll.poller_state import DatedClient
from exporter.collect.poll.quota_state import POLL_INTERVAL, QuotaState
from exporter.collect.quota.account import Account, account_of
from exporter.collect.quota.projects import ProjectsReading, read_by_project, with_projects
from exporter.collect.quota.published import AccountReading, disagreements
from exporter.collect.quota.reading import UsageReading, read_usage
from exporter.config import Organization
from exporter.quota.forecast import SETTLE
from exporter.quota.model import HOUR, Quota
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question

_LIST_AGE: Final = FRESH_FOR - POLL_INTERVAL - 60
"""Seconds after which the projects list is read again: with the poll after that, it would be more
than an hour until a project counts for its new team. A minute less, as no poll is on the second."""


class QuotaClient(PlanClient, DatedClient, Protocol):
    """What answers questions, and has the plan."""

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the replies in the order of the questions."""
        ...


class QuotaAttempt:
    """One poll at ``now``; ``requests`` is how many questions were asked."""

    def __init__(
        self,
        organization: Organization,
        client: QuotaClient,
        directory: ProjectDirectory,
        state: QuotaState,
        now: float,
    ) -> None:
        self._organization = organization
        self._client = client
        self._directory = directory
        self._state = state
        self._now = now
        self.requests = 0

    def run(self) -> Outcome:
        """Poll; raises `SentryError` or `ClosedError` where nothing came of it.

        Without the projects list a poll fails, but what the organization has used is taken.
        """
        state, now = self._state, self._now
        plan = PlanSource(self._organization, self._client, state.plan, self._waiting)
        is_read = plan.read(now)
        account = account_of(self._organization, state.plan.plan, now)
        projects, failure = self._projects()
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
        usage, parts = self._usage(account, members)
        by_project = self._by_project(account, usage, projects)
        labels = self._learn(by_project, projects)
        usage = with_projects(usage, by_project)
        with state.changing:
            state.check(self._client)
            if is_read:
                state.disagreements = disagreements(account, usage)
            elif not state.plan.up:
                state.disagreements = {}
            state.account, state.fresh_at = account, now
            state.reading = AccountReading(now, usage, by_project, parts, members, labels)
        return Outcome(failure=failure)

    def _projects(self) -> tuple[ProjectList | None, Failure | None]:
        try:
            with self._waiting():
                return self._directory.projects(self._now, _LIST_AGE), None
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
        self, account: Account, members: Mapping[str, frozenset[int]]
    ) -> tuple[UsageReading, Mapping[str, UsageReading]]:
        """Return what the organization has used, and each quota that is about some projects."""
        categories = _categories(account)
        if not categories:
            return UsageReading(), {}
        known = self._known_parts(account, members)
        parts = [
            one.quota
            for one in account.quotas
            if members.get(one.quota.name) and one.quota.name not in known
        ]
        plans = [
            read_usage(categories, account.period, self._now),
            *(
                read_usage(
                    one.categories, account.period, self._now, tuple(sorted(members[one.name]))
                )
                for one in parts
            ),
        ]
        usage, *read = drive(together(plans), self._ask_all)
        nothing = {name: UsageReading() for name, projects in members.items() if not projects}
        new = {one.name: reading for one, reading in zip(parts, read, strict=True)}
        return usage, {**nothing, **known, **new}

    def _known_parts(
        self, account: Account, members: Mapping[str, frozenset[int]]
    ) -> Mapping[str, UsageReading]:
        """Return what was read of quotas about some projects, and need not be read again.

        They are read once an hour, when another hour has finished: what they have used comes with
        the totals by project, and forty teams would be eighty requests a poll.
        """
        before, last = self._state.account, self._state.reading
        if before is None or last is None or before.period != account.period:
            return {}
        if floor(last.now - SETTLE, HOUR) != floor(self._now - SETTLE, HOUR):
            return {}
        categories = {one.quota.name: one.quota.categories for one in before.quotas}
        return {
            one.quota.name: last.parts[one.quota.name]
            for one in account.quotas
            if members.get(one.quota.name)
            and last.members.get(one.quota.name) == members[one.quota.name]
            and categories.get(one.quota.name) == one.quota.categories
        }

    def _by_project(
        self, account: Account, usage: UsageReading, projects: ProjectList | None
    ) -> ProjectsReading:
        categories = _categories(account)
        if not categories:
            return ProjectsReading()
        readable = tuple(sorted(projects.accessible)) if projects else ()
        before = self._state.reading.by_project if self._state.reading else None
        plan = read_by_project(categories, account.period, self._now, usage, readable, before)
        return drive(plan, self._ask_all)

    def _learn(
        self, by_project: ProjectsReading, projects: ProjectList | None
    ) -> Mapping[int, str] | None:
        """Return the labels of the projects, after what was learned of those that can be read."""
        if projects is None:
            return None
        with self._waiting():
            if by_project.unlisted:
                self._directory.refresh(self._now)
            projects = self._directory.learn(by_project.projects(), self._now)
        return dict(self._directory.labels(projects))

    def _ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        with self._waiting():
            self.requests += len(questions)
            return self._client.ask_all(questions)

    def _waiting(self) -> AbstractContextManager[None]:
        return self._state.waited_for(self._client)


def _is_part(quota: Quota) -> bool:
    return quota.projects is not None or bool(quota.team)


def _categories(account: Account) -> tuple[str, ...]:
    return tuple(sorted({name for one in account.quotas for name in one.quota.categories}))
