"""When alerts about data fire and end, in a day and a half of many organizations.

All organizations are evaluated in one run.
"""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.deploy.incident_days import (
    END,
    FLAPPING,
    FOREVER,
    LENGTH,
    OUTAGE,
    REMOVED,
    RISE,
    START,
    disturbed,
    everything,
)
from tests.deploy.rule_timeline import Expected, Timeline, observe, unmet
from tests.deploy.rule_world import HOUR, MINUTE

pytestmark = pytest.mark.slow

WARNING_BY: Final = 20 * MINUTE
CRITICAL_BY: Final = 35 * MINUTE
SILENT_BY: Final = 90 * MINUTE
FILTERED_BY: Final = 100 * MINUTE

LOSS_ENDS: Final = (END + 2 * HOUR, END + 3 * HOUR)
SILENCE_ENDS: Final = (END + 30 * MINUTE, END + 2 * HOUR)
FLAPPING_ENDS: Final = (END + HOUR, END + 3 * HOUR)
NEVER: Final = (LENGTH + MINUTE, FOREVER)


ALERT_OF: Final[Mapping[str, str]] = {
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
TWO_SEVERITIES: Final = {"quota", "key", "abuse", "cardinality", "invalid"}


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    """Return the alerts of all organizations."""
    return observe(everything(), tmp_path_factory.mktemp("days"))


def on(name: str, severity: str = "warning", project: str = "", **more: str) -> dict[str, str]:
    """Return the labels of an alert about errors."""
    labels = {"alertname": name, "severity": severity, "category": "error", **more}
    return {**labels, **({"project": project} if project else {})}


def losses(
    name: str, after: float, by: tuple[float, float], ends: tuple[float, float]
) -> list[Expected]:
    """Return the alerts when everything of an organization with one project is lost."""
    return [
        Expected(on(name, severity, project), after, after + within_time, ends)
        for severity, within_time in zip(("warning", "critical"), by, strict=True)
        for project in ("", "web")
    ]


def expected_of_causes() -> list[Expected]:
    """Return the alerts of the organization of the causes."""
    expected = []
    for project, name in ALERT_OF.items():
        labels = {"alertname": name, "project": project}
        if name == "SentryProjectSilent":
            labels |= {"severity": "critical"}
            expected.append(Expected(labels, START, START + SILENT_BY, SILENCE_ENDS))
            continue
        labels |= {"category": "error", "severity": "warning"}
        slow = {"filter": FILTERED_BY, "discards": CRITICAL_BY}
        by = START + slow.get(project, WARNING_BY)
        expected.append(Expected(labels, START, by, LOSS_ENDS))
        if project in TWO_SEVERITIES:
            critical = {**labels, "severity": "critical"}
            expected.append(Expected(critical, START, START + CRITICAL_BY, LOSS_ENDS))
    return expected


SOON: Final = (WARNING_BY, CRITICAL_BY)


class TestCauses:
    """Where nothing is accepted any more, exactly the alert of its cause fires, once."""

    @pytest.mark.parametrize("disturbance", disturbed())
    def test_each_has_its_alert(self, timeline: Timeline, disturbance: str) -> None:
        """It fires in time and ends when the cause does, whatever happens to the exporter."""
        firings = [firing for firing in timeline.of(disturbance) if "query" not in firing.labels]

        assert [] == unmet(expected_of_causes(), firings)

    @pytest.mark.parametrize("organization", ["nobody", "nobody-late", "nobody-twice"])
    def test_accepting_from_nobody(self, timeline: Timeline, organization: str) -> None:
        """If all projects are silent at once, one alert says so instead of one for each.

        Events of earlier hours that Sentry counts late do not change that.
        """
        labels = on("SentryAcceptsNothing", "critical")
        expected = [Expected(labels, START, START + SILENT_BY, SILENCE_ENDS)]

        assert [] == unmet(expected, timeline.of(organization))


class TestLosses:
    """Shares that are lost."""

    def test_before_the_exporter_was_installed(self, timeline: Timeline) -> None:
        """Where nothing was ever accepted, or a loss had begun before."""
        nothing = losses("SentryEventsRateLimited", 0, (HOUR, HOUR), NEVER)
        begun = losses("SentryQuotaExceeded", START + HOUR, (HOUR, HOUR), LOSS_ENDS)

        assert [] == unmet(nothing, timeline.of("nothing-ever"))
        assert [] == unmet(begun, timeline.of("new-exporter"))

    def test_held_back_by_the_clients_of_a_small_project(self, timeline: Timeline) -> None:
        """What SDKs hold back counts as lost for the reason for which Sentry refuses the others."""
        name, six_hours = "SentryQuotaExceeded", 6 * HOUR
        expected = [
            Expected(on(name, severity, "small"), START, START + six_hours, NEVER)
            for severity in ("warning", "critical")
        ]

        assert [] == unmet(expected, timeline.of("held-back"))

    def test_of_a_new_project(self, timeline: Timeline) -> None:
        """90 % of a project is invalid from its first hour on."""
        name = "SentryInvalidUp"
        expected = [
            Expected(on(name, "warning", "new"), START, START + WARNING_BY, NEVER),
            Expected(on(name, "critical", "new"), START, START + CRITICAL_BY, NEVER),
        ]

        assert [] == unmet(expected, timeline.of("new-project"))

    @pytest.mark.parametrize(
        ("organization", "severities"), [("around", ["warning"]), ("half", ["warning", "critical"])]
    )
    def test_alternating_shares_are_one_incident(
        self, timeline: Timeline, organization: str, severities: list[str]
    ) -> None:
        """6 % and 4 % hour by hour for a day, or 55 % and 1 %: at most two changes a day."""
        begun, over = 3 * HOUR, 27 * HOUR
        expected = [
            Expected(on("SentryEventsRateLimited", severity, project), begun, begun + HOUR, ends)
            for severity in severities
            for project in ("", "web")
            for ends in [(over, over + 3 * HOUR)]
        ]

        assert [] == unmet(expected, timeline.of(organization))

    def test_flapping_projects_are_one_incident_each(self, timeline: Timeline) -> None:
        """Shares and silence that cross their threshold hour by hour begin and end once."""
        silent = {"alertname": "SentryProjectSilent", "severity": "critical", "project": "silent"}
        expected = [Expected(silent, START, START + SILENT_BY, SILENCE_ENDS)]
        for project in FLAPPING:
            labels = on(ALERT_OF[project], project=project)
            expected.append(Expected(labels, START, START + FILTERED_BY, FLAPPING_ENDS))

        assert [] == unmet(expected, timeline.of("flapping"))

    @pytest.mark.parametrize("organization", ["sampled", "sampled-without-reason"])
    def test_sampling_is_none(self, timeline: Timeline, organization: str) -> None:
        """30 % and 70 % of the transactions are sampled away."""
        assert [] == timeline.of(organization)


class TestUnknown:
    """What fires while nothing is known about new data."""

    @pytest.mark.parametrize("organization", ["no-polls", "no-scrapes"])
    def test_goes_on(self, timeline: Timeline, organization: str) -> None:
        """A loss that ended while nothing was known ends afterwards, and only once."""
        ends = (OUTAGE[1] + 2 * HOUR, OUTAGE[1] + 3 * HOUR)
        expected = losses("SentryQuotaExceeded", 3 * HOUR, SOON, ends)
        firings = [one for one in timeline.of(organization) if "query" not in one.labels]

        assert [] == unmet(expected, firings)

    def test_ends_with_the_organization(self, timeline: Timeline) -> None:
        """Alerts of an organization that is not configured any more end."""
        expected = losses(
            "SentryQuotaExceeded", 3 * HOUR, SOON, (REMOVED, REMOVED + 3 * HOUR + 30 * MINUTE)
        )

        assert [] == unmet(expected, timeline.of("removed"))


class TestRises:
    """Volumes far above the usual."""

    @pytest.mark.parametrize("organization", ["times-twelve", "times-twelve-restarts"])
    def test_for_an_hour(self, timeline: Timeline, organization: str) -> None:
        """Twelve times a project's volume across two buckets, within 30 minutes."""
        name, ends = "SentryVolumeFarAboveUsual", (RISE + HOUR, RISE + 4 * HOUR)
        expected = [
            Expected(on(name, project="checkout"), RISE, RISE + 30 * MINUTE, ends),
            Expected(on(name), RISE, RISE + 65 * MINUTE, ends),
        ]

        assert [] == unmet(expected, timeline.of(organization))

    @pytest.mark.parametrize(
        ("organization", "project"),
        [("floods", "new"), ("times-three", "shop"), ("flapping-volume", "shop")],
    )
    def test_against_the_organization(
        self, timeline: Timeline, organization: str, project: str
    ) -> None:
        """A new project that floods, and one that grows more than three times, at any time."""
        name = "SentryVolumeFarAboveUsual"
        expected = [Expected(on(name, project=project), START, RISE + 65 * MINUTE, (0, FOREVER))]

        assert [] == unmet(expected, timeline.of(organization))

    def test_not_after_an_outage(self, timeline: Timeline) -> None:
        """What was missed in 22 hours is no growth."""
        assert [] == [one for one in timeline.of("caught-up") if "query" not in one.labels]


class TestTogether:
    """What is the same for all."""

    def test_prometheus_adds_no_label(self, timeline: Timeline) -> None:
        """Two Prometheus send the same alert: no label of a scrape is in it."""
        of_data = {"alertname", "severity", "organization", "category", "project", "team"}
        names = {
            name
            for firing in timeline.firings
            if not firing.labels["alertname"].startswith("SentryStats")
            for name in firing.labels
        }

        assert names <= of_data
