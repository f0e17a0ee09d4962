"""Hosts that do not exist, refuse connections, or cannot be trusted."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, When, combinations
from tests.support.certificates import LONG_AGO
from tests.support.fault_proxy import Exchange, FaultProxy, Host

NAME: Final = "sentry.localhost"
"""A name that only the resolver of these tests knows; for this host, there is no proxy."""


def nothing(_exchange: Exchange) -> None:
    """Do nothing: the request did not come as far as that."""


NETWORK: Final = Mode.of(nothing, "network")
TLS: Final = Mode.of(nothing, "tls")


def refusing() -> Host:
    """Return a host that refuses connections."""
    return Host(
        lambda proxy: proxy.server.url,
        fail=lambda proxy: proxy.server.refuse(),
        recover=lambda proxy: proxy.server.listen(),
    )


class Resolver:
    """Resolves one name to this host, or fails with an error."""

    def __init__(self, number: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._error = socket.gaierror(number, text)
        self._failing: set[int] = set()
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        """Return addresses, as `socket.getaddrinfo` does."""
        if host != NAME:
            return self._resolve(host, port, *arguments, **options)
        if port in self._failing:
            raise socket.gaierror(*self._error.args)
        return self._resolve("127.0.0.1", port, *arguments, **options)

    def host(self) -> Host:
        """Return a host whose name cannot be resolved."""
        return Host(
            lambda proxy: f"http://{NAME}:{proxy.server.port}",
            fail=lambda proxy: self._failing.add(proxy.server.port),
            recover=lambda proxy: self._failing.discard(proxy.server.port),
        )


RESOLVERS: Final = {
    "no such name": (socket.EAI_NONAME, "Name or service not known"),
    "no address of that name": (socket.EAI_NODATA, "No address associated with hostname"),
    "the resolver is out of reach": (socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "the resolver fails": (socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
}


@pytest.mark.parametrize(
    ("_name", "when"), combinations({"connection refused": NETWORK}, ["connection refused"])
)
def test_refused(try_mode: Try, _name: str, when: When) -> None:
    """A refused connection is a failure of the network."""
    try_mode(NETWORK, when, host=refusing())


RESOLVERS_NAMED: Final = ("no such name",)


@pytest.mark.parametrize(("name", "when"), combinations(RESOLVERS, RESOLVERS_NAMED))
def test_name(try_mode: Try, name: str, when: When, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a name that does not resolve."""
    try_mode(NETWORK, when, host=Resolver(*RESOLVERS[name], monkeypatch).host())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the authority that the exporter trusts."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the file that the configuration names."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """Return what a server with a certificate needs."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(made)
    return made


def expired(authority: trustme.CA) -> ssl.SSLContext:
    """Return a server whose certificate has expired."""
    return context(authority.issue_cert("127.0.0.1", not_after=LONG_AGO))


def of_another_host(authority: trustme.CA) -> ssl.SSLContext:
    """Return a server with a certificate of another host."""
    return context(authority.issue_cert("other.example"))


def of_another_authority(_authority: trustme.CA) -> ssl.SSLContext:
    """Return a server with a certificate of somebody else's authority."""
    return context(trustme.CA().issue_cert("127.0.0.1"))


def self_signed(_authority: trustme.CA) -> ssl.SSLContext:
    """Return a server with an authority's certificate as its own."""
    other, made = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with other.cert_pem.tempfile() as certificate, other.private_key_pem.tempfile() as key:
        made.load_cert_chain(certificate, key)
    return made


def old(authority: trustme.CA) -> ssl.SSLContext:
    """Return a server that speaks only a version of TLS that nobody else does any more."""
    made = context(authority.issue_cert("127.0.0.1"))
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version = ssl.TLSVersion.TLSv1
    made.maximum_version = ssl.TLSVersion.TLSv1_1
    return made


def with_other_ciphers(authority: trustme.CA) -> ssl.SSLContext:
    """Return a server that has no cipher that a client has too."""
    made = context(authority.issue_cert("127.0.0.1"))
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("PSK")
    return made


def for_clients_with_certificates(authority: trustme.CA) -> ssl.SSLContext:
    """Return a server that lets in only clients with a certificate."""
    made = context(authority.issue_cert("127.0.0.1"))
    made.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(made)
    return made


def without_tls(_authority: trustme.CA) -> None:
    """Return nothing: the server speaks plain HTTP."""


SERVERS: Final[dict[str, Callable[[trustme.CA], ssl.SSLContext | None]]] = {
    "an expired certificate": expired,
    "a certificate of another host": of_another_host,
    "a certificate of an unknown authority": of_another_authority,
    "a self-signed certificate": self_signed,
    "an old version of TLS": old,
    "other ciphers": with_other_ciphers,
    "a certificate of the client is required": for_clients_with_certificates,
    "no TLS": without_tls,
}


SERVERS_NAMED: Final = (
    "an expired certificate",
    "a certificate of another host",
    "a certificate of an unknown authority",
    "an old version of TLS",
)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(("name", "when"), combinations(SERVERS, SERVERS_NAMED))
def test_tls(try_mode: Try, name: str, when: When, authority: trustme.CA, ca_file: Path) -> None:
    """A server that cannot be trusted gets no token."""
    good, bad = context(authority.issue_cert("127.0.0.1")), SERVERS[name](authority)

    def use(proxy: FaultProxy, chosen: ssl.SSLContext | None) -> None:
        proxy.server.context = chosen

    host = Host(
        lambda proxy: f"https://127.0.0.1:{proxy.server.port}",
        fail=lambda proxy: use(proxy, bad),
        recover=lambda proxy: use(proxy, good),
        plain=bad is None,
    )
    try_mode(TLS, when, host=host, ca_file=str(ca_file))
