"""Exporters as Prometheus sees them, and promtool tests of the rules about them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.kit import read_yaml
from tests.deploy.rule_world import (
    MINUTE,
    RULES,
    Labels,
    Span,
    World,
    duration,
    notation,
    steady,
    within,
    written,
)
from tests.support.prometheus import promtool

ALERTS: Final = (
    "max by (alertname, severity, organization, query, reason, namespace, job, instance)"
    ' (ALERTS{alertstate="firing", component="exporter"})'
)
"""The alerts about the exporter that fire, as an expression."""

FOREVER: Final = 10**9

_GROUPS: Final = (
    "sentry_stats_thresholds",
    "sentry_stats_queries",
    "sentry_stats_polls",
    "sentry_stats_exporter_alerts",
)
"""The groups that alerts about the exporter read, in order: a tenth of the work of all of them."""

Alert = Mapping[str, str]
Series = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """An exporter that Prometheus knows; ``down`` and ``removed`` are spans of time.

    ``restarts`` are the times at which its process has started. ``values`` are further metrics
    over time.
    """

    instance: str
    job: str = "prod"
    namespace: str = ""
    node: str = ""
    ordinal: float = 0
    shards: Callable[[float], float] = field(default_factory=lambda: steady(1))
    down: Sequence[Span] = ()
    removed: Sequence[Span] = ()
    restarts: Sequence[float] = (0,)
    values: Mapping[str, Callable[[float], float]] = field(default_factory=dict)

    def alert(self, name: str, severity: str) -> Alert:
        """Return the labels of an alert about this exporter."""
        return {"alertname": name, "severity": severity, **self._place(node="")}

    def series(self, length: float, step: int = MINUTE) -> Iterator[Series]:
        """Yield what promtool loads."""
        times = range(0, int(length) + 1, step)
        ups = [
            None if within(time, self.removed) else not within(time, self.down) for time in times
        ]
        labels = self._place(node=self.node)
        yield series_of("up", labels, ups)
        metrics = {
            "sentry_stats_exporter_build_info": steady(1),
            "sentry_stats_exporter_shard_ordinal": steady(self.ordinal),
            "sentry_stats_exporter_total_shards": self.shards,
            "process_start_time_seconds": self._started,
            **self.values,
        }
        for name, value in metrics.items():
            seen = [value(time) if up else None for time, up in zip(times, ups, strict=True)]
            yield series_of(name, labels, seen)

    def _started(self, time: float) -> float:
        return max(start for start in self.restarts if start <= time)

    def _place(self, node: str) -> Labels:
        labels = {"namespace": self.namespace, "job": self.job, "instance": self.instance}
        return {name: value for name, value in {**labels, "node": node}.items() if value}


def series_of(name: str, labels: Labels, values: Iterable[float | None]) -> Series:
    """Return a series. Where values are missing, it begins with Prometheus's staleness marker."""
    text = re.sub(r"_(?:x(\d+))?", _stale, notation(values))
    return {"series": f"{name}{written(labels)}", "values": text}


def _stale(missing: re.Match[str]) -> str:
    count = int(missing[1] or 1)
    return "stale" + f" _x{count - 1}" * (count > 1)


def shards(job: str, count: int, of: int, **settings: Any) -> list[Target]:
    """Return ``count`` of the ``of`` shards of a job."""
    return [
        Target(f"{job}-{ordinal}", job, ordinal=ordinal, shards=steady(of), **settings)
        for ordinal in range(count)
    ]


def check(
    folder: Path,
    of: Iterable[Target | World],
    expected: Mapping[float, Iterable[Labels]],
    more: Iterable[Series] = (),
    step: int = MINUTE,
    expression: str = ALERTS,
) -> None:
    """Check what an expression returns at times: 1 with these labels; the alerts, by default."""
    length = max(expected)
    series = [
        one
        for each in of
        for one in (each.input_series() if isinstance(each, World) else each.series(length, step))
    ]
    vectors = [
        {
            "expr": expression,
            "eval_time": duration(time),
            "exp_samples": [{"labels": written(one), "value": 1} for one in labels],
        }
        for time, labels in expected.items()
    ]
    test = {
        "interval": duration(step),
        "input_series": [*series, *more],
        "promql_expr_test": vectors,
    }
    document = {
        "rule_files": [str(_rules(folder))],
        "evaluation_interval": duration(step),
        "group_eval_order": list(_GROUPS),
        "tests": [test],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10**9), "utf-8")

    assert "SUCCESS" in promtool("test", "rules", path)


def _rules(folder: Path) -> Path:
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in read_yaml(path)["groups"]]
    path = folder / "rules.yml"
    chosen = [group for group in groups if group["name"] in _GROUPS]
    path.write_text(yaml.safe_dump({"groups": chosen}, width=10**9), "utf-8")
    return path
