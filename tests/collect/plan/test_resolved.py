"""The resolved query: slugs become ids, and groups become series."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.buckets import Window
from exporter.collect.plan.resolved import (
    URL_BUDGET,
    ChosenProjects,
    ResolvedQuery,
    choose_projects,
    missing_project,
    resolve,
)
from exporter.collect.series import Series
from exporter.config import Filter
from exporter.sentry.answer import By, Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from tests.support.rows import API, HOUR, NOON, WEB, flat
from tests.support.sentry import listed
from tests.support.settings import query

TWO_HOURS = Window(NOON, NOON + 2 * HOUR, HOUR)


def resolved(*group_by: str, **filters: object) -> ResolvedQuery:
    """Return a resolved query whose filter has ``filters``, projects by name."""
    asked = query(*group_by, filter=Filter(**filters))
    return resolve(asked, choose_projects(asked.filter.project, listed(WEB, API)).ids)


class TestResolve:
    """Resolving a configured query."""

    def test_all_of_it(self) -> None:
        """Everything the query asks for is in it."""
        one = resolved(
            "outcome",
            category=("error",),
            outcome=("accepted",),
            reason="none",
            project=("project-1", "2"),
        )

        assert one == ResolvedQuery(
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
        assert expected == resolved("outcome", category=asked).category

    def test_the_same_project_twice(self) -> None:
        """A project that is named by slug and by id is one project."""
        assert (WEB,) == resolved(
            "outcome", category=("error",), project=("project-1", "1")
        ).project

    def test_room(self) -> None:
        """What a URL may have beyond its address is left for the query string."""
        asked = query("outcome")

        assert URL_BUDGET - 100 == resolve(asked, address=100).room


class TestFilterProjects:
    """The projects that a filter names."""

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (("project-1", "2"), ChosenProjects((WEB, API))),
            (("project-1", "1"), ChosenProjects((WEB,))),
            (("project-1", "gone", "77"), ChosenProjects((WEB,), ("gone", "77"))),
            ((), ChosenProjects()),
        ],
    )
    def test_listed(self, names: tuple[str, ...], expected: ChosenProjects) -> None:
        """A name that no project of the list has is missing, and the others are read."""
        assert expected == choose_projects(names, listed(WEB, API))

    def test_refused(self) -> None:
        """A project that Sentry does not let the token read is missing too."""
        chosen = choose_projects(("project-1", "2"), listed(WEB, API), frozenset({API}))

        assert ChosenProjects((WEB,), ("2",)) == chosen

    def test_without_list(self) -> None:
        """Without a list an id is taken for what it is."""
        assert ChosenProjects((77,), ("web",)) == choose_projects(("77", "web"), None)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("projekt-1", 'no project "projekt-1" (did you mean project-1'),
            ("7777777", "no project with the id 7777777"),
            ("1", 'the token cannot read the project "1"'),
        ],
    )
    def test_missing(self, name: str, words: str) -> None:
        """The message says what is wrong with a name, and suggests near slugs."""
        assert missing_project(name, listed(WEB, API)).startswith(words)

    @pytest.mark.parametrize("projects", [None, listed()])
    def test_nothing_near(self, projects: ProjectList | None) -> None:
        """Without anything near there is no suggestion."""
        assert 'no project "web"' == missing_project("web", projects)


class TestQuestions:
    """The questions of a resolved query."""

    def test_window(self) -> None:
        """A window is asked for without project, with the filters."""
        question = resolved("outcome", "project", "category", project=("1",)).question(TWO_HOURS)

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
        question = resolved(*group_by, category=("error",)).project_question(NOON)

        assert expected == question.group_by
        assert (-1,) == question.project
        assert Window(NOON, NOON + HOUR, HOUR) == question.window

    @pytest.mark.parametrize(("filtered", "expected"), [((), (-1, 0)), (("1",), (WEB,))])
    def test_attributable(self, filtered: tuple[str, ...], expected: tuple[int, ...]) -> None:
        """What the token can read is asked for together, or just what the filter names."""
        question = resolved("project", "outcome", project=filtered).attributable_question(TWO_HOURS)

        assert ("outcome",) == question.group_by
        assert expected == question.project

    @given(
        st.lists(st.integers(1, 10**16), max_size=900),
        st.lists(st.text(max_size=200), max_size=120),
        st.integers(1, 500),
    )
    def test_batches(self, projects: list[int], categories: list[str], most: int) -> None:
        """Batches ask for all, at most so many projects each, in URLs that fit."""
        about = resolved("project", "outcome")
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
        about = resolved("project", "category", "outcome", "reason")
        answer = ProjectsAnswer(
            about.project_question(NOON),
            {QUANTITY: {By("error", "filtered", "web-crawlers"): {WEB: 5}}},
        )

        one = Series(QUANTITY, "error", "filtered", "web-crawlers")
        assert {one: {WEB: 5}} == about.rows(answer)

    def test_pinned(self) -> None:
        """What the filter pins to one value is that value, though it is not grouped by."""
        about = resolved("outcome", category=("error",), reason="key_quota", project=("project-1",))
        answer = SeriesAnswer(
            about.question(TWO_HOURS), (Group(By(outcome="invalid"), (5,), ((2, 3),)),)
        )

        one = Series(QUANTITY, "error", "invalid", "key_quota")
        assert {NOON: {one: {WEB: 2}}, NOON + HOUR: {one: {WEB: 3}}} == about.buckets(answer)

    def test_not_pinned(self) -> None:
        """Several values of a filter pin nothing."""
        about = resolved("reason", category=("error", "span"), outcome=("invalid", "abuse"))
        answer = SeriesAnswer(about.question(TWO_HOURS), (Group(By(reason="r"), (5,), ((2, 3),)),))

        assert {(QUANTITY, "", "", "r")} == set(about.buckets(answer)[NOON])

    def test_fields(self) -> None:
        """Each field is a series of its own."""
        asked = query("outcome", fields=(QUANTITY, TIMES_SEEN), filter=Filter(category=("error",)))
        about = resolve(asked)
        group = Group(By(outcome="invalid"), (9, 2), ((9, 0), (2, 0)))

        noon = about.buckets(SeriesAnswer(about.question(TWO_HOURS), (group,)))[NOON]

        assert {QUANTITY: 9, TIMES_SEEN: 2} == {s.series.field: v for s, v in flat(noon).items()}

    def test_extra_category(self) -> None:
        """What was asked apart only to have project before it is added up again."""
        about = resolved("project", category=("error", "span"))
        totals = {QUANTITY: {By("error"): {WEB: 5}, By("span"): {WEB: 2}}}

        rows = about.rows(ProjectsAnswer(about.project_question(NOON), totals))

        assert {Series(QUANTITY, "", "", ""): {WEB: 7}} == rows
