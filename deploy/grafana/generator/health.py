"""The dashboard of the exporter itself: whether its data is fresh and complete, and its cost."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import TARGETS, each_step, known, once, series
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import (
    YES,
    Figure,
    Target,
    bars,
    data_table,
    lines,
    number,
    state,
    states,
)
from deploy.grafana.generator.variables import organizations, targets
from exporter.publish import families
from exporter.publish.family import Family

_IDENTITY: Final = Identity(
    "sentry-stats-health",
    "Sentry stats: exporter health",
    "Whether the exporter runs, whether its data is fresh and complete, and what it costs.",
    'organization=~"$organizations|"',
)
_ORGANIZATIONS: Final = 'organization=~"$organizations"'
_QUERY: Final = ("organization", "query")
_NAME: Final = "{{organization}} {{query}}"
_UP: Final = state(("up", "green"), ("down", "red"))
_QUANTILES: Final = (0.5, 0.9, 0.99)
_MISSING: Final = ((None, "transparent"), (1, "yellow"), (3, "red"))


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (*targets(), organizations())
    rows = (
        Row(
            "Is the data fresh and complete?", [_queries(), _up(), _complete(), _age(), _failures()]
        ),
        Row(
            "What does it cost Sentry?",
            [_daily_requests(), _answers(), _requests(), _failed_requests(), _latency()],
        ),
        Row("Sentry's limits", [_limit(), _throttled()]),
        Row("Polls", [_duration(), _series(), _corrections()]),
        Row("Process", [_process_up(), _builds(), _cpu(), _memory(), _files(), _objects()]),
    )
    return assembled(_IDENTITY, variables, rows, "24h")


def _each(family: Family, function: str = "max", by: Sequence[str] = _QUERY) -> str:
    return f"{function} by ({', '.join(by)}) ({series(family, _ORGANIZATIONS)})"


def _increase(family: Family, *by: str) -> str:
    return each_step(family, _ORGANIZATIONS, *by)


def _queries() -> Panel:
    return data_table(
        Figure(
            "Is the data fresh and complete?",
            "State of each query: whether the last poll succeeded, the time of the last success, "
            "the end of the bucket that its gauges show, whether that bucket is proven complete, "
            "how many hours of the time range its gauges never showed, the time of the next poll, "
            "and the cost of the last one.",
            (
                Target(_each(families.UP, "min"), "Up", mappings=(YES,)),
                Target(known(_each(families.LAST_SUCCESS)), "Last success", "dateTimeFromNow"),
                Target(known(_each(families.BUCKET_END)), "Bucket ended", "dateTimeFromNow"),
                Target(_each(families.COMPLETE, "min"), "Complete", mappings=(YES,)),
                Target(_hours_missing(), "Hours missing", thresholds=_MISSING),
                Target(known(_each(families.NEXT_POLL)), "Next poll", "dateTimeFromNow"),
                Target(_each(families.SERIES), "Series"),
                Target(_each(families.POLL_REQUESTS), "Requests of the last poll"),
                Target(_each(families.POLL_DURATION), "Duration of the last poll", "s"),
            ),
            width=24,
            height=9,
            sort="Hours missing",
        )
    )


def _hours_missing() -> str:
    """Return the hours in which the exporter was scraped, minus those of which it showed a bucket.

    Only of queries with buckets of an hour, and without the hour that is not over.
    """

    def hours(shown: str) -> str:
        return f"count_over_time(({shown})[$__range:1h] offset 1h)"

    def last_of_hour(family: Family) -> str:
        return once(f"last_over_time({series(family, _ORGANIZATIONS)}[1h] offset -1h)", *_QUERY)

    hourly = once(series(families.QUERY_INFO, _ORGANIZATIONS, 'interval="1h"'), *_QUERY)
    scraped = hours(last_of_hour(families.UP))
    shown = hours(f"{last_of_hour(families.BUCKET_START)} == time() - 3600")
    return f"({scraped} - ({shown} or 0 * {scraped})) and on (organization, query) {hourly}"


def _failed_once(family: Family) -> str:
    """Return ``family`` for the queries for which it was 0 in the time range."""
    lowest = f"min_over_time({series(family, _ORGANIZATIONS)}[$__range] @ end())"
    failed = f"min by ({', '.join(_QUERY)}) ({lowest}) == 0"
    return f"{_each(family, 'min')} and on (organization, query) ({failed})"


def _up() -> Panel:
    up = Target(_failed_once(families.UP), _NAME)
    what = "Whether the last poll succeeded, for the queries with a failed poll in the time range."
    return states(Figure("Which queries failed, and when?", what, (up,), empty="None failed"), _UP)


def _complete() -> Panel:
    complete = Target(_failed_once(families.COMPLETE), _NAME)
    what = (
        "Whether the bucket that the gauges show is proven complete, for the queries with an "
        "incomplete bucket in the time range. Values of an incomplete one may be missing, or may "
        "lack a label, because Sentry cut its answer."
    )
    figure = Figure(
        "Which queries were incomplete, and when?", what, (complete,), empty="All were complete"
    )
    return states(figure, YES)


def _age() -> Panel:
    def age(at: str = "") -> str:
        newest = (
            f"max by ({', '.join(_QUERY)}) ({series(families.LAST_SUCCESS, _ORGANIZATIONS)}{at})"
        )
        return f"({newest} > 0)"

    oldest = f"time() - {age()} and on (organization, query) bottomk(10, {age(' @ end()')})"
    what = (
        "Time since the last successful poll, of the ten queries with the oldest data. Normally it "
        "grows to `poll_interval` and returns to 0. Data older than `max_age` is withdrawn."
    )
    return lines(Figure("How old is the data?", what, (Target(oldest, _NAME),), "s"))


def _failures() -> Panel:
    failed = Target(
        _increase(families.POLL_FAILURES, *_QUERY, "reason"), f"{_NAME}: {{{{reason}}}}"
    )
    what = "Failed polls per hour, by reason."
    return bars(Figure("Why did polls fail?", what, (failed,), empty="No poll failed"))


def _daily_requests() -> Panel:
    labels = families.API_REQUESTS.labels
    increases = once(f"increase({series(families.API_REQUESTS, _ORGANIZATIONS)}[1d])", *labels)
    return number(
        Figure(
            "What does it cost Sentry in requests a day?",
            "Requests of the last 24 hours that Sentry answered, of one exporter. Each replica "
            "asks as much again.",
            (Target(f"sum by (organization) ({increases})", "{{organization}}"),),
            width=24,
            height=4,
        )
    )


def _answers() -> Panel:
    labels = ("organization", "api", "code")
    answered = Target(
        _increase(families.API_REQUESTS, *labels), "{{organization}} {{api}} {{code}}"
    )
    return bars(
        Figure(
            "When were requests sent, and how were they answered?",
            "Requests that Sentry answered, per hour, by API and HTTP status.",
            (answered,),
        )
    )


def _requests() -> Panel:
    asked = Target(f"topk(10, {_each(families.POLL_REQUESTS)})", _NAME)
    return lines(
        Figure(
            "How many requests does a poll need?",
            "Requests to stats_v2 in the last poll, of the ten queries with the most.",
            (asked,),
        )
    )


def _duration() -> Panel:
    took = Target(f"topk(10, {_each(families.POLL_DURATION)})", _NAME)
    what = "Duration of the last poll, of the ten longest."
    return lines(Figure("How long do polls take?", what, (took,), "s"))


def _series() -> Panel:
    published = Target(f"topk(10, {_each(families.SERIES)})", _NAME)
    what = "Data series that a query publishes, of the ten queries with the most."
    return lines(Figure("How many series are published?", what, (published,)))


def _corrections() -> Panel:
    return bars(
        Figure(
            "How much data comes late?",
            "Values of finished buckets that grew or shrank afterwards, per hour. Growth is late "
            "data. Counters do not decrease when a value shrinks.",
            (
                Target(_increase(families.REVISIONS, *_QUERY), f"{_NAME} grew"),
                Target(_increase(families.REGRESSIONS, *_QUERY), f"{_NAME} shrank"),
            ),
            width=24,
            empty="Nothing came late",
        )
    )


def _failed_requests() -> Panel:
    labels = ("organization", "api", "reason")
    failed = Target(
        _increase(families.API_FAILURES, *labels), "{{organization}} {{api}} {{reason}}"
    )
    what = "Requests without a usable answer, per hour, by reason."
    return bars(Figure("Which requests failed?", what, (failed,), empty="None"))


def _latency() -> Panel:
    name = f"{families.API_DURATION.name}_bucket"
    rates = f"sum by (le) (rate({name}{{{TARGETS},{_ORGANIZATIONS}}}[$__rate_interval]))"
    quantiles = [
        Target(f"histogram_quantile({quantile}, {rates})", f"{quantile:.0%}")
        for quantile in _QUANTILES
    ]
    what = "Duration of requests, including the body. Gaps mean that no request was made."
    return lines(Figure("How fast does Sentry answer?", what, quantiles, "s"))


def _limit() -> Panel:
    left = _each(families.API_RATE_LIMIT_REMAINING, "min", ("organization",))
    allowed = _each(families.API_RATE_LIMIT, by=("organization",))
    return lines(
        Figure(
            "How much of Sentry's rate limit is left?",
            "Remaining requests as a share of the limit, according to the last answer, of the ten "
            "organizations with the least. Self-hosted servers do not send these headers.",
            (Target(f"bottomk(10, {left} / {allowed})", "{{organization}}"),),
            "percentunit",
        )
    )


def _throttled() -> Panel:
    waited = Target(_increase(families.API_THROTTLED, "organization"), "{{organization}}")
    what = "Time spent waiting because Sentry's rate limit required it, per hour."
    return bars(Figure("Does Sentry throttle the exporter?", what, (waited,), "s", empty="Never"))


def _process_up() -> Panel:
    up = Target(f"max by (instance) (up{{{TARGETS}}})", "{{instance}}")
    what = "Whether Prometheus reaches the exporter."
    return states(Figure("Is the exporter up?", what, (up,)), _UP)


def _builds() -> Panel:
    by = ("instance", "version", "python")
    read = known(once(series(families.RELOAD_TIME), "instance"))
    valid = f"min by (instance) ({series(families.RELOAD_SUCCESSFUL)})"
    return data_table(
        Figure(
            "Which versions run, and is the configuration valid?",
            "The running versions, when a valid configuration was last read, and whether the last "
            "one read was valid.",
            (
                Target(once(series(families.BUILD_INFO), *by), "Running", mappings=(YES,)),
                Target(read, "Configuration read", "dateTimeFromNow"),
                Target(valid, "Configuration valid", mappings=(YES,)),
            ),
        )
    )


def _cpu() -> Panel:
    used = Target(f"rate(process_cpu_seconds_total{{{TARGETS}}}[$__rate_interval])", "{{instance}}")
    what = "Share of one CPU in use."
    return lines(Figure("How much CPU does the exporter use?", what, (used,), "percentunit"))


def _memory() -> Panel:
    resident = Target(f"process_resident_memory_bytes{{{TARGETS}}}", "{{instance}}")
    what = "Resident memory."
    return lines(Figure("How much memory does the exporter use?", what, (resident,), "bytes"))


def _files() -> Panel:
    used = f"process_open_fds{{{TARGETS}}} / process_max_fds{{{TARGETS}}}"
    return lines(
        Figure(
            "How many of the open files that are allowed are in use?",
            "File descriptors in use, including connections, as a share of their limit.",
            (Target(used, "{{instance}}"),),
            "percentunit",
        )
    )


def _objects() -> Panel:
    rates = f"rate(python_gc_objects_collected_total{{{TARGETS}}}[$__rate_interval])"
    freed = Target(f"sum by (instance, generation) ({rates})", "{{instance}} {{generation}}")
    what = "Objects that Python's garbage collector frees per second, by generation."
    return lines(Figure("How much garbage does Python collect?", what, (freed,), "ops"))
