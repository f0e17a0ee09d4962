"""The paths and what they answer. Nothing here waits, locks or renders."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol, cast

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.connection import SEND_BODY
from exporter.web.landing import SECURITY_HEADERS, Landing
from exporter.web.negotiate import choose, gzip_accepted

log = structlog.get_logger()

_AUTHORITY: Final = re.compile(r"https?://[^/]*", re.IGNORECASE)


class Pages(Protocol):
    """Where rendered expositions come from."""

    def chunks(self, *, openmetrics: bool, compressed: bool) -> Sequence[bytes]:
        """Return a whole body, ready to send; its length is the sum of the chunks'."""


class Health(Protocol):
    """What the probes ask. Both must answer at once."""

    def healthy(self) -> bool:
        """Return whether the poll loop lives."""

    def ready(self) -> bool:
        """Return whether every query has been tried once, and the page shows what came of it."""


def make_app(pages: Pages, health: Health, landing: Landing) -> Starlette:
    """Return the application that answers every path of the exporter."""
    home = partial(_home, html=landing.html())
    healthy = partial(_probe, probe=health.healthy, adjective="healthy")
    ready = partial(_probe, probe=health.ready, adjective="ready")
    app = Starlette(
        routes=[
            Route("/", home),
            Route("/metrics", _Metrics(pages), methods=["GET"]),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
        ],
        middleware=[Middleware(_Guard), Middleware(_OriginForm)],
        exception_handlers={HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    return app


class _Metrics:
    """``/metrics``: the bytes as they are, as fast as the client reads them."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        exposition = choose(_joined(headers, "accept"))
        compressed = gzip_accepted(_joined(headers, "accept-encoding"))
        chunks = self._pages.chunks(openmetrics=exposition.openmetrics, compressed=compressed)
        answer = {
            "Content-Type": exposition.content_type,
            "Content-Length": str(sum(map(len, chunks))),
            "Vary": "Accept, Accept-Encoding",
        }
        if compressed:
            answer["Content-Encoding"] = "gzip"
        await send({"type": "http.response.start", "status": 200, "headers": Headers(answer).raw})
        if scope["method"] == "GET":
            await scope["state"][SEND_BODY](chunks)
        await send({"type": "http.response.body"})


class _Guard:
    """Answers 500 in one line where a handler raises; what happened is for the log alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if not started:
                await _line(HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, send)


class _OriginForm:
    """Reads the other forms of a request's target (RFC 9112, 3.2) as the usual one.

    Some clients and proxies send ``GET http://host:10790/metrics``; which authority they name
    does not matter. ``OPTIONS *`` is about the server as a whole, and answered as for ``/``.
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


async def _home(_request: Request, html: str) -> Response:
    return HTMLResponse(html, headers=SECURITY_HEADERS)


async def _probe(_request: Request, probe: Callable[[], bool], adjective: str) -> Response:
    if probe():
        return PlainTextResponse(f"{adjective}\n")
    return PlainTextResponse(f"not {adjective}\n", HTTPStatus.SERVICE_UNAVAILABLE)


async def _refuse(_request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    response = _line(HTTPStatus(refusal.status_code))
    if allowed := (refusal.headers or {}).get("Allow"):
        response.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    return response


def _line(status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{status.phrase}\n", status)


def _joined(headers: Headers, name: str) -> str | None:
    """Return a header's value; one that comes several times counts as one list."""
    return ", ".join(headers.getlist(name)) or None
