"""The answer to a request for the status page; it is rendered beside the event loop."""

import asyncio
from collections.abc import Callable
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from exporter.status import ExporterStatus
from exporter.web.status.choices import Choices
from exporter.web.worker import Worker

if TYPE_CHECKING:
    from exporter.web.status.page import Renderer

MAX_RENDERING: Final = 2
"""Pages that are rendered at the same time: each of them competes with scrapes."""

MAX_WAITING: Final = 16
"""Requests that are rendered or wait for it; others are answered 503."""

StatusSource = Callable[[], ExporterStatus]
"""Returns what the page shows now."""


class StatusPage:
    """``/``: the status page, as the query string of the request asks for it."""

    def __init__(self, source: StatusSource) -> None:
        self._source = source
        self._worker = Worker(MAX_RENDERING)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._response(Request(scope))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        # No lock: only the event loop's thread counts, and nothing is awaited before it has.
        if self._waiting >= MAX_WAITING:
            text = "Too many requests for this page at the same time\n"
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return PlainTextResponse(text, status, {"Retry-After": "5"})
        choices = Choices.of(request.query_params.multi_items())
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._worker, self._rendered, choices)
        finally:
            self._waiting -= 1

    def _rendered(self, choices: Choices) -> Response:
        from exporter.web.status.page import SECURITY_HEADERS  # noqa: PLC0415 - see `_renderer`

        headers = {**SECURITY_HEADERS, "Cache-Control": "no-store"}
        if choices.seconds_to_refresh:
            # A header and no element: browsers reload the same address, and stay where they are.
            headers["Refresh"] = str(choices.seconds_to_refresh)
        status = self._source()
        code = HTTPStatus.OK if choices.query_exists(status) else HTTPStatus.NOT_FOUND
        return HTMLResponse(self._renderer.render(status, choices), code, headers)

    @cached_property
    def _renderer(self) -> "Renderer":
        # Imported with the first page: jinja2 and leather take 180 ms to import, in which the
        # exporter can begin to poll.
        from exporter.web.status.page import Renderer  # noqa: PLC0415

        return Renderer()
