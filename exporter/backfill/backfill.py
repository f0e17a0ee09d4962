"""One backfill: what is asked for, and the three steps in which it is done."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from exporter.backfill.join import (
    Daemon,
    JoinError,
    Seam,
    parts_of,
    seam,
    seam_of,
    waited_for,
)
from exporter.backfill.outlook import JobOutlook, Outlook
from exporter.backfill.progress_file import ProgressError, ProgressFile
from exporter.backfill.quota_projects import sources_of
from exporter.backfill.quotas import QuotaJob, is_part, quota_jobs, quota_window, read_plan
from exporter.backfill.reader import Counted, JobReader, tried
from exporter.backfill.times import HEAD, Job, Range, RangeError, job_window, last_end, moment
from exporter.backfill.writer import History, JobData
from exporter.clients import Clients
from exporter.collect.plan.resolved import choose_projects
from exporter.collect.poll import ProjectDirectory, owner_of
from exporter.collect.poll.attempt import QuerySource
from exporter.collect.quota.account import account_of
from exporter.collect.snapshot import ProjectInfo
from exporter.config import QUOTAS_QUERY, Config, Organization, Query, near
from exporter.moments import iso
from exporter.queries import queries_of
from exporter.sentry.customer import CustomerPlan
from exporter.state import question_of

BUFFER: Final = 1 << 20


class RequestError(ValueError):
    """What is asked for makes no sense. The message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, as it is written.

    ``queries`` are names, all if there are none. ``target`` are the labels that Prometheus adds.
    """

    start: str
    end: str
    output: Path
    queries: tuple[str, ...] = ()
    resolution: int = 3600
    target: Mapping[str, str] = field(default_factory=dict)
    join: str = ""

    @property
    def progress(self) -> Path:
        """Where the progress file is."""
        return self.output.with_name(f"{self.output.name}.progress")

    @property
    def unfinished(self) -> Path:
        """Where the output is until it is complete."""
        return self.output.with_name(f"{self.output.name}.unfinished")


class Backfill:
    """Plans, reads and writes; each step goes on where a kill has stopped it.

    ``clock`` is the wall clock, ``sleep`` waits between two tries of a request.
    """

    def __init__(
        self,
        config: Config,
        request: Request,
        clients: Clients,
        file: ProgressFile,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Begin, or go on; raises `RequestError`, `RangeError`, `ProgressError` or `JoinError`."""
        self.counted = Counted()
        self._request = request
        self._clients = clients
        self._file = file
        self._clock = clock
        self._sleep = sleep
        self._daemon = Daemon(request.join) if request.join else None
        self._seams: dict[int, Seam] = {}
        chosen = _chosen(config, request)
        planned_at, started = self._begun(chosen)
        self._asked = asked = _range(request, planned_at, started)
        self._directories = {one.name: self._directory(one) for one in config.organizations}
        self._jobs = [
            Job(number, *pair, job_window(*pair, asked, request.resolution, planned_at))
            for number, pair in enumerate(chosen)
        ]
        self._quotas = list(self._quota_jobs(config, planned_at))
        self._readers = {job.number: self._reader(job) for job in self._all_jobs()}

    def plan(self) -> Outlook:
        """Learn how much there is to read; raises `SentryError`."""
        before = self.counted.requests
        planned = {job.number: self._planned(job) for job in self._all_jobs()}
        known = {number: self._readers[number].survey()[1] for number in planned}
        for one in self._quotas:
            job = planned[one.job.number]
            planned[one.job.number] = job.with_quotas(one, known, self._asked.start)
        made = self._file.record("made", int)
        if made is None:
            made = self.counted.requests - before
            self._file.set_record("made", made)
        return Outlook(
            list(planned.values()), made, self._asked.limit, joined=self._daemon is not None
        )

    def left(self) -> int:
        """Return how many of the planned requests have not been made yet."""
        return sum(reader.left() for reader in self._readers.values())

    def read(self) -> None:
        """Read what has not been read yet; raises `SentryError` or `RangeError`."""
        for reader in self._readers.values():
            reader.read()

    def join(self, waiting: Callable[[], None]) -> None:
        """Learn where the counters of the exporter begin, if history is joined to it.

        ``waiting`` is called if that takes a while. Raises `JoinError`, also as long as the
        exporter was started too recently.
        """
        started, counted = self._asked.end, [job for job in self._jobs if job.query.counters]
        if self._daemon is None or not counted:
            return
        if started > last_end(self._clock()):
            raise JoinError(
                "the exporter was started less than 3 hours ago, and Prometheus still has that "
                "time in memory: everything is read; repeat the same command after "
                f"{iso(started + HEAD + 60)}"
            )
        page = waited_for(self._daemon, counted, self._sleep, waiting)
        for job in counted:
            query = page.queries[job.organization.name, job.query.name]
            total_of = self._readers[job.number].total_of
            before, after = (total_of(part) for part in parts_of(job, query, started))
            self._seams[job.number] = seam(job, started, query, before, after, self._labels(job))

    def history(self) -> History:
        """Return what is written, once everything has been read."""
        names = dict.fromkeys(job.organization.name for job in self._all_jobs())
        return History(
            self._file,
            [self._data(job) for job in self._jobs],
            self._quotas,
            {name: self._described(name) for name in names},
            self._request.target,
            self._asked.start,
            min(self._asked.end, self._asked.limit),
            self._asked.limit,
        )

    def write(self, noted: Callable[[int], None] = lambda _: None) -> int:
        """Write the output, which takes its name when it is complete; return its size.

        ``noted`` is called with how many lines have been written.
        """
        unfinished, written = self._request.unfinished, 0
        with unfinished.open("wb", BUFFER) as file:
            for text in self.history().lines():
                file.write(text.encode())
                written += text.count("\n")
                noted(written)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        unfinished.replace(self._request.output)
        _sync(self._request.output.parent)
        return size

    def finish(self) -> None:
        """Delete the progress file: the output is complete."""
        self._file.delete()

    def _all_jobs(self) -> list[Job]:
        every = [*self._jobs, *(one.job for one in self._quotas)]
        numbers = {job.number for job in every}
        days = (source.job for one in self._quotas for source in one.sources)
        return [*every, *({job.number: job for job in days if job.number not in numbers}.values())]

    def _directory(self, organization: Organization) -> ProjectDirectory:
        return ProjectDirectory(
            organization.name,
            self._clients.by_organization[organization.name],
            _Nowhere(),
            organization.project_label,
            partial(owner_of, organization.teams),
            self._file.project_list(organization),
        )

    def _reader(self, job: Job) -> JobReader:
        name = job.organization.name
        client, directory = self._clients.by_organization[name], self._directories[name]
        source = QuerySource(job.organization, job.query, client, directory)
        return JobReader(job, source, self._file, self.counted, self._clock, self._sleep)

    def _quota_jobs(self, config: Config, now: float) -> Iterator[QuotaJob]:
        """Yield the jobs of the quotas that are asked for."""
        names, number = self._request.queries, len(self._jobs)
        for organization in config.organizations:
            if not organization.has_quotas or (names and QUOTAS_QUERY not in names):
                continue
            plan = self._plan_of(organization)
            window = quota_window(organization, plan, self._asked, now)
            if window is None:
                continue
            members = self._members(organization, plan, window.start)
            jobs = list(quota_jobs(number, organization, plan, window, members))
            number += len(jobs)
            yield from self._with_sources(jobs, number)
            number += 1

    def _plan_of(self, organization: Organization) -> CustomerPlan | None:
        key = f"plan {organization.name}"
        plan = self._file.record(key, CustomerPlan)
        if plan is None and organization.billing.plan != "off":
            client = self._clients.by_organization[organization.name]
            plan = read_plan(organization, client, self._clock())
        if plan is not None:
            self._file.set_record(key, plan)
        return plan

    def _members(
        self, organization: Organization, plan: CustomerPlan | None, now: float
    ) -> Mapping[str, frozenset[int]]:
        """Return the projects of the quotas that are about some projects only, by quota."""
        account = account_of(organization, plan, now)
        parts = [one.quota for one in account.quotas if is_part(one.quota)]
        if not parts:
            return {}
        directory = self._directories[organization.name]
        # The one in the progress file if there is one, so that the projects stay the same.
        projects = directory.state.projects or tried(
            lambda: directory.projects(self._clock()),
            f"{organization.name}/{QUOTAS_QUERY}",
            self._sleep,
        )
        return {
            one.name: directory.owned_by(one.team)
            if one.team
            else frozenset(choose_projects(one.projects or (), projects).ids)
            for one in parts
        }

    def _with_sources(self, quotas: Sequence[QuotaJob], number: int) -> Iterator[QuotaJob]:
        """Yield ``quotas`` of an organization with what has the use of its projects.

        That is read under ``number``, as far as no query has it.
        """
        if not quotas:
            return
        organization, window = quotas[0].job.organization, quotas[0].job.window
        asked = {
            name
            for one in quotas
            for each in one.account(window.start).quotas
            for name in each.quota.categories
        }
        jobs = [one for one in self._jobs if one.organization.name == organization.name]
        hours = quotas[0].shown_hours()
        sources = tuple(sources_of(number, organization, asked, hours, jobs))
        for one in quotas:
            yield replace(one, sources=sources)

    def _begun(self, chosen: Sequence[tuple[Organization, Query]]) -> tuple[float, float | None]:
        """Return when the backfill began, and when the exporter did that it is joined to.

        Raises `ProgressError` if the progress file is that of another one.
        """
        identity = _identity(self._request, chosen)
        begun = self._file.record("begun", tuple[str, float, float | None])
        if begun is None or (begun[0] != identity and self._file.is_empty()):
            started = self._daemon.page().started if self._daemon else None
            begun = identity, self._clock(), started
            self._file.set_record("begun", begun)
        if begun[0] != identity:
            raise ProgressError(
                f"{self._request.progress} belongs to another command, or the configuration has "
                "changed since; repeat that command, or delete the file to begin anew"
            )
        return begun[1], begun[2]

    def _planned(self, job: Job) -> JobOutlook:
        query, known = self._readers[job.number].survey()
        labels = [one.label for one in self._described(job.organization.name)]
        return JobOutlook.of(job, query, known, labels)

    def _data(self, job: Job) -> JobData:
        return JobData(job, self._labels(job), self._seams.get(job.number))

    def _labels(self, job: Job) -> Mapping[int, str]:
        """Return the labels of the projects; one of a filter has one even if it is not listed."""
        directory = self._directories[job.organization.name]
        known, projects = self._file.survey(job.number), directory.state.projects
        if projects is None or known is None:
            return {}
        asked = {project: str(project) for project in known.asked}
        return {**asked, **directory.labels(projects)}

    def _described(self, organization: str) -> Sequence[ProjectInfo]:
        directory = self._directories[organization]
        return directory.described()


class _Nowhere:
    """A publisher for projects that publishes nothing."""

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Publish nothing."""


def _chosen(config: Config, request: Request) -> list[tuple[Organization, Query]]:
    """Return the queries that are asked for; raises `RequestError` for a name that none has."""
    every = list(queries_of(config))
    names = {query.name for _, query in every}
    if any(one.has_quotas for one in config.organizations):
        names.add(QUOTAS_QUERY)
    for name in request.queries:
        if name not in names:
            raise RequestError(f"no query {name!r}{near(name, names)}")
    return [pair for pair in every if not request.queries or pair[1].name in request.queries]


def _range(request: Request, now: float, started: float | None) -> Range:
    """Return the range that is asked for; raises `RangeError`.

    ``started`` is when the exporter was started that history is joined to.
    """
    start = moment(request.start, now)
    end = moment(request.end, now) if request.end else started or last_end(now)
    limit = last_end(now) if started is None else seam_of(end) - 2
    if start >= end:
        raise RangeError(f"--start must be before the end: {iso(start)} is not before {iso(end)}")
    return Range(start, end, limit)


def _identity(request: Request, chosen: Sequence[tuple[Organization, Query]]) -> str:
    """Return a text that is the same for the same command and the same questions."""
    questions = [
        (one.name, one.url, one.settle, one.project_label, query.name, question_of(one, query))
        for one, query in chosen
    ]
    billed = [(one.billing, one.quotas, one.teams) for one, _ in chosen]
    asked = request.start, request.end, request.resolution, request.join, request.queries
    return repr((asked, questions, billed))


def _sync(folder: Path) -> None:
    """Make the name of a new file outlive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
