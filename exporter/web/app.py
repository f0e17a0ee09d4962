"""The paths and their answers. Once a login is accepted, no scrape or probe waits or renders."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol, cast

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.config import Config, as_yaml
from exporter.repetition import Failures
from exporter.web.negotiate import choose, gzip_accepted
from exporter.web.parts import PARAMETER, Parts, SizeLog, Targets, missing
from exporter.web.prefix import ExternalUrl, UnderPrefix
from exporter.web.status.endpoint import StatusPage, StatusSource
from exporter.web.turns import LargeInTurns, slices
from exporter.web.worker import NoThreadError, Worker

_log = structlog.get_logger(__name__)

_AUTHORITY: Final = re.compile(r"https?://[^/]*", re.IGNORECASE)


class Pages(Protocol):
    """What renders expositions ahead of time."""

    def chunks(self, *, openmetrics: bool, compressed: bool) -> Sequence[bytes]:
        """Return a complete body in chunks, ready to send."""


class Health(Protocol):
    """What the probes ask. Both must answer immediately, with nothing if all is well."""

    def why_not_healthy(self) -> str:
        """Return why the poll loop counts as dead."""

    def why_not_ready(self) -> str:
        """Return which queries have not been tried since the start; reloads change nothing."""


def make_app(
    pages: Pages,
    health: Health,
    status: StatusSource,
    prefix: str = "",
    *,
    external: ExternalUrl | None = None,
    parts: Parts | None = None,
    config: Callable[[], Config] | None = None,
    reload: Callable[[], Future[tuple[Sequence[str], Sequence[str]]]] | None = None,
) -> Starlette:
    """Return the application that answers every path of the exporter, all below ``prefix``.

    ``parts`` are those of the page, which ``/sd`` lists at the ``external`` URL. ``config`` returns
    the running configuration, which ``/config`` shows. ``reload`` begins a reload of it, and
    returns a future with its problems and its warnings. Without them, the application does not have
    these paths.
    """
    healthy = partial(_probe, why_not=health.why_not_healthy, adjective="healthy")
    ready = partial(_probe, why_not=health.why_not_ready, adjective="ready")
    optional = []
    if parts is not None:
        optional.append(Route("/sd", Targets(parts, prefix, external), methods=["GET"]))
    if config is not None:
        optional.append(Route("/config", _ShownConfig(config), methods=["GET"]))
    if reload is not None:
        reloads = partial(_reload, begin=reload)
        optional.append(Route("/-/reload", reloads, methods=["POST", "PUT"]))
    app = Starlette(
        routes=[
            # Starlette calls an object for every method unless some are named; HEAD comes with GET.
            Route("/", StatusPage(status), methods=["GET"]),
            Route("/metrics", _Metrics(pages, parts), methods=["GET"]),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            *optional,
        ],
        # The first is the outermost.
        middleware=[
            Middleware(LargeInTurns),
            Middleware(_Guard),
            Middleware(_OriginForm),
            *([Middleware(UnderPrefix, prefix)] if prefix else []),
        ],
        exception_handlers={HTTPException: _refuse},
    )
    # /metrics/ is a 404: Starlette would redirect to an address made from the Host header.
    app.router.redirect_slashes = False
    return app


class _Metrics:
    """``/metrics``: the page's own bytes, as fast as the client reads them."""

    def __init__(self, pages: Pages, parts: Parts | None) -> None:
        self._pages = pages
        self._parts = parts
        self._size_log = SizeLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        exposition = choose(_joined(headers, "accept"))
        compressed = gzip_accepted(_joined(headers, "accept-encoding"))
        named = QueryParams(scope["query_string"]).getlist(PARAMETER) if self._parts else []
        # Each name once: the same thousands of times would hold up the event loop.
        names = list(dict.fromkeys(named))
        # Taken once: a poll may publish meanwhile, and length and body must be of the same page.
        try:
            chunks = self._chunks(names, openmetrics=exposition.openmetrics, compressed=compressed)
        except KeyError as error:
            await missing(error.args[0])(scope, receive, send)
            return
        length = sum(map(len, chunks))
        self._size_log.note(headers, names, _unpacked(chunks) if compressed else length)
        answer = {
            "Content-Type": exposition.content_type,
            "Content-Length": str(length),
            "Vary": "Accept, Accept-Encoding",
        }
        if compressed:
            answer["Content-Encoding"] = "gzip"
        await send({"type": "http.response.start", "status": 200, "headers": Headers(answer).raw})
        # HEAD has the headers of GET, Content-Length included, and no body.
        if scope["method"] == "GET":
            for body in slices(chunks):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})

    def _chunks(
        self, names: Sequence[str], *, openmetrics: bool, compressed: bool
    ) -> Sequence[bytes]:
        """Return the page, or the parts of it that are called ``names``."""
        if names and self._parts is not None:
            return self._parts.part(names, openmetrics=openmetrics, compressed=compressed)
        return self._pages.chunks(openmetrics=openmetrics, compressed=compressed)


class _ShownConfig:
    """``/config``: the running configuration without secrets, rendered once until it changes."""

    def __init__(self, current: Callable[[], Config]) -> None:
        self._current = current
        # With a thousand queries, rendering takes seconds.
        self._worker = Worker()
        self._config: Config | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        config = self._current()
        if config is not self._config or self._has_failed():
            loop = asyncio.get_running_loop()
            self._body = loop.run_in_executor(self._worker, lambda: as_yaml(config).encode())
            self._config = config
        # Shielded: the client may disconnect while others wait for the same text.
        response = PlainTextResponse(await asyncio.shield(self._body))
        await response(scope, receive, send)

    def _has_failed(self) -> bool:
        return self._body.done() and self._body.exception() is not None


class _Guard:
    """Answers 500 in one line where a handler raises; the details go to the log only.

    What repeats is logged at growing distances: anybody can repeat a request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._failures: dict[type, Failures] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            status = self._note(error, scope)
            # Once the head is sent, no other answer can follow: the server closes the connection.
            if not started:
                await _line(status)(scope, receive, send)

    def _note(self, error: Exception, scope: Scope) -> HTTPStatus:
        """Log what a handler raised, and return the status to answer with."""
        if isinstance(error, NoThreadError):
            return HTTPStatus.SERVICE_UNAVAILABLE
        failures = self._failures.setdefault(type(error), Failures())
        if failures.note(asyncio.get_running_loop().time()):
            _log.error(
                "answering a request failed",
                method=scope["method"],
                path=scope["path"],
                failures=failures.count,
                exc_info=error,
            )
        return HTTPStatus.INTERNAL_SERVER_ERROR


class _OriginForm:
    """Accepts the other forms of a request's target (RFC 9112, 3.2) besides the usual one.

    Some clients and proxies send ``GET http://host:10790/metrics``; the authority in it is
    ignored. ``OPTIONS *`` is about the server itself, and is answered as for ``/``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if authority := _AUTHORITY.match(path):
            scope = {**scope, "path": path[authority.end() :] or "/"}
        elif path == "*" and scope["method"] == "OPTIONS":
            scope = {**scope, "path": "/"}
        await self._app(scope, receive, send)


def _unpacked(chunks: Sequence[bytes]) -> int:
    """Return the size of a compressed body before it was compressed."""
    # RFC 1952, 2.3.1: a gzip member ends with it.
    return int.from_bytes(b"".join(chunks[-1:])[-4:], "little")


async def _probe(_request: Request, why_not: Callable[[], str], adjective: str) -> Response:
    reason = why_not()
    if not reason:
        return PlainTextResponse(f"{adjective}\n")
    return PlainTextResponse(f"not {adjective}: {reason}\n", HTTPStatus.SERVICE_UNAVAILABLE)


async def _reload(
    request: Request, begin: Callable[[], Future[tuple[Sequence[str], Sequence[str]]]]
) -> Response:
    if _is_cross_site(request.headers):
        text = "Forbidden: a page of another site cannot reload the configuration\n"
        return PlainTextResponse(text, HTTPStatus.FORBIDDEN)
    problems, warnings = await asyncio.wrap_future(begin())
    if not problems:
        lines = ["configuration reloaded", *(f"warning: {warning}" for warning in warnings)]
        return PlainTextResponse("".join(f"{line}\n" for line in lines))
    text = "".join(f"{problem}\n" for problem in problems)
    return PlainTextResponse(text, HTTPStatus.INTERNAL_SERVER_ERROR)


def _is_cross_site(headers: Headers) -> bool:
    """Return whether a browser sends the request for a page of another site."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "cross-site"
    # Over plain HTTP, browsers send only this, and with every POST and PUT.
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


async def _refuse(_request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    response = _line(HTTPStatus(refusal.status_code))
    if allowed := (refusal.headers or {}).get("Allow"):
        # Starlette joins a set, whose order differs from process to process.
        response.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    return response


def _line(status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{status.phrase}\n", status)


def _joined(headers: Headers, name: str) -> str | None:
    """Return a header's value; one that is repeated counts as one list."""
    return ", ".join(headers.getlist(name)) or None
