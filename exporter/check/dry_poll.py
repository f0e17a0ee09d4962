"""A dry poll: the first poll of a query, and which questions later ones would ask."""

from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

import structlog

from exporter import buckets
from exporter.check.report import Data, Requests
from exporter.collect.ledger import Bucket, Column, SeriesTable, size_of
from exporter.collect.plan.core import Reply, drive
from exporter.collect.plan.resolved import choose_projects, missing_project, resolve
from exporter.collect.plan.series import read_series
from exporter.collect.plan.window import read_window
from exporter.collect.poll.attempt import Attempt, Client, QuerySource
from exporter.collect.poll.poller_state import PollerState, server_time
from exporter.collect.poll.view import Shown, view_of
from exporter.collect.series import Totals, totals
from exporter.config import Query
from exporter.moments import iso
from exporter.publish.series import data_lines
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.errors import TooHeavyError, UnknownProjectError
from exporter.sentry.question import Question
from exporter.sentry.remedies import Cause

_DAY: Final = 86400

_log = structlog.get_logger(__name__)


class DryPoll:
    """The first poll of the query of ``source`` at ``now``, of which nothing is published."""

    def __init__(self, source: QuerySource, now: float) -> None:
        self._client = _Remembering(source.client)
        self._source = replace(source, client=self._client)
        self._now = server_time(source.client, now)
        self._state = PollerState.begin(source.organization, source.query)

    def run(self) -> Data:
        """Return what the query reads; raise `SentryError`."""
        # The time that a poll takes matters only to grace periods, which nobody sees here.
        attempt = Attempt(self._source, self._state, self._now, lambda: 0.0, _log)
        attempt.run()
        assert self._state.shown is not None  # noqa: S101 - what an attempt that succeeds sets
        return self._data(self._state.shown, attempt.requests)

    @property
    def has_asked(self) -> bool:
        """Whether stats_v2 was asked at all."""
        return self._client.has_asked

    def missing(self) -> Iterator[UnknownProjectError]:
        """Yield the error of each project of the filter that cannot be read."""
        projects = self._source.directory.state.projects
        for name in self._state.report.missing:
            is_listed = choose_projects((name,), projects).ids
            cause = Cause.UNREADABLE_PROJECT if is_listed else None
            yield UnknownProjectError(missing_project(name, projects), cause=cause)

    def _data(self, shown: Shown, first: int) -> Data:
        organization, query = self._source.organization, self._source.query
        view = view_of(query, self._state.ledger, shown)
        _, series = data_lines(organization.name, query.name, view)
        return Data(
            iso(shown.start),
            iso(shown.start + query.interval),
            size_of(self._state.ledger.buckets[shown.start].rows),
            view.complete,
            series,
            self._requests(shown, first),
        )

    def _requests(self, shown: Shown, first: int) -> Requests:
        """Return the requests of the ``first`` poll, and of those after it.

        If polls are more frequent than buckets, each reads the running bucket. Otherwise each reads
        the latest finished one.
        """
        query = self._source.query
        each = shown.running if _reads_running(query) else shown.start
        usual = self._asked_when_changed({each})
        other = shown.start if _reads_running(query) else shown.start - query.interval
        more = self._asked_when_changed({each, other}) - usual
        return Requests(first, usual, _DAY // query.poll_interval * usual, more)

    def _asked_when_changed(self, changed: AbstractSet[int]) -> int:
        """Return how many questions a poll asks for which the buckets ``changed`` have changed.

        It runs the plan of a later poll on the answers of now. `recall_all` sends only questions
        that are new, but counts every one, as a later poll sends all of them.
        """
        organization, query = self._source.organization, self._source.query
        state, projects = self._state, self._source.directory.state.projects
        ids = state.filter.choose(projects).ids
        asked = resolve(query, ids, address=self._source.address_length())
        settle = organization.settle
        window = buckets.lookback_window(self._now, query.interval, settle, query.lookback)
        # A poll reads the buckets whose totals are not those that it knows. The first poll may have
        # left some for the next one, so the totals of all of them are asked for here.
        read = drive(read_series(asked, asked.question(window)), self._client.recall_all)
        known = {
            start: self._known(start, {} if start in changed else totals(one.rows))
            for start, one in read.items()
        }
        readable = projects.accessible - state.filter.refused.keys() if projects else ()
        # Only from here: the plan asks for the totals once more, as each poll does.
        self._client.asked = 0
        plan = read_window(
            asked,
            window,
            buckets.latest_finished(self._now, query.interval, settle),
            known,
            asked.project or tuple(sorted(readable)),
            state.hints,
            unfinished=_reads_running(query),
        )
        drive(plan, self._client.recall_all)
        return self._client.asked

    def _known(self, start: int, total: Totals) -> Bucket:
        """Return a bucket as a later poll knows it; a poll reads it if its ``total`` differs."""
        # An empty one for a bucket that the first poll has left, or that had no rows.
        bucket = self._state.ledger.buckets.get(start) or Bucket(Column.of(SeriesTable(), {}))
        return replace(bucket, total=total, finished=True)


def _reads_running(query: Query) -> bool:
    return query.poll_interval < query.interval


class _Remembering:
    """A client that remembers its replies, so that a later poll is worked out without requests."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._replies: dict[Question, Reply] = {}
        self._is_refused = False
        self.has_asked = False
        self.asked = 0

    @property
    def status(self) -> ApiStatus:
        """What the server's answers have said beside the data."""
        return self._client.status

    def credentials(self) -> Hashable:
        """Return what changes when the token does."""
        return self._client.credentials()

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the replies of the server; raise `TooHeavyError` once it refuses again.

        A poll would ask for less and less, with a pause each time, for as long as the store is
        overloaded.
        """
        self.has_asked = True
        replies: list[Reply] = []
        # One by one after a refusal: whoever asks for several at once waits for each refusal.
        for batch in [[one] for one in questions] if self._is_refused else [questions]:
            replies += self._client.ask_all(batch)
            refusals = [reply for reply in replies if isinstance(reply, TooHeavyError)]
            if refusals and self._is_refused:
                raise refusals[0]
            self._is_refused = self._is_refused or bool(refusals)
        self._replies.update(zip(questions, replies, strict=True))
        return replies

    def recall_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the replies, and ask only for those that are not remembered."""
        self.asked += len(questions)
        new = [question for question in questions if question not in self._replies]
        if new:
            self.ask_all(new)
        return [self._replies[question] for question in questions]
