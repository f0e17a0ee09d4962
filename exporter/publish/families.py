"""The one table of every metric family: name, type, unit, labels and help.

README's reference, the lint test and the dashboards' check are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    """The metric types in use, as the exposition formats write them."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. ``name`` is that of its samples, so counters end in ``_total``."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    unit: str = ""


DATA_LABELS: Final = ("organization", "query", "category", "outcome", "reason", "project")
QUERY_LABELS: Final = ("organization", "query")

MEASURES: Final = ("events", "bytes", "seconds", "times_seen")
"""The ends of the names of the data families: a unit of sum(quantity), or sum(times_seen)."""

_MEANING: Final = {
    "events": ("sum(quantity) of categories counted in items", "events"),
    "bytes": ("sum(quantity) of categories counted in bytes", "bytes"),
    "seconds": ("sum(quantity) of categories that Sentry counts in milliseconds", "seconds"),
    "times_seen": ("sum(times_seen), the outcome rows that Sentry stored", ""),
}

_AGE: Final = (
    "Polled on a timer, not when scraped: see sentry_stats_last_success_timestamp_seconds; "
    "withdrawn once older than max_age."
)


def _data(prefix: str, suffix: str, kind: Type, what: str) -> Mapping[str, Family]:
    return {
        measure: Family(
            f"sentry_stats_{prefix}{measure}{suffix}",
            kind,
            DATA_LABELS,
            f"{what}: {_MEANING[measure][0]} in stats_v2. {_AGE}",
            _MEANING[measure][1],
        )
        for measure in MEASURES
    }


BUCKET: Final = _data("bucket_", "", Type.GAUGE, "The latest finished bucket")
RUNNING: Final = _data("running_bucket_", "", Type.GAUGE, "The bucket that is still filling")
COUNTED: Final = _data("", "_total", Type.COUNTER, "Everything counted since the counter began")

DATA_FAMILIES: Final = (*BUCKET.values(), *RUNNING.values(), *COUNTED.values())

PROJECT_INFO: Final = Family(
    "sentry_stats_project_info",
    Type.GAUGE,
    ("organization", "project", "id", "platform", "team"),
    "1 for each project of the projects list that the token can read.",
)


def _gauge(name: str, text: str, unit: str = "") -> Family:
    return Family(f"sentry_stats_{name}", Type.GAUGE, QUERY_LABELS, text, unit)


def _counter(name: str, text: str, *more: str) -> Family:
    return Family(f"sentry_stats_{name}", Type.COUNTER, (*QUERY_LABELS, *more), text)


QUERY_INFO: Final = Family(
    "sentry_stats_query_info",
    Type.GAUGE,
    (*QUERY_LABELS, "interval", "field", "group_by"),
    "1 for each configured query, with its interval, fields and dimensions, sorted.",
)
UP: Final = _gauge("up", "1 if the last poll succeeded.")
LAST_SUCCESS: Final = _gauge(
    "last_success_timestamp_seconds",
    "When the last poll that succeeded began; 0 if none has.",
    "seconds",
)
NEXT_POLL: Final = _gauge(
    "next_poll_timestamp_seconds", "When the next poll is due; set as a poll ends.", "seconds"
)
BUCKET_START: Final = _gauge(
    "bucket_start_timestamp_seconds", "Start of the bucket that the bucket gauges show.", "seconds"
)
BUCKET_END: Final = _gauge(
    "bucket_end_timestamp_seconds", "End of the bucket that the bucket gauges show.", "seconds"
)
COMPLETE: Final = _gauge(
    "complete",
    "1 if the bucket shown is proven complete and fully attributed.",
)
SERIES: Final = _gauge("series", "Data series that the query publishes.")
FILTER_PROJECTS_MISSING: Final = _gauge(
    "filter_projects_missing",
    "Projects that the query's filter names and that the token cannot read; the others are read.",
)
POLLS: Final = _counter("polls_total", "Polls, including failed ones.")
POLL_FAILURES: Final = _counter(
    "poll_failures_total", "Polls that failed, by the reason of the error.", "reason"
)
POLL_DURATION: Final = _gauge(
    "poll_duration_seconds", "How long the last poll took, its processing included.", "seconds"
)
POLL_REQUESTS: Final = _gauge("poll_requests", "Questions to stats_v2 in the last poll.")
REVISIONS: Final = _counter(
    "revisions_total",
    "Values of finished buckets that later grew: late data. Moves between a project and "
    'project="" are not counted.',
)
REGRESSIONS: Final = _counter(
    "regressions_total",
    "Values of finished buckets that later shrank; counters do not follow. Moves between a "
    'project and project="" are not counted.',
)

QUERY_FAMILIES: Final = (
    QUERY_INFO,
    UP,
    LAST_SUCCESS,
    NEXT_POLL,
    BUCKET_START,
    BUCKET_END,
    COMPLETE,
    SERIES,
    FILTER_PROJECTS_MISSING,
    POLLS,
    POLL_FAILURES,
    POLL_DURATION,
    POLL_REQUESTS,
    REVISIONS,
    REGRESSIONS,
)

API_REQUESTS: Final = Family(
    "sentry_stats_api_requests_total",
    Type.COUNTER,
    ("organization", "api", "code"),
    "Requests that Sentry answered, by HTTP status.",
)
API_FAILURES: Final = Family(
    "sentry_stats_api_request_failures_total",
    Type.COUNTER,
    ("organization", "api", "reason"),
    "Requests that brought no usable answer, by the reason of the error.",
)
API_DURATION: Final = Family(
    "sentry_stats_api_request_duration_seconds",
    Type.HISTOGRAM,
    ("organization",),
    "How long requests to Sentry took, body included.",
    "seconds",
)
API_RATE_LIMIT: Final = Family(
    "sentry_stats_api_rate_limit",
    Type.GAUGE,
    ("organization",),
    "X-Sentry-Rate-Limit-Limit of the last answer: requests allowed in a window.",
)
API_RATE_LIMIT_REMAINING: Final = Family(
    "sentry_stats_api_rate_limit_remaining",
    Type.GAUGE,
    ("organization",),
    "X-Sentry-Rate-Limit-Remaining of the last answer.",
)
API_THROTTLED: Final = Family(
    "sentry_stats_api_throttled_seconds_total",
    Type.COUNTER,
    ("organization",),
    "Seconds spent waiting because Sentry's rate limit required it; the exporter's own pacing is "
    "not included.",
    "seconds",
)
API_DEPRECATION: Final = Family(
    "sentry_stats_api_deprecation_timestamp_seconds",
    Type.GAUGE,
    ("organization", "api"),
    "X-Sentry-Deprecation-Date of the last answer: when Sentry takes this part of its API away; "
    "absent where nothing is announced.",
    "seconds",
)
CLOCK_SKEW: Final = Family(
    "sentry_stats_clock_skew_seconds",
    Type.GAUGE,
    ("organization",),
    "Date of the last answer minus this host's clock; a difference of less than 1.5 s means "
    "nothing, as Date is in whole seconds.",
    "seconds",
)

API_FAMILIES: Final = (
    API_REQUESTS,
    API_FAILURES,
    API_DURATION,
    API_RATE_LIMIT,
    API_RATE_LIMIT_REMAINING,
    API_THROTTLED,
    API_DEPRECATION,
    CLOCK_SKEW,
)

BUILD_INFO: Final = Family(
    "sentry_stats_exporter_build_info",
    Type.GAUGE,
    ("version", "python"),
    "1; the versions of the exporter and of Python.",
)
RELOAD_SUCCESSFUL: Final = Family(
    "sentry_stats_exporter_config_last_reload_successful",
    Type.GAUGE,
    (),
    "1 if the last configuration read was valid, including the one at start-up.",
)
RELOAD_TIME: Final = Family(
    "sentry_stats_exporter_config_last_reload_success_timestamp_seconds",
    Type.GAUGE,
    (),
    "When a valid configuration was last read, including the one at start-up.",
    "seconds",
)
SHARD_ORDINAL: Final = Family(
    "sentry_stats_exporter_shard_ordinal",
    Type.GAUGE,
    (),
    "Which of the shards this exporter is, counted from 0.",
)
TOTAL_SHARDS: Final = Family(
    "sentry_stats_exporter_total_shards",
    Type.GAUGE,
    (),
    "How many shards the queries are divided among; 1 if they are not.",
)

EXPORTER_FAMILIES: Final = (
    BUILD_INFO,
    RELOAD_SUCCESSFUL,
    RELOAD_TIME,
    SHARD_ORDINAL,
    TOTAL_SHARDS,
)

FAMILIES: Final = (
    *DATA_FAMILIES,
    PROJECT_INFO,
    *QUERY_FAMILIES,
    *API_FAMILIES,
    *EXPORTER_FAMILIES,
)
"""Every family but ``process_*`` and ``python_*``, which are prometheus_client's own."""
