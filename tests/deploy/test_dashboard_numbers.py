"""The numbers of the dashboards on a real Prometheus, compared with Sentry's rows, to the event."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.grafana.generator.expressions import RECORDED
from exporter.categories import Unit, unit_of
from tests.deploy.dashboard_kinds import VOLUMES, Kind, everything, refused, submitted
from tests.deploy.dashboard_rules import record_hours
from tests.deploy.dashboard_world import (
    END,
    HOUR,
    HOURS,
    SCRAPE_INTERVAL,
    START,
    Day,
    run_day,
)
from tests.deploy.dashboards import (
    DASHBOARDS,
    NAMES,
    SHOWN,
    Choices,
    Shown,
    Times,
    answer,
    chosen,
    numbers,
    panels,
    targets,
)
from tests.support.prometheus import Prometheus, import_pages
from tests.support.prometheus import prometheus as running

pytestmark = [pytest.mark.slow, pytest.mark.programs]

TIMES: Final = Times(END - SCRAPE_INTERVAL, END - START, SCRAPE_INTERVAL)
DATA: Final = ("overview", "organization", "project")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of Prometheus."""
    return tmp_path_factory.mktemp("dashboards")


@pytest.fixture(scope="module")
def world(folder: Path) -> Day:
    """Return the simulated data of the day, which is in Prometheus's database."""
    day = run_day(folder)
    record_hours(folder, START, END)
    return day


@pytest.fixture(scope="module")
def prometheus(world: Day, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped and recorded all day."""
    with running(folder) as started:
        yield started


@pytest.fixture(scope="module")
def choices(prometheus: Prometheus) -> Mapping[str, Choices]:
    """Return the values of each dashboard's variables."""
    return {name: chosen(prometheus, name, TIMES, {"organization": "acme"}) for name in NAMES}


BARS: Final[Mapping[str, tuple[tuple[str, ...], Kind]]] = {
    "What became of it, by hour?": (("outcome",), everything),
    "What was dropped, and why?": (("outcome", "reason"), refused),
    "What did your filters and sampling rules drop?": (("reason",), VOLUMES["Filtered"]),
    "What did clients discard, and why?": (("reason",), VOLUMES["Discarded by clients"]),
    "Which organizations sent the most?": (("organization",), submitted),
    "Which projects sent the most?": (("project",), submitted),
    "Which projects lost the most?": (("project",), refused),
}


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
    *,
    category: Sequence[str] | None = ("error",),
    hours: Sequence[int] = HOURS,
) -> dict[tuple[str, ...], float]:
    """Return the expected sums: all organizations for the overview, acme for the others."""
    added: dict[tuple[str, ...], float] = {}
    for organization in ("acme", "globex") if name == "overview" else ("acme",):
        apart = [label for label in by if label != "organization"]
        sums_of_one = world.finished(organization, apart, hours, category=category, kind=kind)
        for labels, value in sums_of_one.items():
            key = (organization,) if list(by) == ["organization"] else labels
            added[key] = added.get(key, 0) + value
    return added


def of_first_unit(name: str, title: str, column: str = "") -> Shown:
    """Return the target that counts events."""
    return next(
        one for one in targets(name, title) if not column or one.target["legendFormat"] == column
    )


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: "-".join(shown.key))
def test_expression(shown: Shown, prometheus: Prometheus, choices: Mapping[str, Choices]) -> None:
    """Every expression parses; two replicas add nothing, or sums below would be wrong."""
    assert isinstance(answer(prometheus, shown, choices[shown.dashboard], TIMES), list)


@pytest.mark.parametrize("name", NAMES)
def test_annotation(name: str, prometheus: Prometheus, choices: Mapping[str, Choices]) -> None:
    """The expression of the annotations parses; no alert fires here."""
    (annotation,) = DASHBOARDS[name]["annotations"]["list"]
    panel = {"interval": None, "gridPos": {"w": 24}}
    shown = Shown(name, panel, {"expr": annotation["expr"], "instant": False})

    assert [] == answer(prometheus, shown, choices[name], TIMES)


def test_recorded_hours(world: Day, prometheus: Prometheus) -> None:
    """The rule records every hour of every project once, as the gauges showed it last."""
    by = ("project", "category", "outcome", "reason")
    for hour in HOURS:
        expected = {
            key: value / (1000 if unit_of(key[1]) is Unit.SECONDS else 1)
            for key, value in _by_reason(world, hour).items()
        }
        vector = prometheus.instant(
            f'{RECORDED}{{organization="acme"}}[5m]', hour + 2 * HOUR - 0.001
        )
        samples = [
            (tuple(series["metric"].get(label, "") for label in by), float(value))
            for series in vector
            for _, value in series["values"]
        ]

        assert pytest.approx(expected) == dict(samples)
        assert len(expected) == len(samples)


def _by_reason(world: Day, hour: int) -> dict[tuple[str, ...], float]:
    """Return acme's bucket by project, category, outcome and reason."""
    values: dict[tuple[str, ...], float] = {}
    pairs: set[tuple[str, str]] = set()

    def noted(outcome: str, reason: str) -> bool:
        pairs.add((outcome, reason))
        return True

    world.finished("acme", ("project", "category"), [hour], kind=noted)
    for pair in pairs:
        kind = _only(pair)
        of_pair = world.finished("acme", ("project", "category"), [hour], kind=kind)
        values.update({(*labels, *pair): value for labels, value in of_pair.items()})
    return values


def _only(pair: tuple[str, str]) -> Kind:
    return lambda outcome, reason: (outcome, reason) == pair


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("title", VOLUMES)
def test_volumes(
    name: str, title: str, world: Day, prometheus: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """The numbers at the top are the sums of Sentry's rows."""
    expected = truth(world, name, (), VOLUMES[title])
    shown = of_first_unit(name, title)

    assert expected
    assert expected == sums(answer(prometheus, shown, choices[name], TIMES), ())


@pytest.mark.parametrize(
    ("name", "title", "label"),
    [
        (
            "overview",
            "What did each organization send and lose, and is its data fresh and complete?",
            "organization",
        ),
        ("organization", "What did each project send and lose?", "project"),
        ("project", "What did each project send and lose?", "project"),
    ],
)
def test_tables_add_up(
    name: str,
    title: str,
    label: str,
    world: Day,
    prometheus: Prometheus,
    choices: Mapping[str, Choices],
) -> None:
    """The tables have the sums of every project, including deleted ones, or organization."""
    for column, kind in VOLUMES.items():
        expected = truth(world, name, (label,), kind)
        shown = of_first_unit(name, title, column)

        assert expected
        assert expected == sums(answer(prometheus, shown, choices[name], TIMES), (label,))


@pytest.mark.parametrize(
    "shown",
    [one for name in DATA for one in targets(name, *BARS) if one.target["refId"] == "A"],
    ids=lambda shown: "-".join(shown.key[:2]),
)
def test_bars(
    shown: Shown, world: Day, prometheus: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """A bar stands at the hour that it counts, and equals it."""
    by, kind = BARS[shown.title]
    expected = {
        (*(label or "no project" for label in labels), hour): value
        for hour in HOURS
        for labels, value in truth(world, shown.dashboard, by, kind, hours=[hour]).items()
    }
    actual = {
        (*(series["metric"].get(label, "") for label in by), at): float(value)
        for series in answer(prometheus, shown, choices[shown.dashboard], TIMES)
        for at, value in series["values"]
        if START <= at
    }
    if by == ("project",):
        # The remainder is always shown: as one of the ten largest, or in addition to them.
        assert len({project for project, _ in actual} | {"no project"}) in {10, 11}
        expected = {key: value for key, value in expected.items() if key[0] in _names(actual)}

    assert expected
    assert expected == actual


def _names(actual: Mapping[tuple[Any, ...], float]) -> set[str]:
    return {key[0] for key in actual}


@pytest.mark.parametrize("name", DATA)
def test_days(
    name: str, world: Day, prometheus: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """A bar of the last 30 days is the sum of a day in UTC."""
    shown = of_first_unit(name, "The last 30 days, by day")
    expected = truth(world, name, ("outcome",), everything)
    actual = {
        (series["metric"]["outcome"],): float(value)
        for series in answer(prometheus, shown, choices[name], TIMES)
        for at, value in series["values"]
        if at == START
    }

    assert expected == actual


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("unit", list(Unit))
def test_categories(
    name: str, unit: Unit, world: Day, prometheus: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """Each category is in the table of its unit, and in no other."""
    kind = {"events": "events", "bytes": "bytes", "seconds": "time"}[unit]
    title = f"What was accepted and dropped in categories counted in {kind}?"
    for column in ("Accepted", "Dropped"):
        shown = of_first_unit(name, title, column)
        expected = {
            labels: value / (1000 if unit is Unit.SECONDS else 1)
            for labels, value in truth(
                world, name, ("category",), VOLUMES[column], category=None
            ).items()
            if unit_of(labels[0]) is unit
        }

        assert pytest.approx(expected) == sums(
            answer(prometheus, shown, choices[name], TIMES), ("category",)
        )


@pytest.mark.parametrize(
    ("category", "letter"), [("attachment", "B"), ("log_byte", "B"), ("profile_duration", "C")]
)
@pytest.mark.parametrize("name", DATA)
def test_every_unit_can_be_chosen(
    name: str, category: str, letter: str, prometheus: Prometheus, choices: Mapping[str, Choices]
) -> None:
    """For a category in bytes or seconds, the target of its unit has the data, and no other."""
    values = {**choices[name], "category": category}
    by_letter = {
        shown.target["refId"]: answer(prometheus, shown, values, TIMES)
        for shown in targets(name, "Accepted")
    }
    offered = chosen(prometheus, name, TIMES, {**choices[name], "category": category})

    assert category == offered["category"]
    assert {letter} == {each for each, vector in by_letter.items() if vector}


def test_one_project(world: Day, prometheus: Prometheus, choices: Mapping[str, Choices]) -> None:
    """With one project chosen, the project dashboard shows only that project."""
    values = {**choices["project"], "project": "checkout"}
    projects = truth(world, "project", ("project",), submitted)
    shown = of_first_unit("project", "Submitted")

    assert {(): projects["checkout",]} == sums(answer(prometheus, shown, values, TIMES), ())


LATER: Final = {
    "Which projects differ most from last week?",
    "Which categories differ from last week?",
    "Who fell silent?",
    "When was spike protection active, by project?",
    "Where did spike protection drop data?",
    "What is being dropped right now, and why?",
    "How did the last periods end?",
    "How were the last periods used?",
    "When was data dropped because a quota was used up, by category?",
    "When was data dropped because a quota was used up, by project?",
    "Which projects lost most because a quota was used up?",
    "Which teams lost most because a quota was used up?",
    "Next gone, last week's pace",
    "Next gone, the pace of 24 hours",
    "Quotas used up",
    "Share dropped",
    "Dropped",
    "What was dropped, and why?",
    "Which projects lost the most?",
}
"""Panels that may be empty in the first minutes: nothing need have been dropped in one hour, and
half a year has a point every six hours."""


@pytest.mark.parametrize("name", [*DATA, "quotas"])
def test_first_minutes(name: str, prometheus: Prometheus, choices: Mapping[str, Choices]) -> None:
    """Twelve minutes after the exporter has started, all panels but those of losses have data."""
    early = Times(START + 12 * 60, END - START, SCRAPE_INTERVAL)
    empty = {
        panel["title"]
        for panel in panels(name)
        if not any(
            answer(prometheus, Shown(name, panel, target), choices[name], early)
            for target in panel["targets"]
        )
    }

    assert set() == empty - LATER


def test_an_old_bucket_is_not_drawn_as_a_newer_one(tmp_path: Path) -> None:
    """While polls fail, the gauges show an old bucket, which has one bar at its own hour."""
    labels = 'organization="acme",query="outcomes"'
    page = (
        f'sentry_stats_bucket_events{{{labels},category="error",outcome="accepted"}} 5\n'
        f"sentry_stats_bucket_start_timestamp_seconds{{{labels}}} {START}\n"
    )
    failing = range(START + HOUR + 600, START + 4 * HOUR, SCRAPE_INTERVAL)
    import_pages(tmp_path, ((moment, page) for moment in failing))
    values = {
        "job": ".+",
        "instance": ".+",
        "organization": "acme",
        "query": "outcomes",
        "category": "error",
    }
    shown = of_first_unit("organization", "What became of it, by hour?")
    with running(tmp_path) as server:
        (series,) = answer(server, shown, values, Times(START + 5 * HOUR, 6 * HOUR, 240))

    assert [[START, "5"]] == series["values"]
