"""Proof: a reading that says it is proven is the truth."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.collect.plan.core import Cut
from exporter.collect.plan.projects import read_projects
from exporter.collect.plan.proof import References, agrees, arrived_rows, may_be_cut, proves_itself
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_series
from exporter.collect.series import ProjectSeries, Reading, Series, totals
from exporter.sentry.answer import By, Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.question import QUANTITY, ROW_LIMIT
from tests.support.rows import HOUR, NOON, flat, rows, series
from tests.support.rows import totals as sums
from tests.support.store import MERGED, Row, Store

QUERY = ResolvedQuery((QUANTITY,), ("project", "category", "outcome", "reason"), HOUR)
WINDOW = Window(NOON, NOON + HOUR, HOUR)

stored_rows = st.builds(
    Row,
    st.integers(1, 6),
    st.sampled_from(["error", "default", "span"]),
    st.sampled_from(["accepted", "invalid"]),
    st.sampled_from(["none", "a", "b"]),
    st.just(NOON),
    st.integers(1, 5),
)


def truth(stored: list[Row], readable: frozenset[int]) -> dict[ProjectSeries, int]:
    """Return what a reading has to say where only some projects are ``readable``."""
    held = Counter[ProjectSeries]()
    for one in stored:
        kind = Series(QUANTITY, MERGED.get(one.category, one.category), one.outcome, one.reason)
        held[ProjectSeries(kind, one.project if one.project in readable else 0)] += one.quantity
    return dict(held)


def sums_of(stored: list[Row], readable: frozenset[int]) -> Reading:
    """Return what the ``readable`` projects hold together, as a proven reading."""
    held = truth([one for one in stored if one.project in readable], readable)
    return Reading({series: {0: value} for series, value in totals(rows(held)).items()})


@pytest.mark.slow
@given(
    st.lists(stored_rows, max_size=12),
    st.frozensets(st.integers(1, 6)),
    st.integers(1, 12),
    st.none() | st.builds(Cut, st.integers(0, 12), st.integers(1, 12)),
    st.sampled_from(["not read", "proven", "cut"]),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=300, deadline=None)
def test_proven_is_the_truth(
    stored: list[Row],
    readable: frozenset[int],
    limit: int,
    cut: Cut | None,
    attributable: str,
    listed: bool,  # noqa: FBT001 - a drawn value
    seed: int,
) -> None:
    """A proven reading has every value under its project, whatever is cut where.

    The store cuts answers by project below its usual limit, the plan remembers any cut, and what is
    attributable may have been cut too, to whatever the first answer by project happens to hold.
    """
    store = Store(stored, project_limit=limit, readable=readable, seed=seed)
    total = store.run(read_series(QUERY, QUERY.question(WINDOW)))[NOON]
    known = None
    if attributable == "proven":
        known = sums_of(stored, readable)
    elif attributable == "cut":
        answer = store.reply(QUERY.project_question(NOON))
        assert isinstance(answer, ProjectsAnswer)

        held = totals(QUERY.rows(answer))
        known = Reading({one: {0: value} for one, value in held.items()}, proven=False)
    projects = tuple(sorted(readable)) if listed else ()
    plan = read_projects(QUERY, NOON, References(total, known), projects, cut)

    reading, _ = store.run(plan)

    assert not reading.proven or truth(stored, readable) == flat(reading.rows)


class TestAgrees:
    """Sums that prove an answer complete."""

    def test_equal(self) -> None:
        """Sums that equal a proven reading's prove the answer; zeros say nothing."""
        assert agrees(Reading(rows({series(): 5, series(outcome="abuse"): 0})), sums({series(): 5}))

    def test_both_cut(self) -> None:
        """Sums that equal those of a reading that may be cut prove nothing."""
        assert not agrees(Reading(rows({series(): 5}), proven=False), sums({series(): 5}))


class TestProvesItself:
    """Answers of series, whose totals the store reads in a query of their own."""

    def answer(self, *groups: tuple[tuple[int, ...], int], category: str = "span") -> SeriesAnswer:
        """Return an answer of ``groups``: values by bucket, and a total."""
        window = Window(NOON, NOON + len(groups[0][0]) * HOUR, HOUR)
        return SeriesAnswer(
            QUERY.question(window),
            tuple(
                Group(By(category, "accepted", f"r{number}"), (total,), (values,))
                for number, (values, total) in enumerate(groups)
            ),
        )

    @pytest.mark.parametrize(("total", "expected"), [(3, True), (4, False), (2, True)])
    def test_few_groups(self, total: int, expected: bool) -> None:  # noqa: FBT001 - a parameter
        """Few groups prove themselves, unless their totals say that something is missing."""
        assert expected is proves_itself(self.answer(((1, 2), total)))

    @pytest.mark.parametrize(
        ("category", "groups", "expected"),
        [
            ("span", ROW_LIMIT - 1, True),
            ("span", ROW_LIMIT, False),
            ("error", ROW_LIMIT // 3, True),
            ("error", ROW_LIMIT // 3 + 1, False),
        ],
    )
    def test_many_groups(self, category: str, groups: int, expected: bool) -> None:  # noqa: FBT001
        """As many groups as the limit prove nothing; a group of errors stands for three rows."""
        answer = self.answer(*[((1,), 1)] * groups, category=category)

        assert expected is proves_itself(answer)

    def test_many_rows_of_few_groups(self) -> None:
        """Where sums and totals agree, as many buckets as there are prove nothing less."""
        assert proves_itself(self.answer(*[((1,) * 24, 24)] * (ROW_LIMIT // 2)))

    def test_more_than_the_total(self) -> None:
        """Where events came in between the two queries, the number of filled buckets decides."""
        few, many = ROW_LIMIT // 2 - 1, ROW_LIMIT // 2

        assert proves_itself(self.answer(*[((1, 1), 1)] * few))
        assert not proves_itself(self.answer(*[((1, 1), 1)] * many))

    @pytest.mark.parametrize(("arrived", "expected"), [(0, True), (4, True), (5, False)])
    def test_fewer_than_arrived(self, arrived: int, expected: bool) -> None:  # noqa: FBT001
        """Fewer rows than another answer had are not cut; a bucket without a value has none."""
        answer = self.answer(((1, 2, 0), 4), ((3, 0, 5), 9))

        assert expected is may_be_cut(answer, arrived)

    def test_arrived(self) -> None:
        """Each value that is not zero is a row at least, whatever the category."""
        answer = self.answer(((1, 2, 0), 4), ((3, 0, 0), 9), category="error")

        assert 3 == arrived_rows(answer)
