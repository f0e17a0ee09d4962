"""TLS: which clients get an answer, with which certificates, versions and ciphers."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.web.address import bind
from exporter.web.handshake_problems import NOT_ALLOWED
from exporter.web.live import LiveWebConfig
from exporter.web.server import Server
from tests.support.certificates import LONG_AGO, Authority, Pair, get, tls_section, write_web_config
from tests.support.serving import ANY_PORT, serving_app

HANG = 5.0
"""Seconds after which a test fails because something hangs."""

REFUSED = (requests.exceptions.SSLError, requests.exceptions.ConnectionError)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request with the scheme of its URL."""
    await PlainTextResponse(f"hello over {scope['scheme']}")(scope, receive, send)


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with more than any client reads here."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(128):
        await send({"type": "http.response.body", "body": bytes(1 << 18), "more_body": True})
    await send({"type": "http.response.body"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return the authority that signs the server's certificate."""
    return Authority(tmp_path)


@pytest.fixture
def serving(tmp_path: Path, authority: Authority) -> Callable[..., Any]:
    """Return a context manager that serves ``hello`` over TLS, with more settings."""

    @contextmanager
    def serve(pair: Pair | None = None, listeners: int = 1, **more: Any) -> Iterator[Server]:
        """Serve during the block."""
        path = write_web_config(tmp_path, tls_section(pair or authority.issue(), **more))
        with serving_app(hello, [ANY_PORT] * listeners, web=LiveWebConfig(path)) as server:
            yield server

    return serve


def handshake(server: Server, authority: Authority, **settings: Any) -> ssl.SSLSocket:
    """Return a TLS connection of a client with attributes of its context set."""
    context = ssl.create_default_context(cafile=authority.path)
    ciphers = settings.pop("ciphers", None)
    if ciphers:
        context.set_ciphers(ciphers)
    for name, value in settings.items():
        setattr(context, name, value)
    raw = socket.create_connection(("127.0.0.1", server.addresses[0].port), timeout=HANG)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def problems(records: Any) -> list[str]:
    """Return the problems of clients that were logged."""
    return [record["error"] for record in records if record["event"] == "malformed requests"]


class TestServerCertificate:
    """What a client verifies."""

    def test_answer_over_tls(self, serving: Callable[..., Any], authority: Authority) -> None:
        """A client that trusts the authority gets the answer."""
        with serving() as server:
            assert "hello over https" == get(server, authority).text

    def test_every_address_has_tls(self, serving: Callable[..., Any], authority: Authority) -> None:
        """All listen addresses are served over TLS."""
        with serving(listeners=2) as server:
            urls = [f"https://{address}/" for address in server.addresses]
            answers = [
                requests.get(url, verify=str(authority.path), timeout=HANG).text for url in urls
            ]

        assert ["hello over https"] * 2 == answers

    def test_inline_certificate_and_key(self, tmp_path: Path, authority: Authority) -> None:
        """Certificate and key may be in the web configuration itself."""
        pair = authority.issue()
        inline = {"cert": pair.certificate.read_text(), "key": pair.key.read_text()}
        path = write_web_config(tmp_path, {"tls_server_config": inline})
        with serving_app(hello, web=LiveWebConfig(path)) as server:
            assert "hello over https" == get(server, authority).text

    def test_wrong_authority(self, tmp_path: Path, serving: Callable[..., Any]) -> None:
        """A client that does not know the authority refuses; the log says so."""
        other = Authority(tmp_path, "other")
        with capture_logs() as records, serving() as server, pytest.raises(REFUSED) as caught:
            get(server, other)

        assert "certificate verify failed" in str(caught.value)
        unknown = "the client does not know the authority of the server's certificate"

        assert [f"TLS handshake failed: {unknown}"] == problems(records)

    def test_expired_certificate(self, serving: Callable[..., Any], authority: Authority) -> None:
        """An expired certificate is served, as a client may accept it; most refuse."""
        pair = authority.issue(not_after=LONG_AGO)
        with serving(pair) as server, pytest.raises(REFUSED, match="certificate has expired"):
            get(server, authority)


class TestVersionsAndCiphers:
    """What is negotiated."""

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_old_version_is_refused(
        self, serving: Callable[..., Any], authority: Authority
    ) -> None:
        """TLS 1.1 is refused; the log says so."""
        old = ssl.TLSVersion.TLSv1_1
        settings = {"minimum_version": old, "maximum_version": old, "ciphers": "ALL:@SECLEVEL=0"}
        with capture_logs() as records, serving() as server, pytest.raises(OSError, match=r"\w"):
            handshake(server, authority, **settings)

        assert ["TLS handshake failed: the client offers no accepted version of TLS"] == problems(
            records
        )

    @pytest.mark.parametrize(
        ("settings", "version"),
        [
            ({}, "TLSv1.3"),
            ({"max_version": "TLS12"}, "TLSv1.2"),
            ({"min_version": "TLS13"}, "TLSv1.3"),
        ],
    )
    def test_version(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        settings: dict[str, str],
        version: str,
    ) -> None:
        """The newest version that both allow is used."""
        with serving(**settings) as server, handshake(server, authority) as client:
            assert version == client.version()

    def test_only_newest_version(self, serving: Callable[..., Any], authority: Authority) -> None:
        """With min_version TLS13, a client of TLS 1.2 is refused."""
        old = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        with serving(min_version="TLS13") as server, pytest.raises(OSError, match=r"\w"):
            handshake(server, authority, **old)

    def test_only_ciphers_of_tls13(self, serving: Callable[..., Any], authority: Authority) -> None:
        """A list with only ciphers of TLS 1.3 leaves none for TLS 1.2."""
        old = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        suites = ["TLS_AES_128_GCM_SHA256"]
        with serving(cipher_suites=suites) as server, pytest.raises(OSError, match=r"\w"):
            handshake(server, authority, **old)

    @pytest.mark.parametrize(
        ("prefer", "cipher"),
        [(True, "ECDHE-ECDSA-AES256-GCM-SHA384"), (False, "ECDHE-ECDSA-AES128-GCM-SHA256")],
    )
    def test_order_of_ciphers(
        self, serving: Callable[..., Any], authority: Authority, *, prefer: bool, cipher: str
    ) -> None:
        """The order of the file counts, unless the clients' own is preferred."""
        settings = {
            "max_version": "TLS12",
            "prefer_server_cipher_suites": prefer,
            "cipher_suites": [
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            ],
        }
        offered = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
        with (
            serving(**settings) as server,
            handshake(server, authority, ciphers=offered) as client,
        ):
            assert cipher == (client.cipher() or ("",))[0]

    def test_no_common_cipher(self, serving: Callable[..., Any], authority: Authority) -> None:
        """A client without an accepted cipher is refused; the log says so."""
        suites = ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]
        with (
            capture_logs() as records,
            serving(max_version="TLS12", cipher_suites=suites) as server,
            pytest.raises(OSError, match=r"\w"),
        ):
            handshake(server, authority, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")

        assert ["TLS handshake failed: the client offers no accepted cipher suite"] == problems(
            records
        )

    @pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
    def test_curve(self, serving: Callable[..., Any], authority: Authority, curve: str) -> None:
        """A single curve can be required."""
        with serving(curve_preferences=[curve]) as server:
            assert "hello over https" == get(server, authority).text


class TestClientCertificates:
    """Who may connect."""

    @pytest.fixture
    def clients(self, tmp_path: Path) -> Authority:
        """Return the authority that signs the clients' certificates."""
        return Authority(tmp_path, "clients")

    @pytest.fixture
    def required(self, clients: Authority) -> dict[str, Any]:
        """Return the settings that require a client certificate."""
        return {
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": clients.path.name,
        }

    def refusal(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        settings: dict[str, Any],
        client: Pair | None,
    ) -> list[str]:
        """Return what is logged of a client, which must get no answer."""
        with capture_logs() as records, serving(**settings) as server, pytest.raises(REFUSED):
            get(server, authority, client=client)
        return problems(records)

    def test_right(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        clients: Authority,
        required: dict[str, Any],
    ) -> None:
        """A client with a certificate of the authority gets the answer."""
        client = clients.issue("scraper.example", name="client")
        with serving(**required) as server:
            assert "hello over https" == get(server, authority, client=client).text

    def test_missing(
        self, serving: Callable[..., Any], authority: Authority, required: dict[str, Any]
    ) -> None:
        """A client without a certificate gets no answer."""
        logged = self.refusal(serving, authority, required, None)

        assert ["TLS handshake failed: the client has no certificate"] == logged

    def test_wrong_authority(
        self, serving: Callable[..., Any], authority: Authority, required: dict[str, Any]
    ) -> None:
        """A client with a certificate of another authority gets no answer."""
        client = authority.issue("scraper.example", name="client")
        (logged,) = self.refusal(serving, authority, required, client)

        assert logged.startswith("TLS handshake failed: the client's certificate is refused: ")

    def test_expired(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        clients: Authority,
        required: dict[str, Any],
    ) -> None:
        """A client whose certificate has expired gets no answer."""
        client = clients.issue("scraper.example", name="client", not_after=LONG_AGO)
        logged = self.refusal(serving, authority, required, client)

        assert [
            "TLS handshake failed: the client's certificate is refused: certificate has expired"
        ] == logged

    def test_optional(
        self, serving: Callable[..., Any], authority: Authority, required: dict[str, Any]
    ) -> None:
        """With VerifyClientCertIfGiven, none is as good as a right one; a wrong one is refused."""
        optional = {**required, "client_auth_type": "VerifyClientCertIfGiven"}
        wrong = authority.issue("scraper.example", name="client")
        with serving(**optional) as server:
            without = get(server, authority).text
            with pytest.raises(REFUSED):
                get(server, authority, client=wrong)

        assert "hello over https" == without

    @pytest.mark.parametrize(
        ("identity", "allowed"),
        [
            ("scraper.example", "scraper.example"),
            ("10.1.2.3", "10.1.2.3"),
            ("2001:db8::1", "2001:0db8:0::1"),
            ("scraper@example.com", "scraper@example.com"),
        ],
    )
    def test_allowed_name(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        clients: Authority,
        required: dict[str, Any],
        identity: str,
        allowed: str,
    ) -> None:
        """A client with one of the allowed names gets the answer."""
        client = clients.issue(identity, name="client")
        with serving(**required, client_allowed_sans=["other.example", allowed]) as server:
            assert "hello over https" == get(server, authority, client=client).text

    def test_name_that_is_not_allowed(
        self,
        serving: Callable[..., Any],
        authority: Authority,
        clients: Authority,
        required: dict[str, Any],
    ) -> None:
        """A client with other names gets no answer, though its certificate is right."""
        client = clients.issue("other.scraper.example", name="client")
        settings = {**required, "client_allowed_sans": ["scraper.example"]}
        logged = self.refusal(serving, authority, settings, client)

        assert [NOT_ALLOWED] == logged


class TestPlainClients:
    """Clients that do not speak TLS."""

    def test_http_on_a_tls_port(self, serving: Callable[..., Any]) -> None:
        """Plain HTTP is answered as by Go's server; the log says so once."""
        with capture_logs() as records, serving() as server:
            answers = [
                requests.get(f"http://{server.addresses[0]}/", timeout=HANG) for _ in range(3)
            ]

        assert {(400, "Client sent an HTTP request to an HTTPS server.\n")} == {
            (answer.status_code, answer.text) for answer in answers
        }
        assert ["plain HTTP, but this port serves HTTPS"] == problems(records)

    @pytest.mark.parametrize("first", [b"", b"\x00\x01", b"\x80\x2e\x01", b"\xff"])
    def test_neither_http_nor_tls(self, serving: Callable[..., Any], first: bytes) -> None:
        """Anything else is closed without an answer."""
        with serving() as server:
            address = server.addresses[0]
            with socket.create_connection((address.host, address.port), timeout=HANG) as client:
                client.sendall(first)
                # The server may have reset the connection already.
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)

                with suppress(ConnectionResetError):
                    assert b"" == client.recv(100)


class TestEnd:
    """Stopping."""

    def test_stop_with_clients_of_all_kinds(self, tmp_path: Path, authority: Authority) -> None:
        """A stop is quick, whatever the clients do, and also if they never close their side."""
        web = LiveWebConfig(write_web_config(tmp_path, tls_section(authority.issue())))
        ready = threading.Event()
        server = Server(large, [bind(ANY_PORT)], started=ready.set, web=web)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert ready.wait(HANG)
        address = server.addresses[0]
        with ExitStack() as clients:
            for _ in range(5):
                raw = socket.create_connection((address.host, address.port), timeout=HANG)
                clients.enter_context(raw)
                clients.enter_context(handshake(server, authority))
                reader = clients.enter_context(handshake(server, authority))
                reader.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert reader.recv(12)
            server.stop()
            thread.join(2)

            assert not thread.is_alive()
