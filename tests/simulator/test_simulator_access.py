"""Tokens, rate limits and the projects list, in addition to the conformance cases."""

from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator import Member, Organization, Project, RateLimit, Token, TokenKind, World
from exporter.simulator.application import Application
from exporter.simulator.limits import Limiter, caller_of
from exporter.simulator.messages import Answer, Request

PROJECTS = "/api/0/organizations/acme/projects/"


def get(
    world: World, path: str = PROJECTS, authorization: str = "Bearer right", **parameters: Any
) -> Answer:
    """Return the answer to one request, without a rate limit."""
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
def test_an_invalid_token_is_401(world: World, authorization: str, detail: str) -> None:
    """The answer says what is wrong with the header, and which scheme is required."""
    answer = get(world, authorization=authorization)

    assert answer.status == 401
    assert {"detail": detail} == answer.document()
    assert answer.headers == (("WWW-Authenticate", 'xBasic realm="api"'),)


def test_the_scope_is_checked_before_the_organization(world: World) -> None:
    """Without the scope, an organization that does not exist is a 403."""
    world.add_token(Token("scopeless", organization=1, scopes=frozenset()))
    nowhere = "/api/0/organizations/nowhere/projects/"

    assert get(world, nowhere, "Bearer scopeless").status == 403
    assert get(world, nowhere).status == 404


def test_an_integration_reads_only_its_organization(world: World) -> None:
    """Its organization can be read by slug and by id, another organization is a 403."""
    paths = [f"/api/0/organizations/{name}/projects/" for name in ("acme", "1", "other")]

    assert [get(world, path).status for path in paths] == [200, 200, 403]


def test_an_organization_says_who_it_is(world: World) -> None:
    """The organization has an id, which is text, a slug and a name; the scope is required."""
    path = "/api/0/organizations/1/"
    world.add_token(Token("scopeless", organization=1, scopes=frozenset()))
    details = get(world, path).document()

    assert ("1", "acme", "Acme") == (details["id"], details["slug"], details["name"])
    assert 403 == get(world, path, "Bearer scopeless").status


def test_a_revoked_token_is_refused(world: World) -> None:
    """A token can be revoked while the simulator serves."""
    world.revoke_token("right")

    assert get(world).status == 401


def test_no_repr_contains_a_token() -> None:
    """The representations of a token and of a request hide the token."""
    request = Request("GET", "/", headers={"authorization": "Bearer secret"})

    assert "secret" not in repr(Token("secret"))
    assert "secret" not in repr(request)


def test_the_list_has_active_projects_by_slug(world: World) -> None:
    """The list shows changes at once, sorted by slug, without deleted projects."""
    world.add_project(Project(14, 1, "beta", None))
    world.add_project(Project(11, 1, "website", "javascript"))
    world.delete_project(12)
    document = get(world).document()

    assert [(each["id"], each["slug"]) for each in document] == [("14", "beta"), ("11", "website")]


def test_the_list_has_projects_without_membership() -> None:
    """Every active project is listed, with flags for the user's membership and access."""
    world = World(
        [Organization(1, "acme", open_membership=False)],
        [Project(11, 1, "mine", members=frozenset({"me"})), Project(12, 1, "theirs")],
        [Member(1, "me")],
        [Token("right", TokenKind.USER, user="me")],
    )
    document = get(world).document()

    assert [each["isMember"] for each in document] == [True, False]
    assert [each["hasAccess"] for each in document] == [True, False]


def test_links_contain_the_other_parameters(world: World) -> None:
    """A page's links contain the cursor and all other parameters of the request."""
    answer = get(world, per_page=1, cursor="1:1:0", x="a b")
    link = dict(answer.headers)["Link"]

    assert [each["slug"] for each in answer.document()] == ["web"]
    assert "/projects/?per_page=1&x=a%20b&cursor=1:2:0>" in link
    assert 'rel="next"; results="false"' in link


def test_all_projects_in_one_answer(world: World) -> None:
    """With ``all_projects=1`` the answer has all projects and no ``Link`` header."""
    answer = get(world, all_projects=1, per_page=1)

    assert len(answer.document()) == 2
    assert answer.headers == ()


def test_a_server_without_all_projects(world: World) -> None:
    """A server without ``all_projects`` ignores the parameter and returns the first page."""
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
def test_invalid_paging_is_400(world: World, parameters: dict[str, str], detail: str) -> None:
    """The message of the 400 says which parameter is invalid."""
    answer = get(world, **parameters)

    assert (400, {"detail": detail}) == (answer.status, answer.document())


def test_a_missing_slash_is_reported_as_json(world: World) -> None:
    """A client that sends JSON gets the error as JSON."""
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
def test_which_callers_share_a_limit(token: Token | None, caller: str) -> None:
    """Limits are per user, per organization of an integration, or else per address."""
    assert caller == caller_of(token, "10.0.0.1")


def test_limits_are_per_window_endpoint_and_caller() -> None:
    """A new window, another endpoint and another caller each have a limit of their own."""
    limiter, limit = Limiter(), RateLimit(limit=1)
    counted = [
        ("a", "me", 0.1),
        ("a", "me", 0.9),
        ("a", "you", 0.9),
        ("b", "me", 0.9),
        ("a", "me", 1),
    ]
    refused = []
    for endpoint, caller, now in counted:
        with limiter.admit(limit, endpoint, caller, now) as admission:
            refused.append(admission.refused is not None)

    assert refused == [False, True, False, False, False]


def test_a_429_has_no_concurrency() -> None:
    """On a 429, the remaining concurrency is the text ``None``."""
    with Limiter().admit(RateLimit(limit=0), "a", "me", 0) as admission:
        headers = dict(admission.headers)

    assert headers["X-Sentry-Rate-Limit-ConcurrentRemaining"] == "None"
    assert headers["X-Sentry-Rate-Limit-Remaining"] == "0"
