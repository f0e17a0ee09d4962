"""The client: what is asked, what is waited for, what is counted."""

import gc
import json
import logging
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
import requests
import responses
from responses.registries import OrderedRegistry
from structlog.testing import capture_logs

from exporter.sentry.answer import SeriesAnswer, parse
from exporter.sentry.api_status import RateLimit
from exporter.sentry.client import MAX_PAGES, SentryClient, Upstream
from exporter.sentry.errors import (
    BadAnswerError,
    ForbiddenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    SentryError,
    ServerError,
    StatusError,
    TokenError,
    TooHeavyError,
    UnauthorizedError,
)
from exporter.sentry.limits import Allowance, TokenLimits
from exporter.sentry.projects import Project
from exporter.sentry.token import Secret, TokenFile, TokenLiteral
from exporter.sentry.transport import open_session
from tests.sentry.fakes import TOKEN, FakeToken, RecordingMeter, body, group, question
from tests.support.clock import Clock
from tests.support.logs import logged
from tests.support.scripted_server import ScriptedServer, reply, serve

URL = "https://sentry.example.com"
STATS = f"{URL}/api/0/organizations/acme/stats_v2/"
PROJECTS = f"{URL}/api/0/organizations/acme/projects/"
NOW = 1_772_000_000
GOOD = body(group({"category": "error", "outcome": "accepted"}, 1, 2, 3))
TOO_OFTEN = "You are attempting to use this endpoint too frequently. Limit is 20 requests in 1 s"
CROWDED = "You are attempting to go above the allowed concurrency for this endpoint."
STORE = (
    "\nRate limit exceeded. Please try your query with a smaller date range or fewer projects.\n"
)
TIMED_OUT = "\nQuery timeout. Please try again. If the problem persists try a smaller date range\n"


class Bench:
    """A client whose server, clock and meter are fakes."""

    def __init__(
        self,
        session: requests.Session,
        organization: str = "acme",
        *,
        max_response_size: int = 1_000_000,
        now: Callable[[], float] = lambda: NOW,
    ) -> None:
        self.clock = Clock()
        self.meter = RecordingMeter()
        self.limits = TokenLimits(Allowance(2, 1e6), clock=self.clock, sleep=self.clock.sleep)
        self.client = SentryClient(
            Upstream(organization, URL, FakeToken(), max_response_size=max_response_size),
            session,
            self.limits,
            self.meter,
            now=now,
        )

    def waited(self) -> list[float]:
        """Return the pauses that were slept through, the pace left out."""
        return [round(seconds, 3) for seconds in self.clock.slept if seconds > 0.01]


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    """Return a server that gives its answers in the order in which they were added."""
    with responses.RequestsMock(registry=OrderedRegistry) as mock:
        yield mock


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return a client with fakes all around."""
    with open_session(2) as session:
        yield Bench(session)


def refuse(
    server: responses.RequestsMock,
    status: int,
    detail: object,
    headers: dict[str, str] | None = None,
    *,
    times: int = 1,
) -> None:
    """Let the server refuse as Sentry does: JSON that says it is HTML."""
    for _ in range(times):
        server.get(
            STATS,
            status=status,
            body=json.dumps({"detail": detail}),
            content_type="text/html; charset=utf-8",
            headers=headers,
        )


class TestAsk:
    """One question."""

    def test_question(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The question's pairs are sent as they are, and the answer is parsed."""
        server.get(STATS, body=GOOD)

        answer = bench.client.ask(question())

        sent = urlsplit(str(server.calls[0].request.url))
        assert question().parameters() == parse_qsl(sent.query)
        assert parse(GOOD, question()) == answer
        assert [("stats_v2", 200)] == bench.meter.requests
        assert [] == bench.meter.failures

    def test_organization_is_quoted(self, server: responses.RequestsMock) -> None:
        """An organization never becomes another part of the path."""
        server.get(f"{URL}/api/0/organizations/a%2Fb%3Fc/stats_v2/", body=GOOD)
        with open_session(2) as session:
            Bench(session, "a/b?c").client.ask(question())

        assert 1 == len(server.calls)

    def test_bad_answer(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An answer that is none counts as a request and as a failure."""
        server.get(STATS, body=b"<html>Log in</html>")
        with pytest.raises(BadAnswerError):
            bench.client.ask(question())

        assert [("stats_v2", 200)] == bench.meter.requests
        assert [("stats_v2", "bad_answer")] == bench.meter.failures

    def test_odd_keys(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Keys of the server's own are shown short, visible and without secrets."""
        odd = f"\x1b[31m{TOKEN}" + "x" * 999
        server.get(STATS, body=body(group({"category": "error", odd: "accepted"}, 1, 2, 3)))
        with pytest.raises(BadAnswerError) as caught:
            bench.client.ask(question())

        assert str(caught.value).isprintable()
        assert TOKEN not in str(caught.value)
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        ("status", "detail", "expected", "text"),
        [
            (401, "Invalid token", UnauthorizedError, "401: Invalid token"),
            (
                401,
                {"code": "sso-required", "message": "Must login", "extra": {}},
                UnauthorizedError,
                "401: sso-required: Must login",
            ),
            (403, "You may not.", ForbiddenError, "403: You may not."),
            (404, "The requested resource does not exist", NotFoundError, "404: The requested"),
            (500, "Internal Error", ServerError, "500: Internal Error"),
            (504, "Gateway Timeout", ServerError, "504: Gateway Timeout"),
            (418, "", StatusError, "418"),
        ],
    )
    def test_refusal(
        self,
        server: responses.RequestsMock,
        bench: Bench,
        status: int,
        detail: object,
        expected: type[SentryError],
        text: str,
    ) -> None:
        """A refusal is raised at once, counted, and says what the server said."""
        refuse(server, status, detail)
        with pytest.raises(expected) as caught:
            bench.client.ask(question())

        assert str(caught.value).startswith(text)
        assert [("stats_v2", status)] == bench.meter.requests
        assert [("stats_v2", expected.reason)] == bench.meter.failures
        assert [] == bench.waited()

    def test_redirect(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A redirect is refused, and only scheme and host of its target are shown."""
        server.get(STATS, status=302, headers={"Location": "https://evil.example.com/?t=1"})
        with pytest.raises(RedirectError) as caught:
            bench.client.ask(question())

        assert f"302 to https://evil.example.com [{STATS}]" == str(caught.value)

    def test_network(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A request that gets no status is counted with the status 0."""
        server.get(STATS, body=requests.ConnectionError("broken"))
        with pytest.raises(SentryError):
            bench.client.ask(question())

        assert [("stats_v2", 0)] == bench.meter.requests
        assert [("stats_v2", "network")] == bench.meter.failures

    def test_no_token(self) -> None:
        """Without a token no request is made, and the failure is counted."""
        with open_session(2) as session:
            bench = Bench(session)
            upstream = Upstream("acme", URL, TokenLiteral(Secret("")))
            client = SentryClient(upstream, session, bench.limits, bench.meter)
            with pytest.raises(TokenError):
                client.ask(question())

        assert [] == bench.meter.requests
        assert [("stats_v2", "token")] == bench.meter.failures

    def test_credentials(self, bench: Bench, tmp_path: Path) -> None:
        """A token file and a CA file that change are seen, without being read."""
        token, ca_file = tmp_path / "token", tmp_path / "ca.pem"
        upstream = Upstream("acme", URL, TokenFile(token), ca_file)
        with open_session(2) as session:
            client = SentryClient(upstream, session, bench.limits, bench.meter)
            seen = [client.credentials()]
            for path in (token, ca_file):
                path.write_text(TOKEN)
                seen.append(client.credentials())

        assert 3 == len(set(seen))
        assert seen[-1] == upstream.credentials()
        assert TOKEN not in repr(seen)

    def test_repr(self, bench: Bench) -> None:
        """The token is in no repr."""
        upstream = Upstream("acme", URL, TokenLiteral(Secret(TOKEN)))

        assert TOKEN not in repr([upstream, bench.client, vars(bench.client)])


class TestErrors:
    """What an error leaves behind until the garbage collector runs: nothing."""

    @pytest.fixture(autouse=True)
    def _no_collector(self) -> Iterator[None]:
        gc.disable()
        yield
        gc.enable()

    @staticmethod
    def is_gone(call: Callable[[], object]) -> bool:
        """Return whether the error of ``call`` is gone as soon as nothing refers to it."""
        try:
            call()
        except SentryError as error:
            reference = weakref.ref(error)
        return reference() is None

    @pytest.mark.parametrize("sent", [GOOD[:-1], b"<html>", b"x" * 1_000_001])
    def test_body(self, server: responses.RequestsMock, bench: Bench, sent: bytes) -> None:
        """An error about a body is in no reference cycle with it."""
        server.get(STATS, body=sent)

        assert self.is_gone(lambda: bench.client.ask(question()))

    @pytest.mark.parametrize("status", [302, 400, 403, 500, 504])
    def test_refusal(self, server: responses.RequestsMock, bench: Bench, status: int) -> None:
        """Nor is a refusal, even if it has made the token pause."""
        refuse(server, status, STORE, {"Retry-After": "9"})

        assert self.is_gone(lambda: bench.client.ask(question()))

    def test_network(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Nor is what a library raised."""
        server.get(STATS, body=requests.ConnectionError("no way"))

        assert self.is_gone(lambda: bench.client.ask(question()))

    def test_several(self, bench: Bench) -> None:
        """Nor is the error of one of several threads."""
        with responses.RequestsMock() as server:
            server.get(STATS, status=500)

            assert self.is_gone(lambda: bench.client.ask_all([question()] * 5))

    def test_in_place(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An error in an answer's place has no traceback, which would hold frames."""
        refuse(server, 504, STORE)
        (error,) = bench.client.ask_all([question()])
        assert isinstance(error, TooHeavyError)

        assert (None, None) == (error.__traceback__, error.__context__)

    @pytest.mark.parametrize("status", [400, 403])
    def test_projects(self, server: responses.RequestsMock, bench: Bench, status: int) -> None:
        """The same goes for the projects list, read at once or by pages."""
        for _ in range(2 if status == 400 else 1):
            server.get(PROJECTS, status=status)

        assert self.is_gone(bench.client.projects)


class TestLimits:
    """What the server says about how often it may be asked."""

    def test_headers_are_counted(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The meter learns the limit and what remains."""
        headers = {"X-Sentry-Rate-Limit-Limit": "20", "X-Sentry-Rate-Limit-Remaining": "7"}
        server.get(STATS, body=GOOD, headers=headers)

        bench.client.ask(question())

        assert [(20, 7)] == bench.meter.rate_limits

    @pytest.mark.parametrize("text", ["None", "", "garbage"])
    def test_garbage(self, server: responses.RequestsMock, bench: Bench, text: str) -> None:
        """Headers without numbers say nothing."""
        headers = {f"X-Sentry-Rate-Limit-{name}": text for name in ("Limit", "Remaining", "Reset")}
        for _ in range(2):
            server.get(STATS, body=GOOD, headers=headers)

        bench.client.ask(question())
        bench.client.ask(question())

        assert [] == bench.meter.rate_limits
        assert [] == bench.waited()

    @pytest.mark.parametrize(
        ("reset", "expected"),
        [(str(NOW + 3), [3]), (str(NOW + 9999), [60]), (str(NOW - 9999), []), ("None", [1])],
    )
    def test_nothing_remains(
        self, server: responses.RequestsMock, bench: Bench, reset: str, expected: list[float]
    ) -> None:
        """When nothing remains, the next request waits for the reset, within reason."""
        headers = {"X-Sentry-Rate-Limit-Remaining": "0", "X-Sentry-Rate-Limit-Reset": reset}
        server.get(STATS, body=GOOD, headers=headers)
        server.get(STATS, body=GOOD)

        bench.client.ask(question())
        bench.client.ask(question())

        assert expected == bench.waited()
        assert expected == [round(seconds, 3) for seconds in bench.meter.waits]

    def test_skewed_clock(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The server's own date, not our clock, says how far away the reset is."""
        server.get(
            STATS,
            body=GOOD,
            headers={
                "X-Sentry-Rate-Limit-Remaining": "0",
                "X-Sentry-Rate-Limit-Reset": "1772100002",
                "Date": "Thu, 26 Feb 2026 10:00:00 GMT",
            },
        )
        server.get(STATS, body=GOOD)

        bench.client.ask(question())
        bench.client.ask(question())

        assert [2] == bench.waited()

    def test_too_often(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A 429 of the endpoint is waited for, and then the question is asked again."""
        refuse(server, 429, TOO_OFTEN, {"X-Sentry-Rate-Limit-Reset": str(NOW + 1)}, times=2)
        server.get(STATS, body=GOOD)

        answer = bench.client.ask(question())

        assert parse(GOOD, question()) == answer
        assert [1, 1] == bench.waited()
        assert [429, 429, 200] == [code for _, code in bench.meter.requests]
        assert [("stats_v2", "rate_limited")] * 2 == bench.meter.failures

    def test_too_often_for_long(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Without a reset the pauses grow, and after five more attempts it is given up."""
        refuse(server, 429, TOO_OFTEN, times=6)
        with pytest.raises(RateLimitError):
            bench.client.ask(question())

        assert [1, 2, 4, 8, 16] == bench.waited()
        assert 31 == pytest.approx(sum(bench.meter.waits), abs=0.01)

    def test_crowded(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Too many at once has nothing to do with the reset: the pauses grow."""
        refuse(server, 429, CROWDED, {"X-Sentry-Rate-Limit-Reset": str(NOW + 50)}, times=3)
        server.get(STATS, body=GOOD)

        bench.client.ask(question())

        assert [1, 2, 4] == bench.waited()

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("7", 7), ("3600", 60), ("Wed, 25 Feb 2026 06:13:30 GMT", 10), ("soon", 1)],
    )
    def test_retry_after(
        self, server: responses.RequestsMock, bench: Bench, text: str, expected: float
    ) -> None:
        """A proxy's Retry-After is obeyed, within reason."""
        refuse(server, 429, "", {"Retry-After": text})
        server.get(STATS, body=GOOD)

        bench.client.ask(question())

        assert [expected] == bench.waited()

    def test_retry_after_of_another_status(
        self, server: responses.RequestsMock, bench: Bench
    ) -> None:
        """With a 503 it holds the token back, though the question has failed."""
        refuse(server, 503, "", {"Retry-After": "5"})
        server.get(STATS, body=GOOD)
        with pytest.raises(ServerError):
            bench.client.ask(question())

        bench.client.ask(question())

        assert [5] == bench.waited()

    @pytest.mark.parametrize(
        ("status", "detail"),
        [(429, STORE), (429, STORE.strip()), (429, "Query timeout. Please try"), (504, TIMED_OUT)],
    )
    def test_store(
        self, server: responses.RequestsMock, bench: Bench, status: int, detail: str
    ) -> None:
        """The store's refusal is not repeated; the token pauses for half a minute."""
        refuse(server, status, detail, {"X-Sentry-Rate-Limit-Remaining": "12"})
        server.get(STATS, body=GOOD)
        with pytest.raises(TooHeavyError) as caught:
            bench.client.ask(question())

        bench.client.ask(question())

        assert status == caught.value.status
        assert [30] == bench.waited()
        assert [("stats_v2", "too_heavy")] == bench.meter.failures

    def test_store_of_another(self, server: responses.RequestsMock, bench: Bench) -> None:
        """What the store refuses is one organization's: others with the same token go on."""
        refuse(server, 429, STORE)
        with pytest.raises(TooHeavyError):
            bench.client.ask(question())
        server.get(STATS.replace("acme", "globex"), body=GOOD)
        with open_session(2) as session:
            upstream = Upstream("globex", URL, FakeToken())
            SentryClient(upstream, session, bench.limits, bench.meter).ask(question())

        assert [] == bench.waited()


class TestClock:
    """The server's clock, held against ours."""

    @pytest.mark.parametrize(
        ("date", "expected"),
        [
            ("Wed, 25 Feb 2026 06:13:20 GMT", 0),
            ("Wed, 25 Feb 2026 06:15:20 GMT", 120),
            ("Wed, 25 Feb 2026 05:13:20 GMT", -3600),
        ],
    )
    def test_skew(
        self, server: responses.RequestsMock, bench: Bench, date: str, expected: float
    ) -> None:
        """The difference is known after the first answer, a refusal's date too."""
        refuse(server, 403, "", {"Date": date})
        with pytest.raises(ForbiddenError):
            bench.client.ask(question())

        assert expected == bench.client.status.clock_skew
        assert [expected] == bench.meter.skews

    @pytest.mark.parametrize(
        "headers", [{}, {"Date": "soon"}, {"Date": "Wed, 25 Feb 2026 06:13:20 GMT", "Age": "60"}]
    )
    def test_unknown(
        self, server: responses.RequestsMock, bench: Bench, headers: dict[str, str]
    ) -> None:
        """Without a date, or with a cache's old one, nothing is known."""
        server.get(STATS, body=GOOD, headers=headers)

        bench.client.ask(question())

        assert bench.client.status.clock_skew is None
        assert [] == bench.meter.skews


class TestRateLimit:
    """What the server says of its rate limits."""

    def test_last_answer(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The limits of the last answer are known."""
        headers = {
            "X-Sentry-Rate-Limit-Limit": "20",
            "X-Sentry-Rate-Limit-Remaining": "7",
            "X-Sentry-Rate-Limit-ConcurrentLimit": "25",
        }
        server.get(STATS, body=GOOD, headers=headers)
        bench.client.ask(question())

        assert RateLimit(20, 7, 25) == bench.client.status.rate_limit

    def test_silent(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Without limits in the answers, nothing is known."""
        server.get(STATS, body=GOOD)
        bench.client.ask(question())

        assert bench.client.status.rate_limit is None

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"X-Sentry-Rate-Limit-ConcurrentLimit": "3"},
            {"X-Sentry-Rate-Limit-Limit": "20", "X-Sentry-Rate-Limit-Remaining": "7"},
        ],
    )
    def test_silent_later(
        self, server: responses.RequestsMock, bench: Bench, headers: dict[str, str]
    ) -> None:
        """An answer that lacks some of the limits, as a proxy's does, does not erase them."""
        known = {
            "X-Sentry-Rate-Limit-Limit": "20",
            "X-Sentry-Rate-Limit-Remaining": "7",
            "X-Sentry-Rate-Limit-ConcurrentLimit": "25",
        }
        for sent in (known, headers):
            server.get(STATS, body=GOOD, headers=sent)
            bench.client.ask(question())

        assert RateLimit(20, 7, 25) == bench.client.status.rate_limit


class _Named(msgspec.Struct):
    name: str


def _usable(named: _Named) -> _Named:
    if not named.name:
        raise BadAnswerError("name", "is empty")
    return named


class TestLookUp:
    """Single requests for anything else."""

    URL = "https://sentry.io/api/0/customers/acme/"

    def looked_up(self, bench: Bench) -> _Named:
        """Return what is read."""
        return bench.client.look_up("customers", self.URL, _Named, _usable)

    def test_fields(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Only the fields that are asked for are read, and the request is counted."""
        server.get(self.URL, body='{"name": "Acme", "card": "4242"}')

        assert _Named("Acme") == self.looked_up(bench)
        assert [("customers", 200)] == bench.meter.requests

    def test_too_often(self, server: responses.RequestsMock, bench: Bench) -> None:
        """After a 429 the token pauses, and the request is repeated."""
        server.get(self.URL, status=429, json={"detail": TOO_OFTEN}, headers={"Retry-After": "7"})
        server.get(self.URL, body='{"name": "Acme"}')

        assert _Named("Acme") == self.looked_up(bench)
        assert [7] == bench.waited()

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (403, '{"detail": "no"}', ForbiddenError),
            (200, "{}", BadAnswerError),
            (200, "<html>", BadAnswerError),
            (200, '{"name": ""}', BadAnswerError),
        ],
    )
    def test_failure(
        self,
        server: responses.RequestsMock,
        bench: Bench,
        status: int,
        body: str,
        error: type[SentryError],
    ) -> None:
        """It fails as any other request does, with its address."""
        server.get(self.URL, status=status, body=body)

        with pytest.raises(error) as failed:
            self.looked_up(bench)

        assert self.URL == failed.value.asked
        assert [("customers", error.reason)] == bench.meter.failures


DEPRECATED = {
    "X-Sentry-Deprecation-Date": "2026-12-01T00:00:00+00:00",
    "X-Sentry-Replacement-Endpoint": "/api/0/organizations/{org}/stats_v3/",
}


class TestDeprecation:
    """What the server announces to take away."""

    def test_it_is_reported(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An announcement is logged, measured and stored, with the API that it is about."""
        server.get(STATS, body=GOOD, headers=DEPRECATED)
        with logged() as logs:
            bench.client.ask(question())

        (record,) = logs
        assert {
            "event": "Sentry removes an API",
            "log_level": "warning",
            "organization": "acme",
            "api": "stats_v2",
            "date": "2026-12-01T00:00:00+00:00",
            "replacement": "/api/0/organizations/{org}/stats_v3/",
        } == record
        assert [("stats_v2", 1_796_083_200.0)] == bench.meter.deprecations
        assert ["stats_v2"] == [one.api for one in bench.client.status.deprecations]

    def test_once_a_day(self, server: responses.RequestsMock) -> None:
        """It is logged once a day for each API, however often it is asked."""
        clock = Clock(NOW)
        with open_session(2) as session, logged() as logs:
            bench = Bench(session, now=clock)
            for hours in (0, 1, 22, 1):
                clock.now += hours * 3600
                server.get(STATS, body=GOOD, headers=DEPRECATED)
                server.get(PROJECTS, json=page(1), headers=DEPRECATED)
                bench.client.ask(question())
                bench.client.projects()

        assert ["stats_v2", "projects"] * 2 == [record["api"] for record in logs]
        assert 2 == len(bench.meter.deprecations)

    def test_a_clock_set_back(self, server: responses.RequestsMock) -> None:
        """A clock that was set back by years does not silence it."""
        clock = Clock(NOW)
        with open_session(2) as session, logged() as logs:
            bench = Bench(session, now=clock)
            for moment in (NOW, NOW - 1e8):
                clock.now = moment
                server.get(STATS, body=GOOD, headers=DEPRECATED)
                bench.client.ask(question())

        assert 2 == len(logs)

    def test_withdrawn(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An announcement is over with the first 200 that does not repeat it, not a refusal."""
        server.get(STATS, body=GOOD, headers=DEPRECATED)
        refuse(server, 503, "")
        server.get(STATS, body=GOOD)
        bench.client.ask(question())
        with pytest.raises(ServerError):
            bench.client.ask(question())
        still = [one.api for one in bench.client.status.deprecations]

        bench.client.ask(question())

        assert ["stats_v2"] == still
        assert () == bench.client.status.deprecations
        assert [("stats_v2", 1_796_083_200.0), ("stats_v2", None)] == bench.meter.deprecations

    def test_gone(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A 410 is logged once a day too, with what is announced beside it."""
        with logged() as logs:
            for headers in (DEPRECATED, {}):
                refuse(server, 410, "This API no longer exists.", headers)
                with pytest.raises(StatusError):
                    bench.client.ask(question())

        (record,) = logs
        assert "Sentry has removed an API" == record["event"]
        assert "2026-12-01T00:00:00+00:00" == record["date"]
        assert [("stats_v2", 1_796_083_200.0)] == bench.meter.deprecations

    @pytest.mark.parametrize(
        ("date", "expected"),
        [
            ("2026-12-01", 1_796_083_200.0),
            ("2026-12-01T00:00:00Z", 1_796_083_200.0),
            ("Tue, 01 Dec 2026 00:00:00 GMT", 1_796_083_200.0),
            ("next winter", None),
        ],
    )
    def test_dates(
        self, server: responses.RequestsMock, bench: Bench, date: str, expected: float | None
    ) -> None:
        """A date is read however it is written; one that cannot be read is shown as it is."""
        server.get(STATS, body=GOOD, headers={"X-Sentry-Deprecation-Date": date})

        bench.client.ask(question())

        assert [("stats_v2", expected)] == bench.meter.deprecations
        assert [date] == [one.date for one in bench.client.status.deprecations]


class TestRequestIds:
    """What connects the records of one request."""

    def test_a_failure_has_its_request(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The id of the request that failed is in the error, and in all records about it."""
        refuse(server, 403, "no")
        with capture_logs() as logs, pytest.raises(ForbiddenError) as failed:
            bench.client.ask(question())

        about = [it["event"] for it in logs if it["request"] == failed.value.request]
        assert ["request", "request ended", "request failed"] == about
        assert len(logs) == len(about)

    def test_an_answer_of_another_shape(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An answer that cannot be decoded has the id of its request too."""
        server.get(STATS, body=b"[]")
        with capture_logs() as logs, pytest.raises(BadAnswerError) as failed:
            bench.client.ask(question())

        assert [failed.value.request] == [it["request"] for it in logs if it["event"] == "request"]

    def test_retries_have_ids_of_their_own(
        self, server: responses.RequestsMock, bench: Bench
    ) -> None:
        """Each try after a 429 is another request."""
        refuse(server, 429, TOO_OFTEN, times=2)
        server.get(STATS, body=GOOD)
        with capture_logs() as logs:
            bench.client.ask(question())

        ids = [it["request"] for it in logs if it["event"] == "request"]
        assert 3 == len(set(ids))
        assert [429, 429, 200] == [it["status"] for it in logs if it["event"] == "request ended"]

    def test_what_is_asked_and_left(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The records have the parameters, and what is left of the rate limit, but no token."""
        left = {"X-Sentry-Rate-Limit-Limit": "40", "X-Sentry-Rate-Limit-Remaining": "39"}
        server.get(STATS, body=GOOD, headers=left)
        with capture_logs() as logs:
            bench.client.ask(question())

        assert "field=sum(quantity)" in logs[0]["parameters"]
        assert [39] == [it["remaining"] for it in logs if it["event"] == "request ended"]
        assert TOKEN not in str(logs)


class TestWaits:
    """Pauses whose end somebody waits for."""

    def test_store(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Who waits, for what, how long, and how long at most is in the log."""
        refuse(server, 429, STORE)
        server.get(STATS, body=GOOD)
        with logged() as before, pytest.raises(TooHeavyError):
            bench.client.ask(question())
        with logged() as logs:
            bench.client.ask(question())

        assert [] == before
        assert [
            {
                "event": "waiting before the next request, as Sentry requires",
                "log_level": "info",
                "organization": "acme",
                "api": "stats_v2",
                "reason": "too_heavy",
                "seconds": 30,
                "at_most": 420,
            }
        ] == logs

    def test_too_often(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Waits that grow are logged once they are long."""
        refuse(server, 429, TOO_OFTEN, times=6)
        with logged() as logs, pytest.raises(RateLimitError):
            bench.client.ask(question())

        assert [(8, 300), (16, 300)] == [(record["seconds"], record["at_most"]) for record in logs]


class TestAskAll:
    """Several questions."""

    def test_order(self, bench: Bench) -> None:
        """Answers come in the order of the questions, a heavy one's error in its place."""
        questions = [
            question("category", "outcome", fields=[field])
            for field in ("sum(quantity)", "heavy", "sum(quantity)")
        ]

        with responses.RequestsMock() as server:
            server.add_callback(responses.GET, STATS, self.respond)
            replies = bench.client.ask_all(questions)

        assert [SeriesAnswer, TooHeavyError, SeriesAnswer] == [type(one) for one in replies]

    def test_error(self, bench: Bench) -> None:
        """Any other error is raised, and what has not begun is not asked."""
        with responses.RequestsMock() as server:
            server.get(STATS, status=403)
            with pytest.raises(ForbiddenError):
                bench.client.ask_all([question()] * 50)

        assert len(bench.meter.requests) <= 2

    @staticmethod
    def respond(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        """Refuse what is heavy."""
        if "heavy" in str(request.url):
            return 429, {}, json.dumps({"detail": STORE}).encode()
        return 200, {}, GOOD


def page(*ids: int) -> list[dict[str, Any]]:
    """Return a page of the projects list."""
    return [{"id": str(number), "slug": f"p{number}", "platform": None} for number in ids]


def inaccessible(*ids: int) -> list[dict[str, object]]:
    """Return a page of the projects list that says that none of them can be read."""
    return [{**project, "hasAccess": False} for project in page(*ids)]


def link(cursor: str, *, more: bool = True) -> dict[str, str]:
    """Return the header that leads to the next page."""
    previous = '<https://other.example.com/>; rel="previous"; results="false"; cursor="0:0:1"'
    results = str(more).lower()
    following = f'<https://other.example.com/>; rel="next"; results="{results}"; cursor="{cursor}"'
    return {"Link": f"{previous}, {following}"}


def queries(server: responses.RequestsMock) -> list[list[tuple[str, str]]]:
    """Return the parameters of each request."""
    return [parse_qsl(urlsplit(str(call.request.url)).query) for call in server.calls]


PAGE = [("per_page", "100"), ("collapse", "latestDeploys"), ("collapse", "unusedFeatures")]
ALL = [("all_projects", "1"), *PAGE]


class TestProjects:
    """The projects list."""

    def test_at_once(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A list without a Link header is complete, however long it is."""
        server.get(PROJECTS, json=page(*range(1, 301)))

        assert 300 == len(bench.client.projects().by_id)
        assert [ALL] == queries(server)
        assert [("projects", 200)] == bench.meter.requests

    @pytest.mark.parametrize(
        ("status", "detail", "times"), [(503, "", 1), (504, TIMED_OUT, 1), (429, TOO_OFTEN, 6)]
    )
    def test_unknown_access(
        self,
        server: responses.RequestsMock,
        bench: Bench,
        status: int,
        detail: str,
        times: int,
    ) -> None:
        """A list outlives that it cannot be learnt what the token reads: that may be all."""
        server.get(PROJECTS, json=inaccessible(1, 2))
        refuse(server, status, detail, times=times)

        assert {1, 2} == bench.client.projects().accessible

    @pytest.mark.parametrize("readable", [True, False])
    def test_known_access(
        self,
        server: responses.RequestsMock,
        bench: Bench,
        readable: bool,  # noqa: FBT001 - pytest's own call
    ) -> None:
        """What was learnt before holds then."""
        server.get(PROJECTS, json=inaccessible(1))
        if readable:
            server.get(STATS, body=GOOD)
        else:
            refuse(server, 400, "No projects available")
        server.get(PROJECTS, json=inaccessible(1))
        refuse(server, 503, "")

        first = bench.client.projects().accessible
        assert first == bench.client.projects().accessible
        assert readable == bool(first)

    def test_pages(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Where pages come, all are read, from the configured host, whatever the links say."""
        server.get(PROJECTS, json=page(1, 2), headers=link("100:1:0"))
        server.get(PROJECTS, json=page(2, 3), headers=link("100:2:0", more=False))

        projects = bench.client.projects()

        assert [1, 2, 3] == list(projects.by_id)
        assert Project(3, "p3", "", accessible=True) == projects.by_slug["p3"]
        assert [ALL, [*PAGE, ("cursor", "100:1:0")]] == queries(server)
        assert [("projects", 200)] * 2 == bench.meter.requests

    def test_circle(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Pages that lead back to one another are given up."""
        for cursor in ("a", "b", "a"):
            server.get(PROJECTS, json=page(1), headers=link(cursor))
        with pytest.raises(BadAnswerError, match="has no last page"):
            bench.client.projects()

        assert [("projects", "bad_answer")] == bench.meter.failures

    def test_endless(self, bench: Bench) -> None:
        """So are pages without an end."""
        numbers = iter(range(2 * MAX_PAGES))
        with responses.RequestsMock() as server:
            server.add_callback(
                responses.GET,
                PROJECTS,
                lambda _request: (200, link(str(next(numbers))), b"[]"),
            )
            with pytest.raises(BadAnswerError):
                bench.client.projects()

        assert MAX_PAGES == len(bench.meter.requests)

    def test_full_page_without_link(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A full page must say whether there is another one, or half a list looks complete."""
        server.get(PROJECTS, json=page(1), headers=link("100:1:0"))
        server.get(PROJECTS, json=page(*range(2, 102)))
        with pytest.raises(BadAnswerError, match=r"^Link: is missing from a full page"):
            bench.client.projects()

    def test_link_lost(self, caplog: pytest.LogCaptureFixture) -> None:
        """A header that is none takes away those after it: the list may go on, and no more."""
        caplog.set_level(logging.WARNING)
        answer = reply(b"[]", "200 OK", "no header at all", f"Link: {link('100:1:0')['Link']}")
        with ScriptedServer(serve(answer)) as scripted, open_session(2) as session:
            limits = TokenLimits(Allowance(2, 1e6))
            upstream = Upstream("acme", scripted.url, FakeToken())
            client = SentryClient(upstream, session, limits, RecordingMeter())
            with pytest.raises(BadAnswerError, match=r"^Link: may be lost"):
                client.projects()

        assert "Failed to parse headers" in caplog.text
        assert "Traceback" not in caplog.text

    def test_bad_page(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A page of another shape fails the list, with the place."""
        server.get(PROJECTS, json=[*page(1), {"id": "2"}])
        with pytest.raises(BadAnswerError) as caught:
            bench.client.projects()

        assert "[1].slug" == caught.value.path
        assert [("projects", "bad_answer")] == bench.meter.failures

    def test_renamed_organization(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An organization that does not exist has its own error, even without a body."""
        server.get(PROJECTS, status=404)
        with pytest.raises(NotFoundError, match=r"^404 \["):
            bench.client.projects()

        assert [("projects", "not_found")] == bench.meter.failures

    def test_too_often(self, server: responses.RequestsMock, bench: Bench) -> None:
        """The list, which shares its limit with other callers, is asked for again too."""
        server.get(PROJECTS, status=429, json={"detail": TOO_OFTEN})
        server.get(PROJECTS, json=page(1))

        assert [1] == list(bench.client.projects().by_id)
        assert [1] == bench.waited()


class TestTooManyProjects:
    """A projects list that the server does not give at once."""

    @pytest.mark.parametrize(
        ("status", "detail", "reason"),
        [
            (400, "Invalid parameter", "bad_request"),
            (408, "request-timeout", "server_error"),
            (500, "Internal Error", "server_error"),
            (504, "Gateway Timeout", "server_error"),
            (504, TIMED_OUT, "too_heavy"),
        ],
    )
    def test_refusal(
        self,
        server: responses.RequestsMock,
        bench: Bench,
        status: int,
        detail: str,
        reason: str,
    ) -> None:
        """What the server refuses is read by pages at once, and the refusal is counted."""
        server.get(PROJECTS, status=status, json={"detail": detail})
        server.get(PROJECTS, json=page(1), headers=link("100:1:0"))
        server.get(PROJECTS, json=page(2), headers=link("100:2:0", more=False))

        projects = bench.client.projects()

        assert [1, 2] == list(projects.by_id)
        assert [ALL, PAGE, [*PAGE, ("cursor", "100:1:0")]] == queries(server)
        assert [status, 200, 200] == [code for _, code in bench.meter.requests]
        assert [("projects", reason)] == bench.meter.failures

    def test_timeout(self, server: responses.RequestsMock, bench: Bench) -> None:
        """So is what does not come in time."""
        server.get(PROJECTS, body=TimeoutError())
        server.get(PROJECTS, json=page(1))

        assert [1] == list(bench.client.projects().by_id)
        assert [ALL, PAGE] == queries(server)
        assert [("projects", "timeout")] == bench.meter.failures

    def test_size(self, server: responses.RequestsMock) -> None:
        """So is what would be larger than is allowed."""
        server.get(PROJECTS, json=page(1, 2))
        server.get(PROJECTS, json=page(1), headers=link("100:1:0"))
        server.get(PROJECTS, json=page(2), headers=link("100:2:0", more=False))
        with open_session(2) as session:
            bench = Bench(session, max_response_size=len(json.dumps(page(1, 2))) - 1)
            projects = bench.client.projects()

        assert [1, 2] == list(projects.by_id)
        assert [("projects", "too_large")] == bench.meter.failures

    def test_store(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A database that is overloaded has its pause before it is asked for pages."""
        server.get(PROJECTS, status=429, json={"detail": STORE})
        server.get(PROJECTS, json=page(1))

        bench.client.projects()

        assert [30] == bench.waited()

    def test_from_then_on(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Later lists are read by pages without asking for more, and the log says so once."""
        server.get(PROJECTS, status=400)
        for _ in range(3):
            server.get(PROJECTS, json=page(1))
        with logged() as logs:
            for _ in range(3):
                bench.client.projects()

        (record,) = logs
        assert [ALL, PAGE, PAGE, PAGE] == queries(server)
        assert ("acme", "bad_request", f"400 [{PROJECTS}]") == (
            record["organization"],
            record["reason"],
            record["error"],
        )

    def test_passing_trouble(self, server: responses.RequestsMock, bench: Bench) -> None:
        """An error of the server's own may pass: the next list is asked for at once again."""
        server.get(PROJECTS, status=504)
        for _ in range(2):
            server.get(PROJECTS, json=page(1))
        for _ in range(2):
            bench.client.projects()

        assert [ALL, PAGE, ALL] == queries(server)

    def test_outage(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A server that gives no page either says nothing about the size of the list."""
        for _ in range(2):
            server.get(PROJECTS, status=503)
        server.get(PROJECTS, json=page(1))
        with logged() as logs:
            with pytest.raises(ServerError):
                bench.client.projects()
            bench.client.projects()

        assert [ALL, PAGE, ALL] == queries(server)
        assert [("projects", "server_error")] * 2 == bench.meter.failures
        assert [] == logs

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (302, RedirectError),
            (401, UnauthorizedError),
            (403, ForbiddenError),
            (404, NotFoundError),
            (418, StatusError),
        ],
    )
    def test_other_refusal(
        self,
        server: responses.RequestsMock,
        bench: Bench,
        status: int,
        expected: type[SentryError],
    ) -> None:
        """What pages would meet just the same is not tried again."""
        server.get(PROJECTS, status=status)
        with pytest.raises(expected):
            bench.client.projects()

        assert [ALL] == queries(server)

    def test_no_connection(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Nor is a server that cannot be reached."""
        server.get(PROJECTS, body=requests.ConnectionError("broken"))
        with pytest.raises(NetworkError):
            bench.client.projects()

        assert [ALL] == queries(server)

    def test_too_often(self, server: responses.RequestsMock, bench: Bench) -> None:
        """Nor one that has been asked too often for as long as is waited."""
        for _ in range(6):
            server.get(PROJECTS, status=429, json={"detail": TOO_OFTEN})
        with pytest.raises(RateLimitError):
            bench.client.projects()

        assert [ALL] * 6 == queries(server)

    def test_later_page(self, server: responses.RequestsMock, bench: Bench) -> None:
        """A failure among the pages fails the list, which is not begun again."""
        server.get(PROJECTS, json=page(1), headers=link("100:1:0"))
        server.get(PROJECTS, status=503)
        with pytest.raises(ServerError):
            bench.client.projects()

        assert [ALL, [*PAGE, ("cursor", "100:1:0")]] == queries(server)
