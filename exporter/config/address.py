"""The kind of Sentry's URL, and what is said of the addresses that people take for it."""

import re
from ipaddress import IPv6Address
from typing import Any, Final

from exporter.config.kinds import Kind, refusal
from exporter.config.problems import masked
from exporter.config.secrets import guarded

_HIGHEST_PORT: Final = 65535
_ADDRESS: Final = (
    r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)"
    r"(?::([0-9]{1,5}))?(/[A-Za-z0-9_.~%/-]*)?"
)
_ALLOWED: Final = (
    "http or https, a host, and the path that Sentry is served under if it has one, "
    "such as https://sentry.io"
)

HOSTED: Final = "sentry.io"
_INGEST_HOST: Final = re.compile(r"(?:.+\.)?ingest(?:\.([a-z0-9-]+))?\.sentry\.io")
"""Where SDKs send events; the group is the region, if the host names one."""
_DSN: Final = re.compile(
    r"(?P<scheme>https?)://[0-9a-f]{32}(?::[0-9a-f]{32})?@"
    r"(?P<host>[A-Za-z0-9.-]+)(?P<port>(?::[0-9]+)?)(?P<path>(?:/[A-Za-z0-9_-]+)*)/[0-9]+/?"
)
_LOOSELY: Final = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>[A-Za-z0-9.-]+)(?P<port>(?::[0-9]+)?)"
    r"(?P<path>(?:/[^?#@]*)?)(?:[?#].*)?"
)
_NO_STATS: Final = "which only takes events from SDKs; write"
_API: Final = re.compile(r"/api/0(?=/|$)")
_PAGE: Final = re.compile(r"/(?:organizations|settings|issues|auth/login)(?=/|$)")


def address() -> Kind:
    """Return the kind of Sentry's URL, read without a slash at its end."""
    inner = guarded(Kind(_read, _ALLOWED, {"type": "string", "pattern": f"^{_ADDRESS}$"}))

    def read(value: Any) -> object:
        mistake = _mistake(value)
        if mistake is not None:
            raise refusal(mistake)
        return inner.read(value)

    return Kind(read, inner.allowed, inner.json_schema)


def is_hosted(host: str) -> bool:
    """Tell whether ``host`` is one of sentry.io's."""
    return host.lower() == HOSTED or host.lower().endswith(f".{HOSTED}")


def _read(value: Any) -> str:
    if "@" in value or "?" in value or "#" in value:
        hidden = "a user name, password, query or fragment, not shown here as it may be secret"
        raise refusal(f"found a URL with {hidden}; allowed: {_ALLOWED}")
    match = re.fullmatch(_ADDRESS, value)
    if match is None:
        raise ValueError
    if match[2] is not None and not 0 < int(match[2]) <= _HIGHEST_PORT:
        raise refusal(f"found the port {match[2]}; allowed: a port from 1 to {_HIGHEST_PORT}")
    if match[1].startswith("["):
        IPv6Address(match[1][1:-1])
    return match[0].rstrip("/")


def _mistake(value: Any) -> str | None:
    """Return what ``value`` is and what to write instead, None where it may be Sentry's URL."""
    if not isinstance(value, str):
        return None
    dsn = _DSN.fullmatch(value)
    if dsn is not None:
        return f"found a DSN, {_NO_STATS} {_server(dsn, dsn['path'])}"
    written = _LOOSELY.fullmatch(value)
    return None if written is None else _mistaken_place(written)


def _mistaken_place(written: re.Match[str]) -> str | None:
    host, path = written["host"].lower(), written["path"]
    if _INGEST_HOST.fullmatch(host):
        return f"found {host}, {_NO_STATS} {_server(written, '')}"
    api, page = _API.search(path), _PAGE.search(path)
    if api is not None:
        before = _server(written, path[: api.start()])
        return f"found an endpoint of Sentry's API; write what stands before /api/0: {before}"
    if page is not None or (is_hosted(host) and path.strip("/")):
        server = _server(written, path[: page.start()] if page else "")
        return f"found a page of Sentry's web interface; write the address of its server: {server}"
    if written["scheme"] == "http" and is_hosted(host):
        return f"found http, which {host} does not serve; write {_server(written, '')}"
    return None


def _server(written: re.Match[str], path: str) -> str:
    """Return the URL that was meant: of Sentry's server, and of the path it is served under.

    Nothing else of what was written is repeated, as it may be secret.
    """
    host = written["host"].lower()
    ingest = _INGEST_HOST.fullmatch(host)
    if ingest is not None:
        return f"https://{ingest[1]}.{HOSTED}" if ingest[1] else f"https://{HOSTED}"
    if is_hosted(host):
        return f"https://{host}"
    return masked(f"{written['scheme'] or 'https'}://{host}{written['port']}{path.rstrip('/')}")
