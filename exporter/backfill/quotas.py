"""The history of quotas: what was used of each at the end of every hour, and what was expected.

It is worked out from the hours of all categories, by what works it out for the running exporter.
The limits, prices and budgets are those of today: Sentry does not say what they were.
"""

from array import array
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.backfill.progress_file import ABSENT, ProgressFile
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
from exporter.quota.model import DAY
from exporter.sentry.customer import CustomerPlan

_NOT_WRITTEN: Final = frozenset(
    {families.PLAN_UP, families.QUOTA_PROJECT_USED, families.QUOTA_PROJECT_COST}
)
"""What is about the exporter's own requests, and what would have to be read by project."""

ByHour = Mapping[str, Mapping[int, int]]
Samples = Mapping[tuple[Family, tuple[str, ...]], tuple["array[int]", "array[float]"]]
"""Times and values of each series, by family and labels."""


@dataclass(frozen=True, slots=True)
class QuotaJob:
    """The hours from which the quotas of an organization are worked out."""

    job: Job
    plan: CustomerPlan | None = None

    def account(self, now: float) -> Account:
        """Return the account at ``now``, without the quotas of some projects only."""
        account = account_of(self.job.organization, self.plan, now)
        quotas = (one for one in account.quotas if not one.quota.projects and not one.quota.team)
        return replace(account, quotas=tuple(quotas))


def read_plan(organization: Organization, client: PlanClient, now: float) -> CustomerPlan | None:
    """Return the plan, None if there is none that can be read."""
    state = PlanState()
    PlanSource(organization, client, state, nullcontext).read(now)
    return state.plan


def quota_job(
    number: int,
    organization: Organization,
    plan: CustomerPlan | None,
    asked: Range,
    now: float,
) -> QuotaJob | None:
    """Return the job of the quotas of ``organization``, None if there is nothing to read.

    It begins with the period in which the range begins, as far as Sentry has its hours.
    """
    earliest = now - HOURLY_RETENTION + EDGE
    begin = max(asked.start, earliest)
    start = max(period_of(organization.billing, plan, begin).start, -floor(-earliest, HOUR))
    end = floor(min(asked.end, asked.limit - organization.settle), HOUR)
    categories = {
        name for one in account_of(organization, plan, now).quotas for name in one.quota.categories
    }
    if start >= end or not categories:
        return None
    query = Query.model_validate(
        {"name": "hours", "groupBy": ["category", "outcome", "reason"]}
    ).model_copy(update={"name": QUOTAS_QUERY, "counters": False})
    outcomes = (ACCEPTED, *(outcome for outcome, _ in LOST))
    chosen = query.filter.model_copy(
        update={"category": filter_of(categories), "outcome": outcomes}
    )
    query = query.model_copy(update={"filter": chosen})
    return QuotaJob(Job(number, organization, query, Window(start, end, HOUR)), plan)


@dataclass(slots=True)
class _Hours:
    """What was accepted by category and hour, and what a limit has cost."""

    accepted: dict[str, dict[int, int]] = field(default_factory=dict)
    lost: dict[str, dict[int, int]] = field(default_factory=dict)
    proven: Mapping[int, bool] = field(default_factory=dict)


def quota_history(one: QuotaJob, file: ProgressFile, start: float) -> Samples:
    """Return the samples about the quotas from ``start`` on.

    Of a period whose beginning has not been read, nothing is known.
    """
    hours = _hours(one.job, file)
    samples: dict[tuple[Family, tuple[str, ...]], tuple[array[int], array[float]]] = {}
    for bucket in one.job.window.buckets():
        now = bucket + HOUR
        account = one.account(now)
        if bucket < start or account.period.start < one.job.window.start:
            continue
        view = published(account, _reading(account, hours, now), {}, plan_up=None)
        for family, labels, value in quota_samples(one.job.organization.name, view):
            if family not in _NOT_WRITTEN:
                times, values = samples.setdefault((family, labels), (array("q"), array("d")))
                times.append(one.job.finished(bucket))
                values.append(value)
    return samples


def _hours(job: Job, file: ProgressFile) -> _Hours:
    hours = _Hours(proven=file.read_buckets(job.number))
    runs = [
        (series, run.start) for series, some in file.table(job.number).runs.items() for run in some
    ]
    for start, cells in file.columns(job.number):
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
    return hours


def _reading(account: Account, hours: _Hours, now: int) -> AccountReading:
    """Return what the running exporter would have read at ``now``."""
    period = account.period
    window = days_of(period, now - 1)
    since = floor(now - HISTORY, DAY)
    days = {name: dict(_by_day(by_hour, window, now)) for name, by_hour in hours.accepted.items()}
    recent = {
        name: {start: value for start, value in by_hour.items() if since <= start < now}
        for name, by_hour in hours.accepted.items()
    }
    lost = {
        name: sum(value for start, value in by_hour.items() if period.start <= start < now)
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
