"""When alerts about data fire and end over two weeks, and how few fire without a reason."""

from collections.abc import Sequence
from typing import Final

import pytest

from tests.deploy import quiet_month
from tests.deploy.rule_timeline import Expected, Timeline, observe, unmet
from tests.deploy.rule_world import DAY, HOUR, MINUTE, Flow, Span, World, during, steady, within

pytestmark = pytest.mark.slow

DAYS: Final = 15
LENGTH: Final = DAYS * DAY
NEVER: Final = (LENGTH + MINUTE, 10**9)
FOREVER: Final = 10**9

SILENCE: Final[Span] = (5 * DAY, 13 * DAY)
LIMITED: Final[Span] = (2 * DAY, 11 * DAY)
INVALID: Final = 7 * DAY + 9 * HOUR
OFFICE_SILENT: Final = 12 * DAY + 9 * HOUR
"""A Tuesday: day 0 is a Thursday."""

HOLIDAY: Final = 13
"""A Wednesday."""

PARTS: Final = 20
"""Of the projects of the quiet month, one in so many is in this test."""

MAX_A_WEEK: Final = 2
"""Notifications that nobody needs."""


def office(time: float) -> float:
    """Return the rate of a project that sends on working days only."""
    weekday, hour = int(time // DAY + quiet_month.FIRST_DAY) % 7, time % DAY / HOUR
    return 300 if weekday < 5 and 8 <= hour < 18 else 0


def lasting() -> Sequence[Flow]:
    """Return the flows of an organization whose incidents last longer than a week."""
    return [
        Flow("web", steady(10_000)),
        Flow("api", during([SILENCE], 0, 400)),
        Flow("limited", during([LIMITED], 900, 1000)),
        Flow("limited", during([LIMITED], 100, 0), "rate_limited", "key_quota"),
        Flow("office", during([(OFFICE_SILENT, FOREVER)], 0, office)),
        Flow("ios", steady(800)),
        Flow("ios", during([(INVALID, FOREVER)], 100, 8), "invalid", "cors"),
        Flow("always", steady(800)),
        Flow("always", steady(100), "invalid", "cors"),
        Flow("always", steady(300), "client_discard", "before_send"),
    ]


TINY_SILENT: Final = 8 * DAY
"""What is sent in a day is judged after a week, in which there was a weekend."""

BRIEF: Final[Span] = (30 * HOUR, 57 * HOUR)
"""In the first week of the exporter; Saturday begins at 48 h."""


def first_week() -> Sequence[Flow]:
    """Return the flows of an organization whose clients are silent, or only seem to be."""
    lasting = [(BRIEF[0], FOREVER)]
    return [
        Flow("web", steady(3000)),
        Flow("api", steady(400)),
        Flow("hundred", during([BRIEF], 0, 100)),
        Flow("large", during([BRIEF], 3, 50_000)),
        Flow("tiny", during([(TINY_SILENT, FOREVER)], 0, 20 / 24)),
        Flow("office", office),
        # Only one category of the project is silent.
        Flow("app", during([BRIEF], 0, 200)),
        Flow("app", steady(50), category="replay"),
        # Sentry counts spans instead of transactions.
        Flow("old", during(lasting, 0, 500), category="transaction"),
        Flow("old", steady(500), category="span"),
    ]


def retired() -> Sequence[Flow]:
    """Return the flows of an organization whose Sentry counts spans instead of transactions."""
    return [
        flow
        for project in ("web", "api", "ios")
        for flow in (
            Flow(project, during([(BRIEF[0], FOREVER)], 0, 500), category="transaction"),
            Flow(project, during([(BRIEF[0], FOREVER)], 500, 0), category="span"),
        )
    ]


def small(rate: float) -> Sequence[Flow]:
    """Return the flows of an organization of whose little data nothing is accepted any more."""
    spans = [(BRIEF[0], FOREVER)]
    refused = during(spans, rate, 0)
    return [
        Flow("web", during(spans, 0, rate)),
        Flow("web", refused, "rate_limited", "error_usage_exceeded"),
    ]


def closed(time: float) -> float:
    """Return the rate of a project of an office that is closed on the holiday."""
    return 0 if within(time, [(HOLIDAY * DAY, (HOLIDAY + 1) * DAY)]) else office(time)


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    """Return the alerts of all organizations."""
    offices = [Flow(project, closed) for project in ("london", "paris", "rome", "berlin")]
    worlds = [
        World(flows, LENGTH, step=quiet_month.STEP, organization=name)
        for name, flows in (
            ("lasting", lasting()),
            ("offices", offices),
            ("first-week", first_week()),
            ("retired", retired()),
            ("month", small(68)),
            ("tiny", small(20 / 24)),
        )
    ]
    quiet = list(quiet_month.series(0, PARTS, DAYS, HOLIDAY))
    worlds.append(quiet_month.organization(DAYS))
    return observe(worlds, tmp_path_factory.mktemp("weeks"), quiet)


def test_goes_on_while_it_lasts(timeline: Timeline) -> None:
    """A loss or silence of more than a week does not become usual, and ends once, when it is over.

    A silent office is silent at night, too. What has always been invalid or discarded is no alert.
    """
    start, end = SILENCE
    api = {"alertname": "SentryProjectSilent", "severity": "critical", "project": "api"}
    limited = {"alertname": "SentryEventsRateLimited", "severity": "warning", "category": "error"}
    limits = (LIMITED[1] + 2 * HOUR, LIMITED[1] + 3 * HOUR)
    invalid = {"alertname": "SentryInvalidUp", "severity": "warning", "category": "error"}
    expected = [
        Expected(api, start, start + 90 * MINUTE, (end + 30 * MINUTE, end + 2 * HOUR)),
        Expected({**limited, "project": "limited"}, LIMITED[0], LIMITED[0] + 30 * MINUTE, limits),
        Expected({**api, "project": "office"}, OFFICE_SILENT, OFFICE_SILENT + 90 * MINUTE, NEVER),
        Expected({**invalid, "project": "ios"}, INVALID, INVALID + 9 * HOUR, NEVER),
    ]

    assert [] == unmet(expected, timeline.of("lasting"))


def test_silence_in_the_first_week(timeline: Timeline) -> None:
    """Within 90 minutes for 100 an hour; once, and until it is over. A day for 20 a day, later.

    Nothing fires for a project that is silent at night and on its first Saturday, nor for a
    category that Sentry counts as another one.
    """
    start, end = BRIEF
    by, ends = start + 90 * MINUTE, (end + 30 * MINUTE, end + 2 * HOUR)
    silent = {"alertname": "SentryProjectSilent", "severity": "critical"}
    tiny = {**silent, "severity": "warning", "project": "tiny"}
    category = {"alertname": "SentryCategorySilent", "severity": "warning"}
    expected = [
        Expected({**silent, "project": "hundred"}, start, by, ends),
        Expected({**silent, "project": "large"}, start, by, ends),
        Expected({**category, "project": "app", "category": "error"}, start, by, ends),
        Expected(tiny, TINY_SILENT, TINY_SILENT + 26 * HOUR, NEVER),
    ]

    assert [] == unmet(expected, timeline.of("first-week"))


def test_a_retired_category_is_no_silence(timeline: Timeline) -> None:
    """All projects of an organization send spans instead of transactions."""
    assert [] == timeline.of("retired")


@pytest.mark.parametrize(("organization", "within_hours"), [("month", 1), ("tiny", 24)])
def test_loss_of_small_volumes(timeline: Timeline, organization: str, within_hours: int) -> None:
    """68 an hour within an hour, 20 a day within a day; it is not called silence."""
    labels = {"alertname": "SentryQuotaExceeded", "category": "error"}
    by = BRIEF[0] + within_hours * HOUR
    expected = [
        Expected({**labels, "severity": severity, **place}, BRIEF[0], by, NEVER)
        for severity in ("warning", "critical")
        for place in ({}, {"project": "web"})
    ]

    assert [] == unmet(expected, timeline.of(organization))


def test_weekends_are_no_silence(timeline: Timeline) -> None:
    """All projects of an organization are closed at night and at the weekend.

    If all are closed on a holiday, that is one alert: they may be broken as well.
    """
    labels = {"alertname": "SentryAcceptsNothing", "severity": "critical", "category": "error"}
    start, end = HOLIDAY * DAY, (HOLIDAY + 1) * DAY
    expected = [Expected(labels, start, end, (start, end + 12 * HOUR))]

    assert [] == unmet(expected, timeline.of("offices"))


def test_a_quiet_fortnight_is_quiet(timeline: Timeline) -> None:
    """At most two alerts a week begin in noise, bursts, weekends and a holiday."""
    firings = timeline.of(quiet_month.NAME)

    assert all(count <= MAX_A_WEEK for count in quiet_month.weekly(firings).values()), "\n".join(
        map(str, firings)
    )
