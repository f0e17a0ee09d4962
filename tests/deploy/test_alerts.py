"""Thresholds of the alerts about data, and the alerts about the exporter itself.

When the alerts about data fire and end is in test_alerts_minutes.py, _days.py and _weeks.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rule_world import (
    DAY,
    HOUR,
    MINUTE,
    Flow,
    World,
    outcomes,
    projects,
    steady,
    unit_test,
    written,
)
from tests.support.prometheus import promtool

pytestmark = pytest.mark.slow

FIRING = (
    "max by (alertname, severity, organization, category, project, team, query, reason)"
    ' (ALERTS{alertstate="firing"})'
)
FOREVER = 10**9
Alert = Mapping[str, str]


def alert(name: str, severity: str = "warning", organization: str = "acme", **more: str) -> Alert:
    """Return the labels of an alert that fires."""
    return {"alertname": name, "severity": severity, "organization": organization, **more}


def errors(name: str, severity: str = "warning", *, of: str = "acme", **more: str) -> Alert:
    """Return the labels of an alert about errors."""
    return alert(name, severity, of, category="error", **more)


def check(
    folder: Path,
    worlds: Sequence[World],
    expected: Mapping[float, Iterable[Alert]],
    counts: Mapping[tuple[str, float], Iterable[Alert]] | None = None,
    more: Sequence[Mapping[str, str]] = (),
    rules: Sequence[Path] = (),
) -> None:
    """Check which alerts fire at which times."""
    series = [one for world in worlds for one in world.input_series()]
    vectors = {(FIRING, time): list(alerts) for time, alerts in expected.items()}
    path = unit_test([*series, *more], {**vectors, **(counts or {})}, worlds[0].step, folder, rules)

    assert "SUCCESS" in promtool("test", "rules", path)


class TestThresholds:
    """Thresholds of an organization, category, project or team."""

    def test_the_most_specific_is_in_force(self, tmp_path: Path) -> None:
        """8 % of each project is lost, and a higher threshold prevents the alert."""
        rules = tmp_path / "overrides.yml"
        record = {"record": "sentry_stats:threshold:warning_ratio"}
        higher, lower = {**record, "expr": "vector(0.1)"}, {**record, "expr": "vector(0.01)"}
        limit = {"outcome": "limit", "organization": "acme"}
        overrides = [
            {**higher, "labels": limit},
            {**lower, "labels": {**limit, "team": "payments"}},
            {**higher, "labels": {**limit, "project": "checkout"}},
            {**lower, "labels": {**limit, "project": "checkout", "category": "replay"}},
            {**lower, "labels": {"outcome": "limit", "category": "transaction"}},
        ]
        groups = [{"name": "overrides", "rules": overrides}]
        rules.write_text(yaml.safe_dump({"groups": groups}), "utf-8")

        def flows(project: str, category: str = "error") -> list[Flow]:
            return [
                Flow(project, steady(1840), category=category),
                Flow(project, steady(160), "rate_limited", "key_quota", category),
            ]

        of_payments = {"project": "billing", "team": "payments"}
        world = World(
            [
                *flows("web"),
                *flows("web", "transaction"),
                *flows("billing"),
                *flows("checkout"),
                *flows("checkout", "replay"),
            ],
            2 * HOUR,
            step=300,
            teams={"billing": "payments", "checkout": "payments"},
        )
        globex = replace(world, organization="globex", flows=flows("web"), teams={})
        check(
            tmp_path,
            [world, globex],
            {
                2 * HOUR: [
                    errors("SentryEventsRateLimited", **of_payments),
                    alert(
                        "SentryEventsRateLimited",
                        category="replay",
                        project="checkout",
                        team="payments",
                    ),
                    errors("SentryEventsRateLimited", of="globex"),
                    errors("SentryEventsRateLimited", of="globex", project="web"),
                ]
            },
            rules=[rules],
        )

    def test_bytes_have_their_own(self, tmp_path: Path) -> None:
        """A few bytes are no loss; megabytes and hours of profiles are."""

        def flows(project: str, category: str, rate: float) -> list[Flow]:
            reason = f"{category}_usage_exceeded"
            return [Flow(project, steady(rate), "rate_limited", reason, category)]

        flows_of_all = [
            *flows("few", "log_byte", 1e6),
            *flows("many", "attachment", 1e9),
            *flows("many", "profile_duration", 7200),
        ]
        quota = [
            alert("SentryQuotaExceeded", severity, category=category, **place)
            for severity in ("warning", "critical")
            for category in ("attachment", "profile_duration")
            for place in ({}, {"project": "many"})
        ]
        check(tmp_path, [World(flows_of_all, 2 * HOUR, step=300)], {2 * HOUR: quota})


def target(
    name: str, instance: str, values: str, job: str = "prod", **labels: str
) -> dict[str, str]:
    """Return a series of an exporter."""
    return {
        "series": f"{name}{written({'job': job, 'instance': instance, **labels})}",
        "values": values,
    }


class TestExporter:
    """Alerts about the exporter itself."""

    def test_of_another_job(self, tmp_path: Path) -> None:
        """Nothing fires for a job of another name, or for two instances of one organization."""
        flows = [Flow("web", steady(1000))]
        world = World(flows, 3 * HOUR, step=300, job="prod-sentry-stats-exporter")
        check(tmp_path, [world, replace(world, instance="b:10790")], {3 * HOUR: []})

    def test_missing(self, tmp_path: Path) -> None:
        """An exporter that no target is, or a shard that is not there."""
        nothing = World([], 0, step=300, queries=())
        other = [{"series": 'up{job="prometheus",instance="localhost:9090"}', "values": "1x40"}]
        absent = {"alertname": "SentryStatsExporterMissing", "severity": "critical"}
        path = unit_test(other, {(FIRING, 3 * HOUR): [absent]}, nothing.step, tmp_path)

        assert "SUCCESS" in promtool("test", "rules", path)

    def test_shards(self, tmp_path: Path) -> None:
        """A missing shard, one that is down, and shards that do not agree have different alerts."""
        series = []
        for job, scraped, totals in (
            ("missing", "11", "33"),
            ("down", "110", "333"),
            ("mismatch", "11", "23"),
            ("complete", "111", "333"),
        ):
            for ordinal, (up, total) in enumerate(zip(scraped, totals, strict=True)):
                instance = f"{job}-{ordinal}"
                seen = "x40" if up == "1" else "x6 _x34"
                series += [
                    target("up", instance, "1x40" if up == "1" else "1x6 0x33", job),
                    target("sentry_stats_exporter_build_info", instance, f"1{seen}", job),
                    target("sentry_stats_exporter_total_shards", instance, f"{total}{seen}", job),
                    target(
                        "sentry_stats_exporter_shard_ordinal", instance, f"{ordinal}{seen}", job
                    ),
                ]
        expression = 'max by (alertname, job) (ALERTS{alertstate="firing"})'
        expected = [
            {"alertname": "SentryStatsShardMissing", "job": "missing"},
            {"alertname": "SentryStatsExporterDown", "job": "down"},
            {"alertname": "SentryStatsShardMismatch", "job": "mismatch"},
            {"alertname": "SentryStatsShardMissing", "job": "mismatch"},
        ]
        path = unit_test(series, {(expression, 3 * HOUR): expected}, 300, tmp_path)

        assert "SUCCESS" in promtool("test", "rules", path)

    def test_restarting(self, tmp_path: Path) -> None:
        """An exporter that is restarted every five minutes, not one that is restarted once."""
        series = [
            target("sentry_stats_exporter_build_info", "a", "1x40"),
            target("process_start_time_seconds", "a", "0+300x40"),
            target("sentry_stats_exporter_build_info", "b", "1x40"),
            target("process_start_time_seconds", "b", "0x20 6000x20"),
            target("process_start_time_seconds", "other", "0+300x40", "node"),
        ]
        expression = 'max by (alertname, instance) (ALERTS{alertstate="firing"})'
        expected = [{"alertname": "SentryStatsExporterRestarting", "instance": "a"}]
        path = unit_test(series, {(expression, 3 * HOUR): expected}, 300, tmp_path)

        assert "SUCCESS" in promtool("test", "rules", path)

    def test_one_dead_sentry_is_one_alert(self, tmp_path: Path) -> None:
        """Organizations that fail for the same reason are one alert; another one has its own."""
        dead, revoked = [(HOUR, FOREVER)], {"reason": "unauthorized"}

        def world(name: str, **settings: Any) -> World:
            queries = (outcomes(failing=dead, **settings), projects(failing=dead, **settings))
            flows = [Flow("web", steady(1000))]
            return World(flows, 4 * HOUR, step=300, organization=name, queries=queries)

        worlds = [world(f"org-{number}") for number in range(6)] + [world("acme", **revoked)]
        one = {"alertname": "SentryStatsOrganizationsFailing", "reason": "network"}
        failing = [
            alert("SentryStatsQueryFailing", query=name) for name in ("outcomes", "projects")
        ]
        stale = [
            alert("SentryStatsQueryStale", "critical", query=name)
            for name in ("outcomes", "projects")
        ]
        check(
            tmp_path,
            worlds,
            {
                HOUR: [],
                HOUR + 30 * MINUTE: [*failing, {**one, "severity": "warning"}],
                4 * HOUR: [
                    *failing,
                    *stale,
                    {**one, "severity": "warning"},
                    {**one, "severity": "critical"},
                ],
            },
        )

    def test_stale_is_late_for_its_query(self, tmp_path: Path) -> None:
        """A query that is polled every hour is stale later than one polled every five minutes."""
        failing = [(3 * HOUR, FOREVER)]
        queries = (
            outcomes(failing=failing),
            outcomes(name="days", interval=DAY, poll_interval=HOUR, failing=failing),
            outcomes(name="brief", max_age=30 * MINUTE, failing=failing),
        )
        world = World([Flow("web", steady(100))], 8 * HOUR, step=300, queries=queries)
        expression = (
            'max by (query) (ALERTS{alertname="SentryStatsQueryStale", alertstate="firing"})'
        )
        names = [{"query": "brief"}, {"query": "outcomes"}, {"query": "days"}]
        check(
            tmp_path,
            [world],
            {},
            {
                (expression, 3 * HOUR + 45 * MINUTE): names[:1],
                (expression, 4 * HOUR + 15 * MINUTE): names[:2],
                (expression, 5 * HOUR + 30 * MINUTE): names,
            },
        )

    def test_incomplete_and_throttled(self, tmp_path: Path) -> None:
        """Buckets that stay incomplete, and waiting for more than ten minutes an hour."""
        labels = {"organization": "acme", "query": "projects"}
        place = {"job": "prod", "instance": "a", "organization": "acme"}
        series = [
            target("sentry_stats_exporter_build_info", "a", "1x80"),
            target("sentry_stats_up", "a", "1x80", **labels),
            target("sentry_stats_complete", "a", "1x11 0x60", **labels),
            target("sentry_stats_series", "a", "48000x80", **labels),
            {
                "series": f"sentry_stats_api_throttled_seconds_total{written(place)}",
                "values": "0+75x80",
            },
        ]
        expected = [
            alert("SentryStatsQueryIncomplete", query="projects"),
            alert("SentryStatsThrottled"),
        ]
        vectors: dict[tuple[str, float], list[Alert]] = {
            (FIRING, 2 * HOUR): expected[1:],
            (FIRING, 5 * HOUR): expected,
        }
        path = unit_test(series, vectors, 300, tmp_path)

        assert "SUCCESS" in promtool("test", "rules", path)
