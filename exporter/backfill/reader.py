"""Reads the buckets of a job into the progress file, the oldest first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import structlog

from exporter.backfill.progress_file import ProgressFile
from exporter.backfill.survey import MAX_POINTS, Survey, consecutive, projects_of, requests, survey
from exporter.backfill.times import DAY, HOURLY_RETENTION, Job, RangeError
from exporter.buckets import Window
from exporter.collect.plan.core import Hints, Plan, Reply, drive, together
from exporter.collect.plan.projects import read_projects
from exporter.collect.plan.proof import References
from exporter.collect.plan.resolved import (
    RangeQuery,
    ResolvedQuery,
    choose_projects,
    missing_project,
    resolve,
)
from exporter.collect.plan.series import read_attributable, read_series
from exporter.collect.poll.attempt import QuerySource
from exporter.collect.poll.schedule import pause_after
from exporter.collect.series import NO_PROJECT, Reading, Rows, added_readings, joined, totals
from exporter.moments import iso
from exporter.sentry.errors import SentryError, UnknownProjectError
from exporter.sentry.question import Question

MAX_TRIES: Final = 10
"""How often a failure that may pass is tried again in a row: for half an hour."""

_MAX_TOGETHER: Final = 24
_MAX_VALUES: Final = 100_000
"""How many buckets are read side by side by project, fewer if they have more values: enough to
have all requests in flight that a token allows, and few enough for memory."""

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Counted:
    """How many questions were asked; ``noted`` is called after each round."""

    requests: int = 0
    noted: Callable[[], None] = field(default=lambda: None)


class JobReader:
    """Reads one job. ``clock`` is the wall clock, ``sleep`` waits between two tries."""

    def __init__(
        self,
        job: Job,
        source: QuerySource,
        file: ProgressFile,
        counted: Counted,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._job = job
        self._source = source
        self._file = file
        self._counted = counted
        self._clock = clock
        self._sleep = sleep
        self._has_refreshed = False

    def survey(self) -> tuple[ResolvedQuery, Survey]:
        """Return the query and how much there is to read, which is learned once."""
        known = self._file.survey(self._job.number)
        if known is None:
            asked, readable = self._projects()
            query = self._resolved(asked)
            known = self._driven(lambda: survey(query, self._job.window, readable))
            self._file.set_survey(self._job.number, known)
        return self._resolved(known.asked), known

    def read(self) -> None:
        """Read what has not been read yet."""
        query, known = self.survey()
        for window in known.windows:
            missing = self._missing(window)
            if missing and query.by_project:
                self._read_by_project(query, known, window, missing)
            elif missing:
                self._check_age(window.start)
                question = query.question(window)
                readings = self._driven(partial(read_series, query, question))
                self._file.add(self._job.number, readings)

    def left(self) -> int:
        """Return how many of the planned requests have not been made yet."""
        query, known = self.survey()
        number, window = self._job.number, self._job.window
        referenced = self._file.references(number, [window.start, window.end])
        return requests(query, known, self._file.read_buckets(number), referenced)

    def total_of(self, window: Window) -> Rows:
        """Return what a range holds; by project, that is read in the fewest requests."""
        query, known = self.survey()
        parts = [
            replace(window, start=start, end=min(start + MAX_POINTS * window.interval, window.end))
            for start in range(window.start, window.end, MAX_POINTS * window.interval)
        ]
        return joined(*(self._driven(partial(_read_range, query, known, part)) for part in parts))

    def _missing(self, window: Window) -> list[int]:
        read = self._file.read_buckets(self._job.number)
        return [start for start in window.buckets() if start not in read]

    def _read_by_project(
        self, query: ResolvedQuery, known: Survey, window: Window, missing: Sequence[int]
    ) -> None:
        references = self._references(query, known, window, missing)
        empty = [start for start in missing if not totals(references[start].total.rows)]
        self._file.add(
            self._job.number,
            {start: Reading({}, references[start].total.proven) for start in empty},
        )
        filled = [start for start in missing if start not in set(empty)]
        values = len(known.series) * known.projects
        size = max(1, min(_MAX_TOGETHER, int(_MAX_VALUES / values)))
        for starts in consecutive(filled, size):
            self._check_age(starts[0])
            read = self._driven(partial(self._buckets, query, known, starts, references))
            readings = {start: one for start, (one, _) in zip(starts, read, strict=True)}
            self._learn(readings, [hints for _, hints in read])
            self._file.add(self._job.number, readings)

    def _buckets(
        self,
        query: ResolvedQuery,
        known: Survey,
        starts: Sequence[int],
        references: Mapping[int, References],
    ) -> Plan[list[tuple[Reading, Hints]]]:
        projects = projects_of(known)
        return together(
            [
                read_projects(query, start, references[start], projects, known.cut)
                for start in starts
            ]
        )

    def _references(
        self, query: ResolvedQuery, known: Survey, window: Window, missing: Sequence[int]
    ) -> Mapping[int, References]:
        """Return what the projects of each bucket are compared with; read it if need be."""
        stored = self._file.references(self._job.number, missing)
        if stored.keys() >= set(missing):
            return stored
        self._check_age(window.start)
        total = self._driven(lambda: read_series(query, query.question(window)))
        attributable: Mapping[int, Reading] | None = {}
        if window in known.remainders:
            attributable = self._driven(lambda: read_attributable(query, window))
        tells = known.tells_attributable and attributable is not None
        references = {
            start: References(total[start], (attributable or {}).get(start), tells)
            for start in missing
        }
        self._file.add_references(self._job.number, references)
        return references

    def _check_age(self, start: int) -> None:
        """Raise `RangeError` where a question would be answered from the daily table."""
        limit = self._clock() - HOURLY_RETENTION
        if self._job.window.interval < DAY and start < limit:
            raise RangeError(
                f"{self._job.name}: the bucket {iso(start)} has become too old while reading: "
                "Sentry has hours for 90 days; begin anew with a later --start"
            )

    def _driven(self, plan: Callable[[], Plan[T]]) -> T:
        """Return what a plan reads."""
        return self._tried(lambda: drive(plan(), self._ask_all))

    def _tried(self, ask: Callable[[], T]) -> T:
        return tried(ask, self._job.name, self._sleep)

    def _ask_all(self, questions: list[Question]) -> Sequence[Reply]:
        replies = self._source.client.ask_all(questions)
        self._counted.requests += len(questions)
        self._counted.noted()
        return replies

    def _resolved(self, asked: tuple[int, ...]) -> ResolvedQuery:
        return resolve(
            self._source.query, asked, address=self._source.address_length()
        ).with_interval(self._job.window.interval)

    def _projects(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the projects of the filter, and those that the token can read."""
        names = self._source.query.filter.project
        if "project" not in self._source.query.group_by and not names:
            return (), ()
        directory = self._source.directory
        # The one in the progress file if there is one, so that labels stay the same.
        projects = directory.state.projects or self._tried(
            lambda: directory.projects(self._clock())
        )
        chosen = choose_projects(names, projects)
        flaws = [missing_project(name, projects) for name in chosen.missing]
        if flaws and not chosen.ids:
            raise UnknownProjectError(f"filter.project: {'; '.join(flaws)}")
        for flaw in flaws:
            _log.warning("skipping a project of the filter", query=self._job.name, error=flaw)
        return chosen.ids, tuple(sorted(projects.accessible))

    def _learn(self, readings: Mapping[int, Reading], hints: Sequence[Hints]) -> None:
        """Let the projects list know what the token can read."""
        directory, now = self._source.directory, self._clock()
        if any(one.unlisted for one in hints) and not self._has_refreshed:
            self._has_refreshed = True
            directory.refresh(now)
        directory.learn(frozenset(_projects_in(one.rows for one in readings.values())), now)


def tried(ask: Callable[[], T], name: str, sleep: Callable[[float], None]) -> T:
    """Return what ``ask`` does; what may pass is tried again, with growing pauses.

    ``name`` is that of the query in the log.
    """
    for failures in range(MAX_TRIES):
        try:
            return ask()
        except SentryError as error:
            if error.lasting:
                raise
            pause = pause_after(failures)
            _log.warning(
                "request failed, trying again",
                query=name,
                reason=error.reason,
                error=str(error),
                seconds=pause,
            )
            sleep(pause)
    return ask()


def _read_range(query: ResolvedQuery, known: Survey, window: Window) -> Plan[Rows]:
    """Read what ``window`` holds, all buckets together."""
    read = yield from read_series(query, query.question(window))
    total = added_readings(read.values())
    if not query.by_project:
        return total.rows
    ranged = RangeQuery(**asdict(query), window=window)
    reading, _ = yield from read_projects(
        ranged, window.start, References(total), projects_of(known)
    )
    return reading.rows


def _projects_in(several: Iterator[Rows]) -> set[int]:
    return {project for rows in several for values in rows.values() for project in values} - {
        NO_PROJECT
    }
