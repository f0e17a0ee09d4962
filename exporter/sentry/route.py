"""The way to an address: what is asked, and through which proxy; nothing secret is in it."""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

import requests
from requests.utils import select_proxy
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from exporter.sentry.token import redact

_PORTS: Final = {"http": 80, "https": 443}
_PROXY_SCHEME: Final = re.compile(r"(?:https?|socks(?:4a?|5h?)?)://", re.IGNORECASE)
_HOST_AND_PORT: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]*\]?)?(?::[0-9]*)?/?")
"""What may be shown of a malformed address that has no @: a host, a port, and nothing else."""


@dataclass(frozen=True, slots=True)
class Route:
    """One address and how it is reached.

    ``address`` is without query, ``server`` and ``proxy`` are ``host:port``, the latter ``""``
    where the address is asked directly. ``variable`` names the environment variable that is to
    hold the proxy. ``bad_proxy`` is the proxy's address, masked, where it cannot be used.
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
        """Return the way that a request of ``session`` to ``url`` takes; never raises."""
        parsed = _parsed(url)
        shown = parsed._replace(auth=None, query=None, fragment=None).url
        address = redact(shown if parsed.host else url.partition("?")[0])
        variable = "HTTP_PROXY" if parsed.scheme == "http" else "HTTPS_PROXY"
        direct = cls(address, _server(parsed), _host(parsed), variable)
        proxy = _proxy_of(url, session)
        if not proxy:
            return direct
        through = _parsed(proxy if "://" in proxy else f"http://{proxy}")
        # A slash in a password ends the host: what was meant to be it comes after.
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
        """Whom the connection is made to."""
        return f"the proxy {self.proxy}" if self.proxy else self.server


def _parsed(url: str) -> Url:
    """Return the parts of ``url``, none where it cannot be read."""
    try:
        return parse_url(url)
    except LocationParseError:
        return Url()


def _without_user_info(proxy: str) -> str:
    """Return the malformed address of a proxy without what may be a user name or a password.

    It is not known where in it they are: only what is after the last @ is surely neither.
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
        found = session.merge_environment_settings(url, {}, None, None, None)["proxies"]
        return select_proxy(url, found) or ""
    except (ValueError, requests.RequestException):
        return ""
