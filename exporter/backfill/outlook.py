"""What a backfill will take, known before it begins. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from exporter.backfill import recorded
from exporter.backfill.survey import Survey, requests
from exporter.backfill.times import Job
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.config.notation import in_units
from exporter.moments import elapsed, iso
from exporter.publish.families import BUCKET
from exporter.publish.series import head_of

_VALUE_AND_TIME = 18
"""Bytes of a line after its labels, for a value of five digits."""


@dataclass(frozen=True, slots=True)
class JobOutlook:
    """What one job takes."""

    job: Job
    known: Survey
    requests: int
    samples: int
    size: int

    @classmethod
    def of(
        cls, job: Job, query: ResolvedQuery, known: Survey, projects: Sequence[str]
    ) -> "JobOutlook":
        """Return the outlook of ``job``; ``projects`` are the labels of its organization."""
        samples = _samples(job, known, len(projects))
        return cls(
            job, known, requests(query, known), samples, samples * _line(job, known, projects)
        )

    @property
    def seconds(self) -> float:
        """How long the requests take at the configured rate."""
        return self.requests / self.job.organization.requests_per_second

    def text(self) -> str:
        """Return a line about the job."""
        window = self.job.window
        shown = "" if self.job.shows_gauges else ", counters only"
        return (
            f"{self.job.name}: {len(window):,} buckets of {in_units(window.interval)}, "
            f"{iso(window.start)} to {iso(window.end)}{shown}: {self.requests:,} requests, "
            f"about {self.samples:,} samples"
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a backfill takes. ``made`` requests were needed to learn it."""

    jobs: Sequence[JobOutlook]
    made: int
    limit: float

    @property
    def requests(self) -> int:
        """How many requests read everything."""
        return sum(one.requests for one in self.jobs)

    def lines(self) -> Iterator[str]:
        """Yield what is printed of it."""
        for one in self.jobs:
            yield one.text()
        seconds = sum(one.seconds for one in self.jobs)
        yield (
            f"Requests: {self.requests:,}, fewer where hours have no events, and {self.made:,} "
            f"that were needed to plan them; about {elapsed(seconds)} at the configured rate"
        )
        size = sum(one.size for one in self.jobs)
        yield f"Output: about {sum(one.samples for one in self.jobs):,} samples, {_in_bytes(size)}"
        yield (
            f"Left out: everything after {iso(self.limit)}. Prometheus has the last 3 hours in "
            "memory, and promtool must not write them"
        )


def _samples(job: Job, known: Survey, projects: int) -> int:
    series, buckets = round(len(known.series) * known.projects), len(job.window)
    families = job.shows_gauges + job.query.counters + recorded.is_recorded(job)
    return series * buckets * families + (4 + projects) * buckets


def _line(job: Job, known: Survey, projects: Sequence[str]) -> int:
    """Return the bytes of a line of average length."""
    names = job.organization.name, job.query.name
    heads = [len(head_of(BUCKET["events"], *names, one)) for one in known.series]
    labels = [len(label) for label in projects] if "project" in job.query.group_by else []
    return round(fmean(heads or [0]) + fmean(labels or [0]) + len('project=""} ')) + _VALUE_AND_TIME


def _in_bytes(size: float) -> str:
    """Return a size in powers of ten, as files are listed."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":  # noqa: PLR2004 - of the next unit
            break
        size /= 1000
    return f"{size:.3g} {unit}"
