"""The texts and links of the alerts about quotas, in full, as promtool expands them."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.deploy.quota_world import QUERY, Money, QuotaWorld, quota
from tests.deploy.rule_world import DAY, HOUR, outcomes, steady
from tests.deploy.test_annotations import (
    GRAFANA,
    ODD,
    ODD_IN_LINKS,
    RUNBOOKS,
    SENTRY,
    Texts,
    quoted,
    texts_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.programs]

GROUPS: Final = (
    "sentry_stats_thresholds",
    "sentry_stats_queries",
    "sentry_stats_messages",
    "sentry_stats_quotas",
    "sentry_stats_quota_alerts",
)
TURN: Final = 31 * DAY
"""The period: all of January 1970."""

LENGTH: Final = 6 * HOUR
STEP: Final = 300

ENDS: Final = ", its period ends on 31 January"
LAST_WEEK: Final = "at the pace of last week"

SUMMARIES: Final = {
    ("SentryQuotaHalfUsed", "warning", "half"): f"58 % of quota half is used{ENDS}",
    ("SentryQuotaNearlyUsed", "warning", "nearly"): f"99 % of quota nearly is used{ENDS}",
    ("SentryQuotaUsedUp", "warning", "full"): f"120 % of quota full is used{ENDS}",
    ("SentryQuotaAllocationExceeded", "warning", "allotted"): (
        f"120 % of quota allotted is used (team payments){ENDS}"
    ),
    ("SentryQuotaRunsOut", "warning", "runs-out"): (
        f"quota runs-out runs out on 8 January {LAST_WEEK}{ENDS}"
    ),
    ("SentryQuotaRunsOut", "warning", "of-team"): (
        f"quota of-team runs out on 8 January {LAST_WEEK} (team payments){ENDS}"
    ),
    ("SentryQuotaBurningFast", "warning", "burning"): (
        "quota burning is used much faster than usual, and runs out on 4 January at the pace of"
        " the last 24 hours"
    ),
    ("SentryQuotaBudgetSpent", "critical"): (
        "the pay-as-you-go budget (300.00 USD) was spent on 1 January, Sentry drops what exceeds"
        " the limits"
    ),
    ("SentryQuotaBudgetRunsOut", "warning"): (
        f"the pay-as-you-go budget (45.90 USD) will be spent on 20 January {LAST_WEEK}, and drops"
        " begin"
    ),
    ("SentryQuotaBudgetRunsOut", "warning", "logs"): (
        "the pay-as-you-go budget of quota logs (20.00 USD) will be spent on 20 January"
        f" {LAST_WEEK}, and drops begin"
    ),
    ("SentryQuotaPlanDisagrees", "warning", "differs"): (
        "the plan and Sentry's stats differ by 11.0 % for quota differs"
    ),
}
"""The summary of each alert, by name, severity and quota, without the organization."""


def world(organization: str, *quotas: Any, **settings: Any) -> QuotaWorld:
    """Return an organization whose quotas have 100 an hour."""
    queries = (outcomes(), QUERY)
    given = {"organization": organization, "quotas": quotas, **settings}
    return QuotaWorld((), LENGTH, STEP, queries, turn=TURN, **given)


def of(name: str, limit: float, week: float = 0, day: float = 0, **settings: Any) -> Any:
    """Return a quota of which 600 are used after six hours."""
    return quota(name, limit, steady(100), week=steady(week), day=steady(day), **settings)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, ...], Texts]:
    """Return the texts of all alerts, by name, severity, organization and quota."""
    spent = Money(steady(300), steady(299.98), steady(5 * HOUR))
    going = Money(steady(45.9), steady(4), steady(19 * DAY + HOUR))
    own = Money(steady(20), steady(4), steady(19 * DAY), quota="logs")
    worlds = [
        world(
            "acme",
            of("half", 600 / 0.58),
            of("nearly", 601),
            of("full", 500),
            of("allotted", 500, team="payments"),
            of("runs-out", 18_000, week=100),
            of("of-team", 18_000, week=100, team="payments"),
            of("burning", 18_000, week=10, day=200),
            of("differs", 18_000, disagreement=steady(-66)),
            money=[spent],
        ),
        world("going", of("spans", 18_000), money=[going, own]),
        world(quoted(ODD), of(quoted(ODD), 500)),
    ]
    names = {name for name, *_ in SUMMARIES}
    folder = tmp_path_factory.mktemp("texts")
    return texts_of(worlds, LENGTH, sorted(names), folder, GROUPS)


@pytest.mark.parametrize("key", SUMMARIES, ids=str)
def test_summaries(texts: Mapping[tuple[str, ...], Texts], key: tuple[str, ...]) -> None:
    """The share or the day, the team, and the last day of the period."""
    name, severity, *of_quota = key
    organization = "going" if name == "SentryQuotaBudgetRunsOut" else "acme"

    assert (
        f"{organization}: {SUMMARIES[key]}"
        == (texts[name, severity, organization, *of_quota]["summary"])
    )


def test_links(texts: Mapping[tuple[str, ...], Texts]) -> None:
    """They lead to the runbook, the dashboard of the quota for a month, and Sentry's page."""
    text = texts["SentryQuotaRunsOut", "warning", "acme", "runs-out"]

    assert f"{RUNBOOKS}#sentryquotarunsout" == text["runbook_url"]
    assert (
        f"{GRAFANA}/sentry-stats-quotas?var-organization=acme&var-quota=runs-out"
        "&from=now-30d&to=now"
    ) == text["dashboard_url"]
    assert f"{SENTRY}/acme/stats/?statsPeriod=30d" == text["sentry_url"]


def test_links_of_a_budget(texts: Mapping[tuple[str, ...], Texts]) -> None:
    """The budget of all quotas has the dashboard of the organization."""
    text = texts["SentryQuotaBudgetSpent", "critical", "acme"]

    assert (
        f"{GRAFANA}/sentry-stats-quotas?var-organization=acme&from=now-30d&to=now"
        == text["dashboard_url"]
    )


def test_survive_any_name(texts: Mapping[tuple[str, ...], Texts]) -> None:
    """A name may have quotes, backslashes, and what is special in templates or links."""
    text = texts["SentryQuotaUsedUp", "warning", ODD, ODD]

    assert f"{ODD}: 120 % of quota {ODD} is used{ENDS}" == text["summary"]
    assert text["dashboard_url"].startswith(
        f"{GRAFANA}/sentry-stats-quotas?var-organization={ODD_IN_LINKS}&var-quota={ODD_IN_LINKS}&"
    )
