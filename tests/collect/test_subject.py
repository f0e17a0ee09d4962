"""What a query is about: slugs become ids, groups become series, rows add up."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.collect.plan.resolved import (
    URL_BUDGET,
    Resolved,
    Subject,
    missing_project,
    resolved,
    subject_of,
)
from exporter.collect.series import Series, added, difference, labelled, lesser, sums
from exporter.config import Filter
from exporter.sentry.answer import By, Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from tests.collect.polling import API, HOUR, NOON, WEB, listed, query, series

TWO_HOURS = Window(NOON, NOON + 2 * HOUR, HOUR)


def subject(*group_by: str, **filters: object) -> Subject:
    """Return a subject whose filter has ``filters``, projects by name."""
    asked = query(*group_by, filter=Filter(**filters))  # type: ignore[arg-type]
    return subject_of(asked, resolved(asked.filter.project, listed(WEB, API)).ids)


class TestSubjectOf:
    """Making a subject of a configured query."""

    def test_all_of_it(self) -> None:
        """Everything the query asks for is in it."""
        found = subject(
            "outcome",
            category=("error",),
            outcome=("accepted",),
            reason="none",
            project=("project-1", "2"),
        )

        assert found == Subject(
            (QUANTITY,),
            ("outcome",),
            HOUR,
            ("error",),
            ("accepted",),
            "none",
            (WEB, API),
        )

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            (("error", "default", "security"), ("error",)),
            (("user_report_v2", "feedback"), ("feedback",)),
            (("default", "security"), ("default", "security")),
        ],
    )
    def test_categories_that_take_in_others(
        self, asked: tuple[str, ...], expected: tuple[str, ...]
    ) -> None:
        """A category that another one of the filter selects too is not asked for twice."""
        assert expected == subject("outcome", category=asked).category

    def test_the_same_project_twice(self) -> None:
        """A project that is named by slug and by id is one project."""
        assert (WEB,) == subject("outcome", category=("error",), project=("project-1", "1")).project

    def test_room(self) -> None:
        """What a URL may have beyond its address is left for the query string."""
        asked = query("outcome")

        assert URL_BUDGET - 100 == subject_of(asked, address=100).room


class TestResolved:
    """The projects that a filter names."""

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (("project-1", "2"), Resolved((WEB, API))),
            (("project-1", "1"), Resolved((WEB,))),
            (("project-1", "gone", "77"), Resolved((WEB,), ("gone", "77"))),
            ((), Resolved()),
        ],
    )
    def test_listed(self, names: tuple[str, ...], expected: Resolved) -> None:
        """A name that no project of the list has is missing, and the others are read."""
        assert expected == resolved(names, listed(WEB, API))

    def test_refused(self) -> None:
        """A project that Sentry does not let the token read is missing too."""
        found = resolved(("project-1", "2"), listed(WEB, API), frozenset({API}))

        assert Resolved((WEB,), ("2",)) == found

    def test_without_list(self) -> None:
        """Without a list an id is taken for what it is."""
        assert Resolved((77,), ("web",)) == resolved(("77", "web"), None)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (
                "projekt-1",
                "'projekt-1', which is no slug of the organization (did you mean project-1",
            ),
            ("7777777", "'7777777', which is no id of the organization"),
            ("1", "'1', which the token cannot read"),
        ],
    )
    def test_missing(self, name: str, words: str) -> None:
        """What is wrong with a name is told, and near slugs are suggested."""
        assert f"filter.project names {words}" in missing_project(name, listed(WEB, API))

    @pytest.mark.parametrize("projects", [None, listed()])
    def test_nothing_near(self, projects: ProjectList | None) -> None:
        """Without anything near there is no suggestion."""
        assert missing_project("web", projects).endswith("no slug of the organization")


class TestQuestions:
    """The questions of a subject."""

    def test_window(self) -> None:
        """A window is asked for without project, filters kept."""
        question = subject("outcome", "project", "category", project=("1",)).question(TWO_HOURS)

        assert ("outcome", "category") == question.group_by
        assert (1,) == question.project
        assert TWO_HOURS == question.window

    @pytest.mark.parametrize(
        ("group_by", "expected"),
        [
            (("outcome", "project"), ("outcome", "project")),
            (("project", "category", "outcome"), ("category", "outcome", "project")),
            (("project",), ("project",)),
        ],
    )
    def test_project_is_last(self, group_by: tuple[str, ...], expected: tuple[str, ...]) -> None:
        """Project is asked last, and of all that can be read: only that is what comes back."""
        question = subject(*group_by, category=("error",)).project_question(NOON)

        assert expected == question.group_by
        assert (-1,) == question.project
        assert Window(NOON, NOON + HOUR, HOUR) == question.window

    @pytest.mark.parametrize(("filtered", "expected"), [((), (-1, 0)), (("1",), (WEB,))])
    def test_attributable(self, filtered: tuple[str, ...], expected: tuple[int, ...]) -> None:
        """What the token can read is asked for together, or just what the filter names."""
        question = subject("project", "outcome", project=filtered).attributable_question(TWO_HOURS)

        assert ("outcome",) == question.group_by
        assert expected == question.project

    @given(
        st.lists(st.integers(1, 10**16), max_size=900),
        st.lists(st.text(max_size=200), max_size=120),
        st.integers(1, 500),
    )
    def test_batches(self, projects: list[int], categories: list[str], most: int) -> None:
        """Batches ask for all, at most so many projects each, in URLs that fit."""
        about = subject("project", "outcome")
        question = replace(
            about.project_question(NOON, tuple(projects)),
            project=tuple(projects),
            category=tuple(categories),
        )

        batches = about.batches(question, most)

        asked = [(c, p) for batch in batches for c in batch.category for p in batch.project]
        assert sorted((c, p) for c in categories for p in projects) == sorted(asked)
        assert all(len(batch.project) <= most for batch in batches)
        assert all(
            len(urlencode(batch.parameters())) <= about.room
            for batch in batches
            if len(batch.project) + len(batch.category) > 2
        )


class TestSeries:
    """Groups of an answer as series."""

    def test_grouped(self) -> None:
        """What is grouped by is taken from the group."""
        about = subject("project", "category", "outcome", "reason")
        answer = ProjectsAnswer(
            about.project_question(NOON),
            {QUANTITY: {By("error", "filtered", "web-crawlers"): {WEB: 5}}},
        )

        assert {Series(QUANTITY, "error", "filtered", "web-crawlers", WEB): 5} == about.totals(
            answer
        )

    def test_pinned(self) -> None:
        """What the filter pins to one value is that value, though it is not grouped by."""
        about = subject("outcome", category=("error",), reason="key_quota", project=("project-1",))
        answer = SeriesAnswer(
            about.question(TWO_HOURS), (Group(By(outcome="invalid"), (5,), ((2, 3),)),)
        )

        one = Series(QUANTITY, "error", "invalid", "key_quota", WEB)
        assert {NOON: {one: 2}, NOON + HOUR: {one: 3}} == about.buckets(answer)

    def test_not_pinned(self) -> None:
        """Several values of a filter pin nothing."""
        about = subject("reason", category=("error", "span"), outcome=("invalid", "abuse"))
        answer = SeriesAnswer(about.question(TWO_HOURS), (Group(By(reason="r"), (5,), ((2, 3),)),))

        assert {Series(QUANTITY, "", "", "r", 0)} == set(about.buckets(answer)[NOON])

    def test_fields(self) -> None:
        """Each field is a series of its own."""
        asked = query("outcome", fields=(QUANTITY, TIMES_SEEN), filter=Filter(category=("error",)))
        about = subject_of(asked)
        group = Group(By(outcome="invalid"), (9, 2), ((9, 0), (2, 0)))

        found = about.buckets(SeriesAnswer(about.question(TWO_HOURS), (group,)))[NOON]

        assert {QUANTITY: 9, TIMES_SEEN: 2} == {one.field: value for one, value in found.items()}

    def test_extra_category(self) -> None:
        """What was asked apart only to have project before it is added up again."""
        about = subject("project", category=("error", "span"))
        totals = {QUANTITY: {By("error"): {WEB: 5}, By("span"): {WEB: 2}}}

        found = about.totals(ProjectsAnswer(about.project_question(NOON), totals))

        assert {Series(QUANTITY, "", "", "", WEB): 7} == found


rows = st.dictionaries(
    st.builds(series, st.integers(0, 3), st.sampled_from(["error", "span"])), st.integers(0, 9)
)


class TestRows:
    """Arithmetic on rows."""

    @given(rows, rows)
    def test_added(self, one: Mapping[Series, int], other: Mapping[Series, int]) -> None:
        """A sum has the series of both, and their values together."""
        total = added(one, other)

        assert one.keys() | other.keys() == total.keys()
        assert all(one.get(key, 0) + other.get(key, 0) == value for key, value in total.items())

    @given(rows)
    def test_sums(self, found: Mapping[Series, int]) -> None:
        """Without project, rows hold as much, under project 0, and no zeros."""
        total = sums(found)

        assert sum(found.values()) == sum(total.values())
        assert all(value and not one.project for one, value in total.items())

    @given(rows, rows)
    def test_difference(self, told: Mapping[Series, int], found: Mapping[Series, int]) -> None:
        """What is missing from rows, added to them, makes them no less than what was told."""
        rest = difference(sums(told), sums(found))
        reached = sums(added(found, rest))

        assert all(value > 0 for value in rest.values())
        assert reached == {
            key: max(sums(told).get(key, 0), sums(found).get(key, 0)) for key in reached
        }

    @given(rows, rows)
    def test_lesser(self, one: Mapping[Series, int], other: Mapping[Series, int]) -> None:
        """The lesser of two rows is in neither more than in the other."""
        assert all(
            value == min(one[key], other.get(key, 0)) for key, value in lesser(one, other).items()
        )

    @given(
        st.dictionaries(st.integers(0, 5), st.integers(0, 9)),
        st.none() | st.dictionaries(st.integers(1, 5), st.text(max_size=1)),
    )
    def test_labelled(self, values: dict[int, int], labels: dict[int, str] | None) -> None:
        """What projects without a label hold is under 0, and nothing is lost."""
        shown = labelled(values, labels)

        assert sum(values.values()) == sum(shown.values())
        assert labels is None or shown.keys() <= {0, *labels}
