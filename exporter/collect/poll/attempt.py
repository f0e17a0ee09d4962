"""One poll of a query: read what has changed, persist it, apply it to the ledger."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from urllib.parse import quote

from exporter import buckets
from exporter.buckets import Window
from exporter.collect.ledger import post
from exporter.collect.plan.core import Reply, drive
from exporter.collect.plan.resolved import ChosenProjects, ResolvedQuery, resolve
from exporter.collect.plan.window import WindowReading, read_window
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.failure import Failure
from exporter.collect.poll.poller import Outcome
from exporter.collect.poll.poller_state import PollerState
from exporter.collect.poll.view import shown_at
from exporter.config import Organization, Query
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question

MAX_CATCH_UP: Final = 30 * 86400
"""Seconds before the end of the lookback from which buckets are read after a gap."""


class Client(Protocol):
    """What answers questions."""

    @property
    def status(self) -> ApiStatus:
        """What the server's answers have said beside the data."""
        ...

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the replies in the order of the questions."""
        ...

    def credentials(self) -> Hashable:
        """Return what changes when the token or the CA file does."""
        ...


@dataclass(frozen=True, slots=True)
class QuerySource:
    """A query, and where its data and the projects of its organization are read."""

    organization: Organization
    query: Query
    client: Client
    directory: ProjectDirectory

    def address_length(self) -> int:
        """Return the length of a request's URL before its query string."""
        path = f"/api/0/organizations/{quote(self.organization.slug, safe='')}/stats_v2/?"
        return len(self.organization.url) + len(path)


class Attempt:
    """One poll at ``now``; ``elapsed`` returns the seconds since it began.

    ``requests`` is how many questions were asked.
    """

    def __init__(
        self,
        source: QuerySource,
        state: PollerState,
        now: float,
        elapsed: Callable[[], float],
        log: Any,
    ) -> None:
        self._source = source
        self._query = source.query
        self._state = state
        self._now = now
        self._elapsed = elapsed
        self._log = log
        self.requests = 0

    def run(self) -> Outcome:
        """Poll; raises `SentryError`, `PersistError` or `ClosedError` where nothing came of it.

        Without the projects list a poll fails, but the data it can read are taken.
        """
        state, latest = self._state, self._latest_read()
        projects, failure = self._projects()
        state.filter = state.filter.at(self._now)
        chosen = state.filter.choose(projects)
        self._fail_if_none(chosen, projects)
        before = state.ledger.asked
        if "project" not in self._query.group_by and before and before < set(chosen.ids):
            # A sum over more projects than before is posted without counting. What came in for the
            # projects it was over is counted first.
            _, chosen = self._take(tuple(sorted(before)), projects, succeeded=False)
        reading, chosen = self._take(chosen.ids, projects, succeeded=failure is None)
        self._note_missing(chosen.missing)
        return Outcome(reading.backlog, failure, self._details(latest, backlog=reading.backlog))

    def _latest_read(self) -> int | None:
        """Return the start of the latest finished bucket that was read, by any process."""
        state = self._state
        if state.shown is not None:
            return state.shown.start
        last_success, settle = state.report.last_success, self._source.organization.settle
        if not last_success:
            return None
        return buckets.latest_finished(last_success, self._query.interval, settle)

    def _details(self, latest: int | None, *, backlog: bool) -> Mapping[str, object]:
        """Return how much was read that had finished since ``latest``, if that is of interest."""
        shown, details = self._state.shown, dict[str, object]()
        if latest is not None and shown is not None:
            details["buckets"] = max((shown.start - latest) // self._query.interval, 0)
        return {**details, "backlog": backlog} if backlog else details

    def _projects(self) -> tuple[ProjectList | None, Failure | None]:
        """Return the projects if the query has to do with them, or why there is no list."""
        names = self._query.filter.project
        if "project" not in self._query.group_by and not names:
            return None, None
        try:
            with self._waiting():
                self._source.directory.projects(self._now)
                return self._source.directory.find(names, self._now), None
        except SentryError as error:
            # Only slugs need the list: other data are read and counted, then the poll fails.
            if all(name.isdigit() for name in names):
                return None, Failure.of(error)
            raise

    def _fail_if_none(self, chosen: ChosenProjects, projects: ProjectList | None) -> None:
        """Raise `UnknownProjectError` if the filter names projects and none can be read."""
        state = self._state
        if state.filter.names and not chosen.ids:
            # The poll fails anyway, so the next one can try all of them again.
            state.filter = state.filter.retrying()
            self._note_missing(chosen.missing)
            raise state.filter.unknown(projects)

    def _take(
        self, ids: tuple[int, ...], projects: ProjectList | None, *, succeeded: bool
    ) -> tuple[WindowReading, ChosenProjects]:
        """Read the projects ``ids``, post what they have, and commit the change.

        Return the reading, and what the filter chooses after what was learned by it.
        """
        query, state, settle = self._query, self._state, self._source.organization.settle
        lookback = buckets.lookback_window(self._now, query.interval, settle, query.lookback)
        window = self._window(lookback)
        asked = resolve(query, ids, address=self._source.address_length())
        reading = self._read(asked, projects, window)
        projects = self._learn(asked, projects, reading)
        chosen = state.filter.choose(projects)
        # A filter of which no project is left has no value, which is not 0.
        self._fail_if_none(chosen, projects)
        labels = self._labels(asked, projects)
        skew = self._source.client.status.clock_skew
        change = post(
            state.ledger,
            reading.readings,
            # A grace period begins when a new counter is first shown, at the end of the poll. The
            # fraction does not matter to two minutes; without it, `now` is exact if polls are fast.
            now=self._now + int(self._elapsed()),
            running_end=window.end,
            first_bucket=window.start if reading.backlog else lookback.start,
            interval=query.interval,
            labels=labels,
            asked=frozenset(ids) - reading.refused if query.filter.project else None,
            by_project=asked.by_project,
            clock_skew=skew,
            jumped=self._has_jumped(skew),
            backlog=reading.backlog,
        )
        shown = shown_at(self._now, query, settle, labels)
        state.commit(self._source.client, change, shown, succeeded=succeeded)
        return reading, chosen

    def _window(self, lookback: Window) -> Window:
        """Return the lookback, and before it what a gap in the ledger has left to catch up with."""
        oldest = min(self._state.ledger.buckets, default=lookback.start)
        limit = buckets.floor(lookback.end - MAX_CATCH_UP, lookback.interval)
        return replace(lookback, start=min(lookback.start, max(oldest, limit)))

    def _read(
        self, asked: ResolvedQuery, projects: ProjectList | None, window: Window
    ) -> WindowReading:
        state, query = self._state, self._query
        readable = projects.accessible - state.filter.refused.keys() if projects else frozenset()
        # The first poll reads the running bucket too: of it, only growth is counted later.
        first = state.ledger.counts_from is None
        plan = read_window(
            asked,
            window,
            buckets.latest_finished(self._now, query.interval, self._source.organization.settle),
            state.ledger.buckets,
            asked.project or tuple(sorted(readable)),
            state.hints,
            unfinished=first or query.poll_interval < query.interval,
        )
        reading = drive(plan, self._ask_all)
        state.hints = reading.hints
        return reading

    def _ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        # Before each round, as a large poll asks for minutes.
        with self._waiting():
            self.requests += len(questions)
            return self._source.client.ask_all(questions)

    def _waiting(self) -> AbstractContextManager[None]:
        return self._state.waited_for(self._source.client)

    def _learn(
        self, asked: ResolvedQuery, projects: ProjectList | None, reading: WindowReading
    ) -> ProjectList | None:
        """Return the projects list after what a reading says about what the token can read."""
        state = self._state
        if reading.hints.unlisted:
            # A project that was refused may be readable again, or the list is too old.
            state.filter = state.filter.retrying()
        state.filter = state.filter.refusing(reading.refused, self._now)
        if projects is None:
            return None
        if reading.refused or reading.hints.unlisted:
            with self._waiting():
                projects = self._source.directory.refresh(self._now)
        if not asked.by_project:
            return projects
        with self._waiting():
            return self._source.directory.learn(reading.readable, self._now)

    def _labels(
        self, asked: ResolvedQuery, projects: ProjectList | None
    ) -> Mapping[int, str] | None:
        """Return the labels of the projects; a project of the filter has one even if not listed."""
        if projects is None:
            return None
        named = {project: str(project) for project in asked.project}
        return {**named, **self._source.directory.labels(projects)}

    def _has_jumped(self, skew: float | None) -> bool:
        """Return whether our clock has jumped by more than the lookback since the last poll.

        By our clock alone, a jump looks like a long pause; but in a pause the difference to the
        server's clock stays the same. If our clock has gone on as usual, it is the date of the
        server, or of a proxy, that is wrong. Where there is no date, a clock was set back, and now
        right again, if the ledger has a bucket that is newer than those of the last poll.
        """
        state, lookback = self._state, self._query.lookback
        before = state.ledger.clock_skew
        polled_at = state.shown.polled_at if state.shown else state.report.last_success
        if 0 <= self._now - polled_at <= lookback:
            return False
        if skew is None or before is None:
            return state.shown is not None and max(state.ledger.buckets) > state.shown.running
        jumped = abs(skew - before) > lookback
        if jumped:
            self._log.warning(
                "clock jump detected, skipped buckets are not counted",
                seconds=round(before - skew),
            )
        return jumped

    def _note_missing(self, missing: tuple[str, ...]) -> None:
        """Report which projects of the filter cannot be read, and log when that changes."""
        before = self._state.report.missing
        if missing and missing != before:
            self._log.warning(
                "skipping projects of the filter that cannot be read",
                projects=", ".join(missing),
            )
        elif before and not missing:
            self._log.info("all projects of the filter are readable again")
        self._state.report = replace(self._state.report, missing=missing)
