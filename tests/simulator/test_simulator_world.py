"""Changes of a world while it is served."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from exporter.simulator import (
    Member,
    Organization,
    Project,
    ProjectStatus,
    Token,
    TokenKind,
    World,
)
from exporter.simulator.application import Application
from exporter.simulator.messages import Answer, Request

WEB, API, DELETED = 11, 12, 13


def get(world: World, caller: str = "right", organization: str = "acme") -> Answer:
    """Return the answer of the projects list."""
    application = Application(world, lambda: 0.0, lambda _: None, rate_limit=None)
    path = f"/api/0/organizations/{organization}/projects/"
    headers = {"authorization": f"Bearer {caller}"}
    return application.reply(Request("GET", path, headers=headers)).answer


def items(world: World, caller: str = "right") -> dict[int, Any]:
    """Return the items of the projects list by id."""
    return {int(item["id"]): item for item in get(world, caller).document()}


def slugs(world: World) -> dict[int, str]:
    """Return the slugs in the projects list by id."""
    return {project: item["slug"] for project, item in items(world).items()}


def test_rename_a_project(world: World) -> None:
    """A renamed project has its old id."""
    world.rename_project(WEB, "site")

    assert {WEB: "site", API: "api"} == slugs(world)


def test_a_project_takes_over_the_slug_of_another(world: World) -> None:
    """Two projects are renamed in one step."""
    world.rename_projects({WEB: "web-old", API: "web"})

    assert {WEB: "web-old", API: "web"} == slugs(world)


def test_two_projects_swap_their_slugs(world: World) -> None:
    """No reader sees a state in which only one slug has changed."""
    seen = set()

    def swap() -> None:
        for _ in range(2001):
            world.swap_slugs(WEB, API)

    swapping = threading.Thread(target=swap, daemon=True)
    swapping.start()
    while swapping.is_alive():
        seen.add(frozenset(project.slug for project in world.active_projects(1)))
    seen.add(frozenset(slugs(world).values()))

    assert {frozenset({"web", "api"})} == seen
    assert {WEB: "api", API: "web"} == slugs(world)


def test_a_deleted_project_is_restored(world: World) -> None:
    """A restored project is listed with its old slug."""
    world.restore_project(DELETED)
    restored = slugs(world)
    world.delete_project(DELETED, ProjectStatus.PENDING_DELETION)

    assert {WEB: "web", API: "api", DELETED: "deleted"} == restored
    assert {WEB: "web", API: "api"} == slugs(world)


def test_teams_have_id_slug_and_name(world: World) -> None:
    """The first team is the project's team, and a team has the same id in all projects."""
    world.set_teams(WEB, ["front-end", "growth"])
    world.set_teams(API, ["growth"])
    web, api = items(world)[WEB], items(world)[API]

    assert [("front-end", "Front End"), ("growth", "Growth")] == [
        (team["slug"], team["name"]) for team in web["teams"]
    ]
    assert web["teams"][0] == web["team"]
    assert web["teams"][1:] == api["teams"] == [api["team"]]
    assert all(team["id"].isdecimal() for team in web["teams"])


def test_a_project_without_teams_has_no_team(world: World) -> None:
    """A project without teams has a team of null and no teams."""
    item = items(world)[WEB]

    assert (None, []) == (item["team"], item["teams"])


def test_members_and_open_membership_change() -> None:
    """A user's flags follow a change of members and of Open Membership at once."""
    world = World(
        [Organization(1, "acme", open_membership=False)],
        [Project(WEB, 1, "web")],
        [Member(1, "me")],
        [Token("token", TokenKind.USER, user="me")],
    )

    def flags() -> tuple[bool, bool]:
        item = items(world, "token")[WEB]
        return item["isMember"], item["hasAccess"]

    seen = [flags()]
    world.set_open_membership(1, is_open=True)
    seen.append(flags())
    world.set_members(WEB, ["me"])
    world.set_open_membership(1, is_open=False)
    seen.append(flags())
    world.set_members(WEB, [])
    seen.append(flags())

    assert [(False, False), (False, True), (True, True), (False, False)] == seen


def test_rename_an_organization(world: World) -> None:
    """A renamed organization is available by its new slug and its id only."""
    world.rename_organization(1, "acme-inc")

    assert [404, 200, 200] == [
        get(world, organization=name).status for name in ("acme", "acme-inc", "1")
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.rename_projects({WEB: "site", 99: "nowhere"}),
        lambda world: world.swap_slugs(WEB, 99),
        lambda world: world.restore_project(99),
        lambda world: world.set_teams(99, []),
        lambda world: world.set_open_membership(99, is_open=True),
        lambda world: world.rename_organization(99, "nobody"),
    ],
)
def test_an_unknown_id_is_refused(world: World, change: Callable[[World], None]) -> None:
    """An unknown id is a KeyError, and nothing changes."""
    before = slugs(world)
    with pytest.raises(KeyError):
        change(world)

    assert before == slugs(world)
