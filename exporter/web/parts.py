"""Parts of the page for scrapers that limit its size, and ``/sd``, which lists them.

``/sd`` is a list of targets as Prometheus's ``http_sd_configs`` reads it. The parts together have
each line of the page once.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from exporter.repetition import Repetition
from exporter.web.prefix import ExternalUrl
from exporter.web.worker import Worker

PARAMETER: Final = "organization"
"""The parameter of ``/metrics`` that names a part; it can be repeated."""

MAX_SIZE: Final = 1 << 23
"""Bytes of lines of an organization beyond which its queries are parts of their own.

Half of what vmagent reads, so that a part can grow until the list is read again.
"""

VMAGENT_LIMIT: Final = 1 << 24
"""Bytes of a page beyond which vmagent drops it, unless max_scrape_size is set."""

_VMAGENT: Final = "vm_promscrape"
"""How the User-Agent of vmagent begins (lib/promscrape/client.go)."""

_HOST: Final = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?P<port>:[0-9]{1,5})?")
_PORTS: Final = {"http": 80, "https": 443}

_SHOWN: Final = 200
"""Characters of a name that an answer repeats."""

_log = structlog.get_logger(__name__)


class _Base(NamedTuple):
    """An address of this exporter, and the path before those of its own."""

    scheme: str
    address: str
    path: str


class Parts(Protocol):
    """A page that can be read in parts."""

    def sizes(self) -> Mapping[tuple[str, ...], int]:
        """Return the bytes of lines by key: of an organization and its query, or fewer of them."""

    def part(
        self, names: Collection[str], *, openmetrics: bool, compressed: bool
    ) -> Sequence[bytes]:
        """Return the named parts as one page; raises KeyError with a name that does not exist."""


class Targets:
    """``/sd``: a target for each part."""

    def __init__(self, parts: Parts, prefix: str, external: ExternalUrl | None) -> None:
        self._parts = parts
        self._prefix = prefix
        self._external = external
        self._divided: set[str] = set()
        # With a thousand organizations, adding up the sizes takes some milliseconds.
        self._worker = Worker()
        self._pending: asyncio.Future[Sequence[str]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        base = _base(Request(scope), self._prefix, self._external)
        if base is None:
            text = "Bad Request: the Host header is missing or is not a host with a port\n"
            await PlainTextResponse(text, HTTPStatus.BAD_REQUEST)(scope, receive, send)
            return
        targets = [
            {
                "targets": [base.address],
                "labels": {
                    "__scheme__": base.scheme,
                    "__metrics_path__": f"{base.path}/metrics",
                    f"__param_{PARAMETER}": name,
                    "part": name,
                },
            }
            for name in await self._current()
        ]
        await JSONResponse(targets)(scope, receive, send)

    async def _current(self) -> Sequence[str]:
        """Return the names, worked out once for all requests that come meanwhile.

        Clients that ask and go away, thousands in a second, would fill the memory with waiting
        requests otherwise.
        """
        if self._pending is None or self._pending.done():
            loop = asyncio.get_running_loop()
            self._pending = loop.run_in_executor(self._worker, self._names)
        # Shielded: one request may be cancelled while others wait for the same names.
        return await asyncio.shield(self._pending)

    def _names(self) -> Sequence[str]:
        sizes = self._parts.sizes()
        by_organization = Counter[str]()
        for key, size in sizes.items():
            by_organization.update({key[0]: size} if key else {})
        # Once divided, an organization stays so: Prometheus would end and begin its series
        # whenever its size passes the limit, as with the running bucket it does every hour.
        self._divided |= {name for name, size in by_organization.items() if size > MAX_SIZE}
        return sorted(set(_names(sizes, self._divided)))


def _names(keys: Collection[tuple[str, ...]], divided: Collection[str]) -> Iterator[str]:
    """Yield the names of the parts that have the lines of ``keys``, some of them repeatedly."""
    for key in keys:
        organization, *query = key or ("", "")
        if key and organization not in divided:
            yield organization
        else:
            yield f"{organization}/{''.join(query)}"


def _base(request: Request, prefix: str, external: ExternalUrl | None) -> _Base | None:
    """Return where the client can reach this exporter, None if it is not known.

    That is the external URL. If it has no host, the client is right about the host that it asked,
    as Prometheus scrapes from the same place.
    """
    scheme, host, path = request.scope["scheme"], request.headers.get("host", ""), prefix
    if external is not None:
        scheme, host, path = external.scheme or scheme, external.host or host, external.path
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    # Without a port, the label instance would differ between Prometheus 2 and 3.
    return _Base(scheme, host if match["port"] else f"{host}:{_PORTS[scheme]}", path)


class SizeLog:
    """Logs that a scraper drops pages because they are too large."""

    def __init__(self) -> None:
        self._dropped: Repetition | None = None

    def note(self, headers: Headers, names: Collection[str], size: int) -> None:
        """Log it if a client with these ``headers`` drops ``names`` with ``size`` bytes."""
        if size <= VMAGENT_LIMIT or not headers.get("user-agent", "").startswith(_VMAGENT):
            return
        now = asyncio.get_running_loop().time()
        if self._dropped is None:
            self._dropped = Repetition(now)
        if self._dropped.note(now):
            _log.warning(
                "vmagent drops a page of this size unless its max_scrape_size is larger",
                part=", ".join(names) or "the entire page",
                bytes=size,
                max_scrape_size=VMAGENT_LIMIT,
                remedy="set max_scrape_size in vmagent's scrape_configs, or let it scrape parts of "
                "the page, which /sd lists",
            )


def missing(name: str) -> Response:
    """Return the answer to a request for a part that does not exist."""
    text = f"Not Found: no part {name[:_SHOWN]!r} of the page; /sd lists those that there are\n"
    return PlainTextResponse(text, HTTPStatus.NOT_FOUND)
