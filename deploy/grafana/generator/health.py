"""The dashboard of the exporter itself: whether its data is fresh and complete, and its cost."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import chosen, each_step, known, series
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import (
    YES,
    Figure,
    Target,
    bars,
    data_table,
    lines,
    state,
    states,
)
from deploy.grafana.generator.variables import choice, choices, datasource
from exporter.publish import families
from exporter.publish.families import Family

_IDENTITY: Final = Identity(
    "sentry-stats-health",
    "Sentry stats: exporter health",
    "Whether the exporter runs, whether its data is fresh and complete, and what it costs.",
)
_ORGANIZATIONS: Final = 'organization=~"$organizations"'
_JOB: Final = 'job="$job"'
_QUERY: Final = ("organization", "query")
_NAME: Final = "{{organization}} {{query}}"
_UP: Final = state(("up", "green"), ("down", "red"))
_QUANTILES: Final = (0.5, 0.9, 0.99)


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (
        datasource(),
        choice("job", "Job", series(families.BUILD_INFO, "")),
        choices("organizations", "Organization", series(families.UP, _JOB), "organization"),
    )
    rows = (
        Row("Queries", [_queries(), _up(), _complete(), _age(), _failures()]),
        Row("Polls", [_duration(), _requests(), _series(), _corrections()]),
        Row("Sentry's API", [_answers(), _failed_requests(), _latency(), _limit(), _throttled()]),
        Row("Process", [_process_up(), _builds(), _cpu(), _memory(), _files(), _objects()]),
    )
    return assembled(_IDENTITY, variables, rows, "24h")


def _each(family: Family, function: str = "max", by: Sequence[str] = _QUERY) -> str:
    return f"{function} by ({', '.join(by)}) ({series(family, _ORGANIZATIONS)})"


def _increase(family: Family, *by: str) -> str:
    return each_step(chosen(family, _ORGANIZATIONS), *by)


def _queries() -> Panel:
    return data_table(
        Figure(
            "Queries",
            "State of each query: whether the last poll succeeded, the time of the last success, "
            "the end of the bucket that its gauges show, whether that bucket is proven complete, "
            "the time of the next poll, and the cost of the last one.",
            (
                Target(_each(families.UP, "min"), "Up", "none", (YES,)),
                Target(known(_each(families.LAST_SUCCESS)), "Last success", "dateTimeFromNow"),
                Target(known(_each(families.BUCKET_END)), "Bucket ended", "dateTimeFromNow"),
                Target(_each(families.COMPLETE, "min"), "Complete", "none", (YES,)),
                Target(known(_each(families.NEXT_POLL)), "Next poll", "dateTimeFromNow"),
                Target(_each(families.SERIES), "Series"),
                Target(_each(families.POLL_REQUESTS), "Requests"),
                Target(_each(families.POLL_DURATION), "Duration", "s"),
            ),
            width=24,
        )
    )


def _up() -> Panel:
    up = Target(_each(families.UP, "min"), _NAME)
    return states(Figure("Queries up", "Whether each query's last poll succeeded.", (up,)), _UP)


def _complete() -> Panel:
    complete = Target(_each(families.COMPLETE, "min"), _NAME)
    what = "Whether the bucket that the gauges show is proven complete and fully attributed."
    return states(Figure("Buckets complete", what, (complete,)), YES)


def _age() -> Panel:
    age = f"time() - ({_each(families.LAST_SUCCESS)} > 0)"
    what = (
        "Time since the last successful poll. Normally it grows to `poll_interval` and returns to "
        "0. Data older than `max_age` is withdrawn."
    )
    return lines(Figure("Age of the data", what, (Target(age, _NAME),), "s"))


def _failures() -> Panel:
    failed = Target(
        _increase(families.POLL_FAILURES, *_QUERY, "reason"), f"{_NAME}: {{{{reason}}}}"
    )
    what = "Failed polls per hour, by reason. Normally 0."
    return bars(Figure("Failed polls", what, (failed,)))


def _duration() -> Panel:
    took = Target(_each(families.POLL_DURATION), _NAME)
    return lines(Figure("Duration of polls", "Duration of the last poll.", (took,), "s"))


def _requests() -> Panel:
    asked = Target(_each(families.POLL_REQUESTS), _NAME)
    return lines(Figure("Requests per poll", "Requests to stats_v2 in the last poll.", (asked,)))


def _series() -> Panel:
    published = Target(_each(families.SERIES), _NAME)
    return lines(Figure("Series", "Data series that each query publishes.", (published,)))


def _corrections() -> Panel:
    return bars(
        Figure(
            "Late data",
            "Values of finished buckets that grew or shrank afterwards, per hour. Growth is late "
            "data. Counters do not decrease when a value shrinks.",
            (
                Target(_increase(families.REVISIONS, *_QUERY), f"{_NAME} grew"),
                Target(_increase(families.REGRESSIONS, *_QUERY), f"{_NAME} shrank"),
            ),
        )
    )


def _answers() -> Panel:
    labels = ("organization", "api", "code")
    answered = Target(
        _increase(families.API_REQUESTS, *labels), "{{organization}} {{api}} {{code}}"
    )
    return bars(
        Figure(
            "Answers",
            "Requests that Sentry answered, per hour and HTTP status.",
            (answered,),
        )
    )


def _failed_requests() -> Panel:
    labels = ("organization", "api", "reason")
    failed = Target(
        _increase(families.API_FAILURES, *labels), "{{organization}} {{api}} {{reason}}"
    )
    what = "Requests without a usable answer, per hour, by reason. Normally 0."
    return bars(Figure("Failed requests", what, (failed,)))


def _latency() -> Panel:
    name = f"{families.API_DURATION.name}_bucket"
    rates = f"sum by (le) (rate({name}{{{_ORGANIZATIONS}}}[$__rate_interval]))"
    quantiles = [
        Target(f"histogram_quantile({quantile}, {rates})", f"{quantile:.0%}")
        for quantile in _QUANTILES
    ]
    what = "Duration of requests, including the body. Gaps mean that no request was made."
    return lines(Figure("Duration of requests", what, quantiles, "s"))


def _limit() -> Panel:
    by = ("organization",)
    return lines(
        Figure(
            "Sentry's rate limit",
            "Limit and remaining requests according to the last answer. Self-hosted servers do not "
            "send these headers.",
            (
                Target(_each(families.API_RATE_LIMIT, by=by), "{{organization}} limit"),
                Target(
                    _each(families.API_RATE_LIMIT_REMAINING, "min", by),
                    "{{organization}} remaining",
                ),
            ),
        )
    )


def _throttled() -> Panel:
    waited = Target(_increase(families.API_THROTTLED, "organization"), "{{organization}}")
    what = "Time spent waiting because Sentry's rate limit required it, per hour. Normally 0."
    return bars(Figure("Throttled", what, (waited,), "s", 24))


def _process_up() -> Panel:
    up = Target(f"up{{{_JOB}}}", "{{instance}}")
    return states(Figure("Exporter up", "Whether Prometheus reaches the exporter.", (up,)), _UP)


def _builds() -> Panel:
    by = ("instance", "version", "python")
    read = known(f"max by (instance) ({series(families.RELOAD_TIME, _JOB)})")
    valid = f"min by (instance) ({series(families.RELOAD_SUCCESSFUL, _JOB)})"
    return data_table(
        Figure(
            "Versions and configuration",
            "The running versions, when a valid configuration was last read, and whether the last "
            "one read was valid.",
            (
                Target(
                    f"max by ({', '.join(by)}) ({series(families.BUILD_INFO, _JOB)})", "Running"
                ),
                Target(read, "Configuration read", "dateTimeFromNow"),
                Target(valid, "Configuration valid", "none", (YES,)),
            ),
        )
    )


def _cpu() -> Panel:
    used = Target(f"rate(process_cpu_seconds_total{{{_JOB}}}[$__rate_interval])", "{{instance}}")
    return lines(Figure("CPU", "Share of one CPU in use.", (used,), "percentunit"))


def _memory() -> Panel:
    resident = Target(f"process_resident_memory_bytes{{{_JOB}}}", "{{instance}}")
    return lines(Figure("Memory", "Resident memory.", (resident,), "bytes"))


def _files() -> Panel:
    return lines(
        Figure(
            "Open files",
            "File descriptors in use, including connections, and their limit.",
            (
                Target(f"process_open_fds{{{_JOB}}}", "{{instance}} open"),
                Target(f"process_max_fds{{{_JOB}}}", "{{instance}} limit"),
            ),
        )
    )


def _objects() -> Panel:
    rates = f"rate(python_gc_objects_collected_total{{{_JOB}}}[$__rate_interval])"
    freed = Target(f"sum by (instance, generation) ({rates})", "{{instance}} {{generation}}")
    what = "Objects that Python's garbage collector frees per second, by generation."
    return lines(Figure("Garbage collection", what, (freed,)))
