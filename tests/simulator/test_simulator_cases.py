"""Every request of the conformance cases is answered as Sentry answers it."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from exporter.simulator import (
    Fault,
    Member,
    Organization,
    Project,
    ProjectStatus,
    RateLimit,
    Row,
    Simulator,
    Token,
    TokenKind,
    World,
    store_failure,
    store_rate_limited,
    store_timeout,
)
from exporter.simulator.application import Application
from exporter.simulator.columns import Key, Sums
from exporter.simulator.limits import STATS_LIMIT, Limiter
from exporter.simulator.messages import Answer, Request
from exporter.simulator.stats import massage, parse

DATA = json.loads((Path(__file__).parent.parent / "data" / "stats_v2_cases.json").read_text())
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in DATA["cases"]}

LEFT_OUT = {
    "stats_summary_org_simple": "the stats-summary endpoint is not simulated",
    "stats_summary_two_fields_are_added_together": "the stats-summary endpoint is not simulated",
}

USERS = ("user", "user2", "user3", "stranger")
PATH = "/api/0/organizations/baz/stats_v2/"
NOW = "2021-03-14T12:27:28.303Z"


def named(*kinds: str) -> list[str]:
    """Return the names of the cases of ``kinds`` that are not left out."""
    return [name for name, case in CASES.items() if case["kind"] in kinds and name not in LEFT_OUT]


def epoch(text: str) -> float:
    """Return the epoch seconds of an ISO date."""
    return datetime.fromisoformat(text).timestamp()


def rows_of(stored: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the rows a case finds in the store."""
    for entry in stored:
        for _ in range(entry["count"]):
            yield Row(
                entry["org_id"],
                entry["project_id"],
                entry["category"],
                entry["outcome"],
                entry["reason"],
                epoch(entry["timestamp"]),
                entry["quantity"],
            )


def world_of(case: Mapping[str, Any]) -> World:
    """Return the world of a case, with a token for each of its users."""
    described = DATA["worlds"][case.get("world", "world-1")]
    ids = {each["slug"]: each["id"] for each in described["orgs"]}
    world = World(
        [
            Organization(each["id"], each["slug"], each["open_membership"])
            for each in described["orgs"]
        ],
        [
            Project(
                each["id"],
                ids[each["org"]],
                each["slug"],
                status=ProjectStatus(each.get("status", "active")),
                members=frozenset(each["team_members"]),
            )
            for each in described["projects"]
        ],
        [Member(ids[each["org"]], each["user"], each["role"]) for each in described["members"]],
        [Token(user, TokenKind.USER, user=user) for user in USERS],
    )
    world.add_rows(*rows_of(DATA["stored_outcomes"].get(case.get("stored_outcomes"), [])))
    return world


def application_of(case: Mapping[str, Any], limit: RateLimit | None = STATS_LIMIT) -> Application:
    """Return a simulated Sentry in the world and at the moment of a case."""
    now = epoch(case.get("now", NOW))
    return Application(world_of(case), lambda: now, lambda _: None, rate_limit=limit)


def ask(
    application: Application, query: Any = "", path: str = PATH, actor: str | None = "user"
) -> Answer:
    """Ask as ``actor``; ``query`` is a query string or its parameters."""
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    headers = {"authorization": f"Bearer {actor}"} if actor else {}
    return application.reply(Request("GET", path, text, headers)).answer


def ordered(body: Any) -> Any:
    """Return a body with its groups, whose order means nothing, in a fixed one."""
    if isinstance(body, dict) and "groups" in body:
        groups = sorted(body["groups"], key=lambda group: json.dumps(group["by"], sort_keys=True))
        return {**body, "groups": groups}
    return body


@pytest.mark.parametrize("name", named("stats_v2"))
def test_a_question_gets_sentrys_answer(name: str) -> None:
    """Status and body are Sentry's, whatever the order of groups."""
    case = CASES[name]
    request = case["request"]
    answer = ask(application_of(case), request["query_string"], request["path"], case["actor"])

    assert case["expect"]["status"] == answer.status
    assert ordered(case["expect"]["body"]) == ordered(answer.document())


@pytest.mark.parametrize(
    "name", ["org_multiple_fields", "group_by_project", "no_credentials", "null_reason_raw_is_null"]
)
def test_the_socket_carries_the_same_answers(name: str) -> None:
    """What a client reads over HTTP is what the case expects."""
    case = CASES[name]
    now = epoch(case["now"])
    headers = {"Authorization": f"Bearer {case['actor']}"} if case["actor"] else {}
    with Simulator(world_of(case), clock=lambda: now) as sentry:
        url = f"{sentry.url}{case['request']['path']}?{case['request']['query_string']}"
        answer = requests.get(url, headers=headers, timeout=5)

    assert case["expect"]["status"] == answer.status_code
    assert ordered(case["expect"]["body"]) == ordered(answer.json())


@pytest.mark.parametrize("name", named("auth"))
def test_tokens_that_may_not_read_are_refused_in_sentrys_words(name: str) -> None:
    """An unknown token is 401, one without the scope 403."""
    case = CASES[name]
    application = application_of(case)
    scopes = frozenset(case["request"].get("token_scopes", ["org:ci"]))
    application.world.add_token(Token("limited", TokenKind.USER, user="user", scopes=scopes))
    application.world.add_token(Token("sntrys_<valid>", TokenKind.ORGANIZATION, 1, scopes=scopes))
    sent = case["request"].get("headers", {}).get("Authorization", "Bearer limited")
    answer = ask(application, case["request"]["params"], actor=sent.removeprefix("Bearer "))

    assert case["expect"]["status"] == answer.status
    assert case["expect"]["body"] == answer.document()
    assert case["expect"].get("headers", {}).items() <= dict(answer.headers).items()


@pytest.mark.parametrize("name", named("projects"))
def test_the_projects_list_is_paged_as_sentry_pages_it(name: str) -> None:
    """Pages, Link headers and refusals are Sentry's; ids are strings."""
    case = CASES[name]
    application = application_of(case)
    count = case["request"].get("projects_in_org", 0) - len(application.world.active_projects(1))
    for number in range(count):
        application.world.add_project(Project(1000 + number, 1, f"project-{number}"))
    answer = ask(application, case["request"]["params"], "/api/0/organizations/baz/projects/")
    document = answer.document()

    assert case["expect"]["status"] == answer.status
    if "items" in case["expect"]:
        link = case["expect"]["headers"]["Link"].replace("HOST", "sentry.io")
        assert case["expect"]["items"] == len(document)
        assert link == dict(answer.headers)["Link"]
        assert all(isinstance(each["id"], str) for each in document)
    else:
        assert case["expect"]["body"] == document


@pytest.mark.parametrize("name", ["rate_limit_headers_count_down", "stats_v2_429"])
def test_the_window_counts_down_and_then_refuses(name: str) -> None:
    """Each answer tells what is left; the one too many is a 429 without Retry-After."""
    case = CASES[name]
    request = case["request"]
    limit = RateLimit(request.get("limit", 20), request.get("window_s", 1))
    application = application_of(case, limit)
    params = request["params"] or {
        "field": "sum(quantity)",
        "category": "error",
        "statsPeriod": "1d",
    }
    answers = [ask(application, params) for _ in range(request["sequence"])]
    expected = case["expect"].get("responses", [case["expect"]])

    for wanted, answer in zip(expected, answers[-len(expected) :], strict=True):
        told = {**dict(answer.headers), "Content-Type": answer.content_type}
        reset = {"X-Sentry-Rate-Limit-Reset": told["X-Sentry-Rate-Limit-Reset"]}
        assert wanted["status"] == answer.status
        assert ({**wanted["headers"], **reset}).items() <= told.items()
        assert "Retry-After" not in told
        if "body" in wanted:
            assert wanted["body"] == answer.document()
    assert int(epoch(NOW)) // limit.window * limit.window + limit.window == int(*reset.values())


def test_concurrency_429() -> None:
    """A request beyond the concurrency is refused while the others still run."""
    case = CASES["concurrency_429"]
    limit = RateLimit(concurrent=case["request"]["concurrent_limit"], enforce_concurrent=True)
    limiter = Limiter()
    with (
        limiter.admit(limit, "stats_v2", "user 1", 0) as first,
        limiter.admit(limit, "stats_v2", "user 1", 0) as second,
    ):
        assert first.refused is None
        assert second.refused is not None
        assert case["expect"]["status"] == second.refused.status
        assert case["expect"]["body"] == second.refused.document()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("snuba_rate_limit_429", store_rate_limited()),
        ("snuba_timeout_504", store_timeout()),
        ("snuba_failure_500", store_failure()),
    ],
)
def test_a_failing_store_speaks_sentrys_words(name: str, fault: Fault) -> None:
    """The store's own refusals can be scripted, word for word."""
    case = CASES[name]
    application = application_of(case)
    application.faults.add(fault)
    answer = ask(application, case["request"]["params"])
    bodies = case["expect"].get("body_any_of", [case["expect"].get("body")])

    assert case["expect"]["status"] == answer.status
    assert answer.document() in bodies
    assert "Retry-After" not in dict(answer.headers)


def test_uncaught_500() -> None:
    """A stored category the server's release does not know is an uncaught error."""
    case = CASES["uncaught_500"]
    application = application_of(case)
    moment = epoch(NOW) - 60
    application.world.add_rows(Row(1, 101, "brand_new", "accepted", None, moment))
    answer = ask(
        application, {"field": "sum(quantity)", "groupBy": "category", "statsPeriod": "1h"}
    )
    document = answer.document()

    assert case["expect"]["status"] == answer.status
    assert case["expect"]["body"]["detail"] == document["detail"]
    assert re.fullmatch(r"[0-9a-f]{32}", document["errorId"])


def test_missing_trailing_slash() -> None:
    """Without the trailing slash there is no route, and no redirect."""
    case = CASES["missing_trailing_slash"]
    answer = ask(application_of(case), case["request"]["params"], case["request"]["path"])

    assert case["expect"]["status"] == answer.status
    assert case["expect"]["headers"]["Content-Type"] == answer.content_type
    assert answer.body.decode().startswith(case["expect"]["body_text_starts"])


@pytest.mark.parametrize("name", named("row_level"))
def test_the_body_follows_from_what_both_store_queries_found(name: str) -> None:
    """A group known to one store query only appears, with zeros where the other was silent."""
    case = CASES[name]
    application = application_of(case)
    world, now = application.world, application.clock()
    organization, token = world.organization("baz"), world.token("user")
    assert organization is not None
    assert token is not None
    text = urlencode(case["request"]["params"], doseq=True)
    query = parse(Request("GET", PATH, text).parameters(), token, organization, world, now=now)
    found = case["store_rows"]
    totals: dict[Key, Sums] = {
        (row["reason"],): Sums(row["quantity"], 1) for row in found["totals"]
    }
    points: dict[tuple[Key, int], Sums] = {
        ((row["reason"],), int(epoch(row["time"]))): Sums(row["quantity"], 1)
        for row in found["timeseries"]
    }

    body = massage(query, totals, points, Random("any order"))

    assert case["expect"]["body"] == body


def test_nothing_but_the_neighbouring_endpoint_is_left_out() -> None:
    """Every case has a test here or a reason why not."""
    tested = named(
        "stats_v2", "auth", "projects", "rate_limit", "store_error", "routing", "row_level"
    )

    assert CASES.keys() == {*tested, *LEFT_OUT}
    assert {"stats_summary"} == {CASES[name]["kind"] for name in LEFT_OUT}
