"""All paths below a prefix, for a reverse proxy that serves several programs."""

import re
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_PATH: Final = r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*"
_URL: Final = re.compile(
    r"(?:(?P<scheme>https?)://(?P<host>(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?))?"
    rf"(?P<path>{_PATH})?"
)


class ExternalUrl(NamedTuple):
    """The URL at which clients reach the exporter; without a host if it is not known."""

    scheme: str
    host: str
    path: str
    """The prefix of the paths."""


def parse_external_url(url: str) -> ExternalUrl:
    """Return the parts of an external URL, which may be only a path.

    Raises ValueError, which says what is allowed.
    """
    match = _URL.fullmatch(url)
    if match is None or not url:
        raise ValueError(
            "not an external URL: use an http or https URL without user name, query and fragment, "
            "such as https://example.com/sentry-stats/, or only its path"
        )
    scheme, host, path = match.groups(default="")
    return ExternalUrl(scheme, host, parse_prefix(path))


def parse_prefix(text: str) -> str:
    """Return the prefix that ``text`` means: empty, or with a slash only before it.

    Raises ValueError, which says what is allowed.
    """
    stripped = text.strip("/")
    if re.fullmatch(_PATH, f"/{stripped}") is None or "//" in stripped:
        raise ValueError("not a prefix of paths: use a path such as /sentry-stats")
    if {".", ".."}.intersection(stripped.split("/")):
        raise ValueError("not a prefix of paths: clients resolve . and .. themselves")
    return f"/{stripped}" if stripped else ""


class UnderPrefix:
    """An application whose paths begin with ``prefix``, which it does not see."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests below the prefix; redirect `/` and the bare prefix to the status page."""
        path: str = scope["path"]
        app: ASGIApp
        if path.startswith(f"{self._prefix}/"):
            app, scope = self._app, {**scope, "path": path[len(self._prefix) :]}
        elif path in {"/", self._prefix}:
            # Relative, so that it is right behind a proxy that adds another prefix.
            at = "" if path == "/" else path[: path.rindex("/")]
            app = RedirectResponse(f"{self._prefix[len(at) + 1 :]}/", HTTPStatus.FOUND)
        else:
            app = PlainTextResponse(f"{HTTPStatus.NOT_FOUND.phrase}\n", HTTPStatus.NOT_FOUND)
        await app(scope, receive, send)
