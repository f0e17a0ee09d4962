"""What a backfill will take, known before it begins. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from exporter.backfill import recorded
from exporter.backfill.quota_projects import Source
from exporter.backfill.quotas import STEP, QuotaJob
from exporter.backfill.survey import Survey, requests
from exporter.backfill.times import DAY, HOUR, Job
from exporter.categories import Unit
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.quota.reading import ACCEPTED
from exporter.config.notation import in_units
from exporter.moments import elapsed, iso
from exporter.publish.families import BUCKET
from exporter.publish.series import end_of, head_of

_VALUE_AND_TIME: Final = 17
"""Bytes of a line after its labels, for a value of four digits."""

_SHORTER: Final = BUCKET["events"].name

_OF_QUOTA: Final = 14
"""Series of a quota, and of the budgets, but for those by project."""

_QUOTA_LINE: Final = 110
"""Bytes of a line about a quota."""


@dataclass(frozen=True, slots=True)
class JobOutlook:
    """What one job takes."""

    job: Job
    requests: int
    samples: int
    size: int

    @classmethod
    def of(
        cls, job: Job, query: ResolvedQuery, known: Survey, projects: Sequence[str]
    ) -> "JobOutlook":
        """Return the outlook of ``job``; ``projects`` are the labels of its organization."""
        # The output of the quotas is counted apart, as it is not what their jobs read.
        parts = [] if job.is_of_quotas else list(_parts(job, known, projects))
        return cls(
            job,
            requests(query, known),
            round(sum(samples for samples, _ in parts)),
            round(sum(samples * length for samples, length in parts)),
        )

    def with_quotas(self, one: QuotaJob, known: Mapping[int, Survey], start: float) -> "JobOutlook":
        """Return this with the samples of the quotas from ``start`` on."""
        samples = round(sum(_quota_samples(one, known, start)))
        return replace(self, samples=samples, size=samples * _QUOTA_LINE)

    @property
    def seconds(self) -> float:
        """How long the requests take at the configured rate."""
        return self.requests / self.job.organization.requests_per_second

    def text(self) -> str:
        """Return a line about the job."""
        window = self.job.window
        shown = "" if self.job.shows_gauges else ", counters only"
        samples = f", about {self.samples:,} samples" if self.samples else ""
        return (
            f"{self.job.name}: {len(window):,} buckets of {in_units(window.interval)}, "
            f"{iso(window.start)} to {iso(window.end)}{shown}: {counted(self.requests)}{samples}"
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a backfill takes. ``made`` requests were needed to learn it.

    Nothing is written after ``limit``. ``joined``: an exporter was started then.
    """

    jobs: Sequence[JobOutlook]
    made: int
    limit: float
    joined: bool = False

    @property
    def requests(self) -> int:
        """How many requests read everything."""
        return sum(one.requests for one in self.jobs)

    @property
    def samples(self) -> int:
        """About how many samples there are."""
        return sum(one.samples for one in self.jobs)

    def lines(self) -> Iterator[str]:
        """Yield what is printed of it."""
        for one in self.jobs:
            yield one.text()
        seconds = sum(one.seconds for one in self.jobs)
        yield (
            f"To send: {counted(self.requests)}, fewer where hours have no events, "
            f"about {elapsed(seconds)} at the configured rate; "
            f"planning took {counted(self.made)} more"
        )
        size = sum(one.size for one in self.jobs)
        yield f"Output: about {self.samples:,} samples, {_in_bytes(size)}"
        if self.joined:
            yield f"End: {iso(self.limit)}, where the counters of the exporter begin"
        else:
            yield (
                f"Left out: everything after {iso(self.limit)}. Prometheus has the last 3 hours in "
                "memory, and promtool must not write them"
            )


def counted(requests: int) -> str:
    """Return a number of requests as text."""
    return f"{requests:,} request{'s' * (requests != 1)}"


def _parts(job: Job, known: Survey, projects: Sequence[str]) -> Iterator[tuple[float, float]]:
    """Yield how many samples each kind of family has, and how long their lines are."""
    names = (job.organization.name, job.query.name)
    buckets, each = len(job.window), known.projects
    label = fmean(map(len, projects)) if projects and "project" in job.query.group_by else 0
    heads = [len(head_of(BUCKET["events"], *names, one)) for one in known.series]
    length = fmean(heads or [0]) + len(end_of("")) + label + _VALUE_AND_TIME
    yield len(known.series) * each * buckets * job.shows_gauges, length
    yield len(known.series) * each * (buckets + 1) * job.query.counters, length
    yield (4 + len(projects)) * buckets, length
    if recorded.is_recorded(job):
        places = dict.fromkeys(((one, "") for one in known.series), (0,))
        for family in recorded.FAMILIES:
            labels = recorded.recorded(family, places, Unit.EVENTS)
            of_projects = each if "project" in family.labels else 1
            yield len(labels) * of_projects * buckets, length + len(family.name) - len(_SHORTER)


def _quota_samples(one: QuotaJob, known: Mapping[int, Survey], start: float) -> Iterator[float]:
    """Yield how many samples there are of the quotas, and of each source of their projects."""
    end = one.job.window.end
    seconds = end - max(one.job.window.start, start)
    quotas = one.account(end - 1).quotas
    yield len(quotas) * _OF_QUOTA * seconds / STEP
    categories = [name for each in quotas for name in each.quota.categories]
    for source in one.sources:
        used = _used(known[source.job.number], categories, one.members)
        yield 2 * used * _moments(source, start, end)


def _used(known: Survey, categories: Sequence[str], members: frozenset[int] | None) -> float:
    """Return how many series by project there are."""
    accepted = {series.category for series in known.series if series.outcome == ACCEPTED}
    projects = known.projects if members is None else min(known.projects, len(members))
    return projects * sum(name in accepted for name in categories)


def _moments(source: Source, start: float, end: int) -> float:
    """Return how many samples each of these series has; there are more of the last day."""
    ends = (one + source.window.interval for one in source.window.buckets())
    return sum(HOUR / STEP if one > end - DAY else 1 for one in ends if one > start)


def _in_bytes(size: float) -> str:
    """Return a size in powers of ten, as files are listed."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":  # noqa: PLR2004 - of the next unit
            break
        size /= 1000
    return f"{size:.3g} {unit}"
