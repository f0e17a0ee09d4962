"""The conformance cases: every request gets the answer that Sentry gives."""

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
from exporter.simulator.query import parse_query
from exporter.simulator.stats import response_body

DATA = json.loads((Path(__file__).parent.parent / "data" / "stats_v2_cases.json").read_text())
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in DATA["cases"]}

NOT_SIMULATED = {
    "stats_summary_org_simple": "the stats-summary endpoint is not simulated",
    "stats_summary_two_fields_are_added_together": "the stats-summary endpoint is not simulated",
}

USERS = ("user", "user2", "user3", "stranger")
PATH = "/api/0/organizations/baz/stats_v2/"
NOW = "2021-03-14T12:27:28.303Z"


def named(*kinds: str) -> list[str]:
    """Return the names of the simulated cases of ``kinds``."""
    return [
        name for name, case in CASES.items() if case["kind"] in kinds and name not in NOT_SIMULATED
    ]


def epoch(text: str) -> float:
    """Return the epoch seconds of an ISO date."""
    return datetime.fromisoformat(text).timestamp()


def rows_of(stored: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the stored rows of a case."""
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
    """Return a simulated Sentry with the world and the clock of a case."""
    now = epoch(case.get("now", NOW))
    return Application(world_of(case), lambda: now, lambda _: None, rate_limit=limit)


def get(
    application: Application, query: Any = "", path: str = PATH, actor: str | None = "user"
) -> Answer:
    """Return the answer to ``actor``; ``query`` is a query string or its parameters."""
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    headers = {"authorization": f"Bearer {actor}"} if actor else {}
    return application.reply(Request("GET", path, text, headers)).answer


def ordered(body: Any) -> Any:
    """Return a body with its groups in a fixed order, since Sentry's order is arbitrary."""
    if isinstance(body, dict) and "groups" in body:
        groups = sorted(body["groups"], key=lambda group: json.dumps(group["by"], sort_keys=True))
        return {**body, "groups": groups}
    return body


@pytest.mark.parametrize("name", named("stats_v2"))
def test_a_request_gets_sentrys_answer(name: str) -> None:
    """Status and body are Sentry's, except for the order of groups."""
    case = CASES[name]
    request = case["request"]
    answer = get(application_of(case), request["query_string"], request["path"], case["actor"])

    assert case["expect"]["status"] == answer.status
    assert ordered(case["expect"]["body"]) == ordered(answer.document())


@pytest.mark.parametrize(
    "name", ["org_multiple_fields", "group_by_project", "no_credentials", "null_reason_raw_is_null"]
)
def test_http_answers_are_the_same(name: str) -> None:
    """A client gets the same status and body over HTTP."""
    case = CASES[name]
    now = epoch(case["now"])
    headers = {"Authorization": f"Bearer {case['actor']}"} if case["actor"] else {}
    with Simulator(world_of(case), clock=lambda: now) as sentry:
        url = f"{sentry.url}{case['request']['path']}?{case['request']['query_string']}"
        answer = requests.get(url, headers=headers, timeout=5)

    assert case["expect"]["status"] == answer.status_code
    assert ordered(case["expect"]["body"]) == ordered(answer.json())


@pytest.mark.parametrize("name", named("auth"))
def test_tokens_without_access_are_refused(name: str) -> None:
    """An unknown token is a 401, a token without the scope is a 403."""
    case = CASES[name]
    application = application_of(case)
    scopes = frozenset(case["request"].get("token_scopes", ["org:ci"]))
    application.world.add_token(Token("limited", TokenKind.USER, user="user", scopes=scopes))
    application.world.add_token(Token("sntrys_<valid>", TokenKind.ORGANIZATION, 1, scopes=scopes))
    sent = case["request"].get("headers", {}).get("Authorization", "Bearer limited")
    answer = get(application, case["request"]["params"], actor=sent.removeprefix("Bearer "))

    assert case["expect"]["status"] == answer.status
    assert case["expect"]["body"] == answer.document()
    assert case["expect"].get("headers", {}).items() <= dict(answer.headers).items()


@pytest.mark.parametrize("name", named("projects"))
def test_the_projects_list_has_sentrys_pages(name: str) -> None:
    """Pages, ``Link`` headers and errors are Sentry's, and ids are strings."""
    case = CASES[name]
    application = application_of(case)
    count = case["request"].get("projects_in_org", 0) - len(application.world.active_projects(1))
    for number in range(count):
        application.world.add_project(Project(1000 + number, 1, f"project-{number}"))
    answer = get(application, case["request"]["params"], "/api/0/organizations/baz/projects/")
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
def test_rate_limit_headers_count_down(name: str) -> None:
    """Each answer says how many requests remain, and then a 429 without ``Retry-After`` follows."""
    case = CASES[name]
    request = case["request"]
    limit = RateLimit(request.get("limit", 20), request.get("window_s", 1))
    application = application_of(case, limit)
    params = request["params"] or {
        "field": "sum(quantity)",
        "category": "error",
        "statsPeriod": "1d",
    }
    answers = [get(application, params) for _ in range(request["sequence"])]
    expected = case["expect"].get("responses", [case["expect"]])

    for expected_answer, answer in zip(expected, answers[-len(expected) :], strict=True):
        headers = {**dict(answer.headers), "Content-Type": answer.content_type}
        reset = {"X-Sentry-Rate-Limit-Reset": headers["X-Sentry-Rate-Limit-Reset"]}
        assert expected_answer["status"] == answer.status
        assert ({**expected_answer["headers"], **reset}).items() <= headers.items()
        assert "Retry-After" not in headers
        if "body" in expected_answer:
            assert expected_answer["body"] == answer.document()
    assert int(epoch(NOW)) // limit.window * limit.window + limit.window == int(*reset.values())


def test_concurrency_429() -> None:
    """A request beyond the concurrency limit is refused while the others are still running."""
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
def test_store_faults_have_sentrys_answers(name: str, fault: Fault) -> None:
    """The prepared faults of the store have the status and the text of Sentry."""
    case = CASES[name]
    application = application_of(case)
    application.faults.add(fault)
    answer = get(application, case["request"]["params"])
    bodies = case["expect"].get("body_any_of", [case["expect"].get("body")])

    assert case["expect"]["status"] == answer.status
    assert answer.document() in bodies
    assert "Retry-After" not in dict(answer.headers)


def test_uncaught_500() -> None:
    """A stored category that the release does not know is an internal error."""
    case = CASES["uncaught_500"]
    application = application_of(case)
    moment = epoch(NOW) - 60
    application.world.add_rows(Row(1, 101, "brand_new", "accepted", None, moment))
    answer = get(
        application, {"field": "sum(quantity)", "groupBy": "category", "statsPeriod": "1h"}
    )
    document = answer.document()

    assert case["expect"]["status"] == answer.status
    assert case["expect"]["body"]["detail"] == document["detail"]
    assert re.fullmatch(r"[0-9a-f]{32}", document["errorId"])


def test_missing_trailing_slash() -> None:
    """A path without its trailing slash is an unknown route, not a redirect."""
    case = CASES["missing_trailing_slash"]
    answer = get(application_of(case), case["request"]["params"], case["request"]["path"])

    assert case["expect"]["status"] == answer.status
    assert case["expect"]["headers"]["Content-Type"] == answer.content_type
    assert answer.body.decode().startswith(case["expect"]["body_text_starts"])


@pytest.mark.parametrize("name", named("row_level"))
def test_the_body_has_the_groups_of_both_store_queries(name: str) -> None:
    """A group of only one store query has zeros for the other."""
    case = CASES[name]
    application = application_of(case)
    world, now = application.world, application.clock()
    organization, token = world.organization("baz"), world.token("user")
    assert organization is not None
    assert token is not None
    text = urlencode(case["request"]["params"], doseq=True)
    query = parse_query(
        Request("GET", PATH, text).parameters(), token, organization, world, now=now
    )
    store_rows = case["store_rows"]
    totals: dict[Key, Sums] = {
        (row["reason"],): Sums(row["quantity"], 1) for row in store_rows["totals"]
    }
    points: dict[tuple[Key, int], Sums] = {
        ((row["reason"],), int(epoch(row["time"]))): Sums(row["quantity"], 1)
        for row in store_rows["timeseries"]
    }

    body = response_body(query, totals, points, Random("any order"))

    assert case["expect"]["body"] == body


def test_every_case_is_tested() -> None:
    """Only the cases of the stats-summary endpoint have no test here."""
    tested = named(
        "stats_v2", "auth", "projects", "rate_limit", "store_error", "routing", "row_level"
    )

    assert CASES.keys() == {*tested, *NOT_SIMULATED}
    assert {"stats_summary"} == {CASES[name]["kind"] for name in NOT_SIMULATED}
