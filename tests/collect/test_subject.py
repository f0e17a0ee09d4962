"""What a query is about: slugs become ids, groups become series, rows add up."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.collect.rows import Series, added, between, difference, nonzero, sums
from exporter.collect.subject import Subject, subject_of
from exporter.config import Filter
from exporter.sentry.answers import By, Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.errors import UnknownProjectError
from exporter.sentry.projects import ProjectList
from exporter.sentry.stats import QUANTITY, TIMES_SEEN
from tests.collect.polling import API, HOUR, NOON, WEB, listed, query, series

TWO_HOURS = Window(NOON, NOON + 2 * HOUR, HOUR)


def subject(*group_by: str, **filters: object) -> Subject:
    """Return a subject whose filter has ``filters``, projects by name."""
    asked = query(*group_by, filter=Filter(**filters))  # type: ignore[arg-type]
    return subject_of(asked, listed(WEB, API))


class TestSubjectOf:
    """Making a subject of a configured query."""

    def test_all_of_it(self) -> None:
        """Everything the query asks for is in it."""
        found = subject(
            "outcome",
            category=("error",),
            outcome=("accepted",),
            reason="none",
            project=("project-1", "4505123"),
        )

        assert found == Subject(
            (QUANTITY,),
            ("outcome",),
            HOUR,
            ("error",),
            ("accepted",),
            "none",
            (WEB, 4505123),
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

    def test_near_names(self) -> None:
        """A slug that is not on the list is refused, and near ones are suggested."""
        with pytest.raises(UnknownProjectError, match=r"'projekt-1', .*near it: project-1, "):
            subject("outcome", project=("projekt-1",))

    @pytest.mark.parametrize("projects", [None, listed()])
    def test_no_near_names(self, projects: ProjectList | None) -> None:
        """Without anything near there is no suggestion."""
        with pytest.raises(UnknownProjectError, match=r"no slug of the organization$"):
            subject_of(query("outcome", filter=Filter(project=("web",))), projects)

    def test_ids_need_no_list(self) -> None:
        """An id is itself, whether it is on the list or not."""
        found = subject_of(query("outcome", filter=Filter(project=("77",))), None)

        assert (77,) == found.project


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
            (("outcome", "project"), ("project", "outcome")),
            (("project", "category", "outcome"), ("project", "category", "outcome")),
            (("project",), ("project", "category")),
        ],
    )
    def test_project_is_never_last(
        self, group_by: tuple[str, ...], expected: tuple[str, ...]
    ) -> None:
        """Project is asked first, before another, so that Sentry counts every project."""
        question = subject(*group_by, category=("error",)).project_question(NOON)

        assert expected == question.group_by
        assert Window(NOON, NOON + HOUR, HOUR) == question.window

    @given(st.lists(st.integers(1, 10**16), max_size=900), st.integers(1, 500))
    def test_batches(self, projects: list[int], most: int) -> None:
        """Batches hold every project, in order, at most so many each, and none is empty."""
        batches = [
            batch.project
            for batch in subject("project", "outcome").project_batches(NOON, tuple(projects), most)
        ]

        assert projects == [project for batch in batches for project in batch]
        assert all(1 <= len(batch) <= most for batch in batches)


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
        about = subject_of(asked, None)
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

    @given(rows, rows, rows)
    def test_between(
        self, low: Mapping[Series, int], before: Mapping[Series, int], more: Mapping[Series, int]
    ) -> None:
        """The remainder stays where it was if the two reconciliations allow, and within them."""
        high = added(low, more)

        found = between(low, before, high)

        assert nonzero(found) == found
        for one in high:
            assert low.get(one, 0) <= found.get(one, 0) <= high[one]
            if low.get(one, 0) <= before.get(one, 0) <= high[one]:
                assert before.get(one, 0) == found.get(one, 0)
