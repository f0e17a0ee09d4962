"""The history of quotas: what was used of each at the end of every hour, and what was expected.

It is worked out from the hours of all categories, by what works it out for the running exporter.
The limits, prices and budgets are those of today: Sentry does not say what they were.
"""

from array import array
from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from exporter.backfill.progress_file import ABSENT, ProgressFile
from exporter.backfill.quota_projects import Source, Totals, by_bucket
from exporter.backfill.times import EDGE, HOUR, HOURLY_RETENTION, Job, Range
from exporter.buckets import Window, floor
from exporter.collect.poll.plan import PlanClient, PlanSource, PlanState
from exporter.collect.quota.account import Account, account_of, period_of
from exporter.collect.quota.projects import ProjectsReading
from exporter.collect.quota.published import AccountReading, published
from exporter.collect.quota.reading import (
    ACCEPTED,
    HISTORY,
    LOST,
    UsageReading,
    days_of,
    filter_of,
)
from exporter.collect.series import NO_PROJECT
from exporter.config import QUOTAS_QUERY, Organization, Query
from exporter.publish import quota_families as families
from exporter.publish.family import Family
from exporter.publish.quota_metrics import quota_samples
from exporter.quota.model import DAY, Quota
from exporter.quota.view import AccountView
from exporter.sentry.customer import CustomerPlan

STEP: Final = 300
"""Seconds between two samples: Prometheus looks back so far."""

LEAD: Final = 60
"""Seconds before the end of an hour at which its use is shown: the last sample of a period has all
of its use, and dashboards read it a minute before the period's end."""

_EACH_HOUR: Final = HOUR // STEP

_NOT_WRITTEN: Final = frozenset(
    {families.PLAN_UP, families.QUOTA_PROJECT_USED, families.QUOTA_PROJECT_COST}
)
"""What is about the exporter's own requests, and what `exporter.backfill.quota_projects` has."""

ByHour = Mapping[str, Mapping[int, int]]


class Timed(NamedTuple):
    """Values of a series; each is shown at ``firsts``, and at every `STEP` so many times."""

    firsts: "array[int]"
    counts: "array[int]"
    values: "array[float]"

    def add(self, first: int, count: int, value: float) -> None:
        """Add a value."""
        self.firsts.append(first)
        self.counts.append(count)
        self.values.append(value)

    def samples(self) -> Iterator[tuple[int, float]]:
        """Yield time and value of each sample."""
        for first, count, value in zip(*self, strict=True):
            for at in range(first, first + count * STEP, STEP):
                yield at, value


Samples = dict[tuple[Family, tuple[str, ...]], Timed]
"""The values of each series, by family and labels."""


class Shown(NamedTuple):
    """What was used until ``end``: so many ``samples``, `STEP` apart, from ``first`` on."""

    end: int
    first: int
    samples: int
    view: AccountView

    @property
    def is_end(self) -> bool:
        """Whether it is shown at the end of an hour, and not only after it."""
        return self.first < self.end


@dataclass(frozen=True, slots=True)
class QuotaJob:
    """The hours from which quotas of an organization are worked out.

    They are those of all projects, or the ``part`` that is about the projects ``members``.
    ``sources`` have what each project has used.
    """

    job: Job
    plan: CustomerPlan | None = None
    part: str = ""
    members: frozenset[int] | None = None
    sources: tuple[Source, ...] = ()

    def account(self, now: float) -> Account:
        """Return the account at ``now``, with these quotas only."""
        account = account_of(self.job.organization, self.plan, now)
        if self.part:
            quotas = tuple(one for one in account.quotas if one.quota.name == self.part)
            return replace(account, quotas=quotas, budgets={})
        quotas = tuple(one for one in account.quotas if not is_part(one.quota))
        return replace(account, quotas=quotas)

    def has_beginning(self, account: Account) -> bool:
        """Return whether the period of an account is read from its beginning."""
        return account.period.start >= self.job.window.start

    def shown_hours(self) -> Window:
        """Return the hours of the periods whose beginning is read: nothing is shown of others."""
        window = self.job.window
        account = self.account(window.start)
        start = window.start if self.has_beginning(account) else account.period.end
        return replace(window, start=min(start, window.end))


def is_part(quota: Quota) -> bool:
    """Return whether a quota is about some projects only."""
    return quota.projects is not None or bool(quota.team)


def read_plan(organization: Organization, client: PlanClient, now: float) -> CustomerPlan | None:
    """Return the plan, None if there is none that can be read."""
    state = PlanState()
    PlanSource(organization, client, state, nullcontext).read(now)
    return state.plan


def quota_window(
    organization: Organization, plan: CustomerPlan | None, asked: Range, now: float
) -> Window | None:
    """Return the hours that the quotas of ``organization`` need, None if there are none.

    They begin with the period in which the range begins, as far as Sentry has its hours.
    """
    earliest = now - HOURLY_RETENTION + EDGE
    begin = max(asked.start, earliest)
    start = max(period_of(organization.billing, plan, begin).start, -floor(-earliest, HOUR))
    end = floor(min(asked.end, asked.limit - organization.settle), HOUR)
    return Window(start, end, HOUR) if start < end else None


def quota_jobs(
    number: int,
    organization: Organization,
    plan: CustomerPlan | None,
    window: Window,
    members: Mapping[str, frozenset[int]],
) -> Iterator[QuotaJob]:
    """Yield the jobs of the quotas of ``organization``, the first one with ``number``.

    ``members`` are the projects of each quota that is about some only.
    """
    quotas = [one.quota for one in account_of(organization, plan, window.start).quotas]
    if categories := {name for one in quotas if not is_part(one) for name in one.categories}:
        yield QuotaJob(Job(number, organization, _query(categories), window), plan)
        number += 1
    for one in quotas:
        if is_part(one) and members[one.name]:
            query = _query(one.categories, members[one.name], f" ({one.name})")
            job = Job(number, organization, query, window)
            yield QuotaJob(job, plan, one.name, members[one.name])
            number += 1


def _query(categories: Collection[str], members: Collection[int] = (), more: str = "") -> Query:
    query = Query.model_validate({"name": "hours", "groupBy": ["category", "outcome", "reason"]})
    outcomes = (ACCEPTED, *(outcome for outcome, _ in LOST))
    chosen = {
        "category": filter_of(categories),
        "outcome": outcomes,
        "project": tuple(map(str, sorted(members))),
    }
    return query.model_copy(
        update={
            "name": f"{QUOTAS_QUERY}{more}",
            "counters": False,
            "filter": query.filter.model_copy(update=chosen),
        }
    )


@dataclass(slots=True)
class Hours:
    """What was accepted by category and hour, and what a limit has cost."""

    accepted: dict[str, dict[int, int]] = field(default_factory=dict)
    lost: dict[str, dict[int, int]] = field(default_factory=dict)


def shown(one: QuotaJob, file: ProgressFile, start: float, end: float) -> Iterator[Shown]:
    """Yield what is shown of the quotas from ``start`` to ``end``.

    Of a period whose beginning has not been read, nothing is known.
    """
    hours, window = hours_of(one, file), one.job.window
    for until in range(window.start, window.end + 1, HOUR):
        times = (until - LEAD + STEP * number for number in range(_EACH_HOUR))
        inside = [at for at in times if start <= at < end]
        for account, some in _by_period(one, inside):
            if one.has_beginning(account):
                # Of a period that ends, its last minute.
                now = min(until, account.period.end - LEAD)
                reading = _reading(account, hours, now, until)
                view = published(account, reading, {}, plan_up=None)
                yield Shown(until, some[0], len(some), view)


def _by_period(one: QuotaJob, times: list[int]) -> Iterator[tuple[Account, list[int]]]:
    """Yield the accounts of the periods that ``times`` belong to."""
    if not times:
        return
    account = one.account(times[0])
    before = [at for at in times if at < account.period.end]
    yield account, before
    if after := times[len(before) :]:
        yield one.account(after[0]), after


def quota_history(one: QuotaJob, every: Iterator[Shown]) -> Samples:
    """Return the samples of what is shown, but for those by project."""
    samples: Samples = {}
    for each in every:
        for family, labels, value in quota_samples(one.job.organization.name, each.view):
            if family not in _NOT_WRITTEN:
                timed = samples.get((family, labels))
                if timed is None:
                    timed = Timed(array("q"), array("B"), array("d"))
                    samples[family, labels] = timed
                timed.add(each.first, each.samples, value)
    return samples


def hours_of(one: QuotaJob, file: ProgressFile) -> Hours:
    """Return what was read of a job."""
    hours, number = Hours(), one.job.number
    runs = [(series, run.start) for series, some in file.table(number).runs.items() for run in some]
    for start, cells in file.columns(number):
        for series, place in runs:
            if (value := cells[place]) not in {0, ABSENT}:
                by_category = hours.accepted if series.outcome == ACCEPTED else hours.lost
                is_lost = any(
                    series.outcome == outcome and reason in {None, series.reason}
                    for outcome, reason in LOST
                )
                if series.outcome == ACCEPTED or is_lost:
                    by_hour = by_category.setdefault(series.category, {})
                    by_hour[start] = by_hour.get(start, 0) + value
    for window, totals in by_bucket(one.sources, file, one.members):
        _agree(hours.accepted, window, totals, exactly=one.members is not None)
    return hours


def _agree(
    accepted: dict[str, dict[int, int]], window: Window, totals: Totals, *, exactly: bool
) -> None:
    """Let the hours of ``window`` have what its projects have, as far as that is more.

    Events may have come in between the two questions. Some projects have nothing more than that:
    then they have it ``exactly``.
    """
    for category in totals.keys() | (accepted.keys() if exactly else ()):
        by_hour = accepted.setdefault(category, {})
        held = sum(by_hour.get(start, 0) for start in range(window.start, window.end, HOUR))
        more = totals.get(category, 0) - held
        if more > 0 or exactly:
            last = window.end - HOUR
            by_hour[last] = max(by_hour.get(last, 0) + more, 0)


def _reading(account: Account, hours: Hours, now: int, until: int) -> AccountReading:
    """Return what the running exporter would have read at ``now``, of the hours ``until`` then."""
    period = account.period
    window = days_of(period, now - 1)
    since = floor(now - HISTORY, DAY)
    days = {name: dict(_by_day(by_hour, window, until)) for name, by_hour in hours.accepted.items()}
    recent = {
        name: {start: value for start, value in by_hour.items() if since <= start < until}
        for name, by_hour in hours.accepted.items()
    }
    lost = {
        name: sum(value for start, value in by_hour.items() if period.start <= start < until)
        for name, by_hour in hours.lost.items()
    }
    usage = UsageReading(days, recent, lost, since)
    by_project = ProjectsReading({name: {NO_PROJECT: usage.used([name])} for name in days})
    return AccountReading(now, usage, by_project)


def _by_day(by_hour: Mapping[int, int], window: Window, now: int) -> Iterator[tuple[int, int]]:
    for day in window.buckets():
        values = (by_hour.get(start, 0) for start in range(day, min(day + DAY, now), HOUR))
        if total := sum(values):
            yield day, total
