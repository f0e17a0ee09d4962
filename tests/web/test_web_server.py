"""The server: many clients, slow clients, and stopping."""

import asyncio
import gc
import http.client
import resource
import signal
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, cast
from weakref import WeakSet

import h11
import pytest
import requests
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.connection import Connection, _Parser, share_of_descriptors
from exporter.web.server import Server
from exporter.web.turns import SLICE
from tests.support.programs import wait_until
from tests.support.serving import FakeHealth
from tests.support.statuses import healthy

Serve = Callable[..., Server]

HANG = 5.0
"""Seconds after which a test fails because something hangs."""

HIGH_WATER = 1 << 16
"""Bytes above which a transport asks its writer to wait: asyncio's default."""

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"


CHUNKED = b" / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "body of POST": b"POST" + CHUNKED + b"zz\r\n",
    "body of HEAD": b"HEAD" + CHUNKED + b"zz\r\n",
    "after HEAD": b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\nzz\r\n\r\n",
    "after GET": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n0\r\n\r\n",
    "large": b"POST" + CHUNKED + b"x" * 100_000,
}


class BigPages:
    """A page of 32 MiB that takes the memory of one chunk."""

    def chunks(self, **_format: bool) -> Sequence[bytes]:
        """Return the page."""
        return [bytes(1 << 19)] * 64


def big_app(pages: BigPages) -> ASGIApp:
    """Return the application with a page that is larger than any socket buffer."""
    return make_app(pages, FakeHealth(), healthy)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    await PlainTextResponse("hello")(scope, receive, send)


def connect(server: Server) -> socket.socket:
    """Return a connection to a server's first address."""
    address = server.addresses[0]
    return socket.create_connection((address.host, address.port), timeout=HANG)


def scrape_again(client: socket.socket) -> None:
    """Ask for the page over an open connection, and read all of it."""
    client.sendall(REQUEST)
    received = b""
    while not received.endswith(b"hello"):
        piece = client.recv(1 << 16)
        assert piece
        received += piece


def slow_reader(server: Server) -> socket.socket:
    """Return a connection that has sent a request, and read only the beginning of the answer."""
    client = connect(server)
    client.sendall(REQUEST)
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def dribbler(server: Server) -> socket.socket:
    """Return a connection that has sent half a request."""
    client = connect(server)
    client.sendall(REQUEST[:20])
    return client


def scrape(server: Server, path: str = "/") -> str:
    """Return the answer that one more client gets."""
    return requests.get(f"http://{server.addresses[0]}{path}", timeout=HANG).text


def read_page(client: socket.socket) -> None:
    """Read the big page; raise AssertionError if it breaks off."""
    received = 0
    while received < 32 << 20:
        piece = client.recv(1 << 20)
        received += len(piece)
        assert piece


def wait_until_closed(client: socket.socket) -> None:
    """Read until the connection is closed; raise TimeoutError if it is not."""
    with client, suppress(ConnectionResetError, BrokenPipeError):
        while client.recv(1 << 20):
            pass


class TestServing:
    """Answers, whatever other clients do."""

    def test_addresses_are_known_before_running(self) -> None:
        """A port that the system chose is known before the server runs."""
        with bind(Address("127.0.0.1", 0)) as listener:
            server = Server(hello, [listener])

            assert (Address("127.0.0.1", listener.getsockname()[1]),) == server.addresses

    def test_several_addresses(self, serve: Serve) -> None:
        """All addresses are served at once."""
        server = serve(hello, listeners=3)
        answers = [requests.get(f"http://{it}/", timeout=HANG).text for it in server.addresses]

        assert ["hello"] * 3 == answers

    def test_keep_alive(self, serve: Serve) -> None:
        """A client can send another request over the same connection."""
        address = serve(hello).addresses[0]
        client = http.client.HTTPConnection(address.host, address.port, timeout=HANG)
        client.request("GET", "/")
        first, peer = client.getresponse().read(), client.sock.getsockname()
        client.request("GET", "/")

        assert (b"hello", peer) == (client.getresponse().read(), client.sock.getsockname())
        assert b"hello" == first
        client.close()

    def test_crowd(self, serve: Serve) -> None:
        """Many idle and dribbling connections do not delay a scrape."""
        server = serve(hello)
        with ExitStack() as crowd:
            for _ in range(200):
                crowd.enter_context(connect(server))
                crowd.enter_context(dribbler(server))

            assert "hello" == scrape(server)

    def test_slow_readers(self, serve: Serve) -> None:
        """Clients that do not read do not delay others."""
        server = serve(big_app(BigPages()))
        with ExitStack() as crowd:
            for _ in range(20):
                crowd.enter_context(slow_reader(server))

            assert "healthy\n" == scrape(server, "/-/healthy")

    def test_slow_reader_gets_everything(self, serve: Serve) -> None:
        """A slow reader that goes on reading gets the complete page."""
        with slow_reader(serve(big_app(BigPages()))) as reader:
            read_page(reader)

    def test_half_closed(self, serve: Serve) -> None:
        """A client that sends nothing more gets its complete answers, and then the end."""
        with connect(serve(big_app(BigPages()))) as client:
            client.sendall(REQUEST + REQUEST)
            client.shutdown(socket.SHUT_WR)
            received = 0
            while piece := client.recv(1 << 20):
                received += len(piece)

        assert received > 64 << 20

    def test_two_ends(self, serve: Serve) -> None:
        """A request whose end two headers tell is refused: a proxy may go by the other one."""
        request = REQUEST[:-2] + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        with connect(serve(hello)) as client:
            client.sendall(request)

            assert client.recv(12) == b"HTTP/1.1 400"

    def test_huge_header_is_refused(self, serve: Serve) -> None:
        """A request that does not end is refused before it takes much memory."""
        with connect(serve(hello)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)

            assert client.recv(12) == b"HTTP/1.1 400"


class TestConnectionLimits:
    """What happens to clients that are too slow or too many."""

    class Hasty(Connection):
        """A connection with a short timeout."""

        timeout = 0.2

    class Few(Connection):
        """At most ten connections."""

        max_connections = 10

    class Strict(Few):
        """At most ten connections, which are idle at once."""

        fresh = 0.0

    @pytest.mark.parametrize("client", [connect, dribbler, slow_reader])
    def test_timeout(self, serve: Serve, client: Callable[[Server], socket.socket]) -> None:
        """A client that sends nothing, sends half a request, or reads half an answer is closed."""
        server = serve(big_app(BigPages()), connection=self.Hasty)

        wait_until_closed(client(server))

    def test_dribbling_after_an_answer(self, serve: Serve) -> None:
        """The timeout begins again with each answer."""
        server = serve(hello, connection=self.Hasty)
        client = connect(server)
        client.sendall(REQUEST)
        client.recv(1 << 16)
        client.sendall(REQUEST[:20])

        wait_until_closed(client)

    def test_oldest_gives_way(self, serve: Serve) -> None:
        """Of too many connections, those that have been idle longest are closed."""
        server = serve(hello, connection=self.Few)
        crowd = [connect(server) for _ in range(12)]
        answer = scrape(server)
        for client in crowd[:3]:
            wait_until_closed(client)
        for client in crowd[3:]:
            client.sendall(REQUEST)

        assert "hello" == answer
        assert [b"HTTP/1.1 200"] * 9 == [client.recv(12) for client in crowd[3:]]
        for client in crowd:
            client.close()

    def test_answers_in_progress_give_way_last(self, serve: Serve) -> None:
        """A client that is reading an answer outlives idle ones."""
        server = serve(big_app(BigPages()), connection=self.Strict)
        reader = slow_reader(server)
        crowd = [connect(server) for _ in range(20)]
        scrape(server, "/-/healthy")
        read_page(reader)
        for client in (reader, *crowd):
            client.close()

    def test_scraper_between_two_scrapes(self, serve: Serve) -> None:
        """A scraper's connection stays open between two scrapes, whatever newcomers there are."""

        class Some(Connection):
            """At most 32 connections, of which two stay open although they are idle."""

            max_connections = 32

        server = serve(hello, connection=Some)
        with ExitStack() as crowd:
            scrapers = [crowd.enter_context(connect(server)) for _ in range(3)]
            for scraper in scrapers:
                scrape_again(scraper)
            for _ in range(60):
                crowd.enter_context(connect(server))
            wait_until_closed(scrapers[0])
            for scraper in scrapers[1:]:
                scrape_again(scraper)

    def test_newcomer_never_gives_way(self, serve: Serve) -> None:
        """A connection beyond the limit is served, even if no other can be closed."""

        class Hermit(Connection):
            """At most zero connections."""

            max_connections = 0

        assert "hello" == scrape(serve(hello, connection=Hermit))

    def test_slow_readers_give_way(self, serve: Serve) -> None:
        """Clients that do not read cannot block a scrape, however many they are."""
        server = serve(big_app(BigPages()), connection=self.Few)
        with ExitStack() as crowd:
            for _ in range(15):
                crowd.enter_context(slow_reader(server))

            assert "healthy\n" == scrape(server, "/-/healthy")

    def test_request_on_its_way(self, serve: Serve) -> None:
        """A client whose request takes a while does not give way to those that do not read."""
        server = serve(big_app(BigPages()), connection=self.Few)
        with ExitStack() as crowd:
            for _ in range(10):
                crowd.enter_context(slow_reader(server))
            newcomer = crowd.enter_context(connect(server))
            for _ in range(5):
                crowd.enter_context(slow_reader(server))
            newcomer.sendall(REQUEST)

            assert b"HTTP/1.1 200" == newcomer.recv(12)

    def test_answers_that_nobody_reads(self, serve: Serve) -> None:
        """Clients that read nothing give way, however little the transport has left for them."""
        open_ones = WeakSet[Connection]()

        class Known(Connection):
            """Ten connections at most, which the application below can look at."""

            max_connections = 10

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                open_ones.add(self)
                super().connection_made(transport)

        async def until_full(scope: Scope, receive: Receive, send: Send) -> None:
            """Answer until the transport has some of it left, and not enough to ask for a pause."""
            (own,) = (one for one in open_ones if one.client == tuple(scope["client"]))
            await send({"type": "http.response.start", "status": 200})
            for _ in range(1 << 10 if scope["path"] == "/metrics" else 0):
                body = {"type": "http.response.body", "body": bytes(1 << 14), "more_body": True}
                await send(body)
                if own.transport.get_write_buffer_size():
                    break
            await send({"type": "http.response.body"})

        def done() -> int:
            return sum(not one._is_answering() for one in open_ones)  # noqa: SLF001 - unseen by clients

        server = serve(until_full, connection=Known)
        with ExitStack() as crowd:
            for _ in range(10):
                crowd.enter_context(slow_reader(server))
            wait_until(lambda: done() == 10)
            newcomer = crowd.enter_context(connect(server))
            for _ in range(5):
                crowd.enter_context(slow_reader(server))
            newcomer.sendall(REQUEST.replace(b"/metrics", b"/"))

            assert b"HTTP/1.1 200" == newcomer.recv(12)

    @pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
    def test_malformed(self, serve: Serve, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
        """What is malformed is refused without a traceback, whatever comes before it."""
        server = serve(hello)
        with connect(server) as client:
            client.sendall(sent)
            while client.recv(1 << 16):
                pass

        assert [] == [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("allowed", "expected"), [(64, 16), (1024, 256), (65536, 256), (resource.RLIM_INFINITY, 256)]
)
def test_share_of_descriptors(monkeypatch: pytest.MonkeyPatch, allowed: int, expected: int) -> None:
    """Connections take a quarter of the descriptors that the host allows, at most."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (allowed, allowed))

    assert expected == share_of_descriptors(256)


class TestMemory:
    """What clients that do not read cost."""

    def test_slow_readers_hold_a_slice(self, serve: Serve) -> None:
        """Of what a client has not read yet, little more than a slice is held for it."""
        held: list[int] = []

        class Watched(Connection):
            """Connections that record what they hold once one more is opened."""

            max_connections = 5

            def _close_one(self) -> None:
                held.extend(
                    cast("Connection", other).transport.get_write_buffer_size()
                    for other in self.connections - {self}
                )

        server = serve(big_app(BigPages()), connection=Watched)
        readers = [slow_reader(server) for _ in range(5)]
        scrape(server, "/-/healthy")
        for reader in readers:
            reader.close()

        assert 5 == len(held)
        assert max(held) <= SLICE + HIGH_WATER

    def test_malformed_requests_are_released(self, serve: Serve) -> None:
        """Of a malformed request, nothing is left in a reference cycle."""
        held: list[weakref.ref[Connection]] = []

        class Watched(Connection):
            """Connections that can be seen to be released."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                held.append(weakref.ref(self))
                super().connection_made(transport)

        server = serve(hello, connection=Watched)
        gc.disable()
        try:
            with connect(server) as client:
                client.sendall(b"zz\r\n\r\n")
                while client.recv(1 << 16):
                    pass
            wait_until(lambda: [one() for one in held] == [None])
        finally:
            gc.enable()

    def test_bodies_are_dropped(self) -> None:
        """Nothing is held of the body of a request, which no path reads."""
        parser = _Parser(h11.SERVER)
        parser.receive_data(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 60000\r\n\r\n")
        parser.next_event()
        parser.receive_data(b"x" * 60_000)
        events = [parser.next_event(), parser.next_event()]

        assert [h11.Data(data=b""), h11.EndOfMessage()] == events

    def test_slices_reach_the_transport_uncopied(self) -> None:
        """h11 passes a slice on as it is; the head of an answer is still joined."""
        parser = _Parser(h11.SERVER)
        parser.receive_data(REQUEST)
        parser.next_event()
        part: Any = memoryview(bytes(10))

        head = parser.send(h11.Response(status_code=200, headers=[("Content-Length", "10")]))
        body = parser.send(h11.Data(data=part))

        assert (head or b"").startswith(b"HTTP/1.1 200 ")
        assert part is body
        assert b"" == parser.send(h11.EndOfMessage())
        assert parser.send(h11.ConnectionClosed()) is None


class TestEnd:
    """Stopping."""

    def test_stop_with_clients_of_all_kinds(self) -> None:
        """A stop is quick, whatever the clients do."""
        ready = threading.Event()
        listener = bind(Address("127.0.0.1", 0))
        server = Server(big_app(BigPages()), [listener], started=ready.set)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert ready.wait(HANG)
        clients = [kind(server) for kind in (connect, dribbler, slow_reader) for _ in range(5)]
        server.stop()
        thread.join(2)

        assert not thread.is_alive()
        for client in clients:
            wait_until_closed(client)

    def test_stop_lets_an_answer_finish(self, serve: Serve) -> None:
        """A client that goes on reading gets its complete answer while the server stops."""
        server = serve(big_app(BigPages()))
        with slow_reader(server) as reader:
            server.stop()
            read_page(reader)

    def test_stop_before_run(self) -> None:
        """A server that was stopped before it runs returns immediately."""
        server = Server(hello, [bind(Address("127.0.0.1", 0))])
        server.stop()
        server.run()

        with pytest.raises(ConnectionRefusedError):
            connect(server)

    def test_quiet_about_cut_clients(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        """Closing a slow reader at the end is not logged as an error."""
        server = serve(big_app(BigPages()))
        with slow_reader(server) as reader:
            server.stop()
            wait_until_closed(reader)

        assert [] == [record for record in caplog.records if record.levelname == "ERROR"]

    def test_quiet_about_clients_that_break_off(self, serve: Serve) -> None:
        """Clients that disconnect after a request are not logged, however many they are."""
        server = serve(big_app(BigPages()))
        with capture_logs() as logs:
            for _ in range(20):
                client = connect(server)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(REQUEST)
                client.close()

            assert "healthy\n" == scrape(server, "/-/healthy")

        assert [] == logs

    def test_signals_are_not_handled(self) -> None:
        """A run leaves the process's signal handlers as they are."""
        before = signal.getsignal(signal.SIGTERM)
        server = Server(hello, [bind(Address("127.0.0.1", 0))])
        server.stop()
        server.run()

        assert before is signal.getsignal(signal.SIGTERM)
