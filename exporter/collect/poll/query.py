"""One query: when it is polled, what a poll does, and what it reports."""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import quote

import structlog

from exporter import buckets
from exporter.buckets import Window
from exporter.categories import Unit, unit_of
from exporter.collect.ledger.ledger import Change, KeepError, Kept, Ledger
from exporter.collect.ledger.posting import reckon
from exporter.collect.plan.core import Cut, Reply, drive
from exporter.collect.plan.resolved import (
    Resolved,
    Subject,
    missing_project,
    resolved,
    subject_of,
)
from exporter.collect.plan.window import Harvest, read_window
from exporter.collect.poll.directory import FRESH_FOR, ProjectDirectory
from exporter.collect.snapshot import Publisher, Report, View
from exporter.config import Organization, Query
from exporter.config.kinds import in_units
from exporter.sentry.errors import SentryError, UnknownProjectError
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question

FIRST_PAUSE: Final = 10
LONGEST_PAUSE: Final = 300
"""Seconds before a failed poll is tried again: the first pause, which doubles, and the longest,
which is also the first one where somebody has to mend something."""

LONGEST_CATCH_UP: Final = 30 * 86400

_log = structlog.get_logger(__name__)


class Asks(Protocol):
    """What answers questions."""

    @property
    def clock_skew(self) -> float | None:
        """The server's clock minus ours, in seconds, as far as it has told."""
        ...

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the replies in the order of the questions."""
        ...

    def credentials(self) -> Hashable:
        """Return what changes when the token or the CA file does."""
        ...


class QueryPoller:
    """Polls one query, keeps its ledger, and reports after everything that changes it.

    Time comes in as ``now``, seconds since the epoch; ``offset`` is how many seconds past its slots
    a poll begins, ``first_poll`` when the first one does. At most one thread may be inside at a
    time.
    """

    def __init__(
        self,
        organization: Organization,
        query: Query,
        client: Asks,
        directory: ProjectDirectory,
        publisher: Publisher,
        *,
        kept: Kept | None = None,
        offset: int = 0,
        first_poll: float = 0,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._organization = organization
        self._query = query
        self._client = client
        self._directory = directory
        self._publisher = publisher
        kept = kept or Kept(Ledger())
        self._keeper = kept.keeper
        self._ledger = kept.ledger
        self._offset = offset
        self._timer = timer
        self._cut: Cut | None = None
        self._tells_attributable = True
        self._refused: dict[int, float] = {}
        self._tried_with: Hashable = None
        self._failures = 0
        self._reasons: Counter[str] = Counter()
        self._requests = 0
        self._labels: Mapping[int, str] | None = None
        self._shown_at: float | None = None
        self._fresh_at = 0.0
        self._next_change: float | None = None
        self._report = Report(
            organization.name,
            query.name,
            about_query(query),
            last_success=kept.last_success,
            next_poll=first_poll,
        )
        self._log = _log.bind(organization=organization.name, query=query.name)

    @property
    def report(self) -> Report:
        """What was last published."""
        return self._report

    def due(self, now: float) -> bool:
        """Tell whether it is time to poll.

        A clock that was set back by more than two intervals makes the next poll a matter of the
        new time; by less, it makes no slot come twice. What failed is tried again as soon as it
        can be tried with another token or another CA file.
        """
        if self._report.next_poll - now > 2 * self._query.poll_interval:
            self._report = replace(self._report, next_poll=self._next_slot(now))
        changed = self._failures > 0 and self._client.credentials() != self._tried_with
        return changed or now >= self._report.next_poll

    def changes(self, now: float) -> bool:
        """Tell whether time alone changes what is to be shown."""
        # Of data from a later time than now, all that is known is that they are not older.
        self._fresh_at = min(self._fresh_at, now)
        return self._next_change is not None and now >= self._next_change

    def heed(self, now: float) -> None:
        """Publish anew if time alone changes what is to be shown."""
        if self.changes(now):
            self._publish(self._report, now)

    def poll(self, now: float) -> Report:
        """Poll once; whatever goes wrong is in the report, and changes no data."""
        began = self._timer()
        self._requests = 0
        self._renew_credentials()
        try:
            backlog = self._poll(now, began)
        except SentryError as error:
            report = self._failed(error.reason, now, began, lasting=error.lasting)
            self._log.warning("poll failed", **_why(error))
        except KeepError as error:
            report = self._failed("state", now, began)
            self._log.error("poll failed", reason="state", error=str(error))
        except Exception:  # noqa: BLE001 - a fault of ours must not end the process either
            report = self._failed("internal", now, began, lasting=True)
            self._log.exception("poll failed", reason="internal")
        else:
            if self._failures:
                self._log.info("poll succeeds again")
            self._log.debug("polled", requests=self._requests)
            self._failures = 0
            next_poll = now if backlog else self._next_slot(now)
            report = replace(self._report, up=True, last_success=now, next_poll=next_poll)
        report = replace(
            report,
            polls=report.polls + 1,
            duration=self._timer() - began,
            requests=self._requests,
            failures=dict(self._reasons),
        )
        self._publish(report, now)
        return self._report

    def _renew_credentials(self) -> None:
        """Note what the poll tries with; another token may read what the last one could not."""
        before, self._tried_with = self._tried_with, self._client.credentials()
        if self._tried_with != before:
            self._refused.clear()

    def _poll(self, now: float, began: float) -> bool:
        """Read, count and keep; return whether there is more to be read at once."""
        projects, trouble = self._projects(now)
        chosen = self._chosen(projects, now)
        before = self._ledger.asked
        if "project" not in self._query.group_by and before and before < set(chosen.ids):
            # A sum over more projects than before is taken as it is found: what has come in of
            # those that it was over is counted first.
            self._take(tuple(sorted(before)), projects, now, began)
        succeeded = None if trouble else now
        harvest, labels = self._take(chosen.ids, projects, now, began, succeeded)
        if harvest.refused:
            chosen = self._chosen(projects, now)
        self._labels = labels
        self._tell_missing(chosen.missing)
        self._shown_at = self._fresh_at = now
        if trouble is not None:
            raise trouble
        return harvest.backlog

    def _take(
        self,
        ids: tuple[int, ...],
        projects: ProjectList | None,
        now: float,
        began: float,
        succeeded: float | None = None,
    ) -> tuple[Harvest, Mapping[int, str] | None]:
        """Read and count what the projects of the filter hold; return what came, and labels."""
        query, settle = self._query, self._organization.settle
        lookback = buckets.lookback_window(now, query.interval, settle, query.lookback)
        window = self._window(lookback)
        subject = subject_of(query, ids, address=self._address_length())
        finished = buckets.latest_finished(now, query.interval, settle)
        harvest = self._read(subject, projects, window, finished)
        projects = self._learnt(subject, projects, harvest, now)
        # Raises where nothing is left of the filter: no project is no zero.
        self._chosen(projects, now)
        labels = self._project_labels(subject, projects)
        skew, asked = self._client.clock_skew, frozenset(ids)
        change = reckon(
            self._ledger,
            harvest.found,
            now=now + int(self._timer() - began),
            running_end=window.end,
            keep_from=window.start if harvest.backlog else lookback.start,
            interval=query.interval,
            labels=labels,
            asked=asked - harvest.refused if query.filter.project else None,
            by_project=subject.by_project,
            clock_skew=skew,
            jumped=self._jumped(skew, now),
        )
        self._enter(change, succeeded)
        return harvest, labels

    def _learnt(
        self, subject: Subject, projects: ProjectList | None, harvest: Harvest, now: float
    ) -> ProjectList | None:
        """Return the projects list after what a reading told of what the token can read."""
        if harvest.lacking:
            # One that was refused may be readable again, or the list is too old.
            self._refused.clear()
        self._refused |= dict.fromkeys(harvest.refused, now)
        if projects is None:
            return None
        if harvest.refused or harvest.lacking:
            projects = self._directory.refreshed(now)
        return self._directory.learn(harvest.readable, now) if subject.by_project else projects

    def _read(
        self, subject: Subject, projects: ProjectList | None, window: Window, finished: int
    ) -> Harvest:
        readable = projects.accessible - self._refused.keys() if projects else frozenset()
        first = self._ledger.counts_from is None
        plan = read_window(
            subject,
            window,
            finished,
            self._ledger.books,
            subject.project or tuple(sorted(readable)),
            self._cut,
            unfinished=first or self._query.poll_interval < self._query.interval,
            tells_attributable=self._tells_attributable,
        )
        harvest = drive(plan, self._ask_all)
        self._cut = harvest.cut or self._cut
        self._tells_attributable = harvest.tells_attributable
        return harvest

    def _jumped(self, skew: float | None, now: float) -> bool:
        """Tell whether our clock has jumped since the last poll, by more than the lookback.

        The server's clock tells it from a long pause, in which both go on. Where ours has gone on
        as usual, it is the server's, or that of something in between, that is wrong.
        """
        before, polled_at = self._ledger.clock_skew, self._shown_at or self._report.last_success
        lookback = self._query.lookback
        if skew is None or before is None or 0 <= now - polled_at <= lookback:
            return False
        jumped = abs(skew - before) > lookback
        if jumped:
            self._log.warning(
                "this host's clock has jumped, hours that were not seen are not counted",
                seconds=round(before - skew),
            )
        return jumped

    def _chosen(self, projects: ProjectList | None, now: float) -> Resolved:
        """Return what the filter's projects are; raises if none of them can be read.

        One that Sentry refused is tried again once in an hour, and at once where none is left.
        """
        names = self._query.filter.project
        self._refused = {p: at for p, at in self._refused.items() if 0 <= now - at < FRESH_FOR}
        chosen = resolved(names, projects, frozenset(self._refused))
        if names and not chosen.ids:
            self._refused.clear()
            self._tell_missing(chosen.missing)
            raise UnknownProjectError("; ".join(missing_project(name, projects) for name in names))
        return chosen

    def _tell_missing(self, missing: tuple[str, ...]) -> None:
        """Report which projects of the filter cannot be read, and log when that changes."""
        if missing and missing != self._report.missing:
            self._log.warning(
                "skipping projects of the filter that cannot be read",
                projects=", ".join(missing),
            )
        elif self._report.missing and not missing:
            self._log.info("every project that the filter names can be read again")
        self._report = replace(self._report, missing=missing)

    def _address_length(self) -> int:
        """Return how long a request's URL is before its query string."""
        organization = self._organization
        path = f"/api/0/organizations/{quote(organization.slug, safe='')}/stats_v2/?"
        return len(organization.url) + len(path)

    def _enter(self, change: Change, succeeded: float | None) -> None:
        """Write ``change`` down, and only then take it over."""
        if self._keeper is not None:
            self._keeper.save(change, succeeded)
        self._ledger.apply(change)
        self._report = replace(
            self._report,
            revisions=self._report.revisions + change.revisions,
            regressions=self._report.regressions + change.regressions,
        )

    def _ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        self._requests += len(questions)
        return self._client.ask_all(questions)

    def _window(self, lookback: Window) -> Window:
        """Return the lookback, and before it what a gap in the ledger has left to catch up with."""
        oldest = min(self._ledger.books, default=lookback.start)
        limit = buckets.floor(lookback.end - LONGEST_CATCH_UP, lookback.interval)
        return replace(lookback, start=min(lookback.start, max(oldest, limit)))

    def _projects(self, now: float) -> tuple[ProjectList | None, SentryError | None]:
        """Return the projects if the query has to do with them, or why there are none."""
        names = self._query.filter.project
        if "project" not in self._query.group_by and not names:
            return None, None
        try:
            self._directory.projects(now)
            return self._directory.find(names, now), None
        except SentryError as error:
            if all(name.isdigit() for name in names):
                return None, error
            raise

    def _project_labels(
        self, subject: Subject, projects: ProjectList | None
    ) -> Mapping[int, str] | None:
        """Return the labels of the projects; those filtered by have one even if not listed."""
        if projects is None:
            return None
        asked = {project: str(project) for project in subject.project}
        return {**asked, **self._directory.labels(projects)}

    def _next_slot(self, now: float) -> float:
        settle = self._organization.settle
        return buckets.next_slot(now, self._query.poll_interval, settle, self._offset)

    def _failed(self, reason: str, now: float, began: float, *, lasting: bool = False) -> Report:
        self._reasons[reason] += 1
        pause = LONGEST_PAUSE if lasting else FIRST_PAUSE * 2 ** min(self._failures, 16)
        self._failures += 1
        end = now + self._timer() - began
        again = min(end + min(pause, LONGEST_PAUSE), self._next_slot(end))
        return replace(self._report, up=False, next_poll=again)

    def _publish(self, report: Report, now: float) -> None:
        """Show ``report``; where that fails, show that, and rest: it would fail again at once."""
        before = self._report.view
        try:
            self._show(report, now)
        except Exception:  # noqa: BLE001 - a fault of ours must not end the process either
            self._log.exception("publishing failed", reason="internal")
            self._reasons["internal"] += 1
            again = max(report.next_poll, now + LONGEST_PAUSE)
            self._next_change = again
            failures = dict(self._reasons)
            self._report = replace(
                report, up=False, next_poll=again, failures=failures, view=before
            )
            self._publisher.publish(self._report)

    def _show(self, report: Report, now: float) -> None:
        view = self._view(now)
        changes = [] if view is None else [self._fresh_at + self._max_age]
        rise = self._ledger.next_rise()
        self._next_change = min([*changes, *([] if rise is None else [rise])], default=None)
        # The same view need not be rendered again: whoever publishes it knows it by identity.
        before = self._report.view
        self._report = replace(report, view=before if view == before else view)
        self._publisher.publish(self._report)

    @property
    def _max_age(self) -> float:
        return max(self._organization.max_age, 2 * self._query.poll_interval)

    def _view(self, now: float) -> View | None:
        self._ledger.rise(now)
        if self._shown_at is None or now - self._fresh_at >= self._max_age:
            return None
        query, ledger = self._query, self._ledger
        start = buckets.latest_finished(self._shown_at, query.interval, self._organization.settle)
        running = buckets.floor(self._shown_at, query.interval)
        return View(
            start=start,
            interval=query.interval,
            complete=ledger.books[start].whole,
            bucket=ledger.bucket(start),
            running=ledger.bucket(running) if query.poll_interval < query.interval else None,
            counters=ledger.shown_counters() if query.counters else None,
            projects=self._labels,
            counter_labels=tuple(ledger.labels.names),
            unit=unit_of(query.filter.category[0]) if query.filter.category else Unit.EVENTS,
        )


def about_query(query: Query) -> tuple[str, str, str]:
    """Return a query's interval as it is written, its fields, and its dimensions, sorted."""
    return (
        in_units(query.interval),
        ",".join(sorted(query.fields)),
        ",".join(sorted(query.group_by)),
    )


def _why(error: SentryError) -> dict[str, str]:
    """Return what the log says of a failed poll: what happened, and what to do about it."""
    told = {"reason": error.reason, "error": str(error)}
    return told | ({"remedy": error.remedy} if error.remedy else {})
