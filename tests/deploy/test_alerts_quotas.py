"""When the alerts about quotas fire and end, for which quota and team, in two days.

The period is as short: it turns after two days. All organizations are evaluated in one run.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.publish.quota_families import QUOTA_FAMILIES
from tests.deploy.quota_world import QUERY, Money, Quota, QuotaWorld, quota
from tests.deploy.rule_timeline import Expected, Timeline, observe, unmet
from tests.deploy.rule_world import HOUR, MINUTE, Labels, during, outcomes, steady

pytestmark = [pytest.mark.slow, pytest.mark.programs]

QUERIES: Final = "sentry_stats_queries"
GROUPS: Final = (
    "sentry_stats_thresholds",
    QUERIES,
    "sentry_stats_quotas",
    "sentry_stats_quota_alerts",
)
"""Those that quotas need: all groups take ten times as long."""

STEP: Final = 5 * MINUTE
TURN: Final = 48 * HOUR
"""When the second period begins. A rate of 100 an hour uses 4,800 in the first."""

LENGTH: Final = TURN + 2 * HOUR
FOREVER: Final = 10**9
SOON: Final = 20 * MINUTE
"""Until a poll has seen it, Prometheus has scraped it, and the rules are evaluated."""

FOR: Final = 50 * MINUTE
"""The same, for alerts that wait for half an hour."""

MEMORY: Final = 6 * HOUR
"""How long a forecast counts after it has gone."""

NONE: Final = steady(0)

ERRORS: Final = {"quota": "errors"}
DOLLARS: Final = {"currency": "USD"}
FULL: Final = quota("errors", 4000, steady(100), week=NONE, day=NONE)
LASTING: Final = quota("spans", 100_000, steady(100))
HALF, NEARLY, ALL = 20 * HOUR, 32 * HOUR, 40 * HOUR
"""When so much of `FULL` is used."""

OUTAGE: Final = (30 * HOUR, 36 * HOUR)
"""Of which at the end more than 80 % of `FULL` is used."""

OUTAGES: Final[dict[str, dict[str, Any]]] = {
    "down": {"gaps": [OUTAGE], "instance": "down:1"},
    "no-target": {"missing": [OUTAGE], "instance": "missing:1", "job": "missing"},
    "polls-fail": {"queries": (outcomes(), replace(QUERY, failing=[OUTAGE]))},
}
REMOVED: Final = 22 * HOUR
RAISED: Final = 10 * HOUR


def world(organization: str, *quotas: Quota, **settings: Any) -> QuotaWorld:
    """Return an organization with quotas."""
    given = {"length": LENGTH, "step": STEP, "turn": TURN, "queries": (outcomes(), QUERY)}
    return QuotaWorld(flows=(), organization=organization, quotas=quotas, **{**given, **settings})


def replicas() -> Iterator[QuotaWorld]:
    """Yield one organization twice; the polls of the second replica fail before the turn.

    The use of the last day is 1.3 times that of last week, which is not burning fast.
    """
    uneven = quota("replays", 11_000, steady(100), week=steady(200), day=steady(260))
    stuck = replace(QUERY, failing=[(TURN - HOUR, FOREVER)])
    for number, query in enumerate((QUERY, stuck)):
        instance = f"replica-{number}:1"
        yield world(
            "replicas", FULL, LASTING, uneven, instance=instance, queries=(outcomes(), query)
        )


def forecasts() -> Iterator[QuotaWorld]:
    """Yield organizations whose quotas will not last."""
    hours = range(6 * HOUR, 12 * HOUR, 2 * HOUR)
    alternating = during([(hour, hour + HOUR) for hour in hours], 400, 60)
    until_raised = during([(0, RAISED)], 2000, 200_000)
    for name, one in {
        "runs-out": quota("errors", 12_000, steady(100), week=alternating, day=NONE),
        "late": quota(
            "errors", 12_000, steady(100), week=during([(44 * HOUR, TURN)], 5000), day=NONE
        ),
        "raised": quota(
            "errors", until_raised, steady(10), week=during([(0, TURN)], 100), day=NONE
        ),
        "nothing-reserved": quota("errors", 0, steady(10), week=steady(100), day=NONE),
    }.items():
        yield world(name, one, LASTING)
    burning = during([(10 * HOUR, 14 * HOUR)], 800, 60)
    steadily = during([(0, 40 * HOUR)], 2500)
    yield world(
        "burning",
        quota("errors", 20_000, steady(100), week=steady(60), day=burning),
        quota("spans", 20_000, steady(100), week=steadily, day=steadily),
    )


def budgets() -> Iterator[QuotaWorld]:
    """Yield organizations with budgets; what is left of the first is less than Sentry rounds."""
    spent = during([(36 * HOUR, TURN)], 299.97, during([(0, 36 * HOUR)], 100))
    ends = during([(20 * HOUR, TURN)], 36 * HOUR, FOREVER)
    until_raised = during([(0, 30 * HOUR)], 300, 600)
    until_raised_ends = during([(20 * HOUR, 30 * HOUR)], 36 * HOUR, FOREVER)
    for name, money in {
        "budget": Money(steady(300), spent, ends),
        "own-budget": Money(steady(300), spent, ends, quota="spans"),
        "no-budget": Money(NONE, NONE, steady(HOUR)),
        "raised-budget": Money(until_raised, steady(100), until_raised_ends),
    }.items():
        yield world(name, LASTING, money=[money])


def plans() -> Iterator[QuotaWorld]:
    """Yield organizations whose plan says something else, or cannot be read."""

    def differing(name: str, **difference: Any) -> Quota:
        return quota(name, 10_000, steady(100), week=NONE, day=NONE, **difference)

    spans = ([(10 * HOUR, 20 * HOUR)], [(20 * HOUR, 30 * HOUR)])
    yield world(
        "disagrees",
        differing("errors", disagreement=during(spans[0], -60, during(spans[1], -17))),
        differing("little", disagreement=steady(8)),
        differing("short", disagreement=during([(10 * HOUR, 12 * HOUR)], 900)),
    )
    yield world("unreadable", LASTING, more_of_plan={"sentry_stats_plan_up": 0})


def everything() -> list[QuotaWorld]:
    """Return all organizations."""
    allotted = replace(FULL, name="payments", team="payments")
    others = replace(LASTING, name="search", team="search")
    return [
        world("full", FULL, LASTING),
        world("teams", allotted, others),
        world("own-thresholds", FULL, replace(FULL, name="replays")),
        world("removed", FULL, removed_at=REMOVED),
        *(world(name, FULL, LASTING, **settings) for name, settings in OUTAGES.items()),
        *replicas(),
        *forecasts(),
        *budgets(),
        *plans(),
    ]


THRESHOLDS: Final = """\
groups:
  - name: own
    rules:
      - record: sentry_stats:threshold:quota_half_ratio
        expr: vector(0.1)
        labels: {organization: own-thresholds}
      - record: sentry_stats:threshold:quota_half_ratio
        expr: vector(0.7)
        labels: {organization: own-thresholds, quota: errors}
"""


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    """Return the alerts of all organizations."""
    folder = tmp_path_factory.mktemp("quotas")
    rules = folder / "own.yml"
    rules.write_text(THRESHOLDS, "utf-8")
    return observe(everything(), folder, rules=[rules], groups=GROUPS)


def fires(
    name: str, since: float, until: float, about: Labels = ERRORS, wait: float = SOON
) -> Expected:
    """Return an alert from within ``wait`` after ``since``, until soon after ``until``."""
    labels = {"alertname": name, "severity": "warning", **about}
    return Expected(labels, since - 1, since + wait, (until, until + FOR))


def shares(
    half: float = HALF, last: str = "SentryQuotaUsedUp", about: Labels = ERRORS
) -> list[Expected]:
    """Return the alerts of `FULL`, one after the other until the period turns."""
    return [
        fires("SentryQuotaHalfUsed", half, NEARLY, about),
        fires("SentryQuotaNearlyUsed", NEARLY, ALL, about),
        fires(last, ALL, TURN, about),
    ]


class TestUsed:
    """A share of a quota is used."""

    def test_one_alert_at_a_time(self, timeline: Timeline) -> None:
        """At 50, 80 and 100 % there is one alert, of that quota only, until its period ends."""
        assert [] == unmet(shares(), timeline.of("full"))

    def test_two_replicas(self, timeline: Timeline) -> None:
        """A second replica adds nothing, and does not hold the period before."""
        assert [] == unmet(shares(), timeline.of("replicas"))

    @pytest.mark.parametrize("name", OUTAGES)
    def test_unknown_is_not_over(self, timeline: Timeline, name: str) -> None:
        """While nothing is known, the alert goes on; then follows that of the next share."""
        _, end = OUTAGE
        expected = [
            fires("SentryQuotaHalfUsed", HALF, end),
            fires("SentryQuotaNearlyUsed", end, ALL),
            fires("SentryQuotaUsedUp", ALL, TURN),
        ]

        assert [] == unmet(expected, timeline.of(name))

    def test_one_failed_scrape(self, tmp_path: Path) -> None:
        """Nothing ends although the rules of quotas see it before those of exporters."""
        settings = {"length": 44 * MINUTE, "step": MINUTE}
        one = world(
            "acme",
            quota("errors", 4000, steady(6000), week=NONE, day=NONE),
            money=[Money(steady(300), steady(300), NONE)],
            gaps=[(35 * MINUTE, 36 * MINUTE)],
            **settings,
        )
        # Without Prometheus's marker, a value lasts five minutes.
        series = [
            {**each, "values": re.sub(r"(?<=\d) _ (?=\d)", " stale ", each["values"])}
            for each in one.input_series()
        ]
        other = world("globex", LASTING, instance="globex:1", **settings)
        expected = [
            Expected(
                {"alertname": name, "severity": severity, **about},
                after=-1,
                by=30 * MINUTE,
                ends=(45 * MINUTE, 45 * MINUTE),
            )
            for name, severity, about in (
                ("SentryQuotaHalfUsed", "warning", ERRORS),
                ("SentryQuotaBudgetSpent", "critical", DOLLARS),
            )
        ]
        order = (*(name for name in GROUPS if name != QUERIES), QUERIES)

        seen = observe([other], tmp_path, series, groups=order)

        assert [] == unmet(expected, seen.of("acme"))

    def test_removed_organization(self, timeline: Timeline) -> None:
        """An organization that leaves the configuration has no alert any more."""
        expected = [fires("SentryQuotaHalfUsed", HALF, REMOVED)]

        assert [] == unmet(expected, timeline.of("removed"))

    def test_thresholds_can_be_overridden(self, timeline: Timeline) -> None:
        """A quota's own threshold is in force before that of its organization."""
        expected = [*shares(28 * HOUR), *shares(4 * HOUR, about={"quota": "replays"})]

        assert [] == unmet(expected, timeline.of("own-thresholds"))


def test_what_is_allotted_to_a_team(timeline: Timeline) -> None:
    """All alerts of an allocation have its team, and the last one is an alert of its own."""
    team = {"quota": "payments", "team": "payments"}
    expected = shares(last="SentryQuotaAllocationExceeded", about=team)

    assert [] == unmet(expected, timeline.of("teams"))


class TestForecasts:
    """A quota will not last."""

    def test_runs_out(self, timeline: Timeline) -> None:
        """A forecast that comes and goes by the hour is one alert, which ends six hours after."""
        expected = [
            fires("SentryQuotaRunsOut", 6 * HOUR, 11 * HOUR + MEMORY - SOON, wait=FOR),
        ]

        assert [] == unmet(expected, timeline.of("runs-out"))

    def test_ends_with_the_period(self, timeline: Timeline) -> None:
        """A forecast about the period that is over counts no more."""
        expected = [fires("SentryQuotaRunsOut", 44 * HOUR, TURN, wait=FOR)]

        assert [] == unmet(expected, timeline.of("late"))

    def test_ends_when_the_limit_is_raised(self, timeline: Timeline) -> None:
        """A forecast about a smaller limit counts no more."""
        expected = [fires("SentryQuotaRunsOut", 0, RAISED, wait=FOR)]

        assert [] == unmet(expected, timeline.of("raised"))

    def test_burning_fast(self, timeline: Timeline) -> None:
        """A day of much more than last week is an alert, and not what is always too much."""
        expected = [
            fires("SentryQuotaBurningFast", 10 * HOUR, 14 * HOUR + MEMORY - SOON, wait=FOR),
            fires("SentryQuotaRunsOut", 0, 40 * HOUR + MEMORY - SOON, {"quota": "spans"}, FOR),
        ]

        assert [] == unmet(expected, timeline.of("burning"))

    def test_nothing_reserved(self, timeline: Timeline) -> None:
        """A limit of 0 has no alert: everything is paid from the budget."""
        assert [] == timeline.of("nothing-reserved")


class TestMoney:
    """Budgets."""

    @pytest.mark.parametrize(
        ("name", "about"), [("budget", {}), ("own-budget", {"quota": "spans"})]
    )
    def test_runs_out_and_is_spent(self, timeline: Timeline, name: str, about: Labels) -> None:
        """Before it is spent, a warning says when; then it is critical, until the period ends."""
        money = {**about, **DOLLARS}
        critical = {**money, "severity": "critical"}
        expected = [
            fires("SentryQuotaBudgetRunsOut", 20 * HOUR, 36 * HOUR, money, FOR),
            fires("SentryQuotaBudgetSpent", 36 * HOUR, TURN, critical),
        ]

        assert [] == unmet(expected, timeline.of(name))

    def test_raised(self, timeline: Timeline) -> None:
        """A forecast about a smaller budget counts no more."""
        expected = [fires("SentryQuotaBudgetRunsOut", 20 * HOUR, 30 * HOUR, DOLLARS, FOR)]

        assert [] == unmet(expected, timeline.of("raised-budget"))

    def test_none(self, timeline: Timeline) -> None:
        """Without a budget there is nothing to spend."""
        assert [] == timeline.of("no-budget")


class TestPlan:
    """The plan and the measurement."""

    def test_disagreement(self, timeline: Timeline) -> None:
        """More than 1 % for three hours is an alert, until it is below 0.7 %."""
        below = 17 / 0.007 / 100 * HOUR
        expected = [fires("SentryQuotaPlanDisagrees", 13 * HOUR, below, wait=SOON)]

        assert [] == unmet(expected, timeline.of("disagrees"))

    def test_unreadable_plan(self, timeline: Timeline) -> None:
        """A plan that cannot be read causes no alert."""
        assert [] == timeline.of("unreadable")


def test_series_are_those_of_the_exporter() -> None:
    """What is in these histories, an exporter publishes under the same names and labels."""
    of_target = {"job", "instance"}
    seen = {
        (name, frozenset(re.findall(r'(\w+)="', labels)) - of_target)
        for each in everything()
        for one in each.input_series()
        for name, labels in [one["series"].split("{")]
        if re.match("sentry_stats_(quota|budget|plan)", name)
    }

    assert {(family.name, frozenset(family.labels)) for family in QUOTA_FAMILIES} >= seen
    assert len(seen) >= 10


def test_nothing_else_fires(timeline: Timeline) -> None:
    """Every alert belongs to an organization of this run."""
    assert {each.organization for each in everything()} >= {
        firing.labels["organization"] for firing in timeline.firings
    }
