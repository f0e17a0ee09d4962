"""The dashboards with eight days of 200 projects: no panel is empty, and each is drawn.

The pictures are in build/dashboards, one for each row of a dashboard. Look at them after a
change: they say whether a panel tells something. docs/dashboards.png is one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest
from matplotlib.image import imread

from tests.deploy.dashboard_history import DAY, END, ORGANIZATION, SILENT, SPIKING, START
from tests.deploy.dashboard_history import write_history as written
from tests.deploy.dashboard_rules import record_hours
from tests.deploy.dashboards import (
    DASHBOARDS,
    NAMES,
    Choices,
    Document,
    Shown,
    Times,
    answer,
    chosen,
    numbers,
    seconds,
    substituted,
)
from tests.deploy.drawing import Answers, draw, table_rows
from tests.support.programs import REPOSITORY
from tests.support.prometheus import Prometheus
from tests.support.prometheus import prometheus as running

pytestmark = [pytest.mark.slow, pytest.mark.programs]

IN_DOCUMENTS: Final = {("organization", number) for number in (1, 2, 3)}
"""Rows that are drawn into docs.png, and not again: drawing is slow."""

FOLDER: Final = REPOSITORY / "build" / "dashboards"

Row = tuple[str, Sequence[tuple[Document, Answers]]]
"""The title of a row, and its panels with Prometheus's answers."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that has the eight days."""
    folder = tmp_path_factory.mktemp("history")
    written(folder)
    record_hours(folder, START, END)
    with running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def pages(prometheus: Prometheus) -> Mapping[str, Sequence[Row]]:
    """Return the rows of each dashboard with their answers."""
    return {name: list(_rows(prometheus, name)) for name in NAMES}


def _times(name: str) -> Times:
    return Times(END, seconds(DASHBOARDS[name]["time"]["from"].removeprefix("now-")), 300)


def _rows(prometheus: Prometheus, name: str) -> Iterator[Row]:
    times = _times(name)
    values = chosen(prometheus, name, times, {"organization": ORGANIZATION})
    row: list[tuple[Document, Answers]] = []
    title = ""
    for panel in DASHBOARDS[name]["panels"]:
        if panel["type"] != "row":
            row.append((panel, _answers(prometheus, name, panel, values, times)))
            continue
        if row:
            yield title, row
        title, row = substituted(panel["title"], values), []
    yield title, row


def _answers(
    prometheus: Prometheus, name: str, panel: Document, values: Choices, times: Times
) -> Answers:
    return {
        target["refId"]: answer(prometheus, Shown(name, panel, target), values, times)
        for target in panel["targets"]
    }


def table(pages: Mapping[str, Sequence[Row]], name: str, title: str) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    (rows,) = (
        table_rows(panel, answers)[1]
        for _, row in pages[name]
        for panel, answers in row
        if panel["title"] == title
    )
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_is_empty(name: str, pages: Mapping[str, Sequence[Row]]) -> None:
    """With a week of an ordinary organization, every panel has something to show."""
    empty = [
        panel["title"]
        for _, row in pages[name]
        for panel, answers in row
        if not any(answers.values())
    ]

    # The dashboard Project shows seven days, and there are only eight to compare them with.
    assert ["Which projects differ most from last week?"] * (name == "project") == empty


@pytest.mark.parametrize("name", NAMES)
def test_pictures(name: str, pages: Mapping[str, Sequence[Row]]) -> None:
    """Each row of a dashboard is drawn, with something in the frame of every panel."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, (title, row) in enumerate(pages[name], 1):
        if (name, number) in IN_DOCUMENTS:
            continue
        path = FOLDER / f"{name}-{number}.png"
        draw(path, title, row, _times(name))
        image = imread(path)

        assert 0.01 < (image[:, :, :3].min(axis=2) < 0.9).mean()


def test_picture_of_the_documents(pages: Mapping[str, Sequence[Row]]) -> None:
    """The picture in docs/dashboards.md can be drawn, and is small."""
    first, second, third, *_ = pages["organization"]
    path = FOLDER / "docs.png"
    draw(
        path,
        f"Sentry stats: {first[0]}",
        [*first[1], *second[1], *third[1]],
        _times("organization"),
    )
    committed = REPOSITORY / "docs" / "dashboards.png"

    assert imread(committed).shape == imread(path).shape
    assert committed.stat().st_size < 200_000


def test_silent_project(pages: Mapping[str, Sequence[Row]]) -> None:
    """The table of silent projects names the one that fell silent, and no other."""
    rows = table(pages, "organization", "Who fell silent?")

    assert [SILENT] == [row["project"] for row in rows]


def test_spike_protection(pages: Mapping[str, Sequence[Row]]) -> None:
    """The table of spike protection names the projects in which it is active now."""
    rows = table(pages, "organization", "Where did spike protection drop data?")
    now = {row["project"] for row in rows if row.get("This hour so far")}

    assert set(SPIKING[1:]) <= now


def test_difference_from_last_week(pages: Mapping[str, Sequence[Row]]) -> None:
    """The project that fell silent lost most, and the same hours are compared."""
    rows = table(pages, "organization", "Which projects differ most from last week?")
    changes = sorted(row["Change"] for row in rows if "Change" in row)

    assert SILENT in {row["project"] for row in rows[:5]}
    assert abs(changes[len(changes) // 2]) < 0.05


def test_teams(pages: Mapping[str, Sequence[Row]]) -> None:
    """The teams together have what the organization has."""
    teams = table(pages, "organization", "How much belongs to each team?")
    (total,) = (
        numbers(series)[-1]
        for _, row in pages["organization"]
        for panel, answers in row
        if panel["title"] == "Submitted"
        for series in answers["A"]
    )

    assert "no team" in {row["team"] for row in teams}
    assert total == sum(row["Submitted"] for row in teams)


def test_a_month_is_eight_days(pages: Mapping[str, Sequence[Row]]) -> None:
    """The last 30 days have a bar for each day, and the current one."""
    (series,) = (
        each
        for _, row in pages["organization"]
        for panel, answers in row
        if panel["title"] == "The last 30 days, by day"
        for each in answers["A"]
        if each["metric"]["outcome"] == "accepted"
    )

    assert [START + day * DAY for day in range(-1, 9)] == [at for at, _ in series["values"]]
