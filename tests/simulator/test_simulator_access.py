"""Tokens, limits and the projects list, beyond the conformance cases."""

from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator import Member, Organization, Project, RateLimit, Token, TokenKind, World
from exporter.simulator.application import Application
from exporter.simulator.limits import Limiter, caller_of
from exporter.simulator.messages import Answer, Request

PROJECTS = "/api/0/organizations/acme/projects/"


def ask(
    world: World, path: str = PROJECTS, authorization: str = "Bearer right", **parameters: Any
) -> Answer:
    """Ask once, without a rate limit."""
    application = Application(world, lambda: 0.0, lambda _: None, rate_limit=None)
    headers = {"authorization": authorization}
    return application.reply(Request("GET", path, urlencode(parameters), headers)).answer


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", "Authentication credentials were not provided."),
        ("Basic cmlnaHQ6", "Authentication credentials were not provided."),
        ("Bearer", "Invalid token header. No credentials provided."),
        ("Bearer a b", "Invalid token header. Token string should not contain spaces."),
        ("Bearer wrong", "Invalid token"),
        ("Bearer sntrys_wrong", "Invalid org token"),
    ],
)
def test_a_bad_token_is_401_in_sentrys_words(world: World, authorization: str, detail: str) -> None:
    """What is wrong with the header is told, and the scheme wanted instead."""
    answer = ask(world, authorization=authorization)

    assert answer.status == 401
    assert {"detail": detail} == answer.document()
    assert answer.headers == (("WWW-Authenticate", 'xBasic realm="api"'),)


def test_the_scope_is_checked_before_the_organization(world: World) -> None:
    """Without the scope even an organization that does not exist is 403."""
    world.add_token(Token("scopeless", organization=1, scopes=frozenset()))
    nowhere = "/api/0/organizations/nowhere/projects/"

    assert ask(world, nowhere, "Bearer scopeless").status == 403
    assert ask(world, nowhere).status == 404


def test_an_integration_reads_only_the_organization_it_is_installed_in(world: World) -> None:
    """Another organization is 403; its own works by slug and by id."""
    paths = [f"/api/0/organizations/{name}/projects/" for name in ("acme", "1", "other")]

    assert [ask(world, path).status for path in paths] == [200, 200, 403]


def test_a_revoked_token_is_refused(world: World) -> None:
    """Tokens come and go while the simulator serves."""
    world.revoke_token("right")

    assert ask(world).status == 401


def test_no_token_shows_in_a_representation() -> None:
    """A token and a request that carries one keep it to themselves."""
    request = Request("GET", "/", headers={"authorization": "Bearer secret"})

    assert "secret" not in repr(Token("secret"))
    assert "secret" not in repr(request)


def test_the_list_has_active_projects_by_slug(world: World) -> None:
    """Deleted projects are not listed, new ones at once, and a slug may change."""
    world.add_project(Project(14, 1, "beta", None))
    world.add_project(Project(11, 1, "website", "javascript"))
    world.delete_project(12)
    document = ask(world).document()

    assert [(each["id"], each["slug"]) for each in document] == [("14", "beta"), ("11", "website")]


def test_the_list_says_what_a_user_is_member_of() -> None:
    """Every active project is listed, whoever asks."""
    world = World(
        [Organization(1, "acme", open_membership=False)],
        [Project(11, 1, "mine", members=frozenset({"me"})), Project(12, 1, "theirs")],
        [Member(1, "me")],
        [Token("right", TokenKind.USER, user="me")],
    )
    document = ask(world).document()

    assert [each["isMember"] for each in document] == [True, False]
    assert [each["hasAccess"] for each in document] == [True, False]


def test_pages_follow_the_cursor_and_keep_what_else_was_asked(world: World) -> None:
    """A page of one, and links that carry the parameters along."""
    answer = ask(world, per_page=1, cursor="1:1:0", x="a b")
    link = dict(answer.headers)["Link"]

    assert [each["slug"] for each in answer.document()] == ["web"]
    assert "/projects/?per_page=1&x=a%20b&cursor=1:2:0>" in link
    assert 'rel="next"; results="false"' in link


def test_all_projects_come_at_once_when_asked_for(world: World) -> None:
    """Without pages there is no Link."""
    answer = ask(world, all_projects=1, per_page=1)

    assert len(answer.document()) == 2
    assert answer.headers == ()


def test_a_server_may_know_only_pages(world: World) -> None:
    """It ignores what it does not know, and gives the first of its pages."""
    application = Application(
        world, lambda: 0.0, lambda _: None, rate_limit=None, all_projects=False
    )
    headers = {"authorization": "Bearer right"}
    request = Request("GET", PROJECTS, "all_projects=1&per_page=1", headers)
    answer = application.reply(request).answer

    assert len(answer.document()) == 1
    assert 'rel="next"; results="true"; cursor="1:1:0"' in dict(answer.headers)["Link"]


@pytest.mark.parametrize(
    ("parameters", "detail"),
    [
        ({"per_page": "many"}, "Invalid per_page parameter."),
        ({"per_page": "0"}, "Invalid per_page value. Must be between 1 and 100."),
        ({"cursor": "next"}, "Invalid cursor parameter."),
        ({"cursor": "100:-1:1"}, "Invalid cursor parameter."),
        ({"cursor": "0:0:0"}, "Invalid cursor parameter."),
    ],
)
def test_bad_paging_is_refused(world: World, parameters: dict[str, str], detail: str) -> None:
    """Each mistake is a 400 that names it."""
    answer = ask(world, **parameters)

    assert (400, {"detail": detail}) == (answer.status, answer.document())


def test_routes_need_their_slash_and_say_so_in_the_clients_format(world: World) -> None:
    """A client that sends JSON reads JSON."""
    application = Application(world, lambda: 0.0, lambda _: None)
    request = Request("GET", "/api/0/x", headers={"content-type": "application/json"})
    advice = "Route not found, did you forget a trailing slash? try: /api/0/x/"

    assert {"info": advice} == application.reply(request).answer.document()


@pytest.mark.parametrize(
    ("token", "caller"),
    [
        (Token("a", TokenKind.USER, user="me"), "user me"),
        (Token("b", TokenKind.INTEGRATION, 7), "organization 7"),
        (Token("c", TokenKind.ORGANIZATION, 7), "address 10.0.0.1"),
        (None, "address 10.0.0.1"),
    ],
)
def test_who_shares_a_budget(token: Token | None, caller: str) -> None:
    """A user's tokens share one, so do an installation's; everyone else goes by address."""
    assert caller == caller_of(token, "10.0.0.1")


def test_windows_are_fixed_and_budgets_apart() -> None:
    """The second of the clock decides; endpoints and callers do not share."""
    limiter, limit = Limiter(), RateLimit(limit=1)
    asked = [
        ("a", "me", 0.1),
        ("a", "me", 0.9),
        ("a", "you", 0.9),
        ("b", "me", 0.9),
        ("a", "me", 1),
    ]
    refused = []
    for endpoint, caller, now in asked:
        with limiter.admit(limit, endpoint, caller, now) as admission:
            refused.append(admission.refused is not None)

    assert refused == [False, True, False, False, False]


def test_a_refusal_tells_no_concurrency() -> None:
    """The value is unset on a 429, which shows as the text None."""
    with Limiter().admit(RateLimit(limit=0), "a", "me", 0) as admission:
        told = dict(admission.headers)

    assert told["X-Sentry-Rate-Limit-ConcurrentRemaining"] == "None"
    assert told["X-Sentry-Rate-Limit-Remaining"] == "0"
