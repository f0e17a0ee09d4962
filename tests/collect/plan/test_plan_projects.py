"""Plans: answers are proven complete, or asked again in parts."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.collect.plan.core import Cut, Hints, Reply
from exporter.collect.plan.projects import read_projects
from exporter.collect.plan.proof import References
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_series
from exporter.collect.series import ProjectSeries, Reading, Series, totals
from exporter.sentry.errors import ForbiddenError, TooHeavyError
from exporter.sentry.question import QUANTITY, ROW_LIMIT, Question
from tests.support.rows import flat
from tests.support.rows import rows as nested
from tests.support.store import Row, Store

HOUR = 3600
NOON = 1_700_000_000 // HOUR * HOUR
ID = 4_505_000_000_000_000

QUERY = ResolvedQuery((QUANTITY,), ("project", "category", "outcome", "reason"), HOUR)


HOUR_OF_NOON = Window(NOON, NOON + HOUR, HOUR)


class Growing(Store):
    """A store into which rows come after so many questions."""

    def __init__(self, rows: list[Row], after: int) -> None:
        super().__init__(rows)
        self.after = after

    def reply(self, question: Question) -> Reply:
        """Answer ``question``, and let events come in afterwards if it is time."""
        answer = super().reply(question)
        if len(self.asked) == self.after:
            self.rows = [row._replace(quantity=row.quantity + 1) for row in self.rows]
        return answer


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


def truth(rows: list[Row], known: int) -> dict[Series, dict[int, int]]:
    """Return what the readings have to say, the rows of projects beyond ``known`` under 0."""
    held: dict[ProjectSeries, int] = {}
    for row in rows:
        category = "error" if row.category == "default" else row.category
        project = row.project if row.project < ID + known else 0
        one = ProjectSeries(Series(QUANTITY, category, row.outcome, row.reason), project)
        held[one] = held.get(one, 0) + row.quantity
    return nested(held)


def read_bucket(
    store: Store, known: int, cut: Cut | None = None, *, listed: bool = True
) -> tuple[Reading, Hints]:
    """Read noon by project from ``store``, where the first ``known`` projects are readable."""
    window = Window(NOON, NOON + HOUR, HOUR)
    projects = tuple(ID + number for number in range(known))
    store.readable = frozenset(projects)
    total = store.run(read_series(QUERY, QUERY.question(window)))[NOON]
    return store.run(read_projects(QUERY, NOON, References(total), projects if listed else (), cut))


class TestReadSeries:
    """Reading a window in which nothing is grouped by project."""

    query = ResolvedQuery((QUANTITY,), ("category", "outcome", "reason"), HOUR)

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
        return store.run(read_series(self.query, self.query.question(self.window(hours))))

    def test_asks_once_if_nothing_is_cut(self) -> None:
        """All of a lookback is one request."""
        store = Store(self.rows(24, 30))

        readings = self.read(store, 24)

        assert len(store.asked) == 1
        assert all(reading.proven for reading in readings.values())

    def test_shrinks_the_range_where_rows_are_cut(self) -> None:
        """More rows than the limit are read in shorter ranges, none of them lost."""
        rows = self.rows(24, 1000)
        store = Store(rows)

        readings = self.read(store, 24)

        assert sum(row.quantity for row in rows) == sum(
            sum(flat(reading.rows).values()) for reading in readings.values()
        )
        assert all(reading.proven for reading in readings.values())
        assert len(store.asked) <= 2 * math.ceil(len(rows) / ROW_LIMIT) + 3

    def test_says_what_it_cannot_prove(self) -> None:
        """A bucket that no split brings below the limit is not proven."""
        store = Store(self.rows(1, 200), limit=50)

        readings = self.read(store, 1)

        assert not readings[NOON].proven

    @pytest.mark.parametrize("category", [(), ("transaction",)])
    def test_totals_that_never_agree(self, category: tuple[str, ...]) -> None:
        """Where the server disagrees with itself, splitting ends at once, and all rows are read."""
        rows = self.rows(24, 30)
        store, query = Store(rows, disagreement=1), replace(self.query, category=category)

        readings = store.run(read_series(query, query.question(self.window(24))))

        assert sum(row.quantity for row in rows) == sum(
            sum(flat(reading.rows).values()) for reading in readings.values()
        )
        assert not any(reading.proven for reading in readings.values())
        assert len(store.asked) == 3

    def test_low_limit_beside_a_disagreement(self) -> None:
        """What a lower limit than the usual one cuts is still found by splitting."""
        rows = self.rows(24, 30)
        store = Store(rows, limit=100, disagreement=1)

        readings = self.read(store, 24)

        assert sum(row.quantity for row in rows) == sum(
            sum(flat(reading.rows).values()) for reading in readings.values()
        )

    def test_asks_smaller_where_the_store_refuses(self) -> None:
        """A question that is too heavy is halved until it passes."""
        rows = self.rows(8, 10)
        store = Store(rows, refuse_over=25)

        readings = self.read(store, 8)

        assert sum(row.quantity for row in rows) == sum(
            sum(flat(reading.rows).values()) for reading in readings.values()
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

        reading, _ = read_bucket(store, 12)

        assert truth(rows, 12) == reading.rows
        assert reading.proven
        assert len(store.asked) == 2

    @pytest.mark.parametrize("projects", [1000, pytest.param(2500, marks=pytest.mark.slow)])
    def test_stays_within_twice_what_the_limit_forces(self, projects: int) -> None:
        """Large organizations are read exactly, with few requests, and fewer once it is known."""
        rows = rows_of(projects, 20)
        store = Store(rows)

        first, hints = read_bucket(store, projects)
        asked_first = len(store.asked)
        second, _ = read_bucket(store, projects, cut=hints.cut)
        asked_second = len(store.asked) - asked_first

        bound = 2 * math.ceil(len(rows) / ROW_LIMIT) + 3
        assert truth(rows, projects) == first.rows == second.rows
        assert first.proven
        assert second.proven
        assert asked_first <= bound
        assert asked_second <= asked_first - 1

    def test_keeps_urls_below_the_budget(self) -> None:
        """A batch names no more projects than 8 KiB hold: about 320 ids of 16 digits."""
        ids = tuple(ID + number for number in range(2000))

        batches = QUERY.batches(QUERY.project_question(NOON, ids), 10_000)

        assert ids == tuple(one for batch in batches for one in batch.project)
        assert 300 < len(batches[0].project) < 328

    def test_puts_deleted_projects_under_no_project(self) -> None:
        """What batches of known projects leave of the organization total is the remainder."""
        rows = rows_of(1000, 20, deleted=30)
        store = Store(rows)

        reading, _ = read_bucket(store, 1000)

        assert truth(rows, 1000) == reading.rows
        assert reading.proven

    def test_reads_through_a_lower_limit(self) -> None:
        """A store that cuts at fewer rows than it should is detected, and read in parts."""
        rows = rows_of(60, 20)
        store = Store(rows, limit=60)

        reading, _ = read_bucket(store, 60)

        assert truth(rows, 60) == reading.rows
        assert reading.proven

    def test_says_incomplete_where_splitting_does_not_reach(self) -> None:
        """Where even one project's rows are cut, they go under no project, and it is marked."""
        rows = rows_of(60, 8)
        rows += [Row(ID, "span", "invalid", f"r{number}", NOON, 3) for number in range(20)]
        store = Store(rows, project_limit=5)

        reading, _ = read_bucket(store, 60)

        assert totals(truth(rows, 60)) == totals(reading.rows)
        assert not reading.proven

    @pytest.mark.parametrize("readable", [30, 1])
    def test_a_small_answer_is_compared_with_what_can_be_read(self, readable: int) -> None:
        """What other projects hold is the remainder; one more request shows that nothing is cut."""
        rows = rows_of(32, 20)
        store = Store(rows)

        reading, _ = read_bucket(store, readable)

        assert truth(rows, readable) == reading.rows
        assert reading.proven
        assert len(store.asked) == 3

    def test_no_project_can_be_read(self) -> None:
        """A token that reads no project leaves everything to the remainder."""
        rows = rows_of(12, 12)
        store = Store(rows)

        reading, _ = read_bucket(store, 0)

        assert truth(rows, 0) == reading.rows
        assert reading.proven

    @pytest.mark.parametrize("projects", [12, 1000])
    def test_an_old_server(self, projects: int) -> None:
        """Where a server does not say what can be read, numbers below the limit are the proof."""
        rows = rows_of(projects, 20, deleted=3)
        store = Store(rows, old=True)

        reading, _ = read_bucket(store, projects)

        assert truth(rows, projects) == reading.rows
        assert reading.proven

    def test_a_project_that_is_refused(self) -> None:
        """A project of the list that Sentry refuses is identified, and left to the remainder."""
        rows = rows_of(1000, 20)
        store = Store(rows)
        window = Window(NOON, NOON + HOUR, HOUR)
        total = store.run(read_series(QUERY, QUERY.question(window)))[NOON]
        everyone = tuple(ID + number for number in range(1000))
        store.readable = frozenset(everyone) - {ID + 999}

        reading, _ = store.run(read_projects(QUERY, NOON, References(total), everyone))

        assert truth(rows, 999) == reading.rows
        assert frozenset({ID + 999}) == reading.refused
        assert reading.proven

    def test_projects_that_the_list_lacks(self) -> None:
        """A project that comes back from Sentry is asked for, though the list lacks it."""
        rows = rows_of(1000, 20)
        store = Store(rows)
        store.readable = frozenset(ID + number for number in range(1000))
        window = Window(NOON, NOON + HOUR, HOUR)
        total = store.run(read_series(QUERY, QUERY.question(window)))[NOON]
        listed = tuple(ID + number for number in range(998))

        reading, _ = store.run(read_projects(QUERY, NOON, References(total), listed))

        assert truth(rows, 1000) == reading.rows
        assert reading.proven

    @pytest.mark.parametrize("old", [False, True])
    def test_without_a_projects_list_the_remainder_is_published(self, *, old: bool) -> None:
        """Where batches are impossible, what was cut is published without project, unproven."""
        rows = [
            Row(ID + project, "transaction", "accepted", f"r{reason}", NOON, 1)
            for project in range(120)
            for reason in range(100)
        ]
        store = Store(rows, old=old)

        reading, _ = read_bucket(store, 120, listed=False)

        assert len(rows) == sum(flat(reading.rows).values())
        assert not reading.proven

    def test_a_lower_limit_without_a_projects_list(self) -> None:
        """A small answer that lacks what is attributable is not proven by its size."""
        rows = rows_of(3, 4)

        reading, _ = read_bucket(Store(rows, project_limit=5), 3, listed=False)

        assert totals(truth(rows, 3)) == totals(reading.rows)
        assert not reading.proven

    def test_not_proven_without_a_proven_total(self) -> None:
        """A remainder of a total that may be cut is not proven, however the projects were read."""
        everyone = tuple(ID + number for number in range(1000))
        for projects, listed in ((12, everyone[:12]), (1000, everyone), (1000, ())):
            store = Store(rows_of(projects, 20))
            total = store.run(read_series(QUERY, QUERY.question(HOUR_OF_NOON)))[NOON]
            references = References(replace(total, proven=False))

            reading, _ = store.run(read_projects(QUERY, NOON, references, listed))

            assert not reading.proven

    def test_without_a_projects_list(self) -> None:
        """Where batches are impossible, single outcomes and categories can be enough."""
        rows = rows_of(1000, 20, deleted=3)

        for old in (False, True):
            reading, _ = read_bucket(Store(rows, old=old), 1000, listed=False)

            assert truth(rows, 1000) == reading.rows
            assert reading.proven

    def test_events_between_two_questions(self) -> None:
        """Where events came in between two questions, the first one is asked once more."""
        store = Growing(rows_of(5, 4), after=2)
        everyone = frozenset(ID + number for number in range(5))
        store.readable = everyone - {ID}
        total = store.run(read_series(QUERY, QUERY.question(HOUR_OF_NOON)))[NOON]

        reading, _ = store.run(
            read_projects(QUERY, NOON, References(total), tuple(sorted(store.readable)))
        )

        assert len(store.asked) == 4
        assert reading.proven

    def test_a_token_without_rights(self) -> None:
        """A token that is refused a question about all it can read is asked nothing more."""
        plan = read_projects(QUERY, NOON, References(Reading({})), (ID,))
        next(plan)

        with pytest.raises(ForbiddenError):
            plan.send([ForbiddenError(403, "")])

    @given(data=st.data())
    @settings(max_examples=25, deadline=None)
    def test_sums_always_equal_the_organization(self, data: st.DataObject) -> None:
        """Whatever the limit, the series of a bucket add up to the organization total."""
        projects = data.draw(st.integers(1, 40))
        known = data.draw(st.integers(0, projects))
        rows = rows_of(projects, data.draw(st.integers(1, 20)), seed=data.draw(st.integers(0, 9)))
        store = Store(rows, limit=data.draw(st.integers(60, 400)))

        reading, _ = read_bucket(store, known)

        assert sum(row.quantity for row in rows) == sum(flat(reading.rows).values())
