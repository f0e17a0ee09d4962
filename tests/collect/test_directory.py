"""The projects of an organization: read hourly, and when an unknown id appears."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collect.poll.directory import FRESH_FOR, PAUSE_AFTER_FAILURE, ProjectDirectory
from exporter.collect.snapshot import ProjectInfo
from exporter.sentry.errors import ForbiddenError, ServerError
from exporter.sentry.projects import Project, ProjectList
from exporter.state import State
from tests.support.logs import logged
from tests.support.publishing import RecordingPublisher
from tests.support.rows import API, OLD, WEB
from tests.support.sentry import Sentry, listed
from tests.support.settings import NOW, organization

BROKEN = ServerError(502, "Bad Gateway")


def directory(
    sentry: Sentry,
    publisher: RecordingPublisher | None = None,
    label_by: Literal["slug", "id"] = "slug",
) -> ProjectDirectory:
    """Return the directory of an organization."""
    return ProjectDirectory("acme", sentry, publisher or RecordingPublisher(), label_by)


class TestRefresh:
    """When the list is read."""

    @pytest.mark.parametrize(
        ("later", "expected"), [(0, 1), (FRESH_FOR - 1, 1), (FRESH_FOR, 2), (-1, 2)]
    )
    def test_hourly(self, later: int, expected: int) -> None:
        """The list is read again after an hour, or if the clock was set back before it."""
        sentry = Sentry()
        projects = directory(sentry)

        projects.projects(NOW)
        projects.projects(NOW + later)

        assert expected == sentry.listings

    def test_another_token(self) -> None:
        """With another token the list is read again, as it may have other projects."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        sentry.token, sentry.listing = "second", listed(API)

        assert {API} == set(projects.projects(NOW + 1).by_id)
        projects.projects(NOW + 2)
        assert 2 == sentry.listings

    def test_last_one_serves(self) -> None:
        """A list that cannot be read leaves the last one, and is tried again after a pause."""
        sentry = Sentry()
        projects = directory(sentry)
        before = projects.projects(NOW)
        sentry.listing_error = BROKEN

        assert before is projects.projects(NOW + FRESH_FOR)
        assert before is projects.projects(NOW + FRESH_FOR + PAUSE_AFTER_FAILURE - 1)
        assert before is projects.projects(NOW + FRESH_FOR + PAUSE_AFTER_FAILURE)
        assert 3 == sentry.listings

    def test_a_day_of_failures_is_some_lines(self) -> None:
        """A list that cannot be read for a day is a line an hour, and one when it can again."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        sentry.listing_error = BROKEN
        with logged() as logs:
            for later in range(FRESH_FOR, 24 * FRESH_FOR, 300):
                projects.projects(NOW + later)
            failing = len(logs)
            sentry.listing_error = None
            projects.projects(NOW + 24 * FRESH_FOR)

        assert 20 <= failing <= 30
        assert {"server_error"} == {record["reason"] for record in logs[:failing]}
        assert ["the projects list can be read again"] == [it["event"] for it in logs[failing:]]

    def test_another_reason_is_logged_at_once(self) -> None:
        """A change of the reason does not wait until the next line is due."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        with logged() as logs:
            for later, error in enumerate((BROKEN, BROKEN, ForbiddenError(403, "no"))):
                sentry.listing_error = error
                projects.projects(NOW + FRESH_FOR + later * PAUSE_AFTER_FAILURE - later)
                projects.refresh(NOW + FRESH_FOR + later * PAUSE_AFTER_FAILURE)

        assert ["server_error", "server_error", "forbidden"] == [it["reason"] for it in logs]

    def test_none_ever(self) -> None:
        """Without any list, why it cannot be read is raised."""
        sentry = Sentry()
        sentry.listing_error = ForbiddenError(403, "")

        with pytest.raises(ForbiddenError):
            directory(sentry).projects(NOW)


class TestFind:
    """Names that a filter has and the list lacks."""

    @pytest.mark.parametrize("name", ["project-9", "9"])
    def test_new_project(self, name: str) -> None:
        """An unknown name has the list read at once, however fresh it is."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        sentry.listing = listed(WEB, API, OLD)

        assert OLD in projects.find([name, "project-1"], NOW + 1).by_id
        assert 2 == sentry.listings

    def test_known(self) -> None:
        """Names of the list need no look at Sentry."""
        sentry = Sentry(projects=listed(WEB, hidden=[OLD]))
        projects = directory(sentry)
        projects.projects(NOW)

        projects.find(["project-1", "9"], NOW)

        assert 1 == sentry.listings

    def test_looked_for_once(self) -> None:
        """A name that is still unknown then is not looked for again; another one is."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)

        for names in (["9"], ["9", "1"], ["9", "gone"], ["gone"]):
            projects.find(names, NOW)

        assert 3 == sentry.listings


class TestLearn:
    """Projects that Sentry let the token read."""

    def test_new_project(self) -> None:
        """An id that the list lacks has it read at once, however fresh it is."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        sentry.listing = listed(WEB, API, OLD)

        assert OLD in projects.learn(frozenset({WEB, OLD}), NOW + 1).accessible
        assert 2 == sentry.listings

    def test_looked_for_once(self) -> None:
        """An id that is still unknown then is not looked for again; another one is."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)

        for ids in ({OLD}, {OLD, WEB}, {OLD, OLD + 1}, {OLD + 1}):
            projects.learn(frozenset(ids), NOW)

        assert 3 == sentry.listings

    def test_list_that_is_right_in_the_end(self) -> None:
        """A project that can be read since a moment ago is readable once the list says so."""
        sentry = Sentry(projects=listed(WEB, hidden=[API, OLD]))
        projects = directory(sentry)
        projects.projects(NOW)
        sentry.listing = listed(WEB, API, hidden=[OLD])

        assert {WEB, API} == projects.learn(frozenset({API}), NOW).accessible

    def test_list_that_is_wrong(self) -> None:
        """A list that denies what Sentry lets the token read speaks of somebody else."""
        sentry = Sentry(projects=listed(WEB, hidden=[API, OLD]))
        publisher = RecordingPublisher()
        projects = directory(sentry, publisher)
        projects.projects(NOW)

        learnt = projects.learn(frozenset({API}), NOW)

        assert {WEB, API, OLD} == learnt.accessible
        assert [1, 2, 9] == [one.id for one in publisher.projects["acme"]]
        assert learnt.accessible == projects.projects(NOW + FRESH_FOR).accessible

    def test_unreadable_then(self) -> None:
        """If the list cannot be read just then, the id is looked for after a pause."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        sentry.listing_error = BROKEN
        projects.learn(frozenset({OLD}), NOW)
        sentry.listing_error = None
        sentry.listing = listed(WEB, OLD)

        assert OLD in projects.learn(frozenset({OLD}), NOW + PAUSE_AFTER_FAILURE).by_id

    def test_counts_as_a_refresh(self) -> None:
        """A list that was read for an unknown id is fresh from then on."""
        sentry = Sentry()
        projects = directory(sentry)
        projects.projects(NOW)
        projects.learn(frozenset({OLD}), NOW + FRESH_FOR - 1)

        projects.projects(NOW + FRESH_FOR)

        assert 2 == sentry.listings


class TestCredentials:
    """A token that takes the place of one that did not work."""

    def test_tried_at_once(self) -> None:
        """With another token a list that could not be read is asked for without a pause."""
        sentry = Sentry()
        sentry.listing_error = ForbiddenError(403, "")
        projects = directory(sentry)
        with pytest.raises(ForbiddenError):
            projects.projects(NOW)
        sentry.listing_error = None
        sentry.token = "second"

        assert WEB in projects.projects(NOW + 1).by_id

    def test_flags_are_believed_again(self) -> None:
        """With another token the list is believed again about what can be read."""
        sentry = Sentry(projects=listed(WEB, hidden=[API, OLD]))
        projects = directory(sentry)
        projects.projects(NOW)
        projects.learn(frozenset({API}), NOW)
        before = projects.refresh(NOW + 1).accessible
        sentry.token = "second"

        assert {WEB, API, OLD} == before
        assert {WEB} == projects.refresh(NOW + 2).accessible

    def test_clock_set_back(self) -> None:
        """A failure at a time that lies ahead is no reason for a pause."""
        sentry = Sentry()
        sentry.listing_error = BROKEN
        projects = directory(sentry)
        with pytest.raises(ServerError):
            projects.projects(NOW)
        sentry.listing_error = None

        assert WEB in projects.projects(NOW - 1).by_id

    def test_pauses_otherwise(self) -> None:
        """With the same token the failure is raised again, without asking."""
        sentry = Sentry()
        sentry.listing_error = ForbiddenError(403, "")
        projects = directory(sentry)

        for _ in range(2):
            with pytest.raises(ForbiddenError):
                projects.projects(NOW)

        assert 1 == sentry.listings


class TestSuccessor:
    """A directory that takes over from another one of the same organization."""

    def test_goes_on(self) -> None:
        """It has the list, and does not read it before it is old; it publishes it once."""
        sentry, publisher = Sentry(), RecordingPublisher()
        one = directory(sentry)
        before = one.projects(NOW)
        other = ProjectDirectory("acme", sentry, publisher, "id", state=one.state)
        other.publish()
        published = publisher.projects.pop("acme")
        other.publish()

        assert before is other.projects(NOW + 1)
        assert 1 == sentry.listings
        assert ["1", "2"] == [info.label for info in published]
        assert {} == publisher.projects

    def test_publishes_what_came_late(self) -> None:
        """A list that its predecessor read later is published by the successor."""
        sentry, publisher = Sentry(), RecordingPublisher()
        one = directory(sentry)
        other = ProjectDirectory("acme", sentry, publisher, state=one.state)
        one.projects(NOW)

        other.projects(NOW + 1)

        assert [WEB, API] == [info.id for info in publisher.projects["acme"]]

    def test_another_client(self) -> None:
        """What could not be read is tried at once by another client."""
        sentry = Sentry()
        sentry.listing_error = BROKEN
        one = directory(sentry)
        with pytest.raises(ServerError):
            one.projects(NOW)

        other = ProjectDirectory("acme", Sentry(), RecordingPublisher(), state=one.state)

        assert WEB in other.projects(NOW + 1).by_id


class TestFailure:
    """The error of a list that could not be read, while it is not asked for again."""

    def test_raised_again(self) -> None:
        """It is the same error, without the frames of the first time."""
        sentry = Sentry()
        sentry.listing_error = ServerError(502, "Bad Gateway")
        sentry.listing_error.asked = "https://sentry.example"
        projects = directory(sentry)

        errors = []
        for _ in range(3):
            with pytest.raises(ServerError) as caught:
                projects.projects(NOW)
            errors.append(caught.value)

        assert 1 == len({str(error) for error in errors})
        assert [502] * 3 == [error.status for error in errors]
        assert 3 == len({id(error) for error in errors})


class TestTeams:
    """Who owns a project."""

    @pytest.mark.parametrize(
        ("teams", "expected"), [((), ""), (("payments",), "payments"), (("a", "b"), "")]
    )
    def test_only_team(self, teams: tuple[str, ...], expected: str) -> None:
        """A project belongs to its only team; of several, a person has to choose."""
        sentry = Sentry(
            projects=ProjectList.of([Project(WEB, "web", "", accessible=True, teams=teams)])
        )
        publisher = RecordingPublisher()

        directory(sentry, publisher).projects(NOW)

        assert [ProjectInfo("web", WEB, "", expected)] == publisher.projects["acme"]


class TestLabels:
    """What stands in the label ``project``."""

    twins = ProjectList.of(
        [
            Project(1, "web", "", accessible=True),
            Project(2, "api", "", accessible=True),
            Project(3, "api", "", accessible=True),
            Project(4, "gone", "", accessible=False),
        ]
    )

    def test_slugs(self) -> None:
        """Projects have their slugs as labels, or their ids where slugs are not different."""
        assert {1: "web", 2: "2", 3: "3"} == directory(Sentry()).labels(self.twins)

    def test_ids(self) -> None:
        """They have their ids if that is configured."""
        labels = directory(Sentry(), label_by="id").labels(self.twins)

        assert {1: "1", 2: "2", 3: "3"} == labels

    @given(st.dictionaries(st.integers(1, 9), st.text("abc", min_size=1, max_size=2)))
    def test_unique(self, slugs: dict[int, str]) -> None:
        """No two projects have the same label, whatever their slugs."""
        projects = ProjectList.of(
            Project(one, slug, "", accessible=True) for one, slug in slugs.items()
        )

        labels = directory(Sentry()).labels(projects)

        assert slugs.keys() == labels.keys()
        assert len(labels) == len(set(labels.values()))


def test_published() -> None:
    """Whoever can be read is published with label, id and platform, anew after each reading."""
    sentry, publisher = Sentry(projects=listed(WEB, hidden=[OLD])), RecordingPublisher()
    projects = directory(sentry, publisher)
    projects.projects(NOW)
    before = publisher.projects["acme"]
    sentry.listing = listed(API)

    projects.projects(NOW + FRESH_FOR)

    assert [ProjectInfo("project-1", WEB, "python")] == before
    assert [ProjectInfo("project-2", API, "python")] == publisher.projects["acme"]


class TestPersistence:
    """The list of an earlier process."""

    LISTED = ProjectList.of([Project(1, "web", "python", accessible=True)])

    @pytest.fixture
    def state(self, tmp_path: Path) -> Iterator[State]:
        """Return a state file that has a list."""
        with closing(State(tmp_path / "state.db")) as opened:
            opened.project_list(organization()).persist(self.LISTED)
            yield opened

    def test_serves_after_a_restart(self, state: State) -> None:
        """A list that cannot be read from Sentry is the one of the process before."""
        sentry, publisher = Sentry(), RecordingPublisher()
        sentry.listing_error = ServerError(503, "")

        projects = ProjectDirectory(
            "acme", sentry, publisher, persistence=state.project_list(organization())
        )

        assert self.LISTED == projects.projects(NOW)

    def test_read_again(self, state: State) -> None:
        """Where Sentry can be asked, it is, and its answer is persisted."""
        sentry = Sentry()
        persisted = state.project_list(organization())

        projects = ProjectDirectory("acme", sentry, RecordingPublisher(), persistence=persisted)

        assert projects.projects(NOW) == sentry.listing == persisted.restore()
