"""Which projects a token may read, in the projects list and in stats_v2."""

from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator import (
    Member,
    Organization,
    Project,
    ProjectStatus,
    Release,
    Row,
    Token,
    TokenKind,
    World,
)
from exporter.simulator.application import Application
from exporter.simulator.messages import Answer, Request
from exporter.simulator.release import CURRENT

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 600.0

MINE, OTHER, DELETED, UNKNOWN = 11, 12, 13, 99
QUANTITIES = {MINE: 1, OTHER: 10, DELETED: 100}
ORGANIZATION_TOTAL = sum(QUANTITIES.values())
LISTED = QUANTITIES[MINE] + QUANTITIES[OTHER]

OPEN, CLOSED = "open", "closed"
INTEGRATION, OWNER, MEMBER, NO_TEAM = "integration", "owner", "member", "no-team"


def make_world(membership: str, *, active: bool = True) -> World:
    """Return an organization with a project of the member, one of others, and a deleted one."""
    status = ProjectStatus.ACTIVE if active else ProjectStatus.DELETED
    world = World(
        [Organization(1, "acme", open_membership=membership == OPEN)],
        [
            Project(MINE, 1, "mine", status=status, members=frozenset({MEMBER})),
            Project(OTHER, 1, "other", status=status),
            Project(DELETED, 1, "old", status=ProjectStatus.DELETED, members=frozenset({MEMBER})),
        ],
        [Member(1, OWNER, "owner"), Member(1, MEMBER), Member(1, NO_TEAM)],
        [
            Token(INTEGRATION, TokenKind.INTEGRATION, 1),
            *(Token(user, TokenKind.USER, user=user) for user in (OWNER, MEMBER, NO_TEAM)),
        ],
    )
    for project, quantity in QUANTITIES.items():
        world.add_rows(Row(1, project, "error", "accepted", None, NOW - 60, quantity))
    return world


def request(
    world: World, token: str, endpoint: str, release: Release = CURRENT, **parameters: Any
) -> Answer:
    """Return the answer of an endpoint."""
    application = Application(world, lambda: NOW, lambda _: None, rate_limit=None, release=release)
    headers = {"authorization": f"Bearer {token}"}
    path = f"/api/0/organizations/acme/{endpoint}/"
    query = urlencode(parameters, doseq=True)
    return application.reply(Request("GET", path, query, headers)).answer


def get_stats(world: World, token: str, release: Release = CURRENT, **parameters: Any) -> Answer:
    """Return the stats_v2 answer with the errors of the running hour."""
    query = {"field": "sum(quantity)", "category": "error", "statsPeriod": "1h", "interval": "1h"}
    return request(world, token, "stats_v2", release, **{**query, **parameters})


def counted(answer: Answer) -> int | str:
    """Return the sum of an answer's totals, or its error."""
    document = answer.document()
    if answer.status != 200:
        return f"{answer.status} {document['detail']}"
    return sum(int(group["totals"]["sum(quantity)"]) for group in document["groups"])


FORBIDDEN = "403 You do not have permission to perform this action."
NO_PROJECTS = "400 No projects available"


@pytest.mark.parametrize(
    ("token", "membership", "flags"),
    [
        (INTEGRATION, OPEN, {"mine": (False, True), "other": (False, True)}),
        (INTEGRATION, CLOSED, {"mine": (False, False), "other": (False, False)}),
        (MEMBER, OPEN, {"mine": (True, True), "other": (False, True)}),
        (MEMBER, CLOSED, {"mine": (True, True), "other": (False, False)}),
        (OWNER, CLOSED, {"mine": (False, True), "other": (False, True)}),
        (NO_TEAM, CLOSED, {"mine": (False, False), "other": (False, False)}),
    ],
)
def test_the_flags_of_the_list(
    token: str, membership: str, flags: dict[str, tuple[bool, bool]]
) -> None:
    """The list's flags follow from the user's teams, the role, and Open Membership."""
    document = request(make_world(membership), token, "projects").document()

    assert flags == {each["slug"]: (each["isMember"], each["hasAccess"]) for each in document}


class TestStats:
    """The projects that stats_v2 counts."""

    @pytest.mark.parametrize("membership", [OPEN, CLOSED])
    @pytest.mark.parametrize("token", [INTEGRATION, OWNER, MEMBER, NO_TEAM])
    @pytest.mark.parametrize(
        "parameters",
        [{}, {"project": -1}, {"groupBy": ["project", "outcome"]}, {"groupBy": "outcome"}],
    )
    def test_the_organization_total(
        self, token: str, membership: str, parameters: dict[str, Any]
    ) -> None:
        """Without ids, and unless project is the last groupBy, everything is counted."""
        answer = get_stats(make_world(membership), token, **parameters)

        assert ORGANIZATION_TOTAL == counted(answer)

    @pytest.mark.parametrize(
        ("token", "expected"),
        [
            (INTEGRATION, LISTED),
            (MEMBER, QUANTITIES[MINE]),
            (OWNER, NO_PROJECTS),
            (NO_TEAM, NO_PROJECTS),
        ],
    )
    @pytest.mark.parametrize("membership", [OPEN, CLOSED])
    def test_project_last_counts_member_projects(
        self, token: str, membership: str, expected: int | str
    ) -> None:
        """With project as the last groupBy, only projects on the user's teams are counted."""
        world = make_world(membership)

        assert expected == counted(get_stats(world, token, groupBy=["outcome", "project"]))

    @pytest.mark.parametrize(
        ("token", "membership", "expected"),
        [
            (INTEGRATION, CLOSED, LISTED),
            (OWNER, CLOSED, LISTED),
            (MEMBER, CLOSED, QUANTITIES[MINE]),
            (NO_TEAM, CLOSED, NO_PROJECTS),
            (MEMBER, OPEN, LISTED),
            (NO_TEAM, OPEN, LISTED),
        ],
    )
    @pytest.mark.parametrize(
        "parameters",
        [
            {"project": -1, "groupBy": ["outcome", "project"]},
            {"project": [-1, 0]},
            {"project": [MINE, -1]},
            {"project": [-1, UNKNOWN, DELETED], "groupBy": "project"},
        ],
    )
    def test_all_projects_are_those_that_may_be_read(
        self, token: str, membership: str, parameters: dict[str, Any], expected: int | str
    ) -> None:
        """``-1`` stands for every readable project, and ids given with it are not checked."""
        world = make_world(membership)

        assert expected == counted(get_stats(world, token, **parameters))

    @pytest.mark.parametrize(
        ("token", "membership", "projects", "expected"),
        [
            (INTEGRATION, CLOSED, [MINE, OTHER], LISTED),
            (INTEGRATION, CLOSED, [MINE, DELETED], FORBIDDEN),
            (INTEGRATION, CLOSED, [0], FORBIDDEN),
            (MEMBER, CLOSED, [MINE], QUANTITIES[MINE]),
            (MEMBER, CLOSED, [MINE, OTHER], FORBIDDEN),
            (MEMBER, OPEN, [MINE, OTHER], LISTED),
            (OWNER, CLOSED, [OTHER], QUANTITIES[OTHER]),
            (NO_TEAM, CLOSED, [MINE], FORBIDDEN),
            (NO_TEAM, OPEN, [UNKNOWN], FORBIDDEN),
        ],
    )
    @pytest.mark.parametrize("group_by", ["project", "outcome"])
    def test_one_unreadable_id_refuses_the_request(
        self,
        token: str,
        membership: str,
        projects: list[int],
        group_by: str,
        expected: int | str,
    ) -> None:
        """An id that is unreadable, deleted or unknown is a 403 for the complete request."""
        world = make_world(membership)
        answer = get_stats(world, token, project=projects, groupBy=group_by)

        assert expected == counted(answer)

    def test_all_projects_have_a_series_without_grouping(self) -> None:
        """``project=-1&project=0`` returns the hourly sums of the readable projects."""
        world = make_world(CLOSED)
        answer = get_stats(world, INTEGRATION, project=[-1, 0], statsPeriod="2h").document()

        assert [0, 0, LISTED] == answer["groups"][0]["series"]["sum(quantity)"]

    @pytest.mark.parametrize("parameters", [{"project": [-1, 0]}, {"groupBy": "project"}])
    def test_no_projects_available(self, parameters: dict[str, Any]) -> None:
        """An organization without an active project is a 400, even for an integration."""
        world = make_world(OPEN, active=False)

        assert NO_PROJECTS == counted(get_stats(world, INTEGRATION, **parameters))


class TestOldServers:
    """Releases before 2023, which refuse ``-1`` given with ids."""

    OLD = Release(22, 12)

    @pytest.mark.parametrize("project", [[-1, 0], [0, -1], [-1, MINE]])
    def test_all_projects_with_ids_are_refused(self, project: list[int]) -> None:
        """The id -1 is looked up like any other, so that the request is a 403."""
        world = make_world(OPEN)

        assert FORBIDDEN == counted(get_stats(world, INTEGRATION, self.OLD, project=project))

    def test_all_projects_alone_are_accepted(self) -> None:
        """``-1`` alone stands for every readable project, as in newer releases."""
        world = make_world(OPEN)
        answer = get_stats(world, INTEGRATION, self.OLD, project=-1, groupBy="project")

        assert LISTED == counted(answer)
