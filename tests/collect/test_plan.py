"""The planner: answers are proven whole, or asked again in parts."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.collect.plan.core import Cut, Reading
from exporter.collect.plan.projects import ProjectReading, References, read_projects
from exporter.collect.plan.resolved import Subject
from exporter.collect.plan.series import read_series
from exporter.collect.series import Series, sums
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.question import QUANTITY, ROW_LIMIT
from tests.collect.store import Row, Store

HOUR = 3600
NOON = 1_700_000_000 // HOUR * HOUR
ID = 4_505_000_000_000_000

SUBJECT = Subject((QUANTITY,), ("project", "category", "outcome", "reason"), HOUR)


def rows_of(projects: int, per_project: int, *, seed: int = 0, deleted: int = 0) -> list[Row]:
    """Return an hour with about ``per_project`` rows for each project, heavy tails included."""
    picker = random.Random(seed)
    kinds = [
        (category, outcome, reason)
        for category in ("error", "default", "transaction", "span", "attachment", "log_item")
        for outcome, reason in (("accepted", "none"), ("rate_limited", "key_quota"))
        for reason in (reason, f"{reason}-2")
    ][:per_project]
    return [
        Row(ID + project, *kind, NOON, int(picker.paretovariate(0.8)) + 1)
        for project in range(projects + deleted)
        for kind in kinds
    ]


def truth(rows: list[Row], known: int) -> dict[Series, int]:
    """Return what the readings shall say, the rows of projects beyond ``known`` under 0."""
    found: dict[Series, int] = {}
    for row in rows:
        category = "error" if row.category == "default" else row.category
        project = row.project if row.project < ID + known else 0
        series = Series(QUANTITY, category, row.outcome, row.reason, project)
        found[series] = found.get(series, 0) + row.quantity
    return found


def read_bucket(
    store: Store, known: int, cut: Cut | None = None, *, listed: bool = True
) -> ProjectReading:
    """Read noon by project from ``store``, where the first ``known`` projects are readable."""
    window = Window(NOON, NOON + HOUR, HOUR)
    projects = tuple(ID + number for number in range(known))
    store.readable = frozenset(projects)
    told = store.run(read_series(SUBJECT, SUBJECT.question(window)))[NOON]
    return store.run(
        read_projects(SUBJECT, NOON, References(told), projects if listed else (), cut)
    )


class TestReadSeries:
    """Reading a window in which nothing is grouped by project."""

    subject = Subject((QUANTITY,), ("category", "outcome", "reason"), HOUR)

    def window(self, hours: int) -> Window:
        """Return the last ``hours`` hours."""
        return Window(NOON - (hours - 1) * HOUR, NOON + HOUR, HOUR)

    def rows(self, hours: int, reasons: int) -> list[Row]:
        """Return the same ``reasons`` in every hour."""
        return [
            Row(ID, "transaction", "invalid", f"reason-{reason}", NOON - hour * HOUR, reason + 1)
            for hour in range(hours)
            for reason in range(reasons)
        ]

    def read(self, store: Store, hours: int) -> dict[int, Reading]:
        """Read the last ``hours`` hours from ``store``."""
        return store.run(read_series(self.subject, self.subject.question(self.window(hours))))

    def test_asks_once_if_nothing_is_cut(self) -> None:
        """A whole lookback is one request."""
        store = Store(self.rows(24, 30))

        readings = self.read(store, 24)

        assert len(store.asked) == 1
        assert all(reading.whole for reading in readings.values())

    def test_shrinks_the_range_where_rows_are_cut(self) -> None:
        """More rows than the limit are read in shorter ranges, none of them lost."""
        rows = self.rows(24, 1000)
        store = Store(rows)

        readings = self.read(store, 24)

        assert sum(row.quantity for row in rows) == sum(
            sum(reading.rows.values()) for reading in readings.values()
        )
        assert all(reading.whole for reading in readings.values())
        assert len(store.asked) <= 2 * math.ceil(len(rows) / ROW_LIMIT) + 3

    def test_says_what_it_cannot_prove(self) -> None:
        """A bucket that no split brings below the limit is not whole."""
        store = Store(self.rows(1, 200), limit=50)

        readings = self.read(store, 1)

        assert not readings[NOON].whole

    def test_asks_smaller_where_the_store_refuses(self) -> None:
        """A question that is too heavy is halved until it passes."""
        rows = self.rows(8, 10)
        store = Store(rows, refuse_over=25)

        readings = self.read(store, 8)

        assert sum(row.quantity for row in rows) == sum(
            sum(reading.rows.values()) for reading in readings.values()
        )

    def test_raises_where_nothing_is_light_enough(self) -> None:
        """If even the smallest question is refused, the refusal is the result."""
        store = Store(self.rows(1, 10), refuse_over=0)

        with pytest.raises(TooHeavyError):
            self.read(store, 1)


class TestReadProjects:
    """Reading one bucket by project."""

    def test_asks_once_what_fits(self) -> None:
        """A small organization costs one request a bucket, and every project is in it."""
        rows = rows_of(12, 12)
        store = Store(rows)

        reading = read_bucket(store, 12)

        assert truth(rows, 12) == reading.rows
        assert reading.whole
        assert len(store.asked) == 2

    @pytest.mark.parametrize("projects", [1000, 2500])
    def test_stays_within_twice_what_the_limit_forces(self, projects: int) -> None:
        """Large organizations are read exactly, with few requests, and fewer once it is known."""
        rows = rows_of(projects, 20)
        store = Store(rows)

        first = read_bucket(store, projects)
        asked_first = len(store.asked)
        second = read_bucket(store, projects, cut=first.cut)
        asked_second = len(store.asked) - asked_first

        bound = 2 * math.ceil(len(rows) / ROW_LIMIT) + 3
        assert truth(rows, projects) == first.rows == second.rows
        assert first.whole
        assert second.whole
        assert asked_first <= bound
        assert asked_second <= asked_first - 1

    def test_keeps_urls_below_the_budget(self) -> None:
        """A batch names no more projects than 8 KiB hold: about 320 ids of 16 digits."""
        ids = tuple(ID + number for number in range(2000))

        batches = SUBJECT.batches(SUBJECT.project_question(NOON, ids), 10_000)

        assert ids == tuple(one for batch in batches for one in batch.project)
        assert 300 < len(batches[0].project) < 328

    def test_puts_deleted_projects_under_no_project(self) -> None:
        """What batches of known projects leave of the organization's number is project 0's."""
        rows = rows_of(1000, 20, deleted=30)
        store = Store(rows)

        reading = read_bucket(store, 1000)

        assert truth(rows, 1000) == reading.rows
        assert reading.whole

    def test_reads_through_a_lower_limit(self) -> None:
        """A store that cuts at fewer rows than it should is found out, and read in parts."""
        rows = rows_of(60, 20)
        store = Store(rows, limit=60)

        reading = read_bucket(store, 60)

        assert truth(rows, 60) == reading.rows
        assert reading.whole

    def test_says_incomplete_where_splitting_does_not_reach(self) -> None:
        """Where even one project's rows are cut, they go under project 0, and it is said."""
        rows = rows_of(60, 8)
        rows += [Row(ID, "span", "invalid", f"r{number}", NOON, 3) for number in range(20)]
        store = Store(rows, project_limit=5)

        reading = read_bucket(store, 60)

        assert sums(truth(rows, 60)) == sums(reading.rows)
        assert not reading.whole

    @pytest.mark.parametrize("readable", [30, 1])
    def test_a_small_answer_is_held_against_what_can_be_read(self, readable: int) -> None:
        """What other projects hold is the remainder; one more request tells that nothing is cut."""
        rows = rows_of(32, 20)
        store = Store(rows)

        reading = read_bucket(store, readable)

        assert truth(rows, readable) == reading.rows
        assert reading.whole
        assert len(store.asked) == 3

    def test_no_project_can_be_read(self) -> None:
        """A token that reads no project leaves everything to the remainder."""
        rows = rows_of(12, 12)
        store = Store(rows)

        reading = read_bucket(store, 0)

        assert truth(rows, 0) == reading.rows
        assert reading.whole

    @pytest.mark.parametrize("projects", [12, 1000])
    def test_an_old_server(self, projects: int) -> None:
        """Where what can be read is not told, numbers below the limit are the proof."""
        rows = rows_of(projects, 20, deleted=3)
        store = Store(rows, old=True)

        reading = read_bucket(store, projects)

        assert truth(rows, projects) == reading.rows
        assert reading.whole

    def test_a_project_that_is_refused(self) -> None:
        """A project of the list that Sentry refuses is found, told, and left to the remainder."""
        rows = rows_of(1000, 20)
        store = Store(rows)
        window = Window(NOON, NOON + HOUR, HOUR)
        told = store.run(read_series(SUBJECT, SUBJECT.question(window)))[NOON]
        everyone = tuple(ID + number for number in range(1000))
        store.readable = frozenset(everyone) - {ID + 999}

        reading = store.run(read_projects(SUBJECT, NOON, References(told), everyone))

        assert truth(rows, 999) == reading.rows
        assert frozenset({ID + 999}) == reading.refused
        assert reading.whole

    def test_projects_that_the_list_lacks(self) -> None:
        """A project that comes back from Sentry is asked for, though the list lacks it."""
        rows = rows_of(1000, 20)
        store = Store(rows)
        store.readable = frozenset(ID + number for number in range(1000))
        window = Window(NOON, NOON + HOUR, HOUR)
        told = store.run(read_series(SUBJECT, SUBJECT.question(window)))[NOON]
        listed = tuple(ID + number for number in range(998))

        reading = store.run(read_projects(SUBJECT, NOON, References(told), listed))

        assert truth(rows, 1000) == reading.rows
        assert reading.whole

    def test_without_a_projects_list_the_rest_is_published(self) -> None:
        """Where batches are impossible, what was lost goes under project 0 and is not whole."""
        rows = [
            Row(ID + project, "transaction", "accepted", f"r{reason}", NOON, 1)
            for project in range(120)
            for reason in range(100)
        ]
        store = Store(rows)

        reading = read_bucket(store, 120, listed=False)

        assert len(rows) == sum(reading.rows.values())
        assert not reading.whole

    @given(data=st.data())
    @settings(max_examples=25, deadline=None)
    def test_sums_always_equal_the_organization(self, data: st.DataObject) -> None:
        """Whatever the limit, the series of a bucket add up to the organization's own number."""
        projects = data.draw(st.integers(1, 40))
        known = data.draw(st.integers(0, projects))
        rows = rows_of(projects, data.draw(st.integers(1, 20)), seed=data.draw(st.integers(0, 9)))
        store = Store(rows, limit=data.draw(st.integers(60, 400)))

        reading = read_bucket(store, known)

        assert sum(row.quantity for row in rows) == sum(reading.rows.values())
