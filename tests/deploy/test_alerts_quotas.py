"""When the alerts about quotas fire and end, for which quota and team."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.kit import read_yaml
from tests.deploy.quota_world import QUERY, Money, QuotaWorld, quota
from tests.deploy.rule_world import (
    DAY,
    GROUPS,
    HOUR,
    MINUTE,
    RULES,
    World,
    during,
    outcomes,
    steady,
    unit_test,
)
from tests.support.prometheus import promtool

pytestmark = pytest.mark.slow

FIRING: Final = (
    "max by (alertname, severity, organization, quota, team, currency)"
    ' (ALERTS{alertstate="firing", component="data"})'
)
STEP: Final = 5 * MINUTE
TURN: Final = 10 * DAY
"""When the second period begins. A rate of 100 an hour uses 24,000 in the first."""

LENGTH: Final = TURN + 2 * HOUR
FOREVER: Final = 10**9
SOON: Final = 20 * MINUTE
"""Until a poll has seen it, and the rules have."""

NONE: Final = steady(0)
Alert = Mapping[str, str]


def alert(name: str, of: str = "errors", severity: str = "warning", **more: str) -> Alert:
    """Return the labels of an alert about a quota."""
    labels = {"alertname": name, "severity": severity, "organization": "acme"}
    return {**labels, **({"quota": of} if of else {}), **more}


def world(*quotas: Any, **settings: Any) -> QuotaWorld:
    """Return an organization with quotas, whose period turns after ten days."""
    given = {"length": LENGTH, "step": STEP, "turn": TURN, "queries": (outcomes(), QUERY)}
    return QuotaWorld(flows=(), quotas=quotas, **{**given, **settings})


NEEDED: Final = ("thresholds", "queries", "quotas", "quota_alerts")


def quota_test(
    folder: Path,
    series: Sequence[Mapping[str, str]],
    vectors: Mapping[tuple[str, float], Iterable[Alert]],
    more: Sequence[Path] = (),
) -> Path:
    """Write a test with only those groups that quotas need: all groups take ten times as long."""
    path = unit_test(series, vectors, STEP, folder)
    names = {f"sentry_stats_{name}" for name in NEEDED}
    groups = [
        group
        for file in sorted(RULES.glob("*.yml"))
        for group in read_yaml(file)["groups"]
        if group["name"] in names
    ]
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": groups}), "utf-8")
    document = read_yaml(path)
    document["rule_files"] = [str(rules), *map(str, more)]
    order = [name for name in GROUPS if name in names]
    document["group_eval_order"] = ["own", *order] if more else order
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10**9), "utf-8")
    return path


def check(folder: Path, worlds: Sequence[World], expected: Mapping[float, Iterable[Alert]]) -> None:
    """Check which alerts fire at which times."""
    series = [one for each in worlds for one in each.input_series()]
    vectors = {(FIRING, time): list(alerts) for time, alerts in expected.items()}
    path = quota_test(folder, series, vectors)

    assert "SUCCESS" in promtool("test", "rules", path)


FULL: Final = quota("errors", 20_000, steady(100), week=NONE, day=NONE)
"""Half is used after 100 hours, 80 % after 160, everything after 200."""

LASTING: Final = quota("spans", 100_000, steady(100))

STORY: Final[Mapping[float, Sequence[Alert]]] = {
    99 * HOUR: [],
    100 * HOUR + SOON: [alert("SentryQuotaHalfUsed")],
    160 * HOUR - SOON: [alert("SentryQuotaHalfUsed")],
    160 * HOUR + SOON: [alert("SentryQuotaNearlyUsed")],
    200 * HOUR - SOON: [alert("SentryQuotaNearlyUsed")],
    200 * HOUR + SOON: [alert("SentryQuotaUsedUp")],
    TURN: [alert("SentryQuotaUsedUp")],
    TURN + SOON: [],
}
"""The alerts of `FULL`."""


class TestUsed:
    """A share of a quota is used."""

    def test_exactly_one_at_a_time(self, tmp_path: Path) -> None:
        """At 50, 80 and 100 % there is one alert, of that quota only, until its period ends."""
        other = world(LASTING, organization="globex")
        check(tmp_path, [world(FULL, LASTING), other], STORY)

    def test_are_the_same_with_two_replicas(self, tmp_path: Path) -> None:
        """A second replica adds nothing; one that cannot poll does not hold the period before."""
        stuck = replace(QUERY, failing=[(TURN - HOUR, FOREVER)])
        second = world(FULL, LASTING, instance="b", queries=(outcomes(), stuck))
        check(tmp_path, [world(FULL, LASTING), second], STORY)

    @pytest.mark.parametrize(
        "gone",
        [
            {"gaps": [(150 * HOUR, 165 * HOUR)]},
            {"missing": [(150 * HOUR, 165 * HOUR)]},
            {"queries": (outcomes(), replace(QUERY, failing=[(150 * HOUR, 165 * HOUR)]))},
        ],
        ids=["down", "no target", "polls fail"],
    )
    def test_unknown_is_not_over(self, gone: Mapping[str, Any], tmp_path: Path) -> None:
        """While nothing is known, the alert goes on, and then goes to the next share."""
        expected: dict[float, Sequence[Alert]] = {
            150 * HOUR + minutes * MINUTE: [alert("SentryQuotaHalfUsed")]
            for minutes in (5, 10, 20, 60, 600)
        }
        after: dict[float, Sequence[Alert]] = {
            165 * HOUR + 2 * SOON: [alert("SentryQuotaNearlyUsed")]
        }
        quotas = f"{FIRING} and on (alertname) max by (alertname) (ALERTS{{quota!=''}})"
        series = world(FULL, LASTING, **gone).input_series()
        vectors: dict[tuple[str, float], Sequence[Alert]] = {
            (quotas, time): alerts for time, alerts in (expected | after).items()
        }
        path = quota_test(tmp_path, series, vectors)

        assert "SUCCESS" in promtool("test", "rules", path)

    def test_removed_quota(self, tmp_path: Path) -> None:
        """An organization that leaves the configuration has no alert any more."""
        gone = world(FULL, removed_at=120 * HOUR)
        stays = world(LASTING, organization="globex", instance="b")
        check(tmp_path, [gone, stays], {119 * HOUR: [alert("SentryQuotaHalfUsed")], 122 * HOUR: []})


class TestTeams:
    """What is allotted to a team."""

    def test_alerts_are_those_of_the_team(self, tmp_path: Path) -> None:
        """All alerts of an allocation have the team; another team's quota has none."""
        own = replace(FULL, name="payments", team="payments")
        others = replace(LASTING, name="search", team="search")
        team = {"of": "payments", "team": "payments"}
        check(
            tmp_path,
            [world(own, others)],
            {
                101 * HOUR: [alert("SentryQuotaHalfUsed", **team)],
                161 * HOUR: [alert("SentryQuotaNearlyUsed", **team)],
                201 * HOUR: [alert("SentryQuotaAllocationExceeded", **team)],
                TURN + SOON: [],
            },
        )


class TestForecasts:
    """A quota will not last."""

    def test_runs_out(self, tmp_path: Path) -> None:
        """Once last week's pace is too fast, a warning stays for six hours more, or the period."""
        day = 24 * HOUR
        fast = during([(day, 3 * day)], 400, during([(4 * day, FOREVER)], 60))
        runs_out = replace(FULL, limit=48_000, week=fast)
        check(
            tmp_path,
            [world(runs_out, LASTING)],
            {
                day - SOON: [],
                day + HOUR: [alert("SentryQuotaRunsOut")],
                3 * day + 5 * HOUR: [alert("SentryQuotaRunsOut")],
                3 * day + 7 * HOUR: [],
                TURN - HOUR: [],
            },
        )

    def test_ends_with_the_period(self, tmp_path: Path) -> None:
        """Until the quota is used up, and not into the next period."""
        late = [(9 * DAY, TURN)]
        runs_out = replace(FULL, limit=100_000, week=during(late, 5000))
        check(
            tmp_path,
            [world(runs_out)],
            {9 * DAY - HOUR: [], 9 * DAY + HOUR: [alert("SentryQuotaRunsOut")], TURN + SOON: []},
        )

    def test_burning_fast(self, tmp_path: Path) -> None:
        """A day of much more than last week, and not what is steady and too much."""
        fast = during([(2 * DAY, 3 * DAY)], 800, 60)
        burning = replace(FULL, limit=60_000, week=steady(60), day=fast)
        steadily = replace(FULL, name="spans", limit=60_000, week=steady(800), day=steady(800))
        check(
            tmp_path,
            [world(burning, steadily)],
            {
                DAY: [alert("SentryQuotaRunsOut", "spans")],
                2 * DAY + HOUR: [
                    alert("SentryQuotaRunsOut", "spans"),
                    alert("SentryQuotaBurningFast"),
                ],
                3 * DAY + 7 * HOUR: [alert("SentryQuotaRunsOut", "spans")],
            },
        )


class TestMoney:
    """The budget of all quotas."""

    def test_budget(self, tmp_path: Path) -> None:
        """Before it is spent, the alert says when; then it is spent, until the period ends."""
        spent = during([(8 * DAY, TURN)], 300, during([(0, 8 * DAY)], 100))
        money = Money(300, spent, during([(5 * DAY, TURN)], 8 * DAY, FOREVER))
        ends = {"severity": "critical", "currency": "USD"}
        check(
            tmp_path,
            [
                world(LASTING, money=money),
                world(LASTING, organization="globex", money=Money(0, NONE, steady(DAY))),
            ],
            {
                4 * DAY: [],
                5 * DAY + HOUR: [alert("SentryQuotaBudgetRunsOut", "", currency="USD")],
                8 * DAY - HOUR: [alert("SentryQuotaBudgetRunsOut", "", currency="USD")],
                8 * DAY + SOON: [alert("SentryQuotaBudgetSpent", "", **ends)],
                TURN - HOUR: [alert("SentryQuotaBudgetSpent", "", **ends)],
                TURN + SOON: [],
            },
        )


class TestPlan:
    """The plan and the measurement."""

    def test_disagreement(self, tmp_path: Path) -> None:
        """More than 1 % of what is used, for hours; less, or next to nothing, is no alert."""
        differs = during([(2 * DAY, 3 * DAY)], -200)
        quotas = (
            replace(LASTING, name="errors", disagreement=differs),
            replace(LASTING, disagreement=steady(20)),
            replace(LASTING, name="short", disagreement=during([(2 * DAY, 2 * DAY + HOUR)], 900)),
        )
        check(
            tmp_path,
            [world(*quotas)],
            {
                2 * DAY + HOUR: [],
                2 * DAY + 4 * HOUR: [alert("SentryQuotaPlanDisagrees")],
                3 * DAY + HOUR: [],
            },
        )

    def test_unreadable_plan(self, tmp_path: Path) -> None:
        """A plan that cannot be read causes no alert."""
        plan = world(LASTING, more_of_plan={"sentry_stats_plan_up": 0})
        check(tmp_path, [plan], {DAY: []})


def test_thresholds_of_a_quota(tmp_path: Path) -> None:
    """A threshold can be overridden for an organization, and for one of its quotas."""
    rules = tmp_path / "own.yml"
    rules.write_text(
        """groups:
  - name: own
    rules:
      - record: sentry_stats:threshold:quota_half_ratio
        expr: vector(0.1)
        labels: {organization: acme}
      - record: sentry_stats:threshold:quota_half_ratio
        expr: vector(0.7)
        labels: {organization: acme, quota: errors}
""",
        "utf-8",
    )
    own = world(FULL, replace(FULL, name="spans"))
    both: dict[tuple[str, float], Sequence[Alert]] = {
        (FIRING, 101 * HOUR): [alert("SentryQuotaHalfUsed", "spans")],
        (FIRING, 150 * HOUR): [alert("SentryQuotaHalfUsed"), alert("SentryQuotaHalfUsed", "spans")],
    }
    path = quota_test(tmp_path, own.input_series(), both, [rules])

    assert "SUCCESS" in promtool("test", "rules", path)
