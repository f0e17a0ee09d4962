"""The socket: answers over HTTP, faults as a client meets them, and a prompt end."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import requests

from exporter.simulator import Deprecation, Fault, RateLimit, Row, Simulator, World
from exporter.simulator.faults import Kind
from exporter.simulator.server import MOST_REMEMBERED

NOW = 1_790_000_000.0
HOUR = 3600
PROJECTS = "/api/0/organizations/acme/projects/"
STATS = "/api/0/organizations/acme/stats_v2/"


@pytest.fixture
def sentry(world: World) -> Iterator[Simulator]:
    """Serve a simulated Sentry whose clock stands still."""
    with Simulator(world, clock=lambda: NOW, rate_limit=None) as simulator:
        yield simulator


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Give a client with the right token."""
    with requests.Session() as client:
        client.headers["Authorization"] = "Bearer right"
        yield client


def raw(sentry: Simulator, *, path: str = PROJECTS, seconds: float = 5.0) -> bytes:
    """Return every byte that comes back for one request until the connection ends."""
    with _connected(sentry, path, seconds) as connection:
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def _connected(
    sentry: Simulator, path: str, seconds: float, *, after: str = "close"
) -> socket.socket:
    """Return a connection on which one request was sent."""
    host, port = sentry.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=seconds)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nConnection: {after}"
    connection.sendall(f"{head}\r\n\r\n".encode())
    return connection


def split(answer: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def promised(head: bytes) -> int:
    """Return the length of the body that a head promises."""
    return int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])


class TestAnswers:
    """What a well-behaved client sees."""

    def test_a_connection_serves_many_requests(self, sentry: Simulator) -> None:
        """Connections are kept alive, errors included."""
        with _connected(sentry, PROJECTS, 5, after="keep-alive") as connection:
            statuses = []
            for path in (STATS, "/nowhere/", STATS):
                statuses.append(connection.recv(65536).split()[1])
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        assert statuses == [b"200", b"401", b"404"]

    def test_large_answers_are_compressed_for_those_who_ask(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """Gzip by Accept-Encoding, and plain for everybody else."""
        query = f"?field=sum(quantity)&category=error&start={NOW - 900 * HOUR}&end={NOW}"
        packed = session.get(sentry.url + STATS + query)
        plain = session.get(sentry.url + STATS + query, headers={"Accept-Encoding": ""})

        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert packed.json() == plain.json()

    def test_head_has_no_body_and_other_methods_are_refused(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """HEAD tells the length only; POST is 405."""
        head = session.head(sentry.url + PROJECTS)
        post = session.post(sentry.url + PROJECTS, json={})

        assert (head.status_code, head.content) == (200, b"")
        assert post.status_code == 405

    def test_requests_are_remembered(self, sentry: Simulator, session: requests.Session) -> None:
        """Time, method, path, query, status and client of each; never a token."""
        session.get(sentry.url + PROJECTS + "?per_page=7", headers={"User-Agent": "exporter/1"})
        asked = sentry.requests[-1]

        assert (asked.time, asked.method, asked.path) == (NOW, "GET", PROJECTS)
        assert asked.query == (("per_page", "7"),)
        assert (asked.status, asked.user_agent) == (200, "exporter/1")
        assert "right" not in repr(sentry.requests)

    def test_the_older_half_is_forgotten_when_there_is_too_much(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """A simulator that serves for weeks does not grow."""
        session.get(sentry.url + PROJECTS)
        sentry.requests *= MOST_REMEMBERED
        session.get(sentry.url + STATS)

        assert len(sentry.requests) == MOST_REMEMBERED // 2 + 1
        assert sentry.requests[-1].path == STATS

    def test_limits_are_told_only_where_there_are_any(
        self, world: World, sentry: Simulator, session: requests.Session
    ) -> None:
        """A self-hosted server sends no header about rates."""
        with Simulator(world, clock=lambda: NOW, rate_limit=RateLimit(5)) as limited:
            told = session.get(limited.url + STATS)
            other = session.get(limited.url + PROJECTS)
        untold = session.get(sentry.url + STATS)

        assert told.headers["X-Sentry-Rate-Limit-Remaining"] == "4"
        assert str(int(NOW) + 1) == told.headers["X-Sentry-Rate-Limit-Reset"]
        assert other.headers["X-Sentry-Rate-Limit-Limit"] == "40"
        assert not [name for name in untold.headers if name.startswith("X-Sentry")]

    @pytest.mark.parametrize("path", [PROJECTS, STATS, "/nowhere/", "/simulator/totals"])
    def test_every_answer_is_dated(
        self, sentry: Simulator, session: requests.Session, path: str
    ) -> None:
        """The date is that of the simulator's own clock, errors included."""
        answer = session.get(sentry.url + path)

        assert "Mon, 21 Sep 2026 14:13:20 GMT" == answer.headers["Date"]

    def test_the_end_of_an_endpoint_is_announced_on_its_answers(
        self, world: World, session: requests.Session
    ) -> None:
        """Date and replacement are on each of them, refusals included, and on no other's."""
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

    def test_announcements_change_while_it_serves(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """The last one for an endpoint is in force; without a replacement none is named."""
        for date in ("2027-01-15T00:00:00+00:00", "2027-02-15T00:00:00+00:00"):
            sentry.deprecations.append(Deprecation("projects", date))
        during = session.get(sentry.url + PROJECTS).headers
        sentry.deprecations.clear()
        after = session.get(sentry.url + PROJECTS).headers

        assert "2027-02-15T00:00:00+00:00" == during["X-Sentry-Deprecation-Date"]
        assert "X-Sentry-Replacement-Endpoint" not in during
        assert "X-Sentry-Deprecation-Date" not in after

    def test_latency_is_waited_for(self, sentry: Simulator, session: requests.Session) -> None:
        """An answer does not come before the latency has passed."""
        sentry.latency = 0.1
        began = time.perf_counter()
        session.get(sentry.url + PROJECTS)

        assert time.perf_counter() - began >= sentry.latency

    def test_the_row_limit_can_change_while_it_serves(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """The next answer is cut by the new limit."""
        rows = [Row(1, 11, "span", "filtered", f"reason-{n}", NOW - HOUR) for n in range(5)]
        sentry.world.add_rows(*rows)
        query = (
            "?field=sum(quantity)&groupBy=category&groupBy=reason&groupBy=project&statsPeriod=2h"
        )
        before = len(session.get(sentry.url + STATS + query).json()["groups"])
        sentry.row_limit = 3
        after = len(session.get(sentry.url + STATS + query).json()["groups"])

        assert (before, after) == (5, 3)


class TestFaults:
    """Each kind of fault, on the wire."""

    def test_status(self, sentry: Simulator) -> None:
        """A status fault answers with its own status, headers and body."""
        fault = Fault("status", status=502, body=b"upstream", headers=(("X-Proxy", "edge"),))
        sentry.faults.add(fault)
        head, body = split(raw(sentry))

        assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"X-Proxy: edge" in head
        assert body == b"upstream"

    def test_a_fault_may_have_a_date_of_its_own(self, sentry: Simulator) -> None:
        """A proxy's clock may be another one."""
        date = ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
        sentry.faults.add(Fault("status", status=502, headers=(date,)))
        head, _ = split(raw(sentry))

        assert 1 == head.count(b"Date: ")
        assert b"Date: Thu, 01 Jan 1970 00:00:00 GMT" in head

    def test_a_status_nobody_registered(self, sentry: Simulator) -> None:
        """Proxies make up statuses of their own."""
        sentry.faults.add(Fault("status", status=520))

        assert raw(sentry).startswith(b"HTTP/1.1 520 ")

    def test_garbage(self, sentry: Simulator) -> None:
        """Garbage is a 200 that is no JSON."""
        sentry.faults.add(Fault("garbage"))
        head, body = split(raw(sentry))

        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)

    def test_redirect(self, sentry: Simulator) -> None:
        """A redirect points wherever it was told to."""
        sentry.faults.add(Fault("redirect", location="http://elsewhere.invalid/"))
        head, _ = split(raw(sentry))

        assert head.startswith(b"HTTP/1.1 302 Found\r\n")
        assert b"Location: http://elsewhere.invalid/" in head

    def test_hang(self, sentry: Simulator) -> None:
        """A hanging server takes the request and says nothing."""
        sentry.faults.add(Fault("hang"))
        with pytest.raises(TimeoutError):
            raw(sentry, seconds=0.2)

        assert [asked.status for asked in sentry.requests] == [0]

    @pytest.mark.parametrize(
        ("part", "whole"), [("status line", b""), ("headers", b"HTTP/1.1 200 OK\r\n")]
    )
    def test_drip(self, sentry: Simulator, part: Any, whole: bytes) -> None:
        """A dripping server gets stuck, but only from the chosen part on."""
        sentry.faults.add(Fault("drip", part=part, interval=60))
        with _connected(sentry, PROJECTS, 0.2) as connection:
            received = connection.recv(len(whole)) if whole else b""
            with pytest.raises(TimeoutError):
                connection.recv(1)

        assert whole == received

    def test_a_patient_client_gets_all_that_drips(self, sentry: Simulator) -> None:
        """What drips is the right answer, a byte at a time."""
        whole = raw(sentry)
        sentry.faults.add(Fault("drip", part="body", interval=0.0001))

        assert whole == raw(sentry)

    def test_cut(self, sentry: Simulator) -> None:
        """A cut answer ends before the length it promised."""
        sentry.faults.add(Fault("cut"))
        head, body = split(raw(sentry))

        assert promised(head) > len(body) > 0

    def test_reset(self, sentry: Simulator) -> None:
        """A reset connection breaks without a byte."""
        sentry.faults.add(Fault("reset"))
        with pytest.raises(ConnectionResetError):
            raw(sentry)

    def test_down(self, sentry: Simulator, session: requests.Session) -> None:
        """While it is down nobody gets an answer, on old connections or new ones."""
        session.get(sentry.url + PROJECTS)
        sentry.faults.down = True
        for client in (session, requests):
            with pytest.raises(requests.ConnectionError):
                client.get(sentry.url + PROJECTS)
        sentry.faults.clear()

        assert session.get(sentry.url + PROJECTS).status_code == 200

    def test_every_kind_is_shown_here(self) -> None:
        """A new kind of fault needs a test."""
        shown = {name.removeprefix("test_") for name in vars(TestFaults)}

        assert set() == set(get_args(Kind)) - shown


class TestScript:
    """When a fault strikes."""

    def statuses(self, sentry: Simulator, session: requests.Session, count: int) -> list[int]:
        """Return the statuses of so many requests in a row."""
        return [session.get(sentry.url + PROJECTS).status_code for _ in range(count)]

    def test_a_fault_waits_and_then_strikes_so_often(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """It skips the first ones, strikes, and is over."""
        sentry.faults.add(Fault("status", status=500, after=1, times=2))

        assert self.statuses(sentry, session, 4) == [200, 500, 500, 200]

    def test_faults_follow_one_another(self, sentry: Simulator, session: requests.Session) -> None:
        """The next fault in line strikes when the one before is over."""
        for status in (500, 503):
            sentry.faults.add(Fault("status", status=status, times=1))

        assert self.statuses(sentry, session, 3) == [500, 503, 200]

    def test_a_fault_can_be_taken_back(self, sentry: Simulator, session: requests.Session) -> None:
        """Without a number of times it stays until it is removed."""
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
    def test_a_fault_strikes_only_what_it_is_for(
        self, sentry: Simulator, session: requests.Session, fault: Fault, status: int
    ) -> None:
        """An organization is meant by its slug even if the path has its id."""
        sentry.faults.add(fault)
        answer = session.get(sentry.url + PROJECTS.replace("acme", "1"))

        assert status == answer.status_code


class TestControl:
    """The endpoints for those who run it in another process."""

    def test_totals_are_the_truth(self, sentry: Simulator) -> None:
        """They come straight from the rows, whatever is cut elsewhere."""
        sentry.row_limit = 0
        rows = [Row(1, 11, name, "accepted", None, NOW - 60, 2) for name in ("error", "default")]
        sentry.world.add_rows(*rows)
        asked = {"organization": "acme", "start": str(NOW - HOUR), "end": str(NOW)}
        url = f"{sentry.url}/simulator/totals"
        grouped = requests.get(url, {**asked, "groupBy": ["project", "category"]}, timeout=5)
        seen = requests.get(url, {**asked, "field": "times_seen"}, timeout=5)
        by = {"project": 11, "category": "error"}

        assert {"groups": [{"by": by, "value": 4}]} == grouped.json()
        assert [group["value"] for group in seen.json()["groups"]] == [2]

    @pytest.mark.parametrize(
        "wrong", [{"organization": "nobody"}, {"field": "bytes"}, {"groupBy": "x"}, {"start": "x"}]
    )
    def test_wrong_questions_are_refused(self, sentry: Simulator, wrong: dict[str, str]) -> None:
        """A question that makes no sense is a 400."""
        asked = {"organization": "acme", "start": "0", "end": "1", **wrong}

        assert requests.get(f"{sentry.url}/simulator/totals", asked, timeout=5).status_code == 400

    def test_faults_are_added_and_ended(self, sentry: Simulator, session: requests.Session) -> None:
        """A fault written as JSON strikes until all are ended."""
        url = f"{sentry.url}/simulator/faults"
        added = session.post(url, json={"kind": "status", "status": 504, "body": "slow"})
        struck = session.get(sentry.url + PROJECTS)
        ended = session.delete(url)

        assert (added.status_code, ended.status_code) == (201, 204)
        assert (struck.status_code, struck.text) == (504, "slow")
        assert session.get(sentry.url + PROJECTS).status_code == 200

    @pytest.mark.parametrize("fault", [{"kind": "flood"}, {"kind": "hang", "colour": "red"}, []])
    def test_what_is_no_fault_is_refused(self, sentry: Simulator, fault: Any) -> None:
        """Unknown kinds and unknown keys are a 400."""
        answer = requests.post(f"{sentry.url}/simulator/faults", json=fault, timeout=5)

        assert answer.status_code == 400

    def test_announcements_are_made_and_taken_back(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """A deprecation written as JSON is on the answers until all are taken back."""
        url = f"{sentry.url}/simulator/deprecations"
        made = session.post(url, json={"endpoint": "projects", "date": "2027-01-15T00:00:00"})
        during = session.get(sentry.url + PROJECTS).headers
        taken_back = session.delete(url)
        after = session.get(sentry.url + PROJECTS).headers

        assert (made.status_code, taken_back.status_code) == (201, 204)
        assert "2027-01-15T00:00:00" == during["X-Sentry-Deprecation-Date"]
        assert "X-Sentry-Deprecation-Date" not in after

    def test_what_is_no_announcement_is_refused(self, sentry: Simulator) -> None:
        """An unknown endpoint is a 400."""
        url = f"{sentry.url}/simulator/deprecations"

        assert requests.post(url, json={"endpoint": "all"}, timeout=5).status_code == 400

    def test_there_is_nothing_else(self, sentry: Simulator) -> None:
        """Other paths and methods are a 404."""
        assert requests.get(f"{sentry.url}/simulator/faults", timeout=5).status_code == 404


class TestEnd:
    """Stopping."""

    def test_it_stops_at_once_though_a_client_hangs(self, world: World) -> None:
        """No thread is waited for, and the hanging client's connection ends."""
        sentry = Simulator(world, clock=lambda: NOW, rate_limit=None)
        sentry.start()
        sentry.faults.add(Fault("hang"))
        with _connected(sentry, PROJECTS, 5) as connection:
            while not sentry.requests:
                time.sleep(0.01)
            sentry.stop()

            assert connection.recv(1) == b""

    def test_one_that_never_started_can_be_stopped(self, world: World) -> None:
        """Nothing is left open."""
        sentry = Simulator(world)
        host, port = sentry.url.removeprefix("http://").split(":")
        sentry.stop()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=1)

    def test_the_address_of_version_six_is_written_in_brackets(self, world: World) -> None:
        """An IPv6 host works as well."""
        with Simulator(world, host="::1") as sentry:
            answer = requests.get(sentry.url + PROJECTS, timeout=5)

        assert sentry.url.startswith("http://[::1]:")
        assert answer.status_code == 401
