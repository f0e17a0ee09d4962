"""Malformed requests: each is refused, each burst is logged."""

import logging
import socket
import ssl
import threading
from collections.abc import MutableMapping
from typing import Any

import h11
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.web.malformed import BURST, MAX_PEERS, MalformedRequests, problem_of
from exporter.web.server import Server
from tests.support.clock import Clock
from tests.support.serving import serving_app

HANG = 5.0
"""Seconds after which a test fails because something hangs."""

TLS_PROBLEM = "TLS handshake, but this port serves plain HTTP"

Records = list[MutableMapping[str, Any]]


class WatchedClock(Clock):
    """A clock that records that it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = threading.Event()

    def __call__(self) -> float:
        """Return the time."""
        self.read.set()
        return self.now

    def wait_until_read_again(self) -> None:
        """Wait until something that has read the present time reads the clock again.

        Of three reads, the first may have begun earlier, and the last may not have ended.
        """
        for _ in range(3):
            self.read.clear()
            assert self.read.wait(HANG)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    await PlainTextResponse("hello")(scope, receive, send)


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin to answer before the request's body is read."""
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"he", "more_body": True})
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.body", "body": b"llo"})


def client_hello() -> bytes:
    """Return the bytes that a TLS client sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="host")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Send ``pieces``, each after the answer to the last; return everything received."""
    port = server.addresses[0].port
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as client:
        for piece in pieces[:-1]:
            client.sendall(piece)
            received += client.recv(1 << 16)
        client.sendall(pieces[-1])
        try:
            while chunk := client.recv(1 << 16):
                received += chunk
        except ConnectionResetError:
            pass
    return received


def logged(records: Records) -> list[tuple[str, str, int]]:
    """Return peer, problem and count of every line; fail if there is any other line."""
    assert {"malformed requests"} >= {record["event"] for record in records}
    assert {"warning"} >= {record["log_level"] for record in records}
    return [(record["peer"], record["error"], record["count"]) for record in records]


class TestBursts:
    """When bursts are logged, by a clock that is set by hand."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock."""
        return Clock()

    @pytest.fixture
    def malformed(self, clock: Clock) -> MalformedRequests:
        """Return a counter that uses the clock."""
        return MalformedRequests(clock)

    def test_a_burst_is_one_line(self, malformed: MalformedRequests, clock: Clock) -> None:
        """Nothing is logged during a burst; then one line counts all of it."""
        with capture_logs() as records:
            for _ in range(100):
                malformed.add("10.0.0.1", "no request line received")
                clock.now += 0.25
                malformed.log_ended()
            before = logged(records)
            clock.now += BURST
            malformed.log_ended()

        assert [] == before
        assert [("10.0.0.1", "no request line received", 100)] == logged(records)

    def test_the_next_burst_is_the_next_line(
        self, malformed: MalformedRequests, clock: Clock
    ) -> None:
        """A peer that goes on is logged once a minute."""
        with capture_logs() as records:
            for _ in range(8):
                malformed.add("10.0.0.1", "no request line received")
                clock.now += BURST / 4
                malformed.log_ended()

        assert [4, 4] == [count for _, _, count in logged(records)]

    def test_silence_logs_nothing(self, malformed: MalformedRequests, clock: Clock) -> None:
        """A burst that was logged is not logged again."""
        malformed.add("10.0.0.1", "no request line received")
        clock.now += BURST
        malformed.log_ended()
        with capture_logs() as records:
            clock.now += BURST
            malformed.log_ended()
            malformed.log_all()

        assert [] == records

    def test_each_peer_has_its_own_line(self, malformed: MalformedRequests, clock: Clock) -> None:
        """A peer that began later is logged later."""
        with capture_logs() as records:
            malformed.add("10.0.0.1", "no request line received")
            clock.now += 1
            malformed.add("10.0.0.2", TLS_PROBLEM)
            clock.now += BURST - 1
            malformed.log_ended()
            first = logged(records)
            clock.now += 1
            malformed.log_ended()

        assert [("10.0.0.1", "no request line received", 1)] == first
        assert ("10.0.0.2", TLS_PROBLEM, 1) == logged(records)[1]

    def test_problems_of_a_peer_are_listed_once_each(self, malformed: MalformedRequests) -> None:
        """Each problem is named once, in the order of occurrence."""
        with capture_logs() as records:
            for problem in ("b", "a", "b"):
                malformed.add("10.0.0.1", problem)
            malformed.log_all()

        assert [("10.0.0.1", "b; a", 3)] == logged(records)

    def test_too_many_peers_are_counted_together(self, malformed: MalformedRequests) -> None:
        """Many addresses do not take more memory or more lines."""
        with capture_logs() as records:
            for number in range(MAX_PEERS + 50):
                malformed.add(f"10.0.0.{number}", "no request line received")
            malformed.log_all()

        assert MAX_PEERS + 1 == len(records)
        assert ("others", "no request line received", 50) == logged(records)[-1]

    @pytest.mark.parametrize(
        ("host", "peer"),
        [
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            (None, "unknown"),
        ],
    )
    def test_addresses_are_written_as_people_know_them(
        self, malformed: MalformedRequests, host: str | None, peer: str
    ) -> None:
        """An IPv4 client of a dual-stack socket is logged with its IPv4 address."""
        with capture_logs() as records:
            malformed.add(host, "no request line received")
            malformed.log_all()

        assert peer == records[0]["peer"]


class TestProblems:
    """The problem that is logged."""

    @pytest.mark.parametrize(
        ("request_bytes", "problem"),
        [
            (b"\x00\x01\x02", "illegal request line"),
            (b"GET\r\n\r\n", "illegal request line"),
            (b"\r\n\r\n", "no request line received"),
            (b"GET / HTTP/1.1\r\n\r\n", "missing mandatory Host: header"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "found multiple Host: headers"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nBasic s3cret\r\n\r\n", "illegal header line"),
            (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "bad Content-Length"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, "receive buffer too long"),
        ],
    )
    def test_the_parser_says_what(self, request_bytes: bytes, problem: str) -> None:
        """The problem is the parser's message, without what the client sent."""
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(request_bytes)
        with pytest.raises(h11.RemoteProtocolError) as caught:
            parser.next_event()

        assert problem == problem_of(caught.value, request_bytes)

    def test_an_error_without_words(self) -> None:
        """An error without a message is still logged as something."""
        assert "invalid HTTP" == problem_of(None, b"GET")

    @pytest.mark.parametrize("length", [1, 5, 517])
    def test_a_tls_handshake_is_recognised(self, length: int) -> None:
        """A TLS handshake is recognised by its first byte."""
        assert TLS_PROBLEM == problem_of(None, client_hello()[:length])


class TestSockets:
    """What clients and the log receive."""

    def test_a_hundred_tls_handshakes_are_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        """The line has peer, problem and count; uvicorn adds none."""
        greeting = client_hello()
        with capture_logs() as records, serving_app(hello) as server:
            answers = [exchange(server, greeting) for _ in range(100)]

        assert {b"HTTP/1.1 400"} == {answer[:12] for answer in answers}
        assert [("127.0.0.1", TLS_PROBLEM, 100)] == logged(records)
        assert [] == [it for it in caplog.records if it.levelno >= logging.WARNING]

    def test_a_burst_is_logged_while_the_server_runs(self) -> None:
        """A burst ends by the server's clock."""
        clock = WatchedClock()
        with capture_logs() as records, serving_app(hello, clock=clock) as server:
            exchange(server, b"\x00")
            clock.now += BURST
            clock.wait_until_read_again()
            while_running = logged(records)

        assert [("127.0.0.1", "illegal request line", 1)] == while_running

    def test_good_requests_are_not_logged(self) -> None:
        """A request to upgrade to HTTP/2, as curl sends, is not malformed either."""
        request = (
            b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
        )
        with capture_logs() as records, serving_app(hello) as server:
            answer = exchange(server, request)

        assert answer.endswith(b"hello")
        assert [] == records

    def test_a_malformed_body_is_one_line_too(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is refused before the answer begins, and cut off afterwards, without a traceback."""
        head = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
        with capture_logs() as records, serving_app(echo_length) as server:
            before = exchange(server, head + b"no chunk\r\n")
            during = exchange(server, head, b"no chunk\r\n")

        assert b"HTTP/1.1 400" == before[:12]
        assert during.startswith(b"HTTP/1.1 200")
        assert during.endswith(b"\r\n\r\nhe")
        assert [("127.0.0.1", "illegal chunk header", 2)] == logged(records)
        assert [] == [it for it in caplog.records if it.levelno >= logging.WARNING]
