"""How much there is to read, and that reading it takes as many requests."""

import pytest

from exporter.backfill.survey import MAX_POINTS, Survey, consecutive, requests, survey
from exporter.backfill.times import DAY, HOUR
from exporter.buckets import Window
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_series
from exporter.sentry.question import QUANTITY, ROW_LIMIT
from tests.support.rows import NOON, row
from tests.support.store import Row, Store

START = NOON // DAY * DAY - 40 * DAY
BY_REASON = ("category", "outcome", "reason")
WINDOW = Window(START + 5 * HOUR, START + 3 * DAY, HOUR)


def resolved(*group_by: str) -> ResolvedQuery:
    """Return a query with buckets of an hour."""
    return ResolvedQuery((QUANTITY,), group_by or BY_REASON, HOUR)


def rows(days: int, groups: int, projects: int = 1, *, category: str = "transaction") -> list[Row]:
    """Return rows of every hour."""
    return [
        row(bucket=START + hour * HOUR, project=1 + project, reason=f"r{group}", category=category)
        for hour in range(days * 24)
        for group in range(groups)
        for project in range(projects)
    ]


def read(store: Store, query: ResolvedQuery, window: Window) -> Survey:
    """Return the survey of ``window``."""
    known = store.run(survey(query, window, (1, 2)))
    store.asked.clear()
    return known


def test_one_window_where_everything_fits() -> None:
    """A few series of a few days are read in one request."""
    known = read(Store(rows(3, 5)), resolved(), WINDOW)

    assert (WINDOW,) == known.windows
    assert 1 == requests(resolved(), known)


@pytest.mark.parametrize(("category", "length"), [("transaction", 49), ("error", 16)])
def test_windows_are_as_long_as_the_row_limit_allows(category: str, length: int) -> None:
    """200 groups are 49 hours of rows, and 16 where each stands for three."""
    store = Store(rows(3, 200, category=category))
    known = read(store, resolved(), WINDOW)

    assert {length} == {len(window) for window in known.windows[:-1]}
    assert length * (3 if category == "error" else 1) * 200 < ROW_LIMIT


def test_every_window_is_proven_by_one_request() -> None:
    """Reading the windows takes as many requests as were planned, and has every bucket."""
    store = Store(rows(3, 200))
    known = read(store, resolved(), WINDOW)
    readings = dict(
        pair
        for window in known.windows
        for pair in store.run(read_series(resolved(), resolved().question(window))).items()
    )

    assert requests(resolved(), known) == len(store.asked)
    assert list(WINDOW.buckets()) == list(readings)
    assert all(one.proven for one in readings.values())


def test_windows_have_no_more_points_than_sentry_answers() -> None:
    """60 days of one series are two requests, because of the points."""
    window = Window(START, START + 60 * DAY, HOUR)
    known = read(Store([row(bucket=START)]), resolved(), window)

    assert [MAX_POINTS, 440] == [len(one) for one in known.windows]


def test_days_without_events_are_not_read_by_project() -> None:
    """Of three days, the one with events is read hour by hour."""
    query = resolved("project", *BY_REASON)
    store = Store([row(bucket=START + DAY + hour * HOUR) for hour in range(24)])
    known = read(store, query, WINDOW)

    assert tuple(range(START + DAY, START + 2 * DAY, HOUR)) == known.buckets
    assert 1 + 24 == requests(query, known)


def test_what_is_left_of_the_requests() -> None:
    """Neither buckets that have been read nor known totals are asked for again."""
    query = resolved("project", *BY_REASON)
    known = read(Store(rows(3, 3)), query, WINDOW)
    hours = list(WINDOW.buckets())

    assert 1 + len(hours) == requests(query, known)
    assert 1 + len(hours) - 2 == requests(query, known, hours[:2])
    assert len(hours) - 2 == requests(query, known, hours[:2], hours[2:])
    assert 0 == requests(query, known, hours)


def test_remainders_are_known_beforehand() -> None:
    """Where a project cannot be read, one more request has what can be read, window by window."""
    query = resolved("project", *BY_REASON)
    store = Store([*rows(3, 3), row(bucket=START + DAY, project=9)], readable=frozenset({1, 2}))
    known = read(store, query, WINDOW)

    assert known.windows == known.remainders
    assert len(WINDOW) + 2 == requests(query, known)


def test_servers_that_do_not_answer_what_is_attributable() -> None:
    """An old server refuses the question: it is not asked again."""
    query = resolved("project", *BY_REASON)
    known = read(Store(rows(3, 3), old=True), query, WINDOW)

    assert not known.tells_attributable
    assert () == known.remainders


def test_groups_of_buckets() -> None:
    """Buckets are read side by side in groups."""
    assert [[1, 2], [3, 4], [5]] == [list(one) for one in consecutive([1, 2, 3, 4, 5], 2)]
