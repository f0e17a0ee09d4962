"""The HTTP server: answers, recorded requests, and stopping."""

import socket
import time

import pytest
import requests

from exporter.simulator import Deprecation, Fault, RateLimit, Row, Simulator, World
from exporter.simulator.server import MAX_RECORDED_REQUESTS
from tests.simulator.client import HOUR, NOW, PROJECTS, STATS, connected


class TestAnswers:
    """Answers without a fault."""

    def test_a_connection_serves_many_requests(self, sentry: Simulator) -> None:
        """A connection stays open after answers and after errors."""
        with connected(sentry, PROJECTS, 5, after="keep-alive") as connection:
            statuses = []
            for path in (STATS, "/nowhere/", STATS):
                statuses.append(connection.recv(65536).split()[1])
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        assert statuses == [b"200", b"401", b"404"]

    def test_large_answers_are_compressed(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """A large answer is compressed if the client accepts gzip."""
        query = f"?field=sum(quantity)&category=error&start={NOW - 900 * HOUR}&end={NOW}"
        packed = session.get(sentry.url + STATS + query)
        plain = session.get(sentry.url + STATS + query, headers={"Accept-Encoding": ""})

        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert packed.json() == plain.json()

    def test_head_has_no_body_and_other_methods_are_refused(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """HEAD returns only the head, and POST is a 405."""
        head = session.head(sentry.url + PROJECTS)
        post = session.post(sentry.url + PROJECTS, json={})

        assert (head.status_code, head.content) == (200, b"")
        assert post.status_code == 405

    def test_requests_are_recorded(self, sentry: Simulator, session: requests.Session) -> None:
        """Time, method, path, query, status and client are recorded, but not the token."""
        session.get(sentry.url + PROJECTS + "?per_page=7", headers={"User-Agent": "exporter/1"})
        request = sentry.requests[-1]

        assert (request.time, request.method, request.path) == (NOW, "GET", PROJECTS)
        assert request.query == (("per_page", "7"),)
        assert (request.status, request.user_agent) == (200, "exporter/1")
        assert "right" not in repr(sentry.requests)

    def test_the_record_is_bounded(self, sentry: Simulator, session: requests.Session) -> None:
        """The older half of the recorded requests is dropped when there are too many."""
        session.get(sentry.url + PROJECTS)
        sentry.requests *= MAX_RECORDED_REQUESTS
        session.get(sentry.url + STATS)

        assert len(sentry.requests) == MAX_RECORDED_REQUESTS // 2 + 1
        assert sentry.requests[-1].path == STATS

    def test_rate_limit_headers(
        self, world: World, sentry: Simulator, session: requests.Session
    ) -> None:
        """A server with rate limits sends headers about them, a self-hosted one does not."""
        with Simulator(world, clock=lambda: NOW, rate_limit=RateLimit(5)) as limited:
            stats = session.get(limited.url + STATS)
            projects = session.get(limited.url + PROJECTS)
        self_hosted = session.get(sentry.url + STATS)

        assert stats.headers["X-Sentry-Rate-Limit-Remaining"] == "4"
        assert str(int(NOW) + 1) == stats.headers["X-Sentry-Rate-Limit-Reset"]
        assert projects.headers["X-Sentry-Rate-Limit-Limit"] == "40"
        assert not [name for name in self_hosted.headers if name.startswith("X-Sentry")]

    @pytest.mark.parametrize("path", [PROJECTS, STATS, "/nowhere/", "/simulator/totals"])
    def test_every_answer_is_dated(
        self, sentry: Simulator, session: requests.Session, path: str
    ) -> None:
        """Every answer, including errors, has the date of the simulator's clock."""
        answer = session.get(sentry.url + path)

        assert "Mon, 21 Sep 2026 14:13:20 GMT" == answer.headers["Date"]

    def test_a_deprecation_is_announced(self, world: World, session: requests.Session) -> None:
        """All answers of the endpoint, including errors, have the headers; others do not."""
        announced = Deprecation("stats_v2", "2027-01-15T00:00:00+00:00", "/api/0/stats_v3/")
        expected = {
            "X-Sentry-Deprecation-Date": "2027-01-15T00:00:00+00:00",
            "X-Sentry-Replacement-Endpoint": "/api/0/stats_v3/",
        }
        query = "?field=sum(quantity)&category=error&statsPeriod=1d"
        with Simulator(world, clock=lambda: NOW, deprecations=[announced]) as sentry:
            right, wrong, other = (
                session.get(sentry.url + path) for path in (STATS + query, STATS, PROJECTS)
            )

        assert [200, 400, 200] == [each.status_code for each in (right, wrong, other)]
        assert expected.items() <= right.headers.items()
        assert expected.items() <= wrong.headers.items()
        assert not expected.keys() & other.headers.keys()

    def test_deprecations_change_while_it_serves(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """The last announcement for an endpoint applies, until it is removed."""
        for date in ("2027-01-15T00:00:00+00:00", "2027-02-15T00:00:00+00:00"):
            sentry.deprecations.append(Deprecation("projects", date))
        during = session.get(sentry.url + PROJECTS).headers
        sentry.deprecations.clear()
        after = session.get(sentry.url + PROJECTS).headers

        assert "2027-02-15T00:00:00+00:00" == during["X-Sentry-Deprecation-Date"]
        assert "X-Sentry-Replacement-Endpoint" not in during
        assert "X-Sentry-Deprecation-Date" not in after

    def test_latency(self, sentry: Simulator, session: requests.Session) -> None:
        """An answer does not arrive before the latency has passed."""
        sentry.latency = 0.1
        began = time.perf_counter()
        session.get(sentry.url + PROJECTS)

        assert time.perf_counter() - began >= sentry.latency

    def test_the_row_limit_can_change_while_it_serves(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """The next answer is cut at the new limit."""
        rows = [Row(1, 11, "span", "filtered", f"reason-{n}", NOW - HOUR) for n in range(5)]
        sentry.world.add_rows(*rows)
        query = (
            "?field=sum(quantity)&groupBy=category&groupBy=reason&groupBy=project&statsPeriod=2h"
        )
        before = len(session.get(sentry.url + STATS + query).json()["groups"])
        sentry.row_limit = 3
        after = len(session.get(sentry.url + STATS + query).json()["groups"])

        assert (before, after) == (5, 3)


class TestStop:
    """Stopping the simulator."""

    def test_a_hanging_request_does_not_delay_the_stop(self, world: World) -> None:
        """The simulator does not wait for threads, and closes the connection."""
        sentry = Simulator(world, clock=lambda: NOW, rate_limit=None)
        sentry.start()
        sentry.faults.add(Fault("hang"))
        with connected(sentry, PROJECTS, 5) as connection:
            while not sentry.requests:
                time.sleep(0.01)
            sentry.stop()

            assert connection.recv(1) == b""

    def test_stop_without_start(self, world: World) -> None:
        """A simulator that never started closes its port."""
        sentry = Simulator(world)
        host, port = sentry.url.removeprefix("http://").split(":")
        sentry.stop()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=1)

    def test_ipv6(self, world: World) -> None:
        """The URL has an IPv6 address in brackets."""
        with Simulator(world, host="::1") as sentry:
            answer = requests.get(sentry.url + PROJECTS, timeout=5)

        assert sentry.url.startswith("http://[::1]:")
        assert answer.status_code == 401
