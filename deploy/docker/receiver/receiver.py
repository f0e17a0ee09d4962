"""Shows in a browser what Alertmanager sends to Slack: a stand-in for Slack's webhook.

compose.yaml runs it, with the packages that the exporter's image has. It stores the last messages
in memory, asks nobody for a password, and is not for production.
"""

import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

MAX_MESSAGES: Final = 200
MAX_BODY: Final = 100_000
"""Bytes of a request, so that all messages together need at most some ten megabytes."""

_LINK: Final = re.compile(r"<(https?://[^|>\s]+)(?:\|([^>]*))?>")
_ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Attachment(BaseModel):
    """One message, as far as it is shown. ``color`` is Slack's: good, warning or danger."""

    color: str = ""
    title: str = ""
    title_link: str = ""
    text: str = ""


class Payload(BaseModel):
    """The body of a request to Slack's webhook."""

    channel: str = ""
    attachments: list[Attachment] = []


@dataclass(frozen=True, slots=True)
class Message:
    """A message with its channel, and when it arrived."""

    received: float
    channel: str
    attachment: Attachment


def linked(text: str) -> Markup:
    """Return Slack's markup as HTML: ``<address|name>`` becomes a link, the rest is escaped."""
    return Markup().join(_parts(text))


def heading(attachment: Attachment) -> Markup:
    """Return the title as HTML, which is a link if the message has one."""
    title = _unescaped(attachment.title)
    return _anchor(attachment.title_link, title) or Markup.escape(title)


def _anchor(address: str, name: str) -> Markup:
    """Return a link, or nothing if ``address`` is not that of a web page."""
    if not address.startswith(("http://", "https://")):
        return Markup()
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, name)


def _parts(text: str) -> Iterator[Markup]:
    end = 0
    for match in _LINK.finditer(text):
        yield Markup.escape(_unescaped(text[end : match.start()]))
        yield _anchor(_unescaped(match[1]), _unescaped(match[2] or match[1]))
        end = match.end()
    yield Markup.escape(_unescaped(text[end:]))


def _unescaped(text: str) -> str:
    # Slack's three entities, which a sender may write for its own control characters.
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


class Receiver:
    """The last messages, and the requests that add and show them."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=MAX_MESSAGES)
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
        )
        environment.filters |= {"heading": heading, "linked": linked, "utc": _utc}
        self._page = environment.get_template("page.html")

    def application(self) -> Starlette:
        """Return the web application."""
        return Starlette(
            routes=[
                Route("/", self._show),
                Route("/slack", self._receive, methods=["POST"]),
                Route("/-/healthy", _healthy),
            ]
        )

    async def _receive(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return PlainTextResponse(f"more than {MAX_BODY} bytes\n", 413)
        try:
            payload = Payload.model_validate_json(body)
        except ValidationError as error:
            return PlainTextResponse(f"not a message for Slack: {error}\n", 400)
        for each in payload.attachments:
            self._messages.append(Message(time.time(), payload.channel, each))
        return PlainTextResponse("ok")

    async def _show(self, _request: Request) -> Response:
        newest_first = list(reversed(self._messages))
        return HTMLResponse(self._page.render(messages=newest_first), headers=_HEADERS)


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


@click.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=9095, show_default=True)
def main(host: str, port: int) -> None:
    """Show the messages that Alertmanager sends to http://HOST:PORT/slack at http://HOST:PORT/."""
    uvicorn.run(Receiver().application(), host=host, port=port, access_log=False)


if __name__ == "__main__":
    main()
