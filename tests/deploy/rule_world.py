"""Histories of Sentry's data, and promtool unit tests of the rules that are made from them.

A world has what clients send, as events per hour over time, and how an exporter polls and
Prometheus scrapes it. Times are seconds since the beginning, which is a Thursday midnight.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.kit import DEPLOY, read_yaml

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400
SETTLE: Final = 300
GRACE: Final = 120
"""Seconds in which a new counter is shown at 0."""

RULES: Final = DEPLOY / "prometheus" / "rules"
GROUPS: Final = (
    "sentry_stats_thresholds",
    "sentry_stats_categories",
    "sentry_stats_queries",
    "sentry_stats_projects",
    "sentry_stats_totals",
    "sentry_stats_messages",
    "sentry_stats_days",
    "sentry_stats_silences",
    "sentry_stats_growths",
    "sentry_stats_polls",
    "sentry_stats_quotas",
    "sentry_stats_data_alerts",
    "sentry_stats_quota_alerts",
    "sentry_stats_exporter_alerts",
)
"""The order of evaluation: each group reads what those before it have recorded."""

Rate = Callable[[float], float]
Span = tuple[float, float]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Flow:
    """Data of one project with one outcome: ``rate`` returns events per hour at a time."""

    project: str
    rate: Rate
    outcome: str = "accepted"
    reason: str = "none"
    category: str = "error"


@dataclass(frozen=True, slots=True)
class Query:
    """A query of the organization; ``failing`` are the spans in which its polls fail."""

    name: str
    poll_interval: int
    by_project: bool = False
    by_reason: bool = True
    failing: Sequence[Span] = ()
    interval: int = HOUR
    max_age: int = 3 * HOUR
    reason: str = "network"
    settle: int = SETTLE

    @property
    def group_by(self) -> str:
        """The dimensions, sorted."""
        names = [
            "category",
            "outcome",
            *["project"] * self.by_project,
            *["reason"] * self.by_reason,
        ]
        return ",".join(names)


def outcomes(**settings: Any) -> Query:
    """Return the query over the organization that all our example configurations have."""
    return Query(**{"name": "outcomes", "poll_interval": 5 * MINUTE, **settings})


def projects(**settings: Any) -> Query:
    """Return the query by project that all our example configurations have."""
    return Query(
        **{"name": "projects", "poll_interval": 15 * MINUTE, "by_project": True, **settings}
    )


@dataclass(frozen=True, slots=True)
class World:
    """What an organization's clients send, and how it is polled and scraped.

    ``gaps`` are spans in which scrapes fail, ``missing`` spans in which there is no target, or no
    Prometheus. ``resets`` are times from which the counters begin anew. ``removed_at`` is when the
    organization left the configuration. ``more`` are labels that Prometheus adds to every series.
    """

    flows: Sequence[Flow]
    length: float
    step: int = MINUTE
    queries: Sequence[Query] = (outcomes(), projects())
    organization: str = "acme"
    job: str = "sentry-stats-exporter"
    instance: str = "exporter:10790"
    teams: Labels = field(default_factory=dict)
    more: Labels = field(default_factory=dict)
    gaps: Sequence[Span] = ()
    missing: Sequence[Span] = ()
    resets: Sequence[float] = ()
    removed_at: float = float("inf")

    def times(self) -> list[int]:
        """Return the times of the scrapes."""
        return list(range(0, int(self.length) + 1, self.step))

    def input_series(self) -> list[dict[str, str]]:
        """Return what promtool loads."""
        return [
            {"series": f"{name}{written(labels)}", "values": notation(self._seen(name, values))}
            for name, labels, values in self._samples()
        ]

    def _seen(self, name: str, values: Iterable[float | None]) -> list[float | None]:
        """Return what of ``values`` is scraped."""
        hidden = [within(time, (*self.gaps, *self.missing)) for time in self.times()]
        if name == "up":
            ups = (0 if gone else 1 for gone in hidden)
            missing = (within(time, self.missing) for time in self.times())
            return [None if gone else up for gone, up in zip(missing, ups, strict=True)]
        ours = name.startswith(("sentry_stats_exporter", "process"))
        ends = float("inf") if ours else self.removed_at
        return [
            None if gone or time >= ends else value
            for time, gone, value in zip(self.times(), hidden, values, strict=True)
        ]

    def _samples(self) -> Iterator[tuple[str, Labels, Sequence[float | None]]]:
        target = {"job": self.job, "instance": self.instance, **self.more}
        own = {"organization": self.organization, **target}
        ones = [1.0] * len(self.times())
        yield "up", target, ones
        yield "sentry_stats_exporter_build_info", {**target, "version": "1"}, ones
        yield "sentry_stats_exporter_total_shards", target, ones
        yield "sentry_stats_exporter_shard_ordinal", target, [0.0] * len(ones)
        for project in dict.fromkeys(flow.project for flow in self.flows):
            about = {"id": project, "platform": "", "team": self.teams.get(project, "")}
            yield "sentry_stats_project_info", {**own, "project": project, **about}, ones
        for query in self.queries:
            labels = {**own, "query": query.name}
            for name, more, values in self._of_query(query):
                yield f"sentry_stats_{name}", {**labels, **more}, values
            for flow in self._flows(query):
                more = {"category": flow.category, "outcome": flow.outcome}
                more |= {"reason": flow.reason, "project": flow.project}
                unit = {"log_byte": "bytes", "profile_duration": "seconds"}
                name = f"sentry_stats_{unit.get(flow.category, 'events')}_total"
                yield name, {**labels, **more}, self._counter(query, flow)

    def _of_query(self, query: Query) -> Iterator[tuple[str, Labels, Sequence[float | None]]]:
        times = self.times()
        about = {"interval": "1h", "field": "sum(quantity)", "group_by": query.group_by}
        yield "query_info", {**about, "filter": ""}, [1] * len(times)
        for name in ("interval", "poll_interval", "max_age"):
            yield f"query_{name}_seconds", {}, [getattr(query, name)] * len(times)
        yield "query_settle_seconds", {}, [query.settle] * len(times)
        failing = [
            within(time, query.failing) and time >= self._failed(query, time) for time in times
        ]
        yield "up", {}, [0 if failed else 1 for failed in failing]
        yield "last_success_timestamp_seconds", {}, [self._poll(query, time) for time in times]
        failures = accumulate(failing, lambda total, failed: total + 0.2 * failed, initial=0.0)
        yield "poll_failures_total", {"reason": query.reason}, list(failures)[1:]
        yield "series", {}, [2] * len(times)
        yield "complete", {}, [1] * len(times)

    @staticmethod
    def _failed(query: Query, time: float) -> float:
        """Return when the first poll failed of the span around ``time``."""
        start = next(start for start, end in query.failing if start <= time < end)
        return _slot(query, start - 1) + query.poll_interval

    @staticmethod
    def _poll(query: Query, time: float) -> float:
        """Return when the last poll succeeded; after a failure, one is tried as soon as it can."""
        poll = _slot(query, time)
        for start, end in query.failing:
            if start <= poll < end:
                poll = _slot(query, start - 1)
        return max([poll, *(end for _, end in query.failing if poll < end <= time)])

    def _flows(self, query: Query) -> Iterator[Flow]:
        """Yield the flows as the query sees them."""

        def key(flow: Flow) -> tuple[str, ...]:
            reason = flow.reason if query.by_reason else ""
            return flow.category, flow.outcome, reason, flow.project if query.by_project else ""

        for (category, outcome, reason, project), same in groupby(
            sorted(self.flows, key=key), key=key
        ):
            rates = [flow.rate for flow in same]
            yield Flow(project, _sum_of(rates), outcome, reason, category)

    def _counter(self, query: Query, flow: Flow) -> list[float | None]:
        """Return the counter, as it is published."""
        ticks = range(0, int(self.length) + 1, MINUTE)
        sums = list(accumulate((flow.rate(tick) / 60 for tick in ticks), initial=0.0))
        first = 0 if flow.outcome == "accepted" else None
        values: list[float | None] = []
        for time in self.times():
            total = sums[max(0, int(self._poll(query, time) // MINUTE))]
            total -= sums[int(self._began(time) // MINUTE)]
            first = time if first is None and total > 0 else first
            new = first and time - first < GRACE
            values.append(None if first is None else 0 if new else round(max(total, 0), 3))
        return values

    def _began(self, time: float) -> float:
        """Return when the counters that are shown at ``time`` began."""
        return max((reset for reset in self.resets if reset <= time), default=0)


def _slot(query: Query, time: float) -> int:
    """Return the last regular time of a poll until ``time``."""
    return int((time - query.settle) // query.poll_interval) * query.poll_interval + query.settle


def _sum_of(rates: Sequence[Rate]) -> Rate:
    return lambda time: sum(rate(time) for rate in rates)


def within(time: float, spans: Iterable[Span]) -> bool:
    """Return whether ``time`` is in one of ``spans``."""
    return any(start <= time < end for start, end in spans)


def steady(rate: float) -> Rate:
    """Return a rate that is always the same."""
    return lambda _: rate


def during(spans: Iterable[Span], inside: float | Rate, outside: float | Rate = 0.0) -> Rate:
    """Return a rate that is another one within ``spans``."""
    fixed = list(spans)

    def rate(time: float) -> float:
        chosen = inside if within(time, fixed) else outside
        return chosen(time) if callable(chosen) else chosen

    return rate


def written(labels: Labels) -> str:
    """Return labels as promtool reads them."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def notation(values: Iterable[float | None]) -> str:
    """Return values in promtool's notation, runs of equal ones written once."""
    parts = []
    for value, same in groupby(values):
        count = sum(1 for _ in same)
        text = "_" if value is None else f"{value:.12g}"
        if count == 1:
            parts.append(text)
        else:
            parts.append(f"_x{count}" if value is None else f"{text}x{count - 1}")
    return " ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as promtool reads it."""
    return f"{int(seconds)}s"


def unit_test(
    input_series: Sequence[Mapping[str, str]],
    expected: Mapping[tuple[str, float], Iterable[Labels]],
    step: int,
    folder: Path,
    more_rules: Sequence[Path] = (),
    groups: Sequence[str] = GROUPS,
) -> Path:
    """Write a promtool test, which expects vectors of 1 at the times of expressions.

    Without some of the ``groups``, a run takes a fraction of the time.
    """
    document = {
        "rule_files": [*map(str, files_of(groups, folder)), *map(str, more_rules)],
        "evaluation_interval": duration(step),
        "group_eval_order": list(groups),
        "tests": [
            {
                "interval": duration(step),
                "input_series": list(input_series),
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": duration(time),
                        "exp_samples": [{"labels": written(one), "value": 1} for one in vector],
                    }
                    for (expression, time), vector in expected.items()
                ],
            }
        ],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10**9), "utf-8")
    return path


def files_of(groups: Sequence[str], folder: Path) -> list[Path]:
    """Return the shipped rule files; only some ``groups`` of them are written to ``folder``."""
    files = sorted(RULES.glob("*.yml"))
    if groups == GROUPS:
        return files
    every = [group for path in files for group in read_yaml(path)["groups"]]
    path = folder / "rules.yml"
    chosen = [group for group in every if group["name"] in groups]
    path.write_text(yaml.safe_dump({"groups": chosen}, width=10**9), "utf-8")
    return [path]
