"""When each alert about the exporter fires and ends, and what does not disturb it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.rule_world import (
    DAY,
    HOUR,
    MINUTE,
    Flow,
    World,
    during,
    outcomes,
    projects,
    steady,
    unit_test,
)
from tests.deploy.target_world import FOREVER, Alert, Target, check, series_of, shards
from tests.support.prometheus import promtool

pytestmark = pytest.mark.slow

DOWN: Final = "SentryStatsExporterDown"
MISSING: Final = {"alertname": "SentryStatsExporterMissing", "severity": "critical"}
SHARD_MISSING: Final = {"alertname": "SentryStatsShardMissing", "severity": "critical"}
MISMATCH: Final = {"alertname": "SentryStatsShardMismatch", "severity": "critical"}


def of_query(name: str, query: str, severity: str = "warning", organization: str = "acme") -> Alert:
    """Return the labels of an alert about a query."""
    return {
        "alertname": name,
        "severity": severity,
        "organization": organization,
        "query": query,
    }


class TestDown:
    """Exporters that cannot be scraped, or that are no target."""

    def test_nothing_fires_for_replicas_of_another_job(self, tmp_path: Path) -> None:
        """The job can have any name, and two instances of one organization are no fault."""
        world = World([Flow("web", steady(1000))], 2 * HOUR, job="prod-sentry-stats-exporter")
        check(tmp_path, [world, replace(world, instance="b:10790")], {2 * HOUR: []})

    def test_fires_within_12_minutes(self, tmp_path: Path) -> None:
        """It fires for what was an exporter, not for another target, and ends when it is up."""
        exporter = Target("a", "any", down=[(HOUR, 3 * HOUR)])
        other = series_of("up", {"job": "any", "instance": "node"}, [0] * 240)
        down = exporter.alert(DOWN, "critical")
        expected = {HOUR: [], HOUR + 12 * MINUTE: [down], 3 * HOUR: [down], 4 * HOUR: []}
        check(tmp_path, [exporter], expected, [other])

    def test_goes_on_for_days(self, tmp_path: Path) -> None:
        """It lasts longer than the last metrics are known, and no other alert joins it."""
        job = shards("sharded", 2, of=2)
        targets = [job[0], replace(job[1], down=[(HOUR, FOREVER)])]
        down = [targets[1].alert(DOWN, "critical")]
        check(tmp_path, targets, {2 * HOUR: down, 2 * DAY: down}, step=300)

    def test_without_any_exporter(self, tmp_path: Path) -> None:
        """A Prometheus that has never scraped an exporter says so after ten minutes."""
        other = series_of("up", {"job": "prometheus", "instance": "localhost:9090"}, [1] * 60)
        check(tmp_path, [], {5 * MINUTE: [], 12 * MINUTE: [MISSING]}, [other])

    def test_the_last_exporter_is_no_target_any_more(self, tmp_path: Path) -> None:
        """First it is down, then it is missing: one alert at a time."""
        exporter = Target("a", down=[(HOUR, 2 * HOUR)], removed=[(2 * HOUR, 4 * HOUR)])
        check(
            tmp_path,
            [exporter],
            {
                HOUR + 30 * MINUTE: [exporter.alert(DOWN, "critical")],
                2 * HOUR + 12 * MINUTE: [MISSING],
                4 * HOUR + 10 * MINUTE: [],
            },
        )


class TestShards:
    """Shards that are missing or do not agree."""

    def test_each_fault_has_its_alert(self, tmp_path: Path) -> None:
        """Missing, down, both, and mismatched shards; the complete ones of others do not count."""
        down = [(HOUR, FOREVER)]
        both, one_down = shards("both", 2, of=3), shards("down", 3, of=3)
        both[1], one_down[0] = replace(both[1], down=down), replace(one_down[0], down=down)
        wrong = shards("wrong", 2, of=2)
        wrong[1] = replace(wrong[1], shards=steady(3))
        replicas = shards("replicas", 2, of=2)
        targets = [
            *shards("missing", 2, of=3),
            *shards("complete", 3, of=3),
            *replicas,
            *(replace(one, instance=f"{one.instance}-b") for one in replicas),
            *both,
            *one_down,
            *wrong,
            *shards("twice", 3, of=3, namespace="staging"),
            *shards("twice", 2, of=3, namespace="live"),
        ]
        expected = [
            {**SHARD_MISSING, "job": "missing"},
            {**SHARD_MISSING, "job": "both"},
            {**SHARD_MISSING, "job": "twice", "namespace": "live"},
            both[1].alert(DOWN, "critical"),
            one_down[0].alert(DOWN, "critical"),
            {**MISMATCH, "job": "wrong"},
        ]
        check(tmp_path, targets, {HOUR + 12 * MINUTE: expected})

    def test_other_targets_of_the_job_do_not_count(self, tmp_path: Path) -> None:
        """A shard is missing though something else in the same job is down."""
        other = series_of("up", {"job": "pods", "instance": "other"}, [0] * 60)
        expected = {30 * MINUTE: [{**SHARD_MISSING, "job": "pods"}]}
        check(tmp_path, shards("pods", 1, of=2), expected, [other])

    def test_begin_and_end(self, tmp_path: Path) -> None:
        """A missing shard within 12 minutes, shards that disagree within 32; a rollout is none."""
        gone = [(HOUR, 2 * HOUR)]
        missing, wrong, rollout = (shards(job, 2, of=2) for job in ("missing", "wrong", "rollout"))
        missing[1] = replace(missing[1], removed=gone)
        wrong[1] = replace(wrong[1], shards=during(gone, 3, 2))
        rollout[1] = replace(rollout[1], shards=during([(HOUR, HOUR + 25 * MINUTE)], 3, 2))
        one, other = {**SHARD_MISSING, "job": "missing"}, {**MISMATCH, "job": "wrong"}
        check(
            tmp_path,
            [*missing, *wrong, *rollout],
            {
                HOUR: [],
                HOUR + 12 * MINUTE: [one],
                HOUR + 32 * MINUTE: [one, other],
                2 * HOUR + 7 * MINUTE: [],
            },
        )

    def test_one_that_is_down_mutes_only_its_own(self, tmp_path: Path) -> None:
        """What another shard polls begins and ends meanwhile; what nobody polls stays as it is."""

        def world(name: str, start: float, end: float, **settings: Any) -> World:
            flows = [
                Flow("web", during([(start, end)], 0, 500)),
                Flow("web", during([(start, end)], 500), "rate_limited", "key_quota"),
            ]
            return World(flows, 14 * HOUR, 300, organization=name, **settings)

        worlds = [
            world("gone", 4 * HOUR, 6.5 * HOUR, instance="b", gaps=[(6 * HOUR, 14 * HOUR)]),
            world("ends", 4 * HOUR, 6.5 * HOUR, instance="a"),
            world("begins", 9 * HOUR, 10 * HOUR, instance="a"),
        ]
        series = [one for world in worlds for one in world.input_series()]
        expression = (
            'max by (alertname, organization) (ALERTS{severity="critical", alertstate="firing"})'
        )
        down = {"alertname": DOWN}

        def limited(*names: str) -> list[Alert]:
            alerts = {"alertname": "SentryEventsRateLimited"}
            return [{**alerts, "organization": name} for name in names]

        expected = {
            (expression, 6 * HOUR): limited("gone", "ends"),
            (expression, 10 * HOUR): [down, *limited("gone", "begins")],
            (expression, 13.5 * HOUR): [down, *limited("gone")],
        }

        assert "SUCCESS" in promtool("test", "rules", unit_test(series, expected, 300, tmp_path))


class TestRestarts:
    """Exporters that do not stay up."""

    def test_a_crash_loop(self, tmp_path: Path) -> None:
        """Every three minutes, and with Kubernetes' pauses of five minutes; not two rollouts."""
        cycles = range(0, 4 * HOUR, 8 * MINUTE)
        pauses = [(start + 3 * MINUTE, start + 8 * MINUTE) for start in cycles]
        often = Target("often", restarts=range(0, 4 * HOUR, 180))
        backoff = Target("backoff", restarts=cycles, down=pauses)
        rollouts = Target("rollouts", restarts=[0, HOUR, HOUR + 10 * MINUTE])
        ended = Target("ended", restarts=[0, *range(HOUR, HOUR + 15 * MINUTE, 180)])
        other = series_of(
            "process_start_time_seconds",
            {"job": "node", "instance": "other"},
            range(0, 4 * HOUR, 60),
        )
        name = "SentryStatsExporterRestarting"
        looping = [often.alert(name, "warning"), backoff.alert(name, "warning")]
        check(
            tmp_path,
            [often, backoff, rollouts, ended],
            {
                10 * MINUTE: [],
                15 * MINUTE: looping[:1],
                HOUR: looping,
                HOUR + 20 * MINUTE: [*looping, ended.alert(name, "warning")],
                3 * HOUR: looping,
            },
            [other],
        )


CONFIG: Final = "sentry_stats_exporter_config_last_reload_successful"
CONFIG_TIME: Final = "sentry_stats_exporter_config_last_reload_success_timestamp_seconds"
WEB_CONFIG: Final = "sentry_stats_exporter_web_config_last_reload_successful"
RELOAD: Final = ("SentryStatsConfigNotReloaded", "warning")
WEB_RELOAD: Final = ("SentryStatsWebConfigNotReloaded", "warning")


class TestReloads:
    """Files that the exporter cannot use."""

    def test_begin_and_end(self, tmp_path: Path) -> None:
        """Each file has its alert, within 7 minutes; one that is mended at once has none."""
        spans = [(HOUR, 2 * HOUR)]
        brief = [(HOUR, HOUR + 4 * MINUTE)]
        often = [(start, start + 7 * MINUTE) for start in range(HOUR, 2 * HOUR, 12 * MINUTE)]
        fine = {CONFIG: steady(1), CONFIG_TIME: steady(0), WEB_CONFIG: steady(1)}
        file = Target("file", values={**fine, CONFIG: during(spans, 0, 1)})
        flapping = Target("flapping", values={**fine, CONFIG: during(often, 0, 1)})
        web = Target("web", values={**fine, WEB_CONFIG: during(spans, 0, 1)})
        mended = Target("mended", values={**fine, CONFIG: during(brief, 0, 1)})
        plain = Target("plain", values={CONFIG: steady(1), CONFIG_TIME: steady(0)})
        firing = [file.alert(*RELOAD), flapping.alert(*RELOAD), web.alert(*WEB_RELOAD)]
        check(
            tmp_path,
            [file, flapping, web, mended, plain],
            {
                HOUR: [],
                HOUR + 7 * MINUTE: firing,
                HOUR + 30 * MINUTE: firing,
                2 * HOUR - MINUTE: firing,
                2 * HOUR + 30 * MINUTE: [],
            },
        )

    def test_are_not_resolved_by_an_outage(self, tmp_path: Path) -> None:
        """The alerts go on while the exporter is down, and end when a restart has succeeded."""
        bad = during([(HOUR, 3 * HOUR)], 0, 1)
        values = {CONFIG: bad, CONFIG_TIME: steady(0), WEB_CONFIG: bad}
        target = Target("a", down=[(2 * HOUR, 3 * HOUR)], values=values)
        both = [target.alert(*RELOAD), target.alert(*WEB_RELOAD)]
        check(
            tmp_path,
            [target],
            {
                2 * HOUR: both,
                3 * HOUR - MINUTE: [*both, target.alert(DOWN, "critical")],
                3 * HOUR + 20 * MINUTE: [],
            },
        )

    def test_of_a_pod_that_has_moved(self, tmp_path: Path) -> None:
        """What the pod said on its former node does not count while it runs on another."""
        bad, good = ({CONFIG: steady(value), CONFIG_TIME: steady(0)} for value in (0, 1))
        before = Target("a", node="one", removed=[(HOUR, FOREVER)], values=bad)
        after = Target("a", node="two", removed=[(0, HOUR)], values=good)
        expected = {HOUR: [before.alert(*RELOAD)], 90 * MINUTE: []}
        check(tmp_path, [before, after], expected)


class TestPolls:
    """Polls that fail, and data that is too old."""

    def test_one_dead_sentry_is_one_alert(self, tmp_path: Path) -> None:
        """Forty organizations that fail for one reason are one alert; another one has its own."""
        dead = [(HOUR, FOREVER)]

        def world(name: str, **settings: Any) -> World:
            queries = (outcomes(failing=dead, **settings), projects(failing=dead, **settings))
            return World([], 4 * HOUR, 300, organization=name, queries=queries)

        worlds = [world(f"org-{number}") for number in range(40)]
        worlds.append(world("acme", reason="unauthorized"))
        one = {"alertname": "SentryStatsOrganizationsFailing", "reason": "network"}
        names = ("outcomes", "projects")
        failing = [of_query("SentryStatsQueryFailing", name) for name in names]
        stale = [of_query("SentryStatsQueryStale", name, "critical") for name in names]
        warning, critical = {**one, "severity": "warning"}, {**one, "severity": "critical"}
        expected = {
            HOUR: [],
            HOUR + 30 * MINUTE: [*failing, warning],
            4 * HOUR: [*failing, *stale, warning, critical],
        }
        check(tmp_path, worlds, expected, step=300)

    def test_are_not_resolved_by_an_outage_of_the_exporter(self, tmp_path: Path) -> None:
        """Alerts about polls go on while the exporter is down; they end when a poll succeeds."""
        failing, down = [(HOUR, 5 * HOUR)], [(3 * HOUR, 6 * HOUR)]
        queries = (outcomes(failing=failing),)

        def world(name: str, **settings: Any) -> World:
            return World([], 7 * HOUR, 300, organization=name, gaps=down, **settings)

        many = [
            world(f"org-{number}", queries=(outcomes(failing=failing, reason="tls"),))
            for number in range(5)
        ]
        worlds = [world("acme", queries=queries), world("fine"), *many]
        one = {"alertname": "SentryStatsOrganizationsFailing", "reason": "tls"}
        place = {"job": "sentry-stats-exporter", "instance": "exporter:10790"}
        firing = [
            of_query("SentryStatsQueryFailing", "outcomes"),
            of_query("SentryStatsQueryStale", "outcomes", "critical"),
            {**one, "severity": "warning"},
            {**one, "severity": "critical"},
        ]
        exporter_down = {"alertname": DOWN, "severity": "critical", **place}
        expected = {
            3 * HOUR: firing,
            6 * HOUR - 300: [*firing, exporter_down],
            6.5 * HOUR: [],
        }
        check(tmp_path, worlds, expected, step=300)

    def test_stale_is_late_for_its_query(self, tmp_path: Path) -> None:
        """How long a query may be silent follows its own poll_interval, settle and max_age."""
        failing = [(3 * HOUR, FOREVER)]
        queries = (
            outcomes(failing=failing),
            outcomes(name="hourly", interval=DAY, poll_interval=HOUR, failing=failing),
            outcomes(name="brief", max_age=30 * MINUTE, failing=failing),
            # As in docs/promql.md, but polled once a day: max_age is then two days.
            outcomes(
                name="days", interval=DAY, poll_interval=DAY, max_age=2 * DAY, failing=failing
            ),
        )
        expression = (
            'max by (query) (ALERTS{alertname="SentryStatsQueryStale", alertstate="firing"})'
        )
        names = [{"query": "brief"}, {"query": "outcomes"}, {"query": "hourly"}, {"query": "days"}]
        expected = {
            3 * HOUR + 45 * MINUTE: names[:1],
            4 * HOUR + 15 * MINUTE: names[:2],
            4 * HOUR + 30 * MINUTE: names[:3],
            25 * HOUR: names[:3],
            25 * HOUR + 20 * MINUTE: names,
        }
        world = World([], 26 * HOUR, 300, queries=queries)
        check(tmp_path, [world], expected, step=300, expression=expression)

    def test_a_query_of_days_is_not_stale_while_it_is_polled(self, tmp_path: Path) -> None:
        """Buckets of a day that are polled once a day cause no alert in two days."""
        days = outcomes(name="days", interval=DAY, poll_interval=DAY, max_age=2 * DAY)
        vectors: dict[float, list[Alert]] = {hour * HOUR: [] for hour in range(1, 49, 4)}
        check(tmp_path, [World([], 2 * DAY, 300, queries=(days,))], vectors, step=300)

    def test_incomplete_and_throttled(self, tmp_path: Path) -> None:
        """Buckets that stay incomplete, and waiting for more than ten minutes an hour."""
        times = range(0, 7 * HOUR, 300)
        labels = {"organization": "acme", "query": "projects", "instance": "a"}
        complete = [float(not HOUR < time < 5 * HOUR) for time in times]
        waited = [min(time, 5 * HOUR) / 4 for time in times]
        series = [
            series_of("sentry_stats_up", labels, [1] * len(times)),
            series_of("sentry_stats_complete", labels, complete),
            series_of("sentry_stats_series", labels, [48000] * len(times)),
            series_of(
                "sentry_stats_api_throttled_seconds_total",
                {"organization": "acme", "instance": "a"},
                waited,
            ),
        ]
        throttled = {
            "alertname": "SentryStatsThrottled",
            "severity": "warning",
            "organization": "acme",
        }
        both = [of_query("SentryStatsQueryIncomplete", "projects"), throttled]
        expected = {2 * HOUR: both[1:], 5 * HOUR: both, 7 * HOUR: []}
        check(tmp_path, [Target("a")], expected, series, step=300)
