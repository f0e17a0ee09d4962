"""Why a request got no answer: what the libraries raised, told as a `SentryError`."""

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import requests
import urllib3

from exporter.sentry.certificates import ca_flaw
from exporter.sentry.errors import DeadlineError, NetworkError, SentryError, TLSError
from exporter.sentry.remedies import Cause
from exporter.sentry.route import Route

_TIMED_OUT: Final = (TimeoutError, urllib3.exceptions.ReadTimeoutError)
_TLS_BROKEN: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d+) ?(.*)", re.DOTALL)

# X509_V_ERR_*, as in OpenSSL's x509_vfy.h.
_VERIFY_CAUSES: Final = {
    9: Cause.CERTIFICATE_NOT_YET_VALID,
    10: Cause.CERTIFICATE_EXPIRED,
    62: Cause.CERTIFICATE_OF_ANOTHER_HOST,
    64: Cause.CERTIFICATE_OF_ANOTHER_HOST,
}
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21, 27})

# OpenSSL's names for the same alert differ between its versions, their ends do not.
_ALERTS: Final = {
    "WRONG_VERSION_NUMBER": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "HTTP_REQUEST": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "RECORD_LAYER_FAILURE": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "PACKET_LENGTH_TOO_LONG": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "CERTIFICATE_REQUIRED": (Cause.CLIENT_CERTIFICATE, "{peer} demands a client certificate"),
    "PROTOCOL_VERSION": (Cause.TLS_VERSION, "{peer} speaks no accepted version of TLS"),
    "UNSUPPORTED_PROTOCOL": (Cause.TLS_VERSION, "{peer} speaks no accepted version of TLS"),
    "HANDSHAKE_FAILURE": (Cause.TLS_HANDSHAKE, "{peer} refuses the TLS handshake"),
}

E = TypeVar("E", bound=BaseException)


def causes(error: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and what led to it, but not ``outside``, what the caller was busy with.

    A failure inside a proxy's tunnel is nobody's cause to Python: urllib3 hands it on as the
    argument of its own error.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and cause is not outside and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        arguments = (one for one in cause.args if isinstance(one, BaseException))
        context = None if cause.__context__ is outside else cause.__context__
        cause = cause.__cause__ or context or next(arguments, None)


def diagnosis(
    found: Sequence[BaseException], route: Route, ca_file: Path | None, timeout: float
) -> SentryError:
    """Return the error that ``found``, an exception and its causes, amounts to.

    ``timeout`` is in seconds. Texts of libraries are in it as they came.
    """
    if route.bad_proxy or "socks" in route.proxy_scheme:
        return _bad_proxy(route)
    if any(isinstance(cause, _TIMED_OUT) for cause in found):
        return _late(found, route, timeout)
    # A bare OSError is how requests says that the CA file is not there.
    if type(found[0]) is OSError or _tls_failure(found) is not None:
        return _tls(found, route, ca_file)
    return _network(found, route)


def _bad_proxy(route: Route) -> NetworkError:
    if route.bad_proxy:
        text = f"the address of the proxy cannot be used: {route.bad_proxy}"
    else:
        text = f"the proxy {route.proxy} is one of SOCKS, which is not supported"
    return NetworkError(text, cause=Cause.PROXY_ADDRESS, about=route.variable)


def _late(found: Sequence[BaseException], route: Route, timeout: float) -> DeadlineError:
    if _first(found, urllib3.exceptions.ConnectTimeoutError) is None:
        return DeadlineError(f"no whole answer within {timeout:g} s")
    return DeadlineError(
        f"no connection to {route.next_hop} within {timeout / 2:g} s",
        cause=Cause.NO_CONNECTION_IN_TIME,
        about=_named_in(route),
    )


def _tls(found: Sequence[BaseException], route: Route, ca_file: Path | None) -> TLSError:
    flaw = None if ca_file is None else ca_flaw(ca_file)
    if flaw is not None:
        return TLSError(f"ca_file {ca_file} {flaw}", cause=Cause.CA_FILE_UNUSABLE)
    error = _tls_failure(found)
    if error is None:
        return TLSError(str(found[0]), cause=Cause.CA_FILE_UNUSABLE)
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            f"certificate verify failed: {error.verify_message}",
            cause=_verify_cause(error.verify_code, ca_file),
        )
    return _alert(error, route, of_proxy=_first(found, requests.exceptions.ProxyError) is not None)


def _alert(error: ssl.SSLError, route: Route, *, of_proxy: bool) -> TLSError:
    """Return what an alert or a broken handshake says; ``of_proxy`` before there is a tunnel."""
    peer = route.next_hop if of_proxy else route.server
    for ending, (cause, text) in _ALERTS.items():
        if (error.reason or "").endswith(ending):
            proxy_is_plain = of_proxy and cause is Cause.PLAIN_HTTP
            return TLSError(
                text.format(peer=peer),
                cause=Cause.PROXY_SPEAKS_NO_TLS if proxy_is_plain else cause,
                about=route.variable,
            )
    return TLSError(f"{type(error).__name__}: {error}")


def _verify_cause(code: int, ca_file: Path | None) -> Cause | None:
    if code in _UNKNOWN_AUTHORITY:
        return Cause.UNKNOWN_AUTHORITY if ca_file is None else Cause.NOT_IN_CA_FILE
    return _VERIFY_CAUSES.get(code)


def _network(found: Sequence[BaseException], route: Route) -> NetworkError:
    tunnel = next(filter(None, (_TUNNEL.match(str(cause)) for cause in found)), None)
    if tunnel is not None:
        return proxy_refusal(int(tunnel[1]), tunnel[2], route)
    if (unknown := _first(found, socket.gaierror)) is not None:
        what = f"the proxy's name {route.proxy_host}" if route.proxy else f"the name {route.host}"
        text = f"{what} does not resolve: {unknown.strerror}"
        return NetworkError(text, cause=Cause.NAME_UNKNOWN, about=_named_in(route))
    if _first(found, ConnectionRefusedError) is not None:
        return NetworkError(
            f"connection refused by {route.next_hop}",
            cause=Cause.PROXY_UNREACHABLE if route.proxy else Cause.CONNECTION_REFUSED,
            about=route.variable,
        )
    return NetworkError(f"{route.next_hop}: {type(found[-1]).__name__}: {found[-1]}")


def proxy_refusal(status: int, text: str, route: Route) -> NetworkError:
    """Return the error that a proxy's own answer is."""
    if status == requests.codes.proxy_authentication_required:
        wish = f"the proxy {route.proxy} demands a user name and password (407)"
        return NetworkError(wish, cause=Cause.PROXY_LOGIN, about=route.variable)
    refusal = f"the proxy {route.proxy} does not connect to {route.server}: {status} {text}"
    return NetworkError(refusal.strip(), cause=Cause.PROXY_REFUSAL)


def _named_in(route: Route) -> str:
    return route.variable if route.proxy else "url"


def _tls_failure(found: Sequence[BaseException]) -> ssl.SSLError | None:
    """Return the TLS error among ``found``, unless it only says that the connection broke."""
    error = _first(found, ssl.SSLError)
    return None if isinstance(error, _TLS_BROKEN) else error


def _first(found: Sequence[BaseException], kind: type[E]) -> E | None:
    return next((cause for cause in found if isinstance(cause, kind)), None)
