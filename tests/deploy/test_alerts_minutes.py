"""How soon a loss causes an alert, whichever minute of an hour it begins in.

Each minute has two organizations, both evaluated every minute: one that is lost as a whole, and one
in which a project is lost for each cause.
"""

from collections.abc import Sequence
from typing import Final

import pytest

from tests.deploy.rule_timeline import Expected, Timeline, observe, unmet
from tests.deploy.rule_world import HOUR, MINUTE, Flow, World, during, steady

pytestmark = pytest.mark.slow

LENGTH: Final = 220 * MINUTE
MINUTES: Final = (0, 5, 30, 50)
NEVER: Final = (LENGTH + 1, 10**9)
RATE: Final = 1000
ALERT_OF: Final = {
    ("rate_limited", "error_usage_exceeded"): "SentryQuotaExceeded",
    ("rate_limited", "key_quota"): "SentryEventsRateLimited",
    ("rate_limited", "spike_protection"): "SentrySpikeProtectionActive",
    ("abuse", "none"): "SentryAbuseLimited",
    ("invalid", "cors"): "SentryInvalidUp",
}
WITHOUT_CRITICAL: Final = "SentrySpikeProtectionActive"
ENTIRE: Final = ("rate_limited", "error_usage_exceeded")


def start(minute: int) -> float:
    """Return when the losses begin of the organizations for a minute."""
    return 2 * HOUR + minute * MINUTE


def refused(project: str, since: float, outcome: str, reason: str) -> list[Flow]:
    """Return the flows of a project of whose data nothing is accepted from a time on."""
    spans = [(since, NEVER[1])]
    return [
        Flow(project, during(spans, 0, RATE)),
        Flow(project, during(spans, RATE, 0), outcome, reason),
    ]


def worlds(minute: int) -> list[World]:
    """Return the organizations for a minute."""
    since = start(minute)
    flows = [Flow("web", steady(200_000))]
    for outcome, reason in ALERT_OF:
        flows += refused(ALERT_OF[outcome, reason], since, outcome, reason)
    teams = {"SentryQuotaExceeded": "payments"}
    return [
        World(flows, LENGTH, organization=f"one-{minute}", teams=teams),
        World(refused("web", since, *ENTIRE), LENGTH, organization=f"all-{minute}"),
    ]


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    """Return the alerts of all organizations."""
    everything = [world for minute in MINUTES for world in worlds(minute)]
    return observe(everything, tmp_path_factory.mktemp("minutes"))


def both(since: float, name: str, **place: str) -> list[Expected]:
    """Return a warning within 20 minutes, and if there is one, critical within 35."""
    labels = {"alertname": name, "category": "error", **place}
    warning = Expected({**labels, "severity": "warning"}, since, since + 20 * MINUTE, NEVER)
    critical = Expected({**labels, "severity": "critical"}, since, since + 35 * MINUTE, NEVER)
    return [warning] if name == WITHOUT_CRITICAL else [warning, critical]


def expected_of_projects(minute: int) -> Sequence[Expected]:
    """Return the alerts of the organization with a project for each cause."""
    expected = []
    for name in ALERT_OF.values():
        team = {"team": "payments"} if name == "SentryQuotaExceeded" else {}
        expected += both(start(minute), name, project=name, **team)
    return expected


@pytest.mark.parametrize("minute", MINUTES)
def test_of_a_project(timeline: Timeline, minute: int) -> None:
    """Everything of a project is lost: its alert, with its team, and none of the organization."""
    assert [] == unmet(expected_of_projects(minute), timeline.of(f"one-{minute}"))


@pytest.mark.parametrize("minute", MINUTES)
def test_of_an_organization(timeline: Timeline, minute: int) -> None:
    """Everything of an organization is lost: its alert and that of its project."""
    name, since = "SentryQuotaExceeded", start(minute)
    expected = [*both(since, name), *both(since, name, project="web")]

    assert [] == unmet(expected, timeline.of(f"all-{minute}"))
