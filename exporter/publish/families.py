"""The table of all metric families: name, type, unit, labels, help and stability.

A family is STABLE unless it says otherwise.

The reference in docs/metrics.md, the lint test and the check of the dashboards are made from it.
"""

from collections.abc import Mapping
from typing import Final

from exporter.publish.family import Family, Type
from exporter.publish.quota_families import QUOTA_FAMILIES

DATA_LABELS: Final = ("organization", "query", "category", "outcome", "reason", "project")
QUERY_LABELS: Final = ("organization", "query")

MEASURES: Final = ("events", "bytes", "seconds", "times_seen")
"""How the names of the data families end: a unit of sum(quantity), or sum(times_seen)."""

# OpenMetrics requires a unit to be the end of the family's name. Stored rows have none.
_MEANING: Final = {
    "events": ("sum(quantity) of categories counted in items", "events"),
    "bytes": ("sum(quantity) of categories counted in bytes", "bytes"),
    "seconds": ("sum(quantity) of durations, in seconds (Sentry counts milliseconds)", "seconds"),
    "times_seen": ("sum(times_seen), the number of outcome rows that Sentry stored", ""),
}

_AGE: Final = (
    "Polled on a timer, not when scraped: sentry_stats_last_success_timestamp_seconds shows when. "
    "Data older than max_age is withdrawn."
)


def _data(prefix: str, suffix: str, kind: Type, what: str) -> Mapping[str, Family]:
    return {
        measure: Family(
            f"sentry_stats_{prefix}{measure}{suffix}",
            kind,
            DATA_LABELS,
            f"{what}: {_MEANING[measure][0]}. {_AGE}",
            _MEANING[measure][1],
        )
        for measure in MEASURES
    }


BUCKET: Final = _data("bucket_", "", Type.GAUGE, "The latest finished bucket in stats_v2")
RUNNING: Final = _data(
    "running_bucket_", "", Type.GAUGE, "The bucket in stats_v2 that is still filling"
)
COUNTED: Final = _data(
    "", "_total", Type.COUNTER, "Sum of all buckets in stats_v2 since the counter began"
)

DATA_FAMILIES: Final = (*BUCKET.values(), *RUNNING.values(), *COUNTED.values())

PROJECT_INFO: Final = Family(
    "sentry_stats_project_info",
    Type.GAUGE,
    ("organization", "project", "id", "platform", "team"),
    "1 for each project that the token can read; its id, platform and team are labels.",
)


def _gauge(name: str, text: str, unit: str = "") -> Family:
    return Family(f"sentry_stats_{name}", Type.GAUGE, QUERY_LABELS, text, unit)


def _counter(name: str, text: str, *more: str) -> Family:
    return Family(f"sentry_stats_{name}", Type.COUNTER, (*QUERY_LABELS, *more), text)


# Sorted: another order in the configuration is the same query, and must not start a new series.
QUERY_INFO: Final = Family(
    "sentry_stats_query_info",
    Type.GAUGE,
    (*QUERY_LABELS, "interval", "field", "group_by", "filter"),
    "1 for each configured query. Labels: interval, fields, groupBy, and the dimensions that its "
    "filter restricts (sorted).",
)
QUERY_INTERVAL: Final = _gauge(
    "query_interval_seconds", "Length of the query's buckets.", "seconds"
)
QUERY_POLL_INTERVAL: Final = _gauge(
    "query_poll_interval_seconds", "Time between two regular polls of the query.", "seconds"
)
QUERY_SETTLE: Final = _gauge(
    "query_settle_seconds", "How long after its end a bucket counts as finished.", "seconds"
)
QUERY_MAX_AGE: Final = _gauge(
    "query_max_age_seconds",
    "Age at which the query's data is withdrawn: max_age, at least two poll intervals.",
    "seconds",
)
# With the label query: several queries by project may have seen the same project.
PROJECT_LAST_EVENT: Final = Family(
    "sentry_stats_project_last_event_timestamp_seconds",
    Type.GAUGE,
    (*QUERY_LABELS, "project"),
    "Start of the newest bucket in which Sentry received an event of the project, with any outcome "
    "except client_discard. With a state file, a restart does not change it.",
    "seconds",
)
UP: Final = _gauge("up", "1 if the last poll succeeded.")
# 0 instead of no sample: an alert on the age then fires for a query that has never succeeded.
LAST_SUCCESS: Final = _gauge(
    "last_success_timestamp_seconds",
    "Start of the last successful poll; 0 if no poll has succeeded yet.",
    "seconds",
)
NEXT_POLL: Final = _gauge(
    "next_poll_timestamp_seconds",
    "When the next poll is due; updated at the end of each poll.",
    "seconds",
)
BUCKET_START: Final = _gauge(
    "bucket_start_timestamp_seconds", "Start of the bucket that the bucket gauges show.", "seconds"
)
BUCKET_END: Final = _gauge(
    "bucket_end_timestamp_seconds", "End of the bucket that the bucket gauges show.", "seconds"
)
COMPLETE: Final = _gauge(
    "complete",
    "1 if the bucket shown is proven complete; 0 if values may be missing, or may lack a label, "
    "because Sentry cut its answer.",
)
SERIES: Final = _gauge("series", "Number of data series that the query publishes.")
FILTER_PROJECTS_MISSING: Final = _gauge(
    "filter_projects_missing",
    "Projects in the query's filter that the token cannot read; the query covers the others.",
)
POLLS: Final = _counter("polls_total", "Polls, including failed ones.")
POLL_FAILURES: Final = _counter("poll_failures_total", "Failed polls, by reason.", "reason")
POLL_DURATION: Final = _gauge(
    "poll_duration_seconds", "Duration of the last poll, including processing.", "seconds"
)
POLL_REQUESTS: Final = _gauge(
    "poll_requests", "Requests to stats_v2 in the last poll, not counting retries after a 429."
)
REVISIONS: Final = _counter(
    "revisions_total",
    "Values of finished buckets that later grew because of late data. Moves between a project "
    'and project="" are not counted.',
)
REGRESSIONS: Final = _counter(
    "regressions_total",
    "Values of finished buckets that later shrank; counters do not decrease. Moves between a "
    'project and project="" are not counted.',
)

QUERY_FAMILIES: Final = (
    QUERY_INFO,
    QUERY_INTERVAL,
    QUERY_POLL_INTERVAL,
    QUERY_SETTLE,
    QUERY_MAX_AGE,
    PROJECT_LAST_EVENT,
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

# "api" and not "endpoint", which the Prometheus operator sets on every target.
API_REQUESTS: Final = Family(
    "sentry_stats_api_requests_total",
    Type.COUNTER,
    ("organization", "api", "code"),
    "Requests that Sentry answered, by HTTP status code.",
)
API_FAILURES: Final = Family(
    "sentry_stats_api_request_failures_total",
    Type.COUNTER,
    ("organization", "api", "reason"),
    "Requests without a usable answer, by reason.",
)
API_DURATION: Final = Family(
    "sentry_stats_api_request_duration_seconds",
    Type.HISTOGRAM,
    ("organization",),
    "Duration of requests to Sentry, including the body.",
    "seconds",
)
API_RATE_LIMIT: Final = Family(
    "sentry_stats_api_rate_limit",
    Type.GAUGE,
    ("organization",),
    "X-Sentry-Rate-Limit-Limit of the last answer: requests allowed per window.",
)
API_RATE_LIMIT_REMAINING: Final = Family(
    "sentry_stats_api_rate_limit_remaining",
    Type.GAUGE,
    ("organization",),
    "X-Sentry-Rate-Limit-Remaining of the last answer: requests left in the window.",
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
    "X-Sentry-Deprecation-Date of the last answer: when Sentry removes this part of its API; "
    "absent if no date is announced.",
    "seconds",
)
CLOCK_SKEW: Final = Family(
    "sentry_stats_clock_skew_seconds",
    Type.GAUGE,
    ("organization",),
    "Date header of the last answer minus this host's clock; differences below 1.5 s are "
    "meaningless, because Date is in whole seconds.",
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
    "1; the versions of the exporter and of Python are labels.",
)
RELOAD_SUCCESSFUL: Final = Family(
    "sentry_stats_exporter_config_last_reload_successful",
    Type.GAUGE,
    (),
    "1 if the last reload of the configuration succeeded, or if there was none yet; 0 if it failed "
    "and the previous configuration is still in effect.",
)
RELOAD_TIME: Final = Family(
    "sentry_stats_exporter_config_last_reload_success_timestamp_seconds",
    Type.GAUGE,
    (),
    "When the configuration in effect was put in place, at start-up or by a reload.",
    "seconds",
)
WEB_RELOAD_SUCCESSFUL: Final = Family(
    "sentry_stats_exporter_web_config_last_reload_successful",
    Type.GAUGE,
    (),
    "1 if the files of the web configuration could be used when they were last read; 0 if they "
    "could not, and the previous web configuration is still in effect. Absent without "
    "--web.config.file.",
)
SHARD_ORDINAL: Final = Family(
    "sentry_stats_exporter_shard_ordinal",
    Type.GAUGE,
    (),
    "Number of this shard, counted from 0.",
)
TOTAL_SHARDS: Final = Family(
    "sentry_stats_exporter_total_shards",
    Type.GAUGE,
    (),
    "Number of shards that share the queries; 1 without sharding.",
)

EXPORTER_FAMILIES: Final = (
    BUILD_INFO,
    RELOAD_SUCCESSFUL,
    RELOAD_TIME,
    WEB_RELOAD_SUCCESSFUL,
    SHARD_ORDINAL,
    TOTAL_SHARDS,
)

FAMILIES: Final = (
    *DATA_FAMILIES,
    PROJECT_INFO,
    *QUERY_FAMILIES,
    *QUOTA_FAMILIES,
    *API_FAMILIES,
    *EXPORTER_FAMILIES,
)
"""Every family except ``process_*`` and ``python_*``, which are prometheus_client's own."""
