"""Every expression of the dashboards on a real Prometheus, and every sum against Sentry's rows."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.dashboard_world import (
    SCRAPE_INTERVAL,
    Day,
    Kind,
    Prometheus,
    lived,
    prometheus_of,
)
from tests.deploy.dashboards import DASHBOARDS, NAMES, SHOWN, Shown, asked, chosen, numbers

Choices = Mapping[str, Mapping[str, str]]

MAY_BE_EMPTY: Final = {
    ("organization", "Accepted, against the week before", "a week before"): "no week of history",
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Day, Path]:
    """Return the day that was lived through, and the folder of what was scraped."""
    history = tmp_path_factory.mktemp("dashboards") / "history"
    return lived(history), history


@pytest.fixture(scope="module")
def world(day: tuple[Day, Path]) -> Day:
    """Return the truth about the day."""
    return day[0]


@pytest.fixture(scope="module")
def prometheus(day: tuple[Day, Path]) -> Iterator[Prometheus]:
    """Run a Prometheus that scraped all day."""
    with prometheus_of(day[1]) as running:
        yield running


@pytest.fixture(scope="module")
def choices(prometheus: Prometheus) -> Choices:
    """Return the values of each dashboard's variables."""
    return {name: chosen(prometheus, name) for name in NAMES}


@pytest.mark.programs
@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: "-".join(shown.key[:2]))
def test_expression(shown: Shown, prometheus: Prometheus, choices: Choices) -> None:
    """Every expression parses and finds numbers, unless it is said why it may not."""
    found = asked(prometheus, shown, choices[shown.dashboard])

    if shown.key in MAY_BE_EMPTY:
        assert [] == found, "it is no longer empty: take it off the list"
    else:
        assert any(isfinite(value) for series in found for value in numbers(series))


@pytest.mark.programs
@pytest.mark.parametrize("name", NAMES)
def test_annotation(name: str, prometheus: Prometheus) -> None:
    """The expression of the annotations parses; nothing fires in the demo's world."""
    (annotation,) = DASHBOARDS[name]["annotations"]["list"]

    assert [] == prometheus.matrix(annotation["expr"], SCRAPE_INTERVAL)


def held_back(outcome: str, reason: str) -> bool:
    """Tell whether SDKs held it back after a 429."""
    return (outcome, reason) == ("client_discard", "ratelimit_backoff")


def submitted(outcome: str, reason: str) -> bool:
    """Tell whether a client had it for Sentry."""
    return outcome != "client_discard" or held_back(outcome, reason)


def refused(outcome: str, reason: str) -> bool:
    """Tell whether Sentry dropped it, or a client because Sentry had told it to wait."""
    dropped = {"rate_limited", "invalid", "abuse", "cardinality_limited"}
    return outcome in dropped or held_back(outcome, reason)


def everything(_outcome: str, _reason: str) -> bool:
    """Tell that it is meant, whatever it is."""
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
"""Extrapolation may add a scrape interval to the day, and a last scrape is not at its very end."""


def of_dashboard(name: str, *titles: str) -> list[Shown]:
    """Return the expressions of panels, found by title."""
    return [one for one in SHOWN if one.dashboard == name and one.panel["title"] in titles]


def sums(found: Sequence[Mapping[str, Any]], by: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Return the sum of each series, by labels, but for those that are zero."""
    added = {
        tuple(series["metric"].get(label, "") for label in by): sum(numbers(series))
        for series in found
    }
    return {labels: value for labels, value in added.items() if value}


def truth(
    world: Day,
    name: str,
    by: Sequence[str],
    kind: Kind,
    category: Sequence[str] | None = ("error",),
) -> dict[tuple[str, ...], float]:
    """Return what a dashboard should show: the overview all organizations, the others acme."""
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
    """The numbers at the top are those of Sentry's own rows."""
    (shown,) = of_dashboard(name, title)
    expected = truth(world, name, (), VOLUMES[title])

    assert expected
    assert pytest.approx(expected, rel=WITHIN) == sums(asked(prometheus, shown, choices[name]), ())


@pytest.mark.programs
@pytest.mark.parametrize("name", ["organization", "project"])
def test_projects_add_up(name: str, world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """The table of projects has every project's own numbers, those of deleted ones too."""
    for shown in of_dashboard(name, "Projects"):
        title = shown.target["legendFormat"]
        if title in VOLUMES:
            expected = truth(world, name, ("project",), VOLUMES[title])

            assert pytest.approx(expected, rel=WITHIN) == sums(
                asked(prometheus, shown, choices[name]), ("project",)
            )


@pytest.mark.programs
def test_organizations(world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """The overview keeps the organizations apart."""
    for shown in of_dashboard("overview", "Organizations"):
        title = shown.target["legendFormat"]
        if title in VOLUMES:
            expected: dict[tuple[str, ...], float] = {
                (organization,): world.gained(
                    organization, ("category",), category=["error"], kind=VOLUMES[title]
                ).get(("error",), 0)
                for organization in ("acme", "globex")
            }
            told = dict.fromkeys(expected, 0.0)
            told |= sums(asked(prometheus, shown, choices["overview"]), ("organization",))

            assert pytest.approx(expected, rel=WITHIN) == told


@pytest.mark.programs
@pytest.mark.parametrize(
    "shown",
    [one for name in NAMES for one in of_dashboard(name, *BARS)],
    ids=lambda shown: "-".join(shown.key[:2]),
)
def test_bars_add_up(shown: Shown, world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """The hourly bars of a day add up to the day: nothing is lost between them, or shown twice."""
    by, kind = BARS[shown.panel["title"]]
    ranked = sorted(truth(world, shown.dashboard, by, kind).items(), key=lambda pair: -pair[1])
    expected = {
        tuple(label or "no project" for label in labels): value
        for labels, value in (ranked[:10] if by == ("project",) else ranked)
    }

    assert expected
    assert pytest.approx(expected, rel=WITHIN) == sums(
        asked(prometheus, shown, choices[shown.dashboard]), by
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
    """Each category stands with its own unit, and in no panel of another unit."""
    divisor, listed, inside = UNITS[title]
    (shown,) = of_dashboard(name, title)
    expected = {
        labels: value / divisor
        for labels, value in truth(world, name, ("category",), submitted, None).items()
        if (labels[0] in listed) is inside
    }

    assert expected
    assert pytest.approx(expected, rel=WITHIN) == sums(
        asked(prometheus, shown, choices[name]), ("category",)
    )


@pytest.mark.programs
def test_one_project(world: Day, prometheus: Prometheus, choices: Choices) -> None:
    """With one project chosen, the project's dashboard shows that project alone."""
    (shown,) = of_dashboard("project", "Submitted")
    values = {**choices["project"], "project": "checkout"}
    projects = truth(world, "project", ("project",), submitted)

    assert pytest.approx({(): projects["checkout",]}, rel=WITHIN) == sums(
        asked(prometheus, shown, values), ()
    )
