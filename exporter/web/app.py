"""The paths and their answers. Once a login is accepted, no scrape or probe waits or renders."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol, cast

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.config import Config, as_yaml
from exporter.repetition import Failures
from exporter.web.negotiate import choose, gzip_accepted
from exporter.web.prefix import UnderPrefix
from exporter.web.status.endpoint import StatusPage, StatusSource
from exporter.web.worker import NoThreadError, Worker

_log = structlog.get_logger(__name__)

SLICE: Final = 1 << 18
"""Bytes of a body that are handed to the server at once, and held for a slow reader.

A page of 14 MB takes 9 % less CPU than in slices half as large, and 17 % less than in quarters.
"""

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
    config: Callable[[], Config] | None = None,
    reload: Callable[[], Future[tuple[Sequence[str], Sequence[str]]]] | None = None,
) -> Starlette:
    """Return the application that answers every path of the exporter, all below ``prefix``.

    ``config`` returns the running configuration, which ``/config`` shows. ``reload`` begins a
    reload of it, and returns a future with its problems and its warnings. Without them, the
    application does not have these paths.
    """
    healthy = partial(_probe, why_not=health.why_not_healthy, adjective="healthy")
    ready = partial(_probe, why_not=health.why_not_ready, adjective="ready")
    optional = []
    if config is not None:
        optional.append(Route("/config", _ShownConfig(config), methods=["GET"]))
    if reload is not None:
        reloads = partial(_reload, begin=reload)
        optional.append(Route("/-/reload", reloads, methods=["POST", "PUT"]))
    app = Starlette(
        routes=[
            # Starlette calls an object for every method unless some are named; HEAD comes with GET.
            Route("/", StatusPage(status), methods=["GET"]),
            Route("/metrics", _Metrics(pages), methods=["GET"]),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            *optional,
        ],
        # The first is the outermost.
        middleware=[
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

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        exposition = choose(_joined(headers, "accept"))
        compressed = gzip_accepted(_joined(headers, "accept-encoding"))
        # Taken once: a poll may publish meanwhile, and length and body must be of the same page.
        chunks = self._pages.chunks(openmetrics=exposition.openmetrics, compressed=compressed)
        answer = {
            "Content-Type": exposition.content_type,
            "Content-Length": str(sum(map(len, chunks))),
            "Vary": "Accept, Accept-Encoding",
        }
        if compressed:
            answer["Content-Encoding"] = "gzip"
        await send({"type": "http.response.start", "status": 200, "headers": Headers(answer).raw})
        # HEAD has the headers of GET, Content-Length included, and no body.
        if scope["method"] == "GET":
            for body in _slices(chunks):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})


class _ShownConfig:
    """``/config``: the running configuration without secrets, rendered once until it changes."""

    def __init__(self, current: Callable[[], Config]) -> None:
        self._current = current
        # With a thousand queries, rendering takes seconds.
        self._worker = Worker("configuration page")
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


def _slices(chunks: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Yield the same bytes, none of them more than `SLICE` at a time.

    Small chunks are joined; large ones are cut without a copy.
    """
    small: list[bytes] = []
    size = 0
    for chunk in chunks:
        if size and size + len(chunk) > SLICE:
            yield b"".join(small)
            small, size = [], 0
        if len(chunk) > SLICE:
            view = memoryview(chunk)
            yield from (view[at : at + SLICE] for at in range(0, len(chunk), SLICE))
        else:
            small.append(chunk)
            size += len(chunk)
    if size:
        yield b"".join(small)


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
