"""Malformed requests: refused one by one, logged burst by burst."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h11
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.web.malformed import BURST, MAX_PEERS, MalformedRequests, problem_of
from exporter.web.server import Address, Server, bind

HANG = 5.0
"""Seconds after which a test calls it a hang."""

TLS_PROBLEM = "TLS handshake, but this port serves plain HTTP"

Records = list[MutableMapping[str, Any]]


@dataclass
class SetClock:
    """A clock that stands where it is put."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the moment that was set."""
        return self.now


class WatchedClock(SetClock):
    """A clock that knows when it is read."""

    def __init__(self) -> None:
        """Start as any."""
        super().__init__()
        self.read = threading.Event()

    def __call__(self) -> float:
        """Return the moment that was set."""
        self.read.set()
        return self.now

    def wait_until_read_again(self) -> None:
        """Wait until a reader of the moment now set has come back for another.

        The first of three reads may have begun before, and the last may not have ended.
        """
        for _ in range(3):
            self.read.clear()
            assert self.read.wait(HANG)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer anything."""
    await PlainTextResponse("hello")(scope, receive, send)


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin to answer, and only then read the request's body."""
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


@contextmanager
def running(app: Any = hello, host: str = "127.0.0.1", **options: Any) -> Iterator[Server]:
    """Serve while the block runs; at its end every burst has been logged."""
    ready = threading.Event()
    server = Server(app, [bind(Address(host, 0))], started=ready.set, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(HANG)
    try:
        yield server
    finally:
        server.stop()
        thread.join(HANG)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Send ``pieces``, each once the one before was answered; return what comes until the end."""
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
    """Return peer, problem and count of every line, and check that there is no other line."""
    assert {"malformed requests"} >= {record["event"] for record in records}
    assert {"warning"} >= {record["log_level"] for record in records}
    return [(record["peer"], record["problem"], record["count"]) for record in records]


class TestBursts:
    """When something is logged, by a clock that is set."""

    @pytest.fixture
    def clock(self) -> SetClock:
        """Return a clock."""
        return SetClock()

    @pytest.fixture
    def malformed(self, clock: SetClock) -> MalformedRequests:
        """Return what counts by that clock."""
        return MalformedRequests(clock)

    def test_a_burst_is_one_line(self, malformed: MalformedRequests, clock: SetClock) -> None:
        """Nothing is logged while it lasts, and then everything together."""
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
        self, malformed: MalformedRequests, clock: SetClock
    ) -> None:
        """A peer that goes on is logged once for each minute."""
        with capture_logs() as records:
            for _ in range(8):
                malformed.add("10.0.0.1", "no request line received")
                clock.now += BURST / 4
                malformed.log_ended()

        assert [4, 4] == [count for _, _, count in logged(records)]

    def test_silence_logs_nothing(self, malformed: MalformedRequests, clock: SetClock) -> None:
        """What was logged is over."""
        malformed.add("10.0.0.1", "no request line received")
        clock.now += BURST
        malformed.log_ended()
        with capture_logs() as records:
            clock.now += BURST
            malformed.log_ended()
            malformed.log_all()

        assert [] == records

    def test_each_peer_has_its_own_line(
        self, malformed: MalformedRequests, clock: SetClock
    ) -> None:
        """Who began later is logged later."""
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
        """In the order in which they came."""
        with capture_logs() as records:
            for problem in ("b", "a", "b"):
                malformed.add("10.0.0.1", problem)
            malformed.log_all()

        assert [("10.0.0.1", "b; a", 3)] == logged(records)

    def test_too_many_peers_are_counted_together(self, malformed: MalformedRequests) -> None:
        """A crowd of addresses takes no more memory and no more lines."""
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
        """An IPv4 client of a socket for both families is an IPv4 client."""
        with capture_logs() as records:
            malformed.add(host, "no request line received")
            malformed.log_all()

        assert peer == records[0]["peer"]


class TestProblems:
    """What is said to be wrong."""

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
        """Its own words, without what the client sent."""
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(request_bytes)
        with pytest.raises(h11.RemoteProtocolError) as caught:
            parser.next_event()

        assert problem == problem_of(caught.value, request_bytes)

    def test_an_error_without_words(self) -> None:
        """There is always something to log."""
        assert "invalid HTTP" == problem_of(None, b"GET")

    @pytest.mark.parametrize("length", [1, 5, 517])
    def test_a_tls_handshake_is_recognised(self, length: int) -> None:
        """However little of it has come."""
        assert TLS_PROBLEM == problem_of(None, client_hello()[:length])


class TestSockets:
    """What clients and the log get."""

    def test_a_hundred_tls_handshakes_are_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        """With the peer, the problem and the count; uvicorn adds nothing."""
        greeting = client_hello()
        with capture_logs() as records, running() as server:
            answers = [exchange(server, greeting) for _ in range(100)]

        assert {b"HTTP/1.1 400"} == {answer[:12] for answer in answers}
        assert [("127.0.0.1", TLS_PROBLEM, 100)] == logged(records)
        assert [] == [it for it in caplog.records if it.levelno >= logging.WARNING]

    def test_a_burst_is_logged_while_the_server_runs(self) -> None:
        """Its time is up by the server's clock."""
        clock = WatchedClock()
        with capture_logs() as records, running(clock=clock) as server:
            exchange(server, b"\x00")
            clock.now += BURST
            clock.wait_until_read_again()
            while_running = logged(records)

        assert [("127.0.0.1", "illegal request line", 1)] == while_running

    def test_good_requests_are_not_logged(self) -> None:
        """Neither is an upgrade that nobody supports, as curl asks for one to HTTP/2."""
        request = (
            b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
        )
        with capture_logs() as records, running() as server:
            answer = exchange(server, request)

        assert answer.endswith(b"hello")
        assert [] == records

    def test_a_malformed_body_is_one_line_too(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is refused before the answer has begun, and cut off afterwards; never a traceback."""
        head = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
        with capture_logs() as records, running(echo_length) as server:
            before = exchange(server, head + b"no chunk\r\n")
            during = exchange(server, head, b"no chunk\r\n")

        assert b"HTTP/1.1 400" == before[:12]
        assert during.startswith(b"HTTP/1.1 200")
        assert during.endswith(b"\r\n\r\nhe")
        assert [("127.0.0.1", "illegal chunk header", 2)] == logged(records)
        assert [] == [it for it in caplog.records if it.levelno >= logging.WARNING]
