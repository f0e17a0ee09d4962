"""What an answer that is not 200 says, and which error it is."""

import re
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from pydantic_core import from_json

from exporter.sentry.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    SentryError,
    ServerError,
    StatusError,
    TooHeavyError,
    UnauthorizedError,
)
from exporter.token import Secret, redact

_DETAIL_LENGTH: Final = 200
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_KINDS: Final[dict[int, type[StatusError]]] = {
    HTTPStatus.BAD_REQUEST: BadRequestError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: ServerError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitError,
}
_STORE_STATUSES: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GATEWAY_TIMEOUT)
_STORE_WORDS: Final = re.compile(r"smaller date range|query timeout", re.IGNORECASE)


def refusal(status: int, detail: str) -> SentryError:
    """Return the error that an answer with this ``status`` is.

    The store's own 429 and 504 differ from the endpoint's and a proxy's only in their words.
    """
    if is_redirect(status):
        return RedirectError(f"{status} to {detail}")
    if status in _STORE_STATUSES and _STORE_WORDS.search(detail):
        return TooHeavyError(status, detail)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError(status, detail)
    return _KINDS.get(status, StatusError)(status, detail)


def is_redirect(status: int) -> bool:
    """Tell whether ``status`` is a 3xx."""
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST


def redirect_host(location: str) -> str:
    """Return only the host that a redirect leads to: the rest of it may hold anything."""
    try:
        return urlsplit(location).hostname or "the same host"
    except ValueError:
        return "an unreadable address"


def body_text(body: bytes) -> str:
    """Return what the body of a refusal says, ``""`` where it says nothing.

    Sentry's own bodies are JSON, whatever their type says; a proxy's are text, or HTML of which
    only the title is taken.
    """
    try:
        document = from_json(body)
    except ValueError:
        return _plain_text(body.decode(errors="replace").strip())
    match document:
        case {"detail": str(text)}:
            return text
        case {"detail": {"code": str(code), "message": str(text)}}:
            return f"{code}: {text}"
    return body.decode(errors="replace")


def presentable(text: str, secret: Secret) -> str:
    """Return ``text`` as one line of at most 200 visible characters, any token masked."""
    line = " ".join(text.split())
    visible = "".join(character for character in line if character.isprintable())
    return redact(visible.replace(secret.reveal(), str(secret)))[:_DETAIL_LENGTH]


def _plain_text(text: str) -> str:
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return title[1] if title else ""
