"""The series that deploy/prometheus/rules/dashboards.yml records, for dashboards.

The rules record the bucket gauges in the last minutes before they move on. A backfill has one
sample of each bucket, which Prometheus does not see any more by then: so it has what the rules
would have recorded, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from exporter.backfill.times import HOUR, Job
from exporter.categories import OUTCOMES
from exporter.collect.series import Series
from exporter.publish.family import Family, Type

RECORDED_AFTER: Final = 57 * 60
"""Seconds from the end of a bucket: the rules record it 55 to 60 minutes after."""

_BACKOFF: Final = "ratelimit_backoff"
_DISCARDED: Final = "client_discard"
_LABELS: Final = ("organization", "query", "category")

PROJECTS: Final = Family(
    "organization_query_category_outcome_reason_project:sentry_stats_bucket_quantity:hour",
    Type.GAUGE,
    (*_LABELS, "outcome", "reason", "project", "unit"),
    "The finished hours of every project.",
)
VOLUMES: Final = Family(
    "organization_query_category_project_volume:sentry_stats_bucket_quantity:hour",
    Type.GAUGE,
    (*_LABELS, "project", "unit", "volume"),
    "Their sums over the outcomes and reasons of a volume.",
)
TOTALS: Final = Family(
    "organization_query_category_outcome_reason:sentry_stats_bucket_quantity:hour",
    Type.GAUGE,
    (*_LABELS, "outcome", "reason", "unit"),
    "Their sums over all projects.",
)
HOURS: Final = Family(
    "organization_query:sentry_stats_bucket_start_timestamp_seconds:hour",
    Type.GAUGE,
    ("organization", "query"),
    "Which hours are recorded.",
)
FAMILIES: Final = (PROJECTS, VOLUMES, TOTALS)

_DROPPED: Final = frozenset(OUTCOMES) - {"accepted", "filtered", _DISCARDED}


def is_recorded(job: Job) -> bool:
    """Return whether the rules record the buckets of a job: hours by project."""
    return job.window.interval == job.query.interval == HOUR and "project" in job.query.group_by


def volumes_of(outcome: str, reason: str) -> Iterator[str]:
    """Yield the volumes that an outcome belongs to."""
    if outcome == _DISCARDED and reason != _BACKOFF:
        yield "discarded"
        return
    yield "submitted"
    if outcome in {"accepted", "filtered"}:
        yield outcome
    if outcome in _DROPPED or outcome == _DISCARDED:
        yield "dropped"


def recorded(
    family: Family,
    places: Mapping[tuple[Series, str], Sequence[int]],
    unit: str,
) -> Mapping[tuple[str, ...], Sequence[int]]:
    """Return the places whose values each series of ``family`` adds, by its labels after query.

    ``places`` are those of the data series, by series and label of the project.
    """
    sums: dict[tuple[str, ...], list[int]] = {}
    for (series, project), added in places.items():
        for labels in _labels(family, series, project, unit):
            sums.setdefault(labels, []).extend(added)
    return sums


def _labels(family: Family, series: Series, project: str, unit: str) -> Iterator[tuple[str, ...]]:
    if family is PROJECTS:
        yield series.category, series.outcome, series.reason, project, unit
    elif family is TOTALS:
        yield series.category, series.outcome, series.reason, unit
    else:
        for volume in volumes_of(series.outcome, series.reason):
            yield series.category, project, unit, volume
