"""Properties of stats_v2 that the conformance cases do not cover: row limit, retention, sums."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.simulator import Organization, Project, Row, Series, Store, Token, Traffic, World
from exporter.simulator.application import Application
from exporter.simulator.columns import Piece, Table, pieces
from exporter.simulator.messages import Answer, Request

HOUR = 3600
DAY = 24 * HOUR
START = 1_790_000_000 // DAY * DAY
NOW = START + DAY + 1234.5
TOO_MANY_POINTS = (
    "Your interval and date range would create too many results. "
    "Use a larger interval, or a smaller date range."
)

ROWS = st.builds(
    Row,
    organization=st.just(1),
    project=st.sampled_from([11, 12, 13]),
    category=st.sampled_from(["error", "default", "security", "span", "attachment"]),
    outcome=st.sampled_from(["accepted", "rate_limited", "filtered"]),
    reason=st.sampled_from([None, "key_quota", "smart_rate_limit"]),
    timestamp=st.integers(START, START + 6 * HOUR - 1),
    quantity=st.integers(0, 10**12),
    times_seen=st.integers(1, 50),
    written_at=st.none() | st.integers(START, START + 2 * DAY),
)


def an_application(world: World, now: float = NOW, row_limit: int = 10_000) -> Application:
    """Return a simulated Sentry without a rate limit."""
    return Application(world, lambda: now, lambda _: None, row_limit=row_limit, rate_limit=None)


def a_world(rows: Iterable[Row] = (), seed: int = 7) -> World:
    """Return three projects with the given rows and some generated traffic."""
    series = [
        Series(project, category, outcome, reason, usual, batch=4)
        for project in (11, 12, 13)
        for category, usual in (("error", 0.7), ("transaction", 300.0))
        for outcome, reason in (("accepted", None), ("filtered", "cors"))
    ]
    world = World(
        [Organization(1, "acme")],
        [Project(number, 1, f"project-{number}") for number in (11, 12, 13)],
        tokens=[Token("right", organization=1)],
        store=Store({1: Traffic(seed, 1, series)}),
        seed=seed,
    )
    world.add_rows(*rows)
    return world


def get(application: Application, parameters: dict[str, Any] | None = None, **more: Any) -> Answer:
    """Return the stats_v2 answer with hourly quantities of six hours by default."""
    defaults = {"field": "sum(quantity)", "start": START, "end": START + 6 * HOUR, "interval": "1h"}
    query = urlencode({**defaults, **(parameters or {}), **more}, doseq=True)
    headers = {"authorization": "Bearer right"}
    path = "/api/0/organizations/acme/stats_v2/"
    return application.reply(Request("GET", path, query, headers)).answer


def totals_of(answer: Answer, *names: str, field: str = "sum(quantity)") -> dict[Any, int]:
    """Return the totals of an answer by their labels, in the order of ``names``."""
    groups = answer.document()["groups"]
    return {tuple(group["by"][name] for name in names): group["totals"][field] for group in groups}


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(ROWS, max_size=30),
    names=st.sets(st.sampled_from(["project", "outcome", "reason"])),
    field=st.sampled_from(["quantity", "times_seen"]),
    at=st.integers(START + HOUR, START + 2 * DAY),
)
def test_totals_equal_the_true_sums(rows: list[Row], names: set[str], field: Any, at: int) -> None:
    """Below the row limit, an answer's totals are the true sums of the rows."""
    world = a_world(rows)
    order = ["project", *sorted({*names, "category"} - {"project"})]
    grouped = order if "project" in names else order[1:]
    answer = get(an_application(world, at), field=f"sum({field})", groupBy=grouped)
    truth = world.store.totals(1, START, START + 6 * HOUR, at=at, group_by=grouped, field=field)

    assert truth == totals_of(answer, *grouped, field=f"sum({field})")


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(ROWS, max_size=30),
    split=st.sampled_from(
        [
            ("category", ["error", "span", "transaction"]),
            ("outcome", ["accepted", "rate_limited", "filtered"]),
            ("project", ["11", "12", "13"]),
            ("reason", ["none", "key_quota", "spike_protection", "cors"]),
        ]
    ),
)
def test_the_values_of_a_filter_add_up(rows: list[Row], split: tuple[str, list[str]]) -> None:
    """The sums of all values of a filter add up to the sum without it."""
    name, values = split
    application = an_application(a_world(rows))
    categories = {"category": ["error", "span", "transaction"]}
    total = totals_of(get(application, categories))
    parts = [totals_of(get(application, {**categories, name: value})) for value in values]

    assert total[()] == sum(part[()] for part in parts)


@given(rows=st.lists(ROWS, max_size=30), cut=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_adjacent_ranges_add_up(rows: list[Row], cut: int) -> None:
    """Two adjacent ranges add up to the complete range, and a series to its total."""
    application = an_application(a_world(rows))
    middle, by = START + cut * HOUR, {"category": ["error", "span"]}
    complete = get(application, by)
    first = totals_of(get(application, by, end=middle))[()]
    second = totals_of(get(application, by, start=middle))[()]

    assert totals_of(complete)[()] == first + second
    assert totals_of(complete)[()] == sum(
        complete.document()["groups"][0]["series"]["sum(quantity)"]
    )


def test_minutes_of_generated_traffic_add_up_to_their_hours() -> None:
    """The raw table has the same sums as the hourly table."""
    application = an_application(a_world())
    by_hour = totals_of(get(application, groupBy="category"), "category")
    by_minute = totals_of(get(application, groupBy="category", interval="36m"), "category")

    assert by_hour == by_minute


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_totals_and_series_are_cut_separately(limit: int) -> None:
    """Beyond the row limit, rows are missing from totals and series independently."""
    rows = [
        Row(1, 11, "error", "filtered", f"reason-{number}", START + number * 600)
        for number in range(36)
    ]
    application = an_application(a_world(rows), row_limit=limit)
    groups = get(application, groupBy="reason", category="error").document()["groups"]
    with_totals = [each for each in groups if each["totals"]["sum(quantity)"]]
    points = [point for each in groups for point in each["series"]["sum(quantity)"] if point]

    assert limit == len(with_totals)
    assert limit == len(points)


def test_error_categories_are_merged_after_the_cut() -> None:
    """The row limit counts default, error and security separately."""
    rows = [Row(1, 11, name, "abuse", None, START) for name in ("default", "error", "security")]
    application = an_application(a_world(rows), row_limit=2)
    answer = get(application, groupBy=["category", "project"], outcome="abuse")

    assert totals_of(answer, "category") == {("error",): 2}


def test_the_cut_depends_on_the_seed() -> None:
    """The same seed and request lose the same rows, another seed loses others."""
    rows = [Row(1, 11, "error", "filtered", f"reason-{n}", START) for n in range(200)]
    by = {"groupBy": ["reason"], "category": "error"}
    answers = [
        get(an_application(a_world(rows, seed), row_limit=20), by).body for seed in (1, 1, 2)
    ]

    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


def test_a_row_appears_when_it_is_written() -> None:
    """A late row is counted in its own hour once it is written."""
    row = Row(1, 11, "span", "accepted", None, START + 60, 5, written_at=START + 5 * HOUR)
    before, after = (
        totals_of(get(an_application(a_world([row]), START + 5 * HOUR - ago), category="span"))
        for ago in (1, 0)
    )

    assert before == {(): 0}
    assert after == {(): 5}


def test_project_not_last_in_group_by_counts_deleted_projects_too() -> None:
    """Projects are filtered only if project is the last groupBy."""
    world = a_world([Row(1, 13, "span", "accepted", None, START)])
    world.delete_project(13)
    application = an_application(world)
    of_span = {"category": "span"}

    assert {13} == _projects(get(application, of_span, groupBy=["project", "outcome"]))
    assert set() == _projects(get(application, of_span, groupBy=["outcome", "project"]))


def test_old_ranges_are_read_from_the_daily_table() -> None:
    """If the start is older than 90 days, the values of a day are in its first bucket."""
    old = START - 100 * DAY
    world = a_world([Row(1, 11, "span", "accepted", None, old + 5 * HOUR)])
    times = {"start": old, "end": old + DAY, "interval": "6h"}
    answer = get(an_application(world), times, category="span")

    assert answer.document()["groups"][0]["series"]["sum(quantity)"] == [1, 0, 0, 0]


def test_retention() -> None:
    """The raw table has the last 30 days, the daily table the last 13 months."""
    window = Window(START - 400 * DAY, START, DAY)
    first = next(pieces(window, Table.DAILY, START))

    assert first.hour == START - 396 * DAY
    assert list(pieces(Window(0, HOUR, 60), Table.RAW, 31 * DAY)) == []


def test_hours_are_not_split_between_buckets() -> None:
    """An hour is counted in the bucket in which it starts."""
    window = Window(START, START + 3 * HOUR, 90 * 60)
    read = list(pieces(window, Table.HOURLY, START))
    second = START + 90 * 60

    assert [
        Piece(START, START),
        Piece(START, START + HOUR),
        Piece(second, START + 2 * HOUR),
    ] == read


@pytest.mark.parametrize(
    ("parameters", "detail"),
    [
        ({"project": "web"}, "Invalid project parameter. Values must be numbers."),
        ({"field": "count()"}, 'Invalid field: "count()"'),
        ({"interval": "2d"}, "The interval has to be less than one day."),
        ({"interval": "7h"}, "The interval should divide one day without a remainder."),
        ({"statsPeriod": "1.5h"}, "Invalid statsPeriod: '1.5h'"),
        ({"statsPeriod": f"{10**20}w"}, f"Invalid statsPeriod: '{10**20}w'"),
        ({"start": "1e300"}, "1e300 is not a valid ISO8601 date query"),
        ({"category": "Error"}, 'Invalid category: "Error"'),
        ({"groupBy": "key_id"}, 'Invalid groupBy: "key_id"'),
        (
            {"category": ["attachment", "span"]},
            "if filtering by attachment no other category may be present",
        ),
        (
            {"start": START - 42 * DAY},
            TOO_MANY_POINTS,
        ),
    ],
)
def test_invalid_parameters_are_400(parameters: dict[str, Any], detail: str) -> None:
    """The message of the 400 is Sentry's."""
    answer = get(an_application(a_world()), {"category": "error", **parameters})

    assert answer.status == 400
    assert {"detail": detail} == answer.document()


def test_no_projects_available() -> None:
    """Grouped by project, an organization without active projects is a 400."""
    world = a_world()
    for project in (11, 12, 13):
        world.delete_project(project)
    answer = get(an_application(world), groupBy=["category", "project"])

    assert answer.document() == {"detail": "No projects available"}


def test_feedback_has_a_second_name_in_filters() -> None:
    """The filter ``user_report_v2`` selects the category ``feedback``."""
    world = a_world([Row(1, 11, "feedback", "accepted", None, START)])
    answer = get(an_application(world), category="user_report_v2", groupBy="category")

    assert totals_of(answer, "category") == {("feedback",): 1}


def _projects(answer: Answer) -> set[int]:
    """Return the projects of an answer's groups."""
    return {group["by"]["project"] for group in answer.document()["groups"]}
