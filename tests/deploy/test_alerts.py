"""When each alert fires and ends, for which projects, and what does not disturb it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

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
    within,
)
from tests.support.prometheus import promtool

pytestmark = pytest.mark.slow

FIRING = (
    "max by (alertname, severity, organization, category, project, team, query, reason)"
    ' (ALERTS{alertstate="firing"})'
)
_FIRING_IN = (
    "max by (alertname, severity, organization, category, project, team)"
    ' (ALERTS{{alertstate="firing", organization=~"{}"}})'
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


def incidents(name: str, severity: str, length: float, step: int) -> str:
    """Return an expression: 1 where an alert has begun to fire exactly once within ``length``."""
    one = f'ALERTS{{alertname="{name}", severity="{severity}", alertstate="firing"}}'
    begun = f"({one} unless {one} offset {step}s)[{int(length)}s:{step}s]"
    return f"sum by (organization, project) (count_over_time({begun})) == 1"


def lost(
    project: str, spans: Sequence[tuple[float, float]], rate: float = 500, **labels: str
) -> list[Flow]:
    """Return the flows of a project whose data are all refused within ``spans``."""
    refused = {"outcome": "rate_limited", "reason": "error_usage_exceeded", **labels}
    return [
        Flow(project, during(spans, 0, rate)),
        Flow(project, during(spans, rate, 0), **refused),
    ]


class TestTotalLoss:
    """Everything of a project or organization is dropped."""

    def test_fires_at_any_minute(self, tmp_path: Path) -> None:
        """A warning within 20 minutes, critical within 35, of a second replica too, and it ends."""
        worlds: list[World] = []
        vectors: dict[tuple[str, float], list[Alert]] = {}
        checkout = {"project": "checkout", "team": "payments"}
        for minute in (0, 5, 30, 50):
            start = 2 * HOUR + minute * MINUTE
            one, entire = f"one-{minute}", f"all-{minute}"
            flows = [Flow("web", steady(1000)), *lost("checkout", [(start, start + HOUR)])]
            world = World(flows, 7 * HOUR, organization=one, teams={"checkout": "payments"})
            everything = lost("web", [(start, start + HOUR)])
            worlds += [world, World(everything, 7 * HOUR, organization=entire)]
            if minute == 5:
                worlds.append(replace(world, instance="other:10790"))
            name = "SentryQuotaExceeded"
            warnings = [
                errors(name, of=one),
                errors(name, of=one, **checkout),
                errors(name, of=entire),
                errors(name, of=entire, project="web"),
            ]
            critical = [{**alert, "severity": "critical"} for alert in warnings[1:]]
            firing = _FIRING_IN.format(f"{one}|{entire}")
            vectors[firing.replace("{", '{severity="warning", ', 1), start + 20 * MINUTE] = warnings
            vectors[firing, start + 35 * MINUTE] = [*warnings, *critical]
        check(tmp_path, worlds, {2 * HOUR - MINUTE: [], 7 * HOUR: []}, vectors)

    def test_without_anything_accepted_ever(self, tmp_path: Path) -> None:
        """Total loss causes an alert if it began before the exporter was installed."""
        flows = [Flow("web", steady(5000), "rate_limited", "key_quota")]
        check(
            tmp_path,
            [World(flows, 2 * HOUR)],
            {
                2 * HOUR: [
                    errors("SentryEventsRateLimited", severity, **place)
                    for severity in ("warning", "critical")
                    for place in ({}, {"project": "web"})
                ]
            },
        )

    def test_of_small_volumes(self, tmp_path: Path) -> None:
        """68 an hour within hours, 20 a day within a day, and shares of it."""
        start = 30 * HOUR
        spans = [(start, FOREVER)]
        worlds = [
            World(lost("web", spans, rate), 55 * HOUR, step=300, organization=name)
            for name, rate in (("month", 68), ("tiny", 20 / 24))
        ]
        quota = [
            errors("SentryQuotaExceeded", severity, of="month", **place)
            for severity in ("warning", "critical")
            for place in ({}, {"project": "web"})
        ]
        tiny = [{**one, "organization": "tiny"} for one in quota]
        check(tmp_path, worlds, {start: [], start + HOUR: quota, start + DAY: [*quota, *tiny]})


class TestHysteresis:
    """Shares around their threshold."""

    def test_alternating_shares_are_one_incident(self, tmp_path: Path) -> None:
        """6 % and 4 % hour by hour for a day, or 55 % and 1 %, begin to fire once."""
        spans = [(hour * HOUR, (hour + 1) * HOUR) for hour in range(2, 26, 2)]
        day = [(2 * HOUR, 26 * HOUR)]

        def world(name: str, high: float, low: float) -> World:
            refused = during(spans, high, during(day, low, 0))
            return World(
                [
                    Flow("web", lambda time: 1000 - refused(time)),
                    Flow("web", refused, "rate_limited", "key_quota"),
                ],
                30 * HOUR,
                step=300,
                organization=name,
            )

        worlds = [world("around", 60, 40), world("half", 550, 10)]
        rated = "SentryEventsRateLimited"
        both = [
            {"organization": name, **place}
            for name in ("around", "half")
            for place in ({}, {"project": "web"})
        ]
        check(
            tmp_path,
            worlds,
            {30 * HOUR: []},
            {
                (incidents(rated, "warning", 29 * HOUR, 300), 30 * HOUR): both,
                (incidents(rated, "critical", 29 * HOUR, 300), 30 * HOUR): [
                    one for one in both if one["organization"] == "half"
                ],
            },
        )


def office(time: float) -> float:
    """Return the rate of a project that sends on working days only; time 0 is a Thursday."""
    weekday, hour = int(time // DAY + 3) % 7, time % DAY / HOUR
    return 300 if weekday < 5 and 8 <= hour < 18 else 0


class TestSilence:
    """Clients that send nothing any more."""

    def test_fires_and_lasts(self, tmp_path: Path) -> None:
        """Within 90 minutes for 100 an hour, a day for 20 a day; it ends when it is over."""
        start, end = 30 * HOUR, 57 * HOUR
        spans = [(start, end)]
        flows = [
            Flow("web", steady(3000)),
            Flow("api", steady(400)),
            Flow("hundred", during(spans, 0, 100)),
            Flow("large", during(spans, 3, 50_000)),
            Flow("tiny", during([(start, FOREVER)], 0, 20 / 24)),
            Flow("office", office),
            # Only one category of the project is silent.
            Flow("app", during(spans, 0, 200)),
            Flow("app", steady(50), category="replay"),
            # Sentry counts spans instead of transactions.
            Flow("old", during([(start, FOREVER)], 0, 500), category="transaction"),
            Flow("old", steady(500), category="span"),
        ]
        silent = [
            alert("SentryProjectSilent", "critical", project="hundred"),
            alert("SentryProjectSilent", "critical", project="large"),
            errors("SentryCategorySilent", project="app"),
        ]
        tiny = alert("SentryProjectSilent", project="tiny")
        check(
            tmp_path,
            [World(flows, 62 * HOUR, step=300)],
            {
                start: [],
                start + 90 * MINUTE: silent,
                start + 21 * HOUR: silent,
                start + 26 * HOUR: [*silent, tiny],
                end - 5 * MINUTE: [*silent, tiny],
                end + 3 * HOUR: [tiny],
            },
        )

    def test_each_cause_has_its_alert(self, tmp_path: Path) -> None:
        """Where nothing is accepted any more, exactly the alert of its cause fires."""
        start = 30 * HOUR
        spans = [(start, FOREVER)]
        ordinary = [Flow("web", steady(3000)), Flow("api", steady(900)), Flow("ios", steady(900))]

        def refused(outcome: str, reason: str) -> list[Flow]:
            return lost("checkout", spans, 400, outcome=outcome, reason=reason)

        causes = {
            "dead": [Flow("checkout", during(spans, 0, 400))],
            "quota": refused("rate_limited", "error_usage_exceeded"),
            "key": refused("rate_limited", "key_quota"),
            "spike": refused("rate_limited", "spike_protection"),
            "abuse": refused("abuse", "none"),
            "cardinality": refused("cardinality_limited", "none"),
            "filter": refused("filtered", "web-crawlers"),
            "invalid": refused("invalid", "cors"),
            "discards": refused("client_discard", "network_error"),
            "sampled": refused("client_discard", "sample_rate"),
        }
        worlds = [
            World([*ordinary, *flows], 33 * HOUR, step=300, organization=name)
            for name, flows in causes.items()
        ]
        nobody = [Flow(project, during(spans, 0, 900)) for project in ("web", "api", "ios")] + [
            Flow("web", steady(60), "filtered", "web-crawlers")
        ]
        worlds.append(World(nobody, 33 * HOUR, step=300, organization="nobody"))
        names = {
            "quota": "SentryQuotaExceeded",
            "key": "SentryEventsRateLimited",
            "spike": "SentrySpikeProtectionActive",
            "abuse": "SentryAbuseLimited",
            "cardinality": "SentryAbuseLimited",
            "filter": "SentryFiltersDropMost",
            "invalid": "SentryInvalidUp",
            "discards": "SentryClientDiscardsUp",
            "sampled": "SentryProjectSilent",
            "dead": "SentryProjectSilent",
        }
        expression = (
            "max by (alertname, organization, project)"
            ' (ALERTS{alertstate="firing", project="checkout"}'
            ' or ALERTS{alertstate="firing", organization="nobody"})'
        )
        expected = [
            {"alertname": alertname, "organization": name, "project": "checkout"}
            for name, alertname in names.items()
        ]
        expected.append({"alertname": "SentryAcceptsNothing", "organization": "nobody"})
        check(tmp_path, worlds, {start: []}, {(expression, start + 100 * MINUTE): expected})


class TestUnknown:
    """What fires while nothing is known about new data."""

    def test_goes_on_through_outages(self, tmp_path: Path) -> None:
        """An incident goes on while polls fail or the exporter is down; then it ends."""
        outage = [(6 * HOUR, 18 * HOUR)]
        spans = [(3 * HOUR, 7 * HOUR)]
        queries = (outcomes(failing=outage), projects(failing=outage))
        quota = {
            name: [
                errors("SentryQuotaExceeded", severity, of=name, **place)
                for severity in ("warning", "critical")
                for place in ({}, {"project": "web"})
            ]
            for name in ("polls", "scrapes", "gone")
        }
        worlds = [
            World(lost("web", spans), 24 * HOUR, step=300, organization="polls", queries=queries),
            World(
                lost("web", spans),
                24 * HOUR,
                step=300,
                organization="scrapes",
                instance="down:10790",
                gaps=outage,
            ),
            World(
                lost("web", [(3 * HOUR, FOREVER)]),
                24 * HOUR,
                step=300,
                organization="gone",
                removed_at=20 * HOUR,
            ),
        ]
        failing = [
            alert("SentryStatsQueryFailing", organization="polls", query=name)
            for name in ("outcomes", "projects")
        ]
        stale = [
            alert("SentryStatsQueryStale", "critical", "polls", query=name)
            for name in ("outcomes", "projects")
        ]
        down = [{"alertname": "SentryStatsExporterDown", "severity": "critical"}]
        all_quota = [one for some in quota.values() for one in some]
        check(
            tmp_path,
            worlds,
            {
                6 * HOUR: all_quota,
                6 * HOUR + 30 * MINUTE: [*all_quota, *failing, *down],
                17 * HOUR: [*all_quota, *failing, *stale, *down],
                19 * HOUR: all_quota,
                20 * HOUR + 50 * MINUTE: quota["gone"],
                23 * HOUR + 30 * MINUTE: [],
            },
        )


class TestRises:
    """Volumes far above the usual."""

    def test_fire_within_half_an_hour(self, tmp_path: Path) -> None:
        """Twelve times the volume for an hour across two buckets; a new project that floods."""
        start = 30 * HOUR + 30 * MINUTE
        spans = [(start, start + HOUR)]
        late = (3 * HOUR, 27 * HOUR)
        worlds = [
            World(
                [
                    Flow("web", steady(3000)),
                    Flow("checkout", during(spans, 12_000, 1000)),
                    Flow("small", during(spans, 120, 10)),
                ],
                34 * HOUR,
                step=300,
                organization="times-twelve",
            ),
            World(
                [Flow("web", steady(3000)), Flow("new", during([(start, FOREVER)], 3000, 0))],
                34 * HOUR,
                step=300,
                organization="new",
            ),
            # Counters gain a day at once after an outage.
            World(
                [Flow("web", steady(3000))],
                34 * HOUR,
                step=300,
                organization="outage",
                queries=(outcomes(failing=[late]), projects(failing=[late])),
            ),
        ]
        growth = [
            errors("SentryVolumeFarAboveUsual", of="times-twelve", project="checkout"),
            errors("SentryVolumeFarAboveUsual", of="times-twelve"),
            errors("SentryVolumeFarAboveUsual", of="new", project="new"),
        ]
        check(
            tmp_path,
            worlds,
            {start: [], start + 30 * MINUTE: growth[:1], start + 65 * MINUTE: growth},
        )


class TestWeeks:
    """What takes longer than a week."""

    def test_goes_on_while_it_lasts(self, tmp_path: Path) -> None:
        """A loss or a silence of more than a week is not usual; a holiday is no silence."""
        start = 9 * DAY
        tuesday = 12 * DAY + 9 * HOUR
        holiday = (6 * DAY, 7 * DAY)

        def weekly(time: float) -> float:
            return 0 if within(time, [holiday]) else office(time)

        flows = [
            Flow("web", steady(3000)),
            Flow("api", during([(start, FOREVER)], 0, 400)),
            Flow("office", during([(tuesday, FOREVER)], 0, weekly)),
            Flow("ios", steady(800)),
            Flow("ios", during([(start, FOREVER)], 100, 8), "invalid", "cors"),
            Flow("always", steady(800)),
            Flow("always", steady(100), "invalid", "cors"),
            Flow("always", steady(300), "client_discard", "before_send"),
        ]
        silent = alert("SentryProjectSilent", "critical", project="api")
        invalid = errors("SentryInvalidUp", project="ios")
        begun = [silent, invalid]
        office_silent = alert("SentryProjectSilent", "critical", project="office")
        check(
            tmp_path,
            [World(flows, 18 * DAY, step=900)],
            {
                2 * DAY + 12 * HOUR: [],
                6 * DAY + 12 * HOUR: [],
                start: [],
                start + 12 * HOUR: begun,
                tuesday: begun,
                tuesday + 90 * MINUTE: [*begun, office_silent],
                start + 8 * DAY + 12 * HOUR: [*begun, office_silent],
            },
        )


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
