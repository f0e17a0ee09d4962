"""What is asked about the use of projects, and what is made of the answers."""

from typing import Final

import pytest

from exporter.buckets import floor
from exporter.collect.plan.core import Reply
from exporter.collect.quota.projects import ProjectsReading, read_by_project, with_projects
from exporter.collect.quota.reading import UsageReading, read_usage
from exporter.collect.series import NO_PROJECT
from exporter.quota.model import DAY, Period
from exporter.sentry.question import ATTRIBUTABLE, Question
from tests.support.rows import API, NOON, OLD, WEB, row
from tests.support.store import Row, Store

NOW: Final = NOON + 600
TODAY: Final = floor(NOW, DAY)
PERIOD: Final = Period(TODAY - 20 * DAY, TODAY + 10 * DAY)
ERRORS: Final = ("error",)


class Busy(Store):
    """A store in which an event arrives after each question."""

    def reply(self, question: Question) -> Reply:
        """Answer ``question``."""
        answer = super().reply(question)
        self.rows = [*self.rows, error(1)]
        return answer


def by_project(
    store: Store,
    *categories: str,
    projects: tuple[int, ...] = (WEB, API),
    before: ProjectsReading | None = None,
) -> ProjectsReading:
    """Return what each project has used."""
    named = categories or ERRORS
    usage = store.run(read_usage(named, PERIOD, NOW))
    return store.run(read_by_project(named, PERIOD, NOW, usage, projects, before))


def error(quantity: int, bucket: int = NOON, project: int = WEB, **labels: str) -> Row:
    """Return a row of errors."""
    return row(quantity, bucket=bucket, project=project, **{"category": "error", **labels})


class TestProjects:
    """The use of each project."""

    def test_one_question_for_any_range(self) -> None:
        """The totals of the period come in one question."""
        store = Store([error(1, PERIOD.start), error(10), error(100, project=API)])
        read = by_project(store)

        assert {"error": {WEB: 11, API: 100}} == read.used
        assert 3 == len(store.asked)
        assert (PERIOD.start, TODAY + DAY) == (
            store.asked[-1].window.start,
            store.asked[-1].window.end,
        )

    def test_remainder(self) -> None:
        """What the organization has used more than its projects is under no project."""
        store = Store([error(1), error(10, project=OLD, bucket=PERIOD.start)])
        store.readable = frozenset({WEB, API})

        assert {"error": {WEB: 1, NO_PROJECT: 10}} == by_project(store).used

    def test_categories_apart(self) -> None:
        """Each category has its own sums, also those that nobody has used."""
        store = Store([error(1), row(10, bucket=NOON, category="span")])

        assert {"error": {WEB: 1}, "span": {WEB: 10}, "replay": {}} == (
            by_project(store, "error", "span", "replay").used
        )

    @pytest.mark.parametrize("limit", [50, 200])
    def test_more_projects_than_rows(self, limit: int) -> None:
        """Where projects are more than the limit of rows, they are asked in parts, to the event."""
        everyone = tuple(range(1, 501))
        store = Store([error(project, project=project) for project in everyone])
        store.project_limit = limit
        read = by_project(store, projects=everyone)

        assert {project: project for project in everyone} == read.used["error"]
        assert read.proven

    def test_categories_that_would_be_too_many_rows(self) -> None:
        """They are asked for in as few questions as fit, and attachment, as ever, alone."""
        everyone = tuple(range(1, 2_501))
        names = ("span", "replay", "attachment", "transaction", "log_byte")
        used = {name: dict.fromkeys(everyone, number) for number, name in enumerate(names, start=1)}
        store = Store(
            [
                row(number, bucket=NOON, category=name, project=project)
                for number, name in enumerate(names, start=1)
                for project in everyone
            ]
        )
        read = by_project(store, *names, "profile_duration", projects=everyone)

        assert {**used, "profile_duration": {}} == read.used
        assert read.proven
        assert [("log_byte", "replay", "span"), ("transaction",), ("attachment",)] == [
            question.category for question in store.asked if "project" in question.group_by
        ]

    def test_fewer_projects_than_could_be(self) -> None:
        """The last reading tells how many projects use a category: then one question is enough."""
        everyone = tuple(range(1, 9_001))
        store = Store([*(error(5, project=one) for one in everyone[:50]), row(9, bucket=NOON)])
        first = by_project(store, "error", "transaction", projects=everyone)
        asked = len(store.asked)
        second = by_project(
            store, "error", "transaction", projects=(*everyone, 9_001), before=first
        )

        assert first.used == second.used
        assert 3 == len(store.asked) - asked

    @pytest.mark.parametrize("categories", [["span"], ["span", "attachment", "replay"]])
    def test_one_question_about_what_can_be_read(self, categories: list[str]) -> None:
        """However many questions have the projects, one more tells the remainder of all."""
        everyone = tuple(range(1, 4_001))
        rows = [
            row(1, bucket=NOON, category=name, project=project)
            for name in categories
            for project in (*everyone, 4_001)
        ]
        store = Store(rows, readable=frozenset(everyone))
        read = by_project(store, *categories, projects=everyone)

        assert dict.fromkeys(categories, 1) == {
            name: values[NO_PROJECT] for name, values in read.used.items()
        }
        assert 1 == sum(question.project == ATTRIBUTABLE for question in store.asked)
        assert read.proven

    def test_events_come_in_between_the_questions(self) -> None:
        """Where there was a remainder, what is attributable is read first, and proves the next."""
        store = Busy([error(50), error(10, project=OLD, bucket=PERIOD.start)])
        store.readable = frozenset({WEB, API})
        first = by_project(store)
        asked = len(store.asked)
        second = by_project(store, before=first)

        assert 4 == len(store.asked) - asked
        assert second.proven
        assert 0 < second.used["error"][NO_PROJECT] <= 10

    def test_too_heavy(self) -> None:
        """What the store refuses as too heavy is read in parts."""
        everyone = tuple(range(1, 401))
        store = Store([error(one, bucket=NOON - one % 15 * DAY, project=one) for one in everyone])
        usage = store.run(read_usage(ERRORS, PERIOD, NOW))
        store.refuse_over = 250
        read = store.run(read_by_project(ERRORS, PERIOD, NOW, usage, everyone))

        assert {project: project for project in everyone} == read.used["error"]

    def test_events_that_arrive_meanwhile(self) -> None:
        """Projects that were read later have more: then so has the organization."""
        before = UsageReading({"error": {TODAY: 10}})
        read = ProjectsReading({"error": {WEB: 8, API: 5}})

        assert 13 == with_projects(before, read).used(ERRORS)
        assert 10 == with_projects(before, ProjectsReading({"error": {WEB: 10}})).used(ERRORS)
