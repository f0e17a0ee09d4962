"""The route to Sentry, directly or through a proxy, and why a request on it got no answer.

Nothing here shows a secret.
"""

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, TypeVar

import requests
import urllib3
from requests.utils import select_proxy
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from exporter.sentry.broken import TLS_BROKEN, broken
from exporter.sentry.errors import DeadlineError, NetworkError, SentryError, TLSError
from exporter.sentry.remedies import Cause
from exporter.sentry.tls import ca_flaw, handshake_error
from exporter.sentry.token import redact

# urllib3's ReadTimeoutError is not a TimeoutError of Python's.
_TIMED_OUT: Final = (TimeoutError, urllib3.exceptions.ReadTimeoutError)
# http.client gives the status of a proxy's refusal only in this text of an OSError.
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d+) ?(.*)", re.DOTALL)
_PORTS: Final = {"http": 80, "https": 443}
_PROXY_SCHEME: Final = re.compile(r"(?:https?|socks(?:4a?|5h?)?)://", re.IGNORECASE)
_HOST_AND_PORT: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]*\]?)?(?::[0-9]*)?/?")
"""What may be shown of a malformed address that has no @: a host, a port, and nothing else."""

E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True)
class Route:
    """One address and how it is reached.

    ``address`` is without query, ``server`` and ``proxy`` are ``host:port``; ``proxy`` is ``""``
    where the server is asked directly. ``variable`` is the environment variable for the proxy.
    ``bad_proxy`` is the proxy's address, masked, where it cannot be used.
    """

    address: str
    server: str
    host: str
    variable: str
    proxy: str = ""
    proxy_host: str = ""
    proxy_scheme: str = ""
    bad_proxy: str = ""

    @classmethod
    def of(cls, url: str, session: requests.Session) -> Self:
        """Return the route of a request of ``session`` to ``url``; never raises."""
        parsed = _parsed(url)
        shown = parsed._replace(auth=None, query=None, fragment=None).url
        address = redact(shown if parsed.host else url.partition("?")[0])
        variable = "HTTP_PROXY" if parsed.scheme == "http" else "HTTPS_PROXY"
        direct = cls(address, _server(parsed), _host(parsed), variable)
        proxy = _proxy_of(url, session)
        if not proxy:
            return direct
        through = _parsed(proxy if "://" in proxy else f"http://{proxy}")
        # A slash in a password ends what is read as the host, and the real one comes after it.
        misread = "@" in f"{through.path}{through.query}{through.fragment}"
        if misread or not through.host:
            return replace(direct, bad_proxy=_without_user_info(proxy))
        return replace(
            direct,
            proxy=_server(through),
            proxy_host=_host(through),
            proxy_scheme=through.scheme or "",
        )

    def __str__(self) -> str:
        return f"{self.address} through the proxy {self.proxy}" if self.proxy else self.address

    @property
    def next_hop(self) -> str:
        """What the connection is made to."""
        return f"the proxy {self.proxy}" if self.proxy else self.server


def _parsed(url: str) -> Url:
    """Return the parts of ``url``, none where it cannot be read."""
    try:
        return parse_url(url)
    except LocationParseError:
        return Url()


def _without_user_info(proxy: str) -> str:
    """Return the malformed address of a proxy without what may be a user name or a password.

    Where they are is unknown: only what comes after the last @ is certainly neither.
    """
    written = _PROXY_SCHEME.match(proxy)
    scheme = written[0] if written else ""
    user_info, _, server = proxy.removeprefix(scheme).rpartition("@")
    if user_info:
        return f"{scheme}***@{server}"
    return f"{scheme}{server if _HOST_AND_PORT.fullmatch(server) else '***'}"


def _host(url: Url) -> str:
    return (url.host or "").strip("[]")


def _server(url: Url) -> str:
    port = url.port or _PORTS.get(url.scheme or "")
    return f"{url.host or ''}:{port}" if port else url.host or ""


def _proxy_of(url: str, session: requests.Session) -> str:
    try:
        # Ask requests itself, which also reads NO_PROXY: this is the proxy that it uses.
        settings = session.merge_environment_settings(url, {}, None, None, None)
        return select_proxy(url, settings["proxies"]) or ""
    except (ValueError, requests.RequestException):
        return ""


def request_error(
    causes: Sequence[BaseException], route: Route, ca_file: Path | None, timeout: float
) -> SentryError:
    """Return the error that ``causes`` amount to, an exception and what led to it.

    ``timeout`` is in seconds. Texts of libraries are quoted as they are.
    """
    if route.bad_proxy or "socks" in route.proxy_scheme:
        return _bad_proxy(route)
    if any(isinstance(cause, _TIMED_OUT) for cause in causes):
        return _timed_out(causes, route, timeout)
    # A bare OSError is how requests says that the CA file is not there.
    if type(causes[0]) is OSError or _tls_failure(causes) is not None:
        return _tls_error(causes, route, ca_file)
    return _network_error(causes, route)


def causes_of(error: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and what led to it, but not ``outside``, which the caller was handling.

    A failure inside a proxy's tunnel has no ``__cause__``: urllib3 passes it as the argument of
    its own error.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and cause is not outside and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        arguments = (one for one in cause.args if isinstance(one, BaseException))
        context = None if cause.__context__ is outside else cause.__context__
        cause = cause.__cause__ or context or next(arguments, None)


def release_frames(error: BaseException, outside: BaseException | None) -> None:
    """Take the tracebacks from ``error`` and all that led to it, but not from ``outside``.

    urllib3 and requests leave exceptions in the frames that raised them. Such a cycle holds every
    frame above them as well, and with them the answers to other questions.
    """
    pending, seen = [error], {id(outside)}
    while pending:
        one = pending.pop()
        if id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            led = (one.__cause__, one.__context__, *one.args)
            pending.extend(each for each in led if isinstance(each, BaseException))


def proxy_refusal(status: int, text: str, route: Route) -> NetworkError:
    """Return the error for an answer that the proxy itself gives."""
    if status == requests.codes.proxy_authentication_required:
        demand = f"the proxy {route.proxy} demands a user name and password (407)"
        return NetworkError(demand, cause=Cause.PROXY_LOGIN, about=route.variable)
    refusal = f"the proxy {route.proxy} does not connect to {route.server}: {status} {text}"
    return NetworkError(refusal.strip(), cause=Cause.PROXY_REFUSAL)


def _bad_proxy(route: Route) -> NetworkError:
    if route.bad_proxy:
        text = f"the address of the proxy cannot be used: {route.bad_proxy}"
    else:
        text = f"the proxy {route.proxy} is a SOCKS proxy, which is not supported"
    return NetworkError(text, cause=Cause.PROXY_ADDRESS, about=route.variable)


def _timed_out(causes: Sequence[BaseException], route: Route, timeout: float) -> DeadlineError:
    if _first(causes, urllib3.exceptions.ConnectTimeoutError) is None:
        return DeadlineError(f"no complete answer within {timeout:g} s")
    return DeadlineError(
        # Half of the timeout is all that the transport allows for connecting.
        f"no connection to {route.next_hop} within {timeout / 2:g} s",
        cause=Cause.NO_CONNECTION_IN_TIME,
        about=_setting(route),
    )


def _tls_error(causes: Sequence[BaseException], route: Route, ca_file: Path | None) -> TLSError:
    flaw = None if ca_file is None else ca_flaw(ca_file)
    if flaw is not None:
        return TLSError(f"ca_file {ca_file} {flaw}", cause=Cause.CA_FILE_UNUSABLE)
    error = _tls_failure(causes)
    if error is None:
        return TLSError(str(causes[0]), cause=Cause.CA_FILE_UNUSABLE)
    # Until the tunnel stands, the other end of the handshake is the proxy.
    is_proxy = _first(causes, requests.exceptions.ProxyError) is not None
    return handshake_error(
        error,
        route.next_hop if is_proxy else route.server,
        proxy_variable=route.variable,
        is_proxy=is_proxy,
        has_ca_file=ca_file is not None,
    )


def _network_error(causes: Sequence[BaseException], route: Route) -> NetworkError:
    tunnel = next(filter(None, (_TUNNEL.match(str(cause)) for cause in causes)), None)
    if tunnel is not None:
        return proxy_refusal(int(tunnel[1]), tunnel[2], route)
    if (unknown := _first(causes, socket.gaierror)) is not None:
        what = f"the proxy's name {route.proxy_host}" if route.proxy else f"the name {route.host}"
        text = f"{what} does not resolve: {unknown.strerror}"
        return NetworkError(text, cause=Cause.NAME_UNKNOWN, about=_setting(route))
    if _first(causes, ConnectionRefusedError) is not None:
        return NetworkError(
            f"connection refused by {route.next_hop}",
            cause=Cause.PROXY_UNREACHABLE if route.proxy else Cause.CONNECTION_REFUSED,
            about=route.variable,
        )
    text = f"{route.next_hop}: {type(causes[-1]).__name__}: {causes[-1]}"
    return broken(causes, route.next_hop) or NetworkError(text)


def _setting(route: Route) -> str:
    """Return what names the host that is connected to."""
    return route.variable if route.proxy else "url"


def _tls_failure(causes: Sequence[BaseException]) -> ssl.SSLError | None:
    """Return the TLS error among ``causes``, unless it only says that the connection broke."""
    error = _first(causes, ssl.SSLError)
    return None if isinstance(error, TLS_BROKEN) else error


def _first(causes: Sequence[BaseException], kind: type[E]) -> E | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)
