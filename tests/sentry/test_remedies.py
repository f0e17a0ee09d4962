"""What a failure says of its cause, and what to do about it: each over a real socket."""

import json
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from exporter.sentry.client import SentryClient, Upstream
from exporter.sentry.errors import SentryError
from exporter.sentry.limits import Allowance, TokenLimits
from exporter.sentry.transport import open_session
from tests.sentry.fakes import TOKEN, FakeToken, RecordingMeter, question
from tests.support.clock import Clock
from tests.support.scripted_server import (
    Peer,
    Script,
    ScriptedServer,
    connect_to,
    reply,
    serve,
)

STATS = "/api/0/organizations/acme/stats_v2/"
HOST = "sentry.example.com"
INTEGRATION = "an internal integration with the permission Organization: Read"
BETTER = f"preferably use the token of {INTEGRATION}, which does not depend on a member"
NOW = datetime.now(UTC)

AUTHORITY = (
    "set ca_file to the certificate of the authority that signed the server's certificate;"
    " a proxy that inspects TLS signs with an authority of its own"
)
NOT_SENTRY = "this server does not answer as Sentry does: check host, port and path in url"
BROKEN = (
    "the exporter tries again; if this lasts, look for a proxy or firewall between it and Sentry"
)
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2,\r\n"
BROKEN_ANSWERS = {
    "nothing": (b"", "{server} closed the connection without an answer", BROKEN),
    "short": (
        HEAD + b"Content-Length: 617\r\n\r\n" + b"x" * 308,
        "the answer ended after 308 of 617 bytes",
        BROKEN,
    ),
    "without its last chunk": (CHUNKED, "the answer ended before it was complete", BROKEN),
    "half a chunk": (CHUNKED + b"5\r\n3,", "the answer ended before it was complete", BROKEN),
    "no gzip": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
        "the answer cannot be decompressed",
        BROKEN,
    ),
    "a chunk of no length": (
        CHUNKED + b"zz\r\n",
        "the answer is not valid HTTP: one of its chunks has no length",
        NOT_SENTRY,
    ),
    "a chunk of negative length": (
        CHUNKED + b"-5\r\n3,",
        "the answer is not valid HTTP: read length must be non-negative or -1",
        NOT_SENTRY,
    ),
    "two lengths": (
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "the answer is not valid HTTP: Content-Length contained multiple unmatching values (5, 6)",
        NOT_SENTRY,
    ),
    "another protocol": (
        b"SSH-2.0-OpenSSH_9.2\r\n",
        "the answer is not valid HTTP: SSH-2.0-OpenSSH_9.2",
        NOT_SENTRY,
    ),
    "too many headers": (
        HEAD + b"a: b\r\n" * 200 + b"\r\n",
        "the answer is not valid HTTP: got more than 100 headers",
        NOT_SENTRY,
    ),
}
NO_RESOURCE = '{"detail": "The requested resource does not exist"}'
IN_BETWEEN = (
    "something between the exporter and Sentry answers: have it pass requests to"
    " /api/0/ through, or set url to Sentry's own address"
)
LOGIN = (
    "a login page answers instead of Sentry's API: let the exporter bypass the"
    " login in front of it, or set url to Sentry's own address"
)
NO_CLIENT_CERTIFICATES = (
    "client certificates are not supported: have the server accept the exporter without"
    " one, for example by the exporter's address or on another port"
)
GLITCHTIP = (
    "GlitchTip is not supported, as its stats_v2 cannot group: url must be the address of a"
    " Sentry server"
)

Ask = Callable[..., tuple[str, str, str]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a private certificate authority."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the file that makes the private authority trusted."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Return a function that asks, and returns the failure's reason, message and remedy."""
    with ExitStack() as stack:

        def failure(
            url: str,
            ca_file: Path | None = None,
            *,
            organization: str = "acme",
            timeout: float = 10,
            listed: bool = False,
        ) -> tuple[str, str, str]:
            clock, session = Clock(), stack.enter_context(open_session(2))
            client = SentryClient(
                Upstream(organization, url, FakeToken(), ca_file, timeout),
                session,
                TokenLimits(Allowance(2, 1e6), clock=clock, sleep=clock.sleep),
                RecordingMeter(),
            )
            if listed:
                client.projects()
            with pytest.raises(SentryError) as caught:
                client.ask(question())
            return caught.value.reason, str(caught.value), caught.value.remedy

        yield failure


def context_of(
    authority: trustme.CA,
    *names: str,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> ssl.SSLContext:
    """Return what a server with a certificate for ``names`` needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        *(names or ("127.0.0.1", HOST)), not_before=not_before, not_after=not_after
    ).configure_cert(context)
    return context


def refused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def says(status: str, body: str | bytes = b"", *headers: str) -> Script:
    """Return a script that answers every request of a connection alike."""
    sent = body if isinstance(body, bytes) else body.encode()
    return serve(*[reply(sent, status, *headers)] * 5)


def no_tls(sent: bytes) -> Script:
    """Return a script that answers whatever is said with ``sent``."""

    def run(peer: Peer) -> None:
        peer.swallow()
        peer.send(sent)

    return run


class TestCertificates:
    """Certificates that are not accepted."""

    def test_expired(self, ask: Ask, authority: trustme.CA, ca_file: Path) -> None:
        """A certificate that has expired has its own message."""
        begun, ended = NOW - timedelta(days=9), NOW - timedelta(days=1)
        context = context_of(authority, not_before=begun, not_after=ended)
        with ScriptedServer(serve(reply()), context=context) as server:
            failure = ask(server.url, ca_file)

        assert (
            "tls",
            f"certificate verify failed: certificate has expired [{server.url}{STATS}]",
            ("renew the server's certificate; if it has not expired, correct this host's clock"),
        ) == failure

    def test_not_yet_valid(self, ask: Ask, authority: trustme.CA, ca_file: Path) -> None:
        """So is one from the future."""
        context = context_of(authority, not_before=NOW + timedelta(days=1))
        with ScriptedServer(serve(reply()), context=context) as server:
            failure = ask(server.url, ca_file)

        assert (
            "tls",
            f"certificate verify failed: certificate is not yet valid [{server.url}{STATS}]",
            "correct this host's clock if it is slow, otherwise replace the server's certificate",
        ) == failure

    def test_another_host(self, ask: Ask, authority: trustme.CA, ca_file: Path) -> None:
        """So is one for another name, and one for another address."""
        remedy = (
            "write the host name of the certificate into url, or add the host name in url to the"
            " certificate"
        )
        with ScriptedServer(
            serve(reply()), context=context_of(authority, "other.example.com")
        ) as server:
            by_address = ask(server.url, ca_file)
            url = server.url.replace("127.0.0.1", "localhost")
            by_name = ask(url, ca_file)

        assert (
            "tls",
            (
                "certificate verify failed: IP address mismatch, certificate is not valid for"
                f" '127.0.0.1'. [{server.url}{STATS}]"
            ),
            remedy,
        ) == by_address
        assert (
            "tls",
            (
                "certificate verify failed: Hostname mismatch, certificate is not valid for"
                f" 'localhost'. [{url}{STATS}]"
            ),
            remedy,
        ) == by_name

    def test_unknown_authority(self, ask: Ask, authority: trustme.CA) -> None:
        """One of an unknown authority asks for a CA file."""
        with ScriptedServer(serve(reply()), context=context_of(authority)) as server:
            failure = ask(server.url)

        assert (
            "tls",
            (
                "certificate verify failed: unable to get local issuer certificate"
                f" [{server.url}{STATS}]"
            ),
            AUTHORITY,
        ) == failure

    def test_not_in_the_ca_file(self, ask: Ask, ca_file: Path) -> None:
        """Where there is a CA file, that is what has to be repaired."""
        context = context_of(trustme.CA())
        with ScriptedServer(serve(reply()), context=context) as server:
            reason, _, remedy = ask(server.url, ca_file)

        assert "tls" == reason
        assert (
            "add to ca_file the authority that signed the server's certificate, with any"
            " intermediate authorities; a proxy that inspects TLS signs with an authority of its"
            " own"
        ) == remedy

    @pytest.mark.parametrize(
        ("content", "flaw"),
        [
            (None, "cannot be read: No such file or directory"),
            ("", "is empty"),
            ("nonsense", "holds no certificate: none begins with -----BEGIN CERTIFICATE-----"),
        ],
    )
    def test_unusable_ca_file(
        self, ask: Ask, authority: trustme.CA, tmp_path: Path, content: str | None, flaw: str
    ) -> None:
        """A CA file that is missing, empty or no certificate is named with what is wrong."""
        path = tmp_path / "nope.pem"
        if content is not None:
            path.write_text(content)
        with ScriptedServer(serve(reply()), context=context_of(authority)) as server:
            failure = ask(server.url, path)

        assert (
            "tls",
            f"ca_file {path} {flaw} [{server.url}{STATS}]",
            (
                "put the authority's certificate there in PEM format, readable by the"
                " exporter's user"
            ),
        ) == failure

    def test_missing_bundle_of_the_environment(
        self, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bundle that the environment names and that is missing is named too."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nope.pem"))
        reason, message, _ = ask(f"https://127.0.0.1:{refused_port()}")

        assert "tls" == reason
        assert f"invalid path: {tmp_path / 'nope.pem'}" in message

    def test_a_path_that_cannot_be_looked_at(self, ask: Ask, tmp_path: Path) -> None:
        """A path that the file system rejects is reported, and breaks nothing."""
        path = tmp_path / ("x" * 300)
        reason, message, _ = ask(f"https://127.0.0.1:{refused_port()}", path)

        assert "tls" == reason
        assert message.startswith(f"ca_file {tmp_path}/xxx")

    def test_a_directory(self, ask: Ask, authority: trustme.CA, tmp_path: Path) -> None:
        """A directory without the authority is what has to be repaired, as a file would be."""
        with ScriptedServer(serve(reply()), context=context_of(authority)) as server:
            reason, message, remedy = ask(server.url, tmp_path)

        assert "tls" == reason
        assert message.startswith("certificate verify failed: unable to get local issuer")
        assert "ca_file" in remedy


class TestHandshake:
    """Servers with which a TLS handshake fails."""

    @pytest.mark.parametrize("sent", [reply(b"", "400 Bad Request"), b"SSH-2.0-OpenSSH_9.6\r\n"])
    def test_plain_http(self, ask: Ask, sent: bytes) -> None:
        """A port without TLS is the one case in which plain HTTP is advised."""
        with ScriptedServer(no_tls(sent)) as server:
            url = server.url.replace("http:", "https:")
            failure = ask(url)

        assert (
            "tls",
            f"127.0.0.1:{server.port} does not speak TLS [{url}{STATS}]",
            ("use the port that speaks TLS in url; if the server has none, begin url with http://"),
        ) == failure

    def test_tls_version(self, ask: Ask, authority: trustme.CA, ca_file: Path) -> None:
        """A server whose TLS is too old has its own message."""
        context = context_of(authority)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with ScriptedServer(serve(reply()), context=context) as server:
            failure = ask(server.url, ca_file)

        assert (
            "tls",
            f"127.0.0.1:{server.port} speaks no accepted version of TLS [{server.url}{STATS}]",
            "enable TLS 1.2 or later on the server, or on the proxy in front of it",
        ) == failure

    def test_client_certificate(self, ask: Ask, authority: trustme.CA, ca_file: Path) -> None:
        """With TLS 1.3 the server's demand comes when the request is already on its way."""
        context = context_of(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        authority.configure_trust(context)
        with ScriptedServer(serve(reply()), context=context) as server:
            failure = ask(server.url, ca_file)

        assert (
            "tls",
            f"127.0.0.1:{server.port} demands a client certificate [{server.url}{STATS}]",
            NO_CLIENT_CERTIFICATES,
        ) == failure

    def test_client_certificate_before(
        self, ask: Ask, authority: trustme.CA, ca_file: Path
    ) -> None:
        """Before TLS 1.3 it looks like any other refusal of the handshake."""
        context = context_of(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        authority.configure_trust(context)
        with ScriptedServer(serve(reply()), context=context) as server:
            failure = ask(server.url, ca_file)

        assert (
            "tls",
            f"127.0.0.1:{server.port} refuses the TLS handshake [{server.url}{STATS}]",
            (
                "enable a common cipher on the server; if it requires a client certificate, have"
                " it accept the exporter without one, as client certificates are not supported"
            ),
        ) == failure


class TestConnections:
    """Servers that cannot be reached."""

    def test_refused(self, ask: Ask) -> None:
        """Of a refused connection, host and port are shown."""
        port = refused_port()
        failure = ask(f"http://127.0.0.1:{port}")

        assert (
            "network",
            f"connection refused by 127.0.0.1:{port} [http://127.0.0.1:{port}{STATS}]",
            "check that host and port in url are right, and that the server is running",
        ) == failure

    def test_unknown_name(self, ask: Ask) -> None:
        """So is the name that does not resolve."""
        reason, message, remedy = ask("https://sentry.invalid")

        assert "network" == reason
        assert message.startswith("the name sentry.invalid does not resolve: ")
        assert message.endswith(f" [https://sentry.invalid{STATS}]")
        assert remedy == (
            "check that the host name in url is spelled right, and that this host's DNS resolves it"
        )

    def test_reset(self, ask: Ask) -> None:
        """A connection that is reset names whom it was to."""

        def run(peer: Peer) -> None:
            peer.receive()
            peer.reset()

        with ScriptedServer(run) as server:
            failure = ask(server.url)

        assert (
            "network",
            f"127.0.0.1:{server.port} reset the connection [{server.url}{STATS}]",
            BROKEN,
        ) == failure

    @pytest.mark.parametrize("name", BROKEN_ANSWERS)
    def test_broken(self, ask: Ask, name: str) -> None:
        """An answer that breaks off, or is no HTTP, is described without Python's words."""
        sent, message, remedy = BROKEN_ANSWERS[name]

        def run(peer: Peer) -> None:
            peer.receive()
            peer.send(sent)

        with ScriptedServer(run) as server:
            failure = ask(server.url)

        text = message.format(server=f"127.0.0.1:{server.port}")
        assert ("network", f"{text} [{server.url}{STATS}]", remedy) == failure

    def test_no_answer_in_time(self, ask: Ask) -> None:
        """An answer that does not come leads to the timeout."""

        def run(peer: Peer) -> None:
            peer.receive()
            peer.hang()

        with ScriptedServer(run) as server:
            failure = ask(server.url, timeout=0.2)

        assert (
            "timeout",
            f"no complete answer within 0.2 s [{server.url}{STATS}]",
            "check that url is right, or set a longer timeout",
        ) == failure

    def test_no_connection_in_time(self, ask: Ask) -> None:
        """A connection that does not come about makes a firewall likely."""
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            # Who is accepted by nobody fills the queue, and the next one gets no answer.
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.settimeout(0)
                waiting.connect_ex(("127.0.0.1", port))
            failure = ask(f"http://127.0.0.1:{port}", timeout=0.4)

        assert (
            "timeout",
            f"no connection to 127.0.0.1:{port} within 0.2 s [http://127.0.0.1:{port}{STATS}]",
            (
                "check that url is right, and that no firewall blocks the connection; if a"
                " proxy is required, set HTTPS_PROXY"
            ),
        ) == failure


class TestProxies:
    """What happens at a proxy that the environment names, and behind it."""

    @pytest.fixture(autouse=True)
    def _named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def through(self, proxy: str) -> None:
        """Let the environment name ``proxy``."""
        self.monkeypatch.setenv("HTTPS_PROXY", proxy)

    def test_tls_behind_it(self, ask: Ask, authority: trustme.CA) -> None:
        """A certificate that is not accepted behind a proxy is a matter of TLS."""
        with (
            ScriptedServer(serve(reply()), context=context_of(authority)) as server,
            ScriptedServer(connect_to(server.port)) as proxy,
        ):
            self.through(proxy.url)
            failure = ask(f"https://{HOST}")

        assert (
            "tls",
            (
                "certificate verify failed: unable to get local issuer certificate"
                f" [https://{HOST}{STATS} through the proxy 127.0.0.1:{proxy.port}]"
            ),
            AUTHORITY,
        ) == failure
        assert proxy.requests[0].startswith(f"CONNECT {HOST}:443".encode())

    def test_client_certificate_behind_it(
        self, ask: Ask, authority: trustme.CA, ca_file: Path
    ) -> None:
        """So is a demand for a client certificate."""
        context = context_of(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
        with (
            ScriptedServer(serve(reply()), context=context) as server,
            ScriptedServer(connect_to(server.port)) as proxy,
        ):
            self.through(proxy.url)
            failure = ask(f"https://{HOST}", ca_file)

        assert (
            "tls",
            (
                f"{HOST}:443 demands a client certificate"
                f" [https://{HOST}{STATS} through the proxy 127.0.0.1:{proxy.port}]"
            ),
            NO_CLIENT_CERTIFICATES,
        ) == failure

    def test_plain_http_behind_it(self, ask: Ask) -> None:
        """So is a server behind it that does not speak TLS."""
        with (
            ScriptedServer(no_tls(reply())) as server,
            ScriptedServer(connect_to(server.port)) as proxy,
        ):
            self.through(proxy.url)
            reason, message, remedy = ask(f"https://{HOST}:8443")

        assert "tls" == reason
        assert message.startswith(f"{HOST}:8443 does not speak TLS [")
        assert (
            "use the port that speaks TLS in url; if the server has none, begin url with http://"
        ) == remedy

    def test_login(self, ask: Ask) -> None:
        """A proxy that requires a login has its own message."""
        with ScriptedServer(connect_to(0, "407 Proxy Authentication Required")) as proxy:
            self.through(proxy.url)
            failure = ask(f"https://{HOST}")

        assert (
            "network",
            (
                f"the proxy 127.0.0.1:{proxy.port} demands a user name and password (407)"
                f" [https://{HOST}{STATS} through the proxy 127.0.0.1:{proxy.port}]"
            ),
            "put the user name and password for the proxy before its host in HTTPS_PROXY",
        ) == failure

    def test_login_for_plain_http(self, ask: Ask) -> None:
        """So is one that is asked without a tunnel."""
        with ScriptedServer(says("407 Proxy Authentication Required")) as proxy:
            # The variable in capitals is not read where a CGI script could be misled by it.
            self.monkeypatch.setenv("http_proxy", proxy.url)
            reason, message, remedy = ask(f"http://{HOST}")

        assert "network" == reason
        assert message.startswith(f"the proxy 127.0.0.1:{proxy.port} demands a user name and")
        assert (
            "put the user name and password for the proxy before its host in HTTP_PROXY" == remedy
        )

    def test_refusal(self, ask: Ask) -> None:
        """A proxy that does not let the exporter through is named with what it says."""
        with ScriptedServer(connect_to(0, "403 Blocked by policy")) as proxy:
            self.through(proxy.url)
            failure = ask(f"https://{HOST}")

        assert (
            "network",
            (
                f"the proxy 127.0.0.1:{proxy.port} does not connect to {HOST}:443: 403 Blocked by"
                f" policy [https://{HOST}{STATS} through the proxy 127.0.0.1:{proxy.port}]"
            ),
            (
                "have the proxy allow connections to that host and port, and check that it can"
                " reach them; or bypass it with NO_PROXY"
            ),
        ) == failure

    def test_refused(self, ask: Ask) -> None:
        """A proxy that is not there is named, and its password is not."""
        port = refused_port()
        self.through(f"http://bob:s3cret@127.0.0.1:{port}")
        failure = ask(f"https://{HOST}")

        assert (
            "network",
            (
                f"connection refused by the proxy 127.0.0.1:{port}"
                f" [https://{HOST}{STATS} through the proxy 127.0.0.1:{port}]"
            ),
            ("check that HTTPS_PROXY has the proxy's host and port, and that the proxy is running"),
        ) == failure

    def test_unknown_name(self, ask: Ask) -> None:
        """A proxy whose name does not resolve is what has to be repaired."""
        self.through("http://proxy.invalid:3128")
        reason, message, remedy = ask(f"https://{HOST}")

        assert "network" == reason
        assert message.startswith("the proxy's name proxy.invalid does not resolve: ")
        assert (
            "check that the host name in HTTPS_PROXY is spelled right, and that this host's"
            " DNS resolves it"
        ) == remedy

    def test_no_tls(self, ask: Ask) -> None:
        """A proxy that is addressed with TLS and does not speak it has its own message."""
        with ScriptedServer(no_tls(reply(b"", "400 Bad Request"))) as proxy:
            self.through(proxy.url.replace("http:", "https:"))
            failure = ask(f"https://{HOST}")

        assert (
            "tls",
            (
                f"the proxy 127.0.0.1:{proxy.port} does not speak TLS"
                f" [https://{HOST}{STATS} through the proxy 127.0.0.1:{proxy.port}]"
            ),
            "begin the proxy's address in HTTPS_PROXY with http://",
        ) == failure

    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("http://bob:s3cret@127.0.0.1:99999", "http://***@127.0.0.1:99999"),
            ("http://bob:s3/cret@127.0.0.1:9", "http://***@127.0.0.1:9"),
            ("http://bob:/s3cret@127.0.0.1:9", "http://***@127.0.0.1:9"),
            ("http://bob:s3cret@", "http://***@"),
        ],
    )
    def test_malformed(self, ask: Ask, address: str, shown: str) -> None:
        """An address of a proxy that cannot be used is shown without what it hides."""
        self.through(address)
        reason, message, remedy = ask(f"https://{HOST}")

        assert "network" == reason
        assert message.startswith(f"the address of the proxy cannot be used: {shown} [")
        assert "s3" not in message
        assert (
            "write scheme, host and port of the proxy into HTTPS_PROXY, and percent-encode"
            " special characters in its user name and password"
        ) == remedy

    def test_socks(self, ask: Ask) -> None:
        """A SOCKS proxy is not supported, and the message says so."""
        self.through("socks5://bob:s3cret@127.0.0.1:1080")
        _, message, _ = ask(f"https://{HOST}")

        assert message.startswith("the proxy 127.0.0.1:1080 is a SOCKS proxy, which is not su")
        assert "s3cret" not in message


REDIRECTS = {
    "to https": (
        "301 Moved Permanently",
        "https://127.0.0.1/api/0/organizations/acme/stats_v2/?a=secret",
        "301 to https://127.0.0.1",
        "set url to the address that it redirects to: https://127.0.0.1",
    ),
    "to the same address": (
        "301 Moved Permanently",
        f"{STATS}?a=secret",
        "301 to the same address",
        (
            "check the proxy in front of Sentry: it must tell Sentry scheme and host of the"
            " request, in X-Forwarded-Proto and Host"
        ),
    ),
    "elsewhere": (
        "302 Found",
        "https://evil.example.com/?token=secret",
        "302 to https://evil.example.com",
        "set url to the organization's own address, and slug to its current slug",
    ),
    "to another organization": (
        "302 Found",
        "https://globex.example.com/api/0/organizations/globex/stats_v2/",
        "302 to the organization globex at https://globex.example.com",
        (
            "the subdomain in url belongs to another organization: set url to"
            " https://sentry.io or the region's address, or set slug to that"
            " organization's slug"
        ),
    ),
    "to a login": (
        "302 Found",
        "https://sso.example.com/login?next=secret",
        "302 to a login page at https://sso.example.com",
        LOGIN,
    ),
}


@pytest.mark.parametrize("name", REDIRECTS)
def test_redirect(ask: Ask, name: str) -> None:
    """A redirect says where it leads, and nothing but scheme and host of it."""
    status, location, message, remedy = REDIRECTS[name]
    with ScriptedServer(says(status, b"", f"Location: {location}")) as server:
        failure = ask(server.url)

    assert ("redirect", f"{message} [{server.url}{STATS}]", remedy) == failure


def detail(code: str, message: str) -> str:
    """Return a body as Sentry's exceptions with a code make it."""
    return json.dumps({"detail": {"code": code, "message": message, "extra": {}}})


PAGE = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>"
LOGIN_PAGE = "<html><head><title>Acme SSO</title></head><input type='password'></html>"
ANSWERS = {
    "unknown token": (
        says("401 Unauthorized", '{"detail": "Invalid token"}'),
        "unauthorized",
        "401: Invalid token",
        f"Sentry does not know the token: use the token of {INTEGRATION}",
    ),
    "expired token": (
        says("401 Unauthorized", '{"detail": "Token expired"}'),
        "unauthorized",
        "401: Token expired",
        f"the token has expired; {BETTER}",
    ),
    "inactive user": (
        says("401 Unauthorized", '{"detail": "User inactive or deleted"}'),
        "unauthorized",
        "401: User inactive or deleted",
        f"the token's owner is no longer an active user; {BETTER}",
    ),
    "two-factor authentication": (
        says("401 Unauthorized", detail("2fa-required", "Needs 2FA")),
        "unauthorized",
        "401: 2fa-required: Needs 2FA",
        (
            "the organization requires two-factor authentication, which the token's owner has to"
            f" set up; {BETTER}"
        ),
    ),
    "single sign-on": (
        says("401 Unauthorized", detail("sso-required", "Must login")),
        "unauthorized",
        "401: sso-required: Must login",
        (
            "the organization requires single sign-on, and the token's owner has to log in with it;"
            f" {BETTER}"
        ),
    ),
    "too many members": (
        says("401 Unauthorized", detail("member-disabled-over-limit", "Over limit")),
        "unauthorized",
        "401: member-disabled-over-limit: Over limit",
        (
            "the organization has more members than its plan allows, and the token's owner is"
            f" disabled: an owner must free a seat; {BETTER}"
        ),
    ),
    "forbidden": (
        says("403 Forbidden", '{"detail": "You do not have permission to perform this action."}'),
        "forbidden",
        "403: You do not have permission to perform this action.",
        (
            "the token lacks org:read, or its owner is not a member: use the token of"
            f" {INTEGRATION}, and filter only by active projects that it can read"
        ),
    ),
    "a CDN's refusal": (
        says("403 Forbidden", PAGE),
        "unexpected_status",
        '403: a page titled "Attention Required! | Cloudflare"',
        IN_BETWEEN,
    ),
    "a firewall's refusal": (
        says("403 Forbidden", "RBAC: access denied"),
        "unexpected_status",
        "403: RBAC: access denied",
        IN_BETWEEN,
    ),
    "a login in front": (
        says("401 Unauthorized", LOGIN_PAGE),
        "unexpected_status",
        '401: a page titled "Acme SSO"',
        LOGIN,
    ),
    "a login page with 200": (
        says("200 OK", LOGIN_PAGE),
        "bad_answer",
        'the answer is a page titled "Acme SSO", not JSON',
        LOGIN,
    ),
    "another page with 200": (
        says("200 OK", "\n<html>Welcome</html>"),
        "bad_answer",
        "the answer is a page without a title, not JSON",
        IN_BETWEEN,
    ),
    "a page that is not found": (
        says("404 Not Found", "<html><title>404 &amp; nothing</title></html>"),
        "not_found",
        '404: a page titled "404 & nothing"',
        NOT_SENTRY,
    ),
    "a 404 of a server that is not Sentry's": (
        says("404 Not Found", "404 page not found"),
        "not_found",
        "404: 404 page not found",
        NOT_SENTRY,
    ),
    "an empty 404": (says("404 Not Found"), "not_found", "404", NOT_SENTRY),
    "a 404 that is a login page": (
        says("404 Not Found", LOGIN_PAGE),
        "not_found",
        '404: a page titled "Acme SSO"',
        LOGIN,
    ),
    "garbage": (
        says("200 OK", "nonsense"),
        "bad_answer",
        "$: JSON is malformed: invalid character (byte 4)",
        (
            "check that url is the address of a Sentry server, and that no proxy answers in its"
            " place"
        ),
    ),
    "gone": (
        says("410 Gone", '{"detail": "This API no longer exists."}'),
        "unexpected_status",
        "410: This API no longer exists.",
        (
            "Sentry has deprecated this part of its API, and disables it, temporarily or"
            " permanently: check whether there is a newer exporter"
        ),
    ),
    "unexpected": (
        says("418 I'm a teapot"),
        "unexpected_status",
        "418",
        "check that url is the address of a Sentry server, not of a proxy or a login page",
    ),
    "GlitchTip that wants a category": (
        says(
            "422 Unprocessable Entity",
            '{"detail":[{"type":"missing","loc":["query","category"],"msg":"Field required"}]}',
        ),
        "unexpected_status",
        '422: {"detail":[{"type":"missing","loc":["query","category"],"msg":"Field required"}]}',
        GLITCHTIP,
    ),
    "an older GlitchTip": (
        says("400 Bad Request", '{"category": ["This field is required."]}'),
        "bad_request",
        '400: {"category": ["This field is required."]}',
        GLITCHTIP,
    ),
    "GlitchTip's answer": (
        says(
            "200 OK",
            '{"intervals": ["2026-02-24T18:00:00+00:00"],'
            ' "groups": [{"series": {"sum(quantity)": [null]}}]}',
        ),
        "bad_answer",
        "groups[0].series.sum(quantity)[0]: Expected int, got null",
        GLITCHTIP,
    ),
    "unknown organization": (
        says("404 Not Found", NO_RESOURCE),
        "not_found",
        "404: The requested resource does not exist",
        (
            "check that slug is right (Settings > General), and that url is the address of the"
            " organization's region"
        ),
    ),
    "bad request": (
        says("400 Bad Request", '{"detail": "Invalid field: \\"x\\""}'),
        "bad_request",
        '400: Invalid field: "x"',
        "Sentry does not accept the query; an older server may not support it",
    ),
    "trouble": (
        says("502 Bad Gateway", "<html><title>502 Bad Gateway</title></html>"),
        "server_error",
        '502: a page titled "502 Bad Gateway"',
        (
            "Sentry failed to answer; the exporter tries again. If this lasts, check Sentry's"
            " status page or your server's log"
        ),
    ),
    "store": (
        says("504 Gateway Timeout", '{"detail": "Query timeout. Please try again."}'),
        "too_heavy",
        "504: Query timeout. Please try again.",
        "Sentry's store is overloaded: try again later, or add a filter",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(ask: Ask, name: str) -> None:
    """The message holds what the server answers and the address, and has its own remedy."""
    script, reason, message, remedy = ANSWERS[name]
    with ScriptedServer(script) as server:
        failure = ask(server.url)

    assert (reason, f"{message} [{server.url}{STATS}]", remedy) == failure


class TestOldServers:
    """Versions of Sentry that lack something."""

    @staticmethod
    def old(peer: Peer) -> None:
        """Answer as a Sentry that has a projects list and no stats_v2."""
        while head := peer.receive():
            peer.send(reply(b"[]") if b"/projects/" in head else reply(b"", "404 Not Found"))

    def test_no_stats(self, ask: Ask) -> None:
        """Where the projects list answers and stats_v2 is a 404, Sentry is too old."""
        with ScriptedServer(self.old) as server:
            failure = ask(server.url, listed=True)

        assert (
            "not_found",
            f"404 [{server.url}{STATS}]",
            "this server has no stats_v2, which Sentry 21.4 introduced: upgrade it",
        ) == failure

    def test_numeric_id(self, ask: Ask) -> None:
        """A 404 for an id may come from an older Sentry, which knows only slugs."""
        with ScriptedServer(says("404 Not Found", NO_RESOURCE)) as server:
            failure = ask(server.url, organization="4505123")

        assert (
            "not_found",
            (
                "404: The requested resource does not exist"
                f" [{server.url}/api/0/organizations/4505123/stats_v2/]"
            ),
            (
                "check that the id is right, and that url is the address of the"
                " organization's region; a Sentry"
                " before 24.5 knows organizations only by their slug: use the slug"
            ),
        ) == failure


@pytest.mark.parametrize("name", ANSWERS)
def test_the_address_has_no_query(ask: Ask, name: str) -> None:
    """Of what was asked neither the query nor the token is in a message."""
    script, *_ = ANSWERS[name]
    with ScriptedServer(script) as server:
        _, message, _ = ask(server.url)

    assert not re.search(r"groupBy|interval=", message)
    assert TOKEN not in message
