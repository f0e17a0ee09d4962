"""Faults as a client sees them, and the requests they apply to."""

import json
from typing import Any, get_args

import pytest
import requests

from exporter.simulator import Fault, Simulator
from exporter.simulator.faults import Kind
from tests.simulator.client import PROJECTS, connected, content_length, raw, split


class TestFaults:
    """Each kind of fault, as the client sees it."""

    def test_status(self, sentry: Simulator) -> None:
        """A status fault has its own status, headers and body."""
        fault = Fault("status", status=502, body=b"upstream", headers=(("X-Proxy", "edge"),))
        sentry.faults.add(fault)
        head, body = split(raw(sentry))

        assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"X-Proxy: edge" in head
        assert body == b"upstream"

    def test_a_fault_may_have_another_date(self, sentry: Simulator) -> None:
        """A ``Date`` header of the fault replaces the simulator's."""
        date = ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
        sentry.faults.add(Fault("status", status=502, headers=(date,)))
        head, _ = split(raw(sentry))

        assert 1 == head.count(b"Date: ")
        assert b"Date: Thu, 01 Jan 1970 00:00:00 GMT" in head

    def test_an_unregistered_status(self, sentry: Simulator) -> None:
        """A status may be one that only proxies use."""
        sentry.faults.add(Fault("status", status=520))

        assert raw(sentry).startswith(b"HTTP/1.1 520 ")

    def test_garbage(self, sentry: Simulator) -> None:
        """A garbage fault is a 200 whose body is not JSON."""
        sentry.faults.add(Fault("garbage"))
        head, body = split(raw(sentry))

        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)

    def test_redirect(self, sentry: Simulator) -> None:
        """A redirect fault has the given location."""
        sentry.faults.add(Fault("redirect", location="http://elsewhere.invalid/"))
        head, _ = split(raw(sentry))

        assert head.startswith(b"HTTP/1.1 302 Found\r\n")
        assert b"Location: http://elsewhere.invalid/" in head

    def test_hang(self, sentry: Simulator) -> None:
        """A hang fault accepts the request and sends nothing."""
        sentry.faults.add(Fault("hang"))
        with pytest.raises(TimeoutError):
            raw(sentry, seconds=0.2)

        assert [request.status for request in sentry.requests] == [0]

    @pytest.mark.parametrize(
        ("part", "expected"), [("status line", b""), ("headers", b"HTTP/1.1 200 OK\r\n")]
    )
    def test_drip(self, sentry: Simulator, part: Any, expected: bytes) -> None:
        """A drip fault sends the parts before the chosen one at once."""
        sentry.faults.add(Fault("drip", part=part, interval=60))
        with connected(sentry, PROJECTS, 0.2) as connection:
            received = connection.recv(len(expected)) if expected else b""
            with pytest.raises(TimeoutError):
                connection.recv(1)

        assert expected == received

    def test_a_dripped_answer_is_complete(self, sentry: Simulator) -> None:
        """A drip fault sends the regular answer, one byte at a time."""
        complete = raw(sentry)
        sentry.faults.add(Fault("drip", part="body", interval=0.0001))

        assert complete == raw(sentry)

    def test_cut(self, sentry: Simulator) -> None:
        """A cut fault sends less than the ``Content-Length``."""
        sentry.faults.add(Fault("cut"))
        head, body = split(raw(sentry))

        assert content_length(head) > len(body) > 0

    def test_reset(self, sentry: Simulator) -> None:
        """A reset fault resets the connection without sending anything."""
        sentry.faults.add(Fault("reset"))
        with pytest.raises(ConnectionResetError):
            raw(sentry)

    def test_down(self, sentry: Simulator, session: requests.Session) -> None:
        """While the server is down, old and new connections get no answer."""
        session.get(sentry.url + PROJECTS)
        sentry.faults.down = True
        for client in (session, requests):
            with pytest.raises(requests.ConnectionError):
                client.get(sentry.url + PROJECTS)
        sentry.faults.clear()

        assert session.get(sentry.url + PROJECTS).status_code == 200

    def test_every_kind_is_tested(self) -> None:
        """Every kind of fault has a test of its name in this class."""
        shown = {name.removeprefix("test_") for name in vars(TestFaults)}

        assert set() == set(get_args(Kind)) - shown


class TestScript:
    """Which requests a fault applies to, and how often."""

    def statuses(self, sentry: Simulator, session: requests.Session, count: int) -> list[int]:
        """Return the statuses of ``count`` consecutive requests."""
        return [session.get(sentry.url + PROJECTS).status_code for _ in range(count)]

    def test_after_and_times(self, sentry: Simulator, session: requests.Session) -> None:
        """A fault skips ``after`` requests and then applies to ``times`` requests."""
        sentry.faults.add(Fault("status", status=500, after=1, times=2))

        assert self.statuses(sentry, session, 4) == [200, 500, 500, 200]

    def test_faults_follow_one_another(self, sentry: Simulator, session: requests.Session) -> None:
        """A fault applies when the one added before it has removed."""
        for status in (500, 503):
            sentry.faults.add(Fault("status", status=status, times=1))

        assert self.statuses(sentry, session, 3) == [500, 503, 200]

    def test_a_fault_can_be_removed(self, sentry: Simulator, session: requests.Session) -> None:
        """A fault without ``times`` applies until it is removed."""
        fault = sentry.faults.add(Fault("status"))
        before = self.statuses(sentry, session, 2)
        sentry.faults.remove(fault)

        assert before + self.statuses(sentry, session, 1) == [503, 503, 200]

    @pytest.mark.parametrize(
        ("fault", "status"),
        [
            (Fault("status", organization="acme", endpoint="projects"), 503),
            (Fault("status", organization="acme", endpoint="stats_v2"), 200),
            (Fault("status", organization="other"), 200),
        ],
    )
    def test_a_fault_is_restricted_by_slug(
        self, sentry: Simulator, session: requests.Session, fault: Fault, status: int
    ) -> None:
        """A fault's slug also matches a path that has the organization's id."""
        sentry.faults.add(fault)
        answer = session.get(sentry.url + PROJECTS.replace("acme", "1"))

        assert status == answer.status_code
