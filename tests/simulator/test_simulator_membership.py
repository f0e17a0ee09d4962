"""Who may read what: the two tables of Sentry, one of its projects list and one of stats_v2."""

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

MINE, THEIRS, GONE, NOWHERE = 11, 12, 13, 99
QUANTITIES = {MINE: 1, THEIRS: 10, GONE: 100}
WHOLE = sum(QUANTITIES.values())
LISTED = QUANTITIES[MINE] + QUANTITIES[THEIRS]

OPEN, CLOSED = "open", "closed"
INTEGRATION, OWNER, MEMBER, LONER = "integration", "owner", "member", "loner"


def make_world(membership: str, *, active: bool = True) -> World:
    """Return an organization with a project of the member's, another one, and a deleted one."""
    status = ProjectStatus.ACTIVE if active else ProjectStatus.DELETED
    world = World(
        [Organization(1, "acme", open_membership=membership == OPEN)],
        [
            Project(MINE, 1, "mine", status=status, members=frozenset({MEMBER})),
            Project(THEIRS, 1, "theirs", status=status),
            Project(GONE, 1, "gone", status=ProjectStatus.DELETED, members=frozenset({MEMBER})),
        ],
        [Member(1, OWNER, "owner"), Member(1, MEMBER), Member(1, LONER)],
        [
            Token(INTEGRATION, TokenKind.INTEGRATION, 1),
            *(Token(user, TokenKind.USER, user=user) for user in (OWNER, MEMBER, LONER)),
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


def ask_stats(world: World, token: str, release: Release = CURRENT, **parameters: Any) -> Answer:
    """Return the answer to a question about the running hour's errors."""
    asked = {"field": "sum(quantity)", "category": "error", "statsPeriod": "1h", "interval": "1h"}
    return request(world, token, "stats_v2", release, **{**asked, **parameters})


def counted(answer: Answer) -> int | str:
    """Return the sum of an answer's totals, or why it was refused."""
    document = answer.document()
    if answer.status != 200:
        return f"{answer.status} {document['detail']}"
    return sum(int(group["totals"]["sum(quantity)"]) for group in document["groups"])


FORBIDDEN = "403 You do not have permission to perform this action."
NOBODY = "400 No projects available"


@pytest.mark.parametrize(
    ("token", "membership", "flags"),
    [
        (INTEGRATION, OPEN, {"mine": (False, True), "theirs": (False, True)}),
        (INTEGRATION, CLOSED, {"mine": (False, False), "theirs": (False, False)}),
        (MEMBER, OPEN, {"mine": (True, True), "theirs": (False, True)}),
        (MEMBER, CLOSED, {"mine": (True, True), "theirs": (False, False)}),
        (OWNER, CLOSED, {"mine": (False, True), "theirs": (False, True)}),
        (LONER, CLOSED, {"mine": (False, False), "theirs": (False, False)}),
    ],
)
def test_the_flags_of_the_list(
    token: str, membership: str, flags: dict[str, tuple[bool, bool]]
) -> None:
    """They follow from teams, role and Open Membership; an integration has neither of the first."""
    document = request(make_world(membership), token, "projects").document()

    assert flags == {each["slug"]: (each["isMember"], each["hasAccess"]) for each in document}


class TestStats:
    """What stats_v2 counts."""

    @pytest.mark.parametrize("membership", [OPEN, CLOSED])
    @pytest.mark.parametrize("token", [INTEGRATION, OWNER, MEMBER, LONER])
    @pytest.mark.parametrize(
        "parameters",
        [{}, {"project": -1}, {"groupBy": ["project", "outcome"]}, {"groupBy": "outcome"}],
    )
    def test_the_whole_organization(
        self, token: str, membership: str, parameters: dict[str, Any]
    ) -> None:
        """Without an id and without project as the last groupBy, everything counts for anyone."""
        answer = ask_stats(make_world(membership), token, **parameters)

        assert WHOLE == counted(answer)

    @pytest.mark.parametrize(
        ("token", "expected"),
        [(INTEGRATION, LISTED), (MEMBER, QUANTITIES[MINE]), (OWNER, NOBODY), (LONER, NOBODY)],
    )
    @pytest.mark.parametrize("membership", [OPEN, CLOSED])
    def test_project_last_counts_what_the_token_is_a_member_of(
        self, token: str, membership: str, expected: int | str
    ) -> None:
        """Open Membership and roles do not make a member."""
        world = make_world(membership)

        assert expected == counted(ask_stats(world, token, groupBy=["outcome", "project"]))

    @pytest.mark.parametrize(
        ("token", "membership", "expected"),
        [
            (INTEGRATION, CLOSED, LISTED),
            (OWNER, CLOSED, LISTED),
            (MEMBER, CLOSED, QUANTITIES[MINE]),
            (LONER, CLOSED, NOBODY),
            (MEMBER, OPEN, LISTED),
            (LONER, OPEN, LISTED),
        ],
    )
    @pytest.mark.parametrize(
        "parameters",
        [
            {"project": -1, "groupBy": ["outcome", "project"]},
            {"project": [-1, 0]},
            {"project": [MINE, -1]},
            {"project": [-1, NOWHERE, GONE], "groupBy": "project"},
        ],
    )
    def test_all_projects_are_those_that_may_be_read(
        self, token: str, membership: str, parameters: dict[str, Any], expected: int | str
    ) -> None:
        """``-1`` is everything accessible, and ids beside it are not checked."""
        world = make_world(membership)

        assert expected == counted(ask_stats(world, token, **parameters))

    @pytest.mark.parametrize(
        ("token", "membership", "projects", "expected"),
        [
            (INTEGRATION, CLOSED, [MINE, THEIRS], LISTED),
            (INTEGRATION, CLOSED, [MINE, GONE], FORBIDDEN),
            (INTEGRATION, CLOSED, [0], FORBIDDEN),
            (MEMBER, CLOSED, [MINE], QUANTITIES[MINE]),
            (MEMBER, CLOSED, [MINE, THEIRS], FORBIDDEN),
            (MEMBER, OPEN, [MINE, THEIRS], LISTED),
            (OWNER, CLOSED, [THEIRS], QUANTITIES[THEIRS]),
            (LONER, CLOSED, [MINE], FORBIDDEN),
            (LONER, OPEN, [NOWHERE], FORBIDDEN),
        ],
    )
    @pytest.mark.parametrize("group_by", ["project", "outcome"])
    def test_ids_are_all_read_or_none(
        self,
        token: str,
        membership: str,
        projects: list[int],
        group_by: str,
        expected: int | str,
    ) -> None:
        """One that may not be read, is deleted or unknown refuses the whole request."""
        world = make_world(membership)
        answer = ask_stats(world, token, project=projects, groupBy=group_by)

        assert expected == counted(answer)

    def test_all_projects_without_grouping_have_a_series(self) -> None:
        """``project=-1&project=0`` tells bucket by bucket what may be asked for by id."""
        world = make_world(CLOSED)
        answer = ask_stats(world, INTEGRATION, project=[-1, 0], statsPeriod="2h").document()

        assert [0, 0, LISTED] == answer["groups"][0]["series"]["sum(quantity)"]

    @pytest.mark.parametrize("parameters", [{"project": [-1, 0]}, {"groupBy": "project"}])
    def test_nobody_to_count(self, parameters: dict[str, Any]) -> None:
        """An organization without an active project is a 400, even for an integration."""
        world = make_world(OPEN, active=False)

        assert NOBODY == counted(ask_stats(world, INTEGRATION, **parameters))


class TestOldServers:
    """What releases of before 2023 make of ``-1`` beside ids."""

    OLD = Release(22, 12)

    @pytest.mark.parametrize("project", [[-1, 0], [0, -1], [-1, MINE]])
    def test_all_projects_beside_ids_are_refused(self, project: list[int]) -> None:
        """No project has the id -1, so the request is a 403."""
        world = make_world(OPEN)

        assert FORBIDDEN == counted(ask_stats(world, INTEGRATION, self.OLD, project=project))

    def test_all_projects_alone_are_not(self) -> None:
        """``-1`` alone means what it always meant."""
        world = make_world(OPEN)
        answer = ask_stats(world, INTEGRATION, self.OLD, project=-1, groupBy="project")

        assert LISTED == counted(answer)
