"""One GET against servers that do everything wrong, on real sockets."""

import gzip
import logging
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter import __version__
from exporter.sentry.errors import (
    DeadlineError,
    NetworkError,
    SentryError,
    TLSError,
    TokenError,
    TooLargeError,
)
from exporter.sentry.token import TokenFile
from exporter.sentry.transport import Reply, Transport, open_session
from tests.sentry.fakes import TOKEN, FakeToken
from tests.support.scripted_server import AMPLE_TIMEOUT, Peer, Script, ScriptedServer, reply, serve

TIMEOUT = 0.3
LIMIT = 100_000
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Return a session that is closed at the end."""
    with open_session(2) as opened:
        yield opened


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a private certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a server with a certificate of the private authority needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the file that makes the private authority trusted."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


class Client:
    """A transport and what it observed."""

    def __init__(
        self,
        session: requests.Session,
        *,
        timeout: float = AMPLE_TIMEOUT,
        ca_file: Path | None = None,
    ) -> None:
        self.token = FakeToken()
        self.observed: list[int] = []
        self.transport = Transport(
            session, self.token, ca_file=ca_file, timeout=timeout, max_response_size=LIMIT
        )

    def get(self, url: str) -> Reply:
        """Ask for ``url``."""
        return self.transport.get(f"{url}/", [("a", "b c")], self._observe)

    def _observe(self, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append(status)


def script(data: bytes) -> Script:
    """Return a script that reads a request, sends ``data`` and closes."""

    def run(peer: Peer) -> None:
        peer.receive()
        peer.send(data)

    return run


def drips(start: bytes, dripped: bytes) -> Script:
    """Return a script that sends ``start`` at once and then drips for ever."""

    def run(peer: Peer) -> None:
        peer.receive()
        peer.send(start)
        peer.drip(dripped)

    return run


def hangs(start: bytes) -> Script:
    """Return a script that sends ``start`` and then nothing more."""

    def run(peer: Peer) -> None:
        peer.receive()
        peer.send(start)
        peer.hang()

    return run


class TestRequest:
    """What is sent."""

    def test_headers(self, session: requests.Session) -> None:
        """A request names the program and carries the token."""
        with ScriptedServer(serve(reply())) as server:
            Client(session).get(server.url)

        lines = server.requests[0].decode().split("\r\n")
        assert "GET /?a=b+c HTTP/1.1" == lines[0]
        assert f"Authorization: Bearer {TOKEN}" in lines
        assert f"User-Agent: sentry-stats-exporter/{__version__}" in lines

    def test_netrc(
        self, session: requests.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A ``.netrc`` that knows the host does not replace the token."""
        path = tmp_path / "netrc"
        path.write_text("machine 127.0.0.1 login somebody password something\n")
        monkeypatch.setenv("NETRC", str(path))
        with ScriptedServer(serve(reply())) as server:
            Client(session).get(server.url)

        assert f"Bearer {TOKEN}".encode() in server.requests[0]

    def test_rotation(self, session: requests.Session) -> None:
        """The token is read afresh for every request."""
        with ScriptedServer(serve(reply(), reply())) as server:
            client = Client(session)
            client.get(server.url)
            client.token.token = "another"
            client.get(server.url)

        assert b"Bearer another\r\n" in server.requests[1]

    def test_no_token(self, session: requests.Session, tmp_path: Path) -> None:
        """Without a token nothing is sent."""
        transport = Transport(
            session,
            TokenFile(tmp_path / "absent"),
            ca_file=None,
            timeout=TIMEOUT,
            max_response_size=LIMIT,
        )
        with ScriptedServer(serve(reply())) as server, pytest.raises(TokenError):
            transport.get(server.url, [], lambda _status, _seconds: None)

        assert [] == server.requests

    def test_no_cookies(self, session: requests.Session) -> None:
        """No cookie comes back."""
        answer = reply(b"{}", "200 OK", "Set-Cookie: session=1")
        with ScriptedServer(serve(answer, answer)) as server:
            client = Client(session)
            client.get(server.url)
            client.get(server.url)

        assert b"ookie" not in server.requests[1]


class TestAnswer:
    """What comes back."""

    def test_body(self, session: requests.Session) -> None:
        """A 200 has its body and its headers."""
        with ScriptedServer(serve(reply(b"[1]", "200 OK", "X-Name: value"))) as server:
            client = Client(session)
            answer = client.get(server.url)

        assert (200, b"[1]", "value") == (answer.status, answer.body, answer.headers["x-name"])
        assert [200] == client.observed

    def test_compressed(self, session: requests.Session) -> None:
        """A compressed body is unpacked."""
        sent = reply(gzip.compress(b"[1]"), "200 OK", "Content-Encoding: gzip")
        with ScriptedServer(serve(sent)) as server:
            assert b"[1]" == Client(session).get(server.url).body

    def test_chunked(self, session: requests.Session) -> None:
        """A body in chunks is put together."""
        sent = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"
        with ScriptedServer(serve(sent)) as server:
            assert b"[1]" == Client(session).get(server.url).body

    def test_refusal(self, session: requests.Session) -> None:
        """Another status has what the body says instead."""
        with ScriptedServer(serve(reply(b'{"detail": "no"}', "403 Forbidden"))) as server:
            client = Client(session)
            answer = client.get(server.url)

        assert (403, b"", "no") == (answer.status, answer.body, answer.detail)
        assert [403] == client.observed

    @pytest.mark.parametrize(
        "headers",
        [
            b"Content-Length: 100\r\n",
            b"Content-Encoding: gzip\r\nContent-Length: 4\r\n",
            b"Transfer-Encoding: chunked\r\n",
        ],
    )
    def test_broken_refusal(self, session: requests.Session, headers: bytes) -> None:
        """A status counts, even if the body with it is broken."""
        sent = b"HTTP/1.1 502 Bad Gateway\r\n" + headers + b"\r\nzzzz"
        with ScriptedServer(script(sent)) as server:
            answer = Client(session).get(server.url)

        assert (502, "") == (answer.status, answer.detail)

    def test_redirect(self, session: requests.Session) -> None:
        """A redirect is not followed, and its body, however long, is not read."""
        location = "Location: https://evil.example.com/\xff"
        with ScriptedServer(
            hangs(b"HTTP/1.1 302 Found\r\n" + location.encode("latin-1") + b"\r\n\r\nxxx")
        ) as server:
            answer = Client(session).get(server.url)

        assert (302, "302 to https://evil.example.com") == (answer.status, str(answer.error))
        assert 1 == len(server.requests)

    @pytest.mark.parametrize("location", ["http://[", "//", "http://\xfc:99999/", "%"])
    def test_odd_redirect(self, session: requests.Session, location: str) -> None:
        """A redirect is a redirect, wherever it leads."""
        sent = f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        with ScriptedServer(serve(sent.encode("latin-1"))) as server:
            assert 301 == Client(session).get(server.url).status


class TestSize:
    """Bodies that are too large."""

    @pytest.mark.parametrize(
        "sent",
        [
            reply(b"x" * (LIMIT + 1)),
            OK + b"\r\n" + b"x" * (LIMIT + 1),
            reply(gzip.compress(bytes(50_000_000)), "200 OK", "Content-Encoding: gzip"),
            reply(zlib.compress(bytes(50_000_000)), "200 OK", "Content-Encoding: deflate"),
            reply(
                gzip.compress(gzip.compress(bytes(50_000_000))),
                "200 OK",
                "Content-Encoding: gzip, gzip",
            ),
        ],
        ids=["length", "until close", "gzip", "deflate", "twice"],
    )
    def test_too_large(self, session: requests.Session, sent: bytes) -> None:
        """A body is given up as soon as it is too large, unpacked."""
        with ScriptedServer(script(sent)) as server:
            client = Client(session)
            with pytest.raises(TooLargeError):
                client.get(server.url)

        assert [200] == client.observed

    def test_endless(self, session: requests.Session) -> None:
        """Nothing more is read: the server notices that the connection is closed."""
        noticed = []

        def run(peer: Peer) -> None:
            peer.receive()
            peer.send(OK + b"\r\n")
            try:
                while True:
                    peer.send(b"x" * 65536)
            except OSError:
                noticed.append(True)

        with ScriptedServer(run) as server, pytest.raises(TooLargeError):
            Client(session).get(server.url)

        assert [True] == noticed

    def test_as_large_as_allowed(self, session: requests.Session) -> None:
        """A body of just the limit is not too large."""
        with ScriptedServer(serve(reply(b"x" * LIMIT))) as server:
            assert LIMIT == len(Client(session).get(server.url).body)


SLOW = {
    "accepts and hangs": hangs(b""),
    "status line": drips(b"HTTP", b"/1.1 2"),
    "headers": drips(OK, b"X-A: b\r\n" * 1000),
    "one header": drips(OK + b"X-A: ", b"b"),
    "informational": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "body": drips(OK + b"Content-Length: 99999\r\n\r\n", b" "),
    "body until close": drips(OK + b"\r\n", b" "),
    "chunk size": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunk": drips(OK + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", b" "),
    "trailers": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1000),
    "gzip": drips(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(99))[:10] + b"\0"),
    "body hangs": hangs(OK + b"Content-Length: 9\r\n\r\n"),
}


class TestDeadline:
    """Servers that take their time."""

    @pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
    def test_slow(self, session: requests.Session, slow: Script) -> None:
        """Whatever a server drips, the request ends when its time is over."""
        with ScriptedServer(slow) as server:
            with pytest.raises(DeadlineError, match=r"within 0\.3 s"):
                Client(session, timeout=TIMEOUT).get(server.url)

            assert 1 == server.connections

    def test_slow_over_tls(
        self, session: requests.Session, tls: ssl.SSLContext, ca_file: Path
    ) -> None:
        """The same over TLS."""
        with (
            ScriptedServer(SLOW["headers"], context=tls) as server,
            pytest.raises(DeadlineError),
        ):
            Client(session, timeout=TIMEOUT, ca_file=ca_file).get(server.url)

    def test_no_handshake(self, session: requests.Session) -> None:
        """A server that never answers the handshake is given up too."""
        with ScriptedServer(hangs(b"")) as server, pytest.raises(DeadlineError):
            Client(session, timeout=TIMEOUT).get(server.url.replace("http:", "https:"))

    def test_slow_on_a_reused_connection(self, session: requests.Session) -> None:
        """A connection that was good before has a deadline again."""

        def run(peer: Peer) -> None:
            serve(reply())(peer)
            SLOW["headers"](peer)

        with ScriptedServer(run) as server:
            client = Client(session, timeout=TIMEOUT)
            client.get(server.url)
            with pytest.raises(DeadlineError):
                client.get(server.url)

            assert 1 == server.connections

    def test_slow_through_a_proxy(
        self, session: requests.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy has no more time than a server."""
        with ScriptedServer(SLOW["headers"]) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            with pytest.raises(DeadlineError):
                Client(session, timeout=TIMEOUT).get("http://sentry.example.com")

        assert proxy.requests[0].startswith(b"GET http://sentry.example.com/")

    def test_slow_refusal(self, session: requests.Session) -> None:
        """A status counts, even if the body with it never comes."""
        with ScriptedServer(hangs(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n")) as server:
            assert 500 == Client(session, timeout=TIMEOUT).get(server.url).status

    def test_later_request(self, session: requests.Session) -> None:
        """A deadline that has passed does not end a later request on the same connection."""

        def run(peer: Peer) -> None:
            serve(reply())(peer)
            peer.receive()
            peer.linger(TIMEOUT * 1.5)
            peer.send(reply(b"[2]"))

        with ScriptedServer(run) as server:
            Client(session, timeout=TIMEOUT).get(server.url)

            assert b"[2]" == Client(session).get(server.url).body
            assert 1 == server.connections


class TestConnections:
    """Connections that are reused, and those that break."""

    def test_reused(self, session: requests.Session) -> None:
        """Requests share a connection, refused ones too."""
        refused = reply(b'{"detail": "no"}', "404 Not Found")
        with ScriptedServer(serve(reply(), refused, reply())) as server:
            client = Client(session)
            statuses = [client.get(server.url).status for _ in range(3)]

            assert [200, 404, 200] == statuses
            assert 1 == server.connections

    def test_reused_over_tls(
        self, session: requests.Session, tls: ssl.SSLContext, ca_file: Path
    ) -> None:
        """The same over TLS, with a certificate of a private authority."""
        with ScriptedServer(serve(reply(), reply(b"[2]")), context=tls) as server:
            client = Client(session, ca_file=ca_file)
            client.get(server.url)

            assert b"[2]" == client.get(server.url).body
            assert 1 == server.connections

    def test_closed_meanwhile(self, session: requests.Session) -> None:
        """An idle connection that the server has closed is replaced."""
        with ScriptedServer(serve(reply())) as server:
            client = Client(session)
            statuses = [client.get(server.url).status for _ in range(3)]

        assert [200, 200, 200] == statuses

    @pytest.mark.parametrize("end", [Peer.close, Peer.reset])
    def test_closed_at_that_moment(
        self, session: requests.Session, end: Callable[[Peer], None]
    ) -> None:
        """So is one that the server closes when the next request is already on its way."""

        def run(peer: Peer) -> None:
            serve(reply())(peer)
            peer.receive()
            end(peer)

        with ScriptedServer(run, serve(reply(b"[2]"))) as server:
            client = Client(session)
            client.get(server.url)

            assert b"[2]" == client.get(server.url).body
            assert 2 == server.connections
            assert [200, 200] == client.observed

    def test_interim_answers(self, session: requests.Session) -> None:
        """Answers come after interim ones, and never after the next request."""
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        answers = [hints + reply(b"[1]"), hints * 3 + reply(b"[2]"), reply(b"[3]")]
        with ScriptedServer(serve(*answers)) as server:
            client = Client(session)

            assert [b"[1]", b"[2]", b"[3]"] == [client.get(server.url).body for _ in answers]
            assert 1 == server.connections

    @pytest.mark.parametrize("line", [b"101 Switching Protocols", b"102 Processing"])
    def test_no_answer_after_interim_ones(self, session: requests.Session, line: bytes) -> None:
        """Where no answer follows, or too many do, the connection is of no use any more."""
        endless = b"HTTP/1.1 %s\r\n\r\n" % line * 100
        with ScriptedServer(serve(endless + reply(b"[1]")), serve(reply(b"[2]"))) as server:
            client = Client(session)
            replies = [client.get(server.url) for _ in range(2)]

        assert [(int(line[:3]), b""), (200, b"[2]")] == [(one.status, one.body) for one in replies]

    def test_closes_always(self, session: requests.Session) -> None:
        """A server that never answers is asked once more, and no more."""
        with ScriptedServer(serve(b"")) as server:
            client = Client(session)
            with pytest.raises(NetworkError, match="closed the connection without an answer"):
                client.get(server.url)

        assert 2 == server.connections
        assert [0] == client.observed

    def test_nobody_listens(self, session: requests.Session) -> None:
        """A refused connection has its own message."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        with pytest.raises(NetworkError, match="refused"):
            Client(session).get(f"http://127.0.0.1:{port}")

    def test_no_such_host(self, session: requests.Session) -> None:
        """So is a name that leads nowhere."""
        with pytest.raises(NetworkError):
            Client(session).get("http://sentry.invalid")

    @pytest.mark.parametrize("url", ["ftp://x", "http://", "http://[", "nonsense", "http://a b/"])
    def test_unusable_address(self, session: requests.Session, url: str) -> None:
        """An address that cannot be used is a failure like any other."""
        with pytest.raises(NetworkError):
            Client(session).get(url)

    def test_trouble_of_the_caller(self, session: requests.Session) -> None:
        """What the caller was handling when it asked is no part of the failure."""
        with ScriptedServer(serve(b"")) as server:
            try:
                int("of the caller")
            except ValueError:
                with pytest.raises(NetworkError, match="closed the connection without an answer"):
                    Client(session).get(server.url)


class TestCertificates:
    """TLS that cannot be trusted."""

    def test_unknown_authority(self, session: requests.Session, tls: ssl.SSLContext) -> None:
        """A certificate of an unknown authority is not accepted."""
        with ScriptedServer(serve(reply()), context=tls) as server:
            with pytest.raises(TLSError, match="certificate verify failed"):
                Client(session).get(server.url)

            assert [] == server.requests

    def test_another_host(
        self, session: requests.Session, authority: trustme.CA, ca_file: Path
    ) -> None:
        """A certificate of another host is not accepted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("sentry.example.com").configure_cert(context)
        with (
            ScriptedServer(serve(reply()), context=context) as server,
            pytest.raises(TLSError, match="mismatch"),
        ):
            Client(session, ca_file=ca_file).get(server.url)

    def test_no_tls(self, session: requests.Session) -> None:
        """A server that does not speak TLS has no certificate at all."""
        with (
            ScriptedServer(lambda peer: peer.send(reply())) as server,
            pytest.raises(TLSError),
        ):
            Client(session).get(server.url.replace("http:", "https:"))

    @pytest.mark.parametrize("content", [None, "", "nonsense"])
    def test_unusable_ca_file(
        self, session: requests.Session, tls: ssl.SSLContext, tmp_path: Path, content: str | None
    ) -> None:
        """A CA file that is missing, empty or no certificate accepts nobody."""
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_text(content)
        with ScriptedServer(serve(reply()), context=tls) as server, pytest.raises(TLSError):
            Client(session, ca_file=path).get(server.url)


GARBAGE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "status no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "status too small": b"HTTP/1.1 1 OK\r\n\r\n",
    "status line too long": b"HTTP/1.1 200 " + b"x" * 100_000,
    "header too long": OK + b"X-A: " + b"x" * 100_000,
    "headers too many": OK + b"X-A: b\r\n" * 1000,
    "cut in the status line": b"HTTP/1.1 2",
    "cut in the body": OK + b"Content-Length: 10\r\n\r\n[1",
    "cut in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n[1",
    "chunk size no number": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[1",
    "chunk size negative": OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n[1",
    "length no number": OK + b"Content-Length: 1, 2\r\n\r\n[1",
    "no gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n[1]",
}


class TestGarbage:
    """Servers that make no sense."""

    @pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
    def test_refused(self, session: requests.Session, sent: bytes) -> None:
        """What is no answer is a failure of the network, whatever the libraries make of it."""
        with ScriptedServer(script(sent)) as server, pytest.raises(NetworkError):
            Client(session).get(server.url)

    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from([b"", b"HTTP/1.1 ", OK, OK + b"Content-Type: "]), st.binary())
    def test_arbitrary(self, session: requests.Session, start: bytes, end: bytes) -> None:
        """Bytes at random are an answer or a `SentryError`, and never anything else."""
        with ScriptedServer(script(start + end)) as server:
            try:
                outcome: object = Client(session, timeout=2).get(server.url)
            except SentryError as error:
                outcome = error

        assert isinstance(outcome, (Reply, SentryError))


def echoes(status: bytes, *, header: bytes = b"", body: bytes = b"") -> Script:
    """Return a script that sends the token back wherever ``%s`` stands."""

    def run(peer: Peer) -> None:
        token = peer.receive().partition(b"Bearer ")[2].partition(b"\r\n")[0]
        peer.send((status + b"\r\n" + header + b"\r\n" + body).replace(b"%s", token))

    return run


class TestSecrecy:
    """The token stays where it is."""

    @pytest.mark.parametrize(
        "script",
        [
            echoes(b"%s"),
            echoes(b"HTTP/1.1 %s"),
            echoes(b"HTTP/1.1 200 OK", header=b"Content-Length: %s\r\n", body=b"x"),
            echoes(b"HTTP/1.1 200 OK", header=b"Transfer-Encoding: chunked\r\n", body=b"%s\r\n"),
            echoes(b"HTTP/1.1 302 Found", header=b"Location: http://%s/\r\n"),
            echoes(b"HTTP/1.1 400 %s", body=b'{"detail": "%s"}'),
            echoes(b"HTTP/1.1 500 X", body=b"<title>%s</title>"),
            serve(b""),
        ],
    )
    def test_never_shown(
        self, session: requests.Session, script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A server that sends the token back has it in no error, no log and no repr."""
        caplog.set_level(logging.DEBUG)
        with ScriptedServer(script) as server:
            client = Client(session)
            try:
                outcome: object = client.get(server.url).detail
            except SentryError as error:
                outcome = list(everything(error))

        assert TOKEN not in caplog.text
        assert TOKEN not in repr(outcome)
        assert TOKEN not in repr([vars(client), vars(client.transport)])


def everything(error: BaseException | None) -> Iterator[object]:
    """Yield everything that ``error`` and its causes hold."""
    while error is not None:
        yield error
        yield error.args
        yield vars(error)
        yield getattr(getattr(error, "request", None), "headers", None)
        error = error.__cause__ or error.__context__
