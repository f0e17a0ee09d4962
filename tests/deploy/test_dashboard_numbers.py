"""Every expression of the dashboards on a real Prometheus; sums are compared with the rows."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.dashboard_world import (
    SCRAPE_INTERVAL,
    Day,
    Kind,
    matrix,
    run_day,
)
from tests.deploy.dashboards import DASHBOARDS, NAMES, SHOWN, Shown, answer, chosen, numbers
from tests.support.prometheus import Prometheus
from tests.support.prometheus import prometheus as running

pytestmark = pytest.mark.slow

Choices = Mapping[str, Mapping[str, str]]

MAY_BE_EMPTY: Final = {
    (
        "organization",
        "Accepted, compared with the week before",
        "a week earlier",
    ): "no week of history",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of Prometheus."""
    return tmp_path_factory.mktemp("dashboards")


@pytest.fixture(scope="module")
def world(folder: Path) -> Day:
    """Return the simulated data of the day, whose pages are in Prometheus's database."""
    return run_day(folder)


@pytest.fixture(scope="module")
def prometheus(world: Day, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped all day."""
    with running(folder) as started:
        yield started


@pytest.fixture(scope="module")
def choices(prometheus: Prometheus) -> Choices:
    """Return the values of each dashboard's variables."""
    return {name: chosen(prometheus, name) for name in NAMES}


@pytest.mark.programs
@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: "-".join(shown.key[:2]))
def test_expression(shown: Shown, prometheus: Prometheus, choices: Choices) -> None:
    """Every expression parses and returns numbers, except those in `MAY_BE_EMPTY`."""
    vectors = answer(prometheus, shown, choices[shown.dashboard])

    if shown.key in MAY_BE_EMPTY:
        assert [] == vectors, "it is no longer empty: remove it from the list"
    else:
        assert any(isfinite(value) for series in vectors for value in numbers(series))


@pytest.mark.programs
@pytest.mark.parametrize("name", NAMES)
def test_annotation(name: str, prometheus: Prometheus) -> None:
    """The expression of the annotations parses; no alert fires in the demo."""
    (annotation,) = DASHBOARDS[name]["annotations"]["list"]

    assert [] == matrix(prometheus, annotation["expr"], SCRAPE_INTERVAL)


def held_back(outcome: str, reason: str) -> bool:
    """Return whether SDKs held the events back after a 429."""
    return (outcome, reason) == ("client_discard", "ratelimit_backoff")


def submitted(outcome: str, reason: str) -> bool:
    """Return whether the events count as submitted."""
    return outcome != "client_discard" or held_back(outcome, reason)


def refused(outcome: str, reason: str) -> bool:
    """Return whether Sentry refused the events, or SDKs held them back after a 429."""
    dropped = {"rate_limited", "invalid", "abuse", "cardinality_limited"}
    return outcome in dropped or held_back(outcome, reason)


def everything(_outcome: str, _reason: str) -> bool:
    """Return true for all events."""
    return True


VOLUMES: Final[Mapping[str, Kind]] = {
    "Submitted": submitted,
    "Accepted": lambda outcome, _: outcome == "accepted",
    "Filtered": lambda outcome, _: outcome == "filtered",
    "Dropped": refused,
    "Discarded by clients": lambda *why: not submitted(*why),
}
UNITS: Final = {
    "Submitted events, by category": (1, {"attachment", "log_byte", "profile_duration"}, False),
    "Submitted bytes, by category": (1, {"attachment", "log_byte"}, True),
    "Profiled time, by category": (1000, {"profile_duration"}, True),
}
BARS: Final[Mapping[str, tuple[tuple[str, ...], Kind]]] = {
    "By outcome": (("outcome",), everything),
    "Not accepted, by reason": (
        ("outcome", "reason"),
        lambda outcome, reason: outcome == "filtered" or refused(outcome, reason),
    ),
    "Discarded by clients, by reason": (("reason",), VOLUMES["Discarded by clients"]),
    "The ten projects that submitted most": (("project",), submitted),
    "The ten that submitted most": (("project",), submitted),
    "The ten that lost most": (("project",), refused),
}
WITHIN: Final = 0.01
"""Extrapolation may add a scrape interval to the day, and the last scrape is before its end."""


def of_dashboard(name: str, *titles: str) -> list[Shown]:
    """Return the expressions of the panels with these titles."""
    return [one for one in SHOWN if one.dashboard == name and one.panel["title"] in titles]


def sums(vectors: Sequence[Mapping[str, Any]], by: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Return the sum of each series, by labels, without those that are zero."""
    added = {
        tuple(series["metric"].get(label, "") for label in by): sum(numbers(series))
        for series in vectors
    }
    return {labels: value for labels, value in added.items() if value}


def truth(
    world: Day,
    name: str,
    by: Sequence[str],
    kind: Kind,
    category: Sequence[str] | None = ("error",),
) -> dict[tuple[str, ...], float]:
    """Return the expected sums: all organizations for the overview, acme for the others."""
    added: dict[tuple[str, ...], float] = {}
    for organization in ("acme", "globex") if name == "overview" else ("acme",):
        for labels, value in world.gained(organization, by, category=category, kind=kind).items():
            added[labels] = added.get(labels, 0) + value
    return added


@pytest.mark.programs
@pytest.mark.parametrize("name", ["overview", "organization", "project"])
@pytest.mark.parametrize("title", VOLUMES)
def test_volumes(
    name: str,
    title: str,
    world: Day,
    prometheus: Prometheus,
    choices: Choices,
) -> None:
    """The numbers at the top equal the sums of Sentry's rows."""
    (shown,) = of_dashboard(name, title)
    expected = truth(world, name, (), VOLUMES[title])

    assert expected
    assert pytest.approx(expected, rel=WITHIN) == sums(answer(prometheus, shown, choices[name]), ())


@pytest.mark.programs
@pytest.mark.parametrize("name", ["organization", "project"])
def test_projects_add_up(name: str, world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """The table of projects has the sums of every project, including deleted ones."""
    for shown in of_dashboard(name, "Projects"):
        title = shown.target["legendFormat"]
        if title in VOLUMES:
            expected = truth(world, name, ("project",), VOLUMES[title])

            assert pytest.approx(expected, rel=WITHIN) == sums(
                answer(prometheus, shown, choices[name]), ("project",)
            )


@pytest.mark.programs
def test_organizations(world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """The overview's table has the sums of each organization."""
    for shown in of_dashboard("overview", "Organizations"):
        title = shown.target["legendFormat"]
        if title in VOLUMES:
            expected: dict[tuple[str, ...], float] = {
                (organization,): world.gained(
                    organization, ("category",), category=["error"], kind=VOLUMES[title]
                ).get(("error",), 0)
                for organization in ("acme", "globex")
            }
            actual = dict.fromkeys(expected, 0.0)
            actual |= sums(answer(prometheus, shown, choices["overview"]), ("organization",))

            assert pytest.approx(expected, rel=WITHIN) == actual


@pytest.mark.programs
@pytest.mark.parametrize(
    "shown",
    [one for name in NAMES for one in of_dashboard(name, *BARS)],
    ids=lambda shown: "-".join(shown.key[:2]),
)
def test_bars_add_up(shown: Shown, world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """The hourly bars add up to the day: no event is missing or counted twice."""
    by, kind = BARS[shown.panel["title"]]
    ranked = sorted(truth(world, shown.dashboard, by, kind).items(), key=lambda pair: -pair[1])
    expected = {
        tuple(label or "no project" for label in labels): value
        for labels, value in (ranked[:10] if by == ("project",) else ranked)
    }

    assert expected
    assert pytest.approx(expected, rel=WITHIN) == sums(
        answer(prometheus, shown, choices[shown.dashboard]), by
    )


@pytest.mark.programs
@pytest.mark.parametrize("name", ["overview", "organization", "project"])
@pytest.mark.parametrize("title", UNITS)
def test_categories(
    name: str,
    title: str,
    world: Day,
    prometheus: Prometheus,
    choices: Choices,
) -> None:
    """Each category is in the panel of its unit, and in no other."""
    divisor, listed, inside = UNITS[title]
    (shown,) = of_dashboard(name, title)
    expected = {
        labels: value / divisor
        for labels, value in truth(world, name, ("category",), submitted, None).items()
        if (labels[0] in listed) is inside
    }

    assert expected
    assert pytest.approx(expected, rel=WITHIN) == sums(
        answer(prometheus, shown, choices[name]), ("category",)
    )


@pytest.mark.programs
def test_one_project(world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """With one project chosen, the project dashboard shows only that project."""
    (shown,) = of_dashboard("project", "Submitted")
    values = {**choices["project"], "project": "checkout"}
    projects = truth(world, "project", ("project",), submitted)

    assert pytest.approx({(): projects["checkout",]}, rel=WITHIN) == sums(
        answer(prometheus, shown, values), ()
    )
