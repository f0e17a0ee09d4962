"""What an answer that is of no use says, and which error it is."""

import html
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pydantic_core import from_json

from exporter.sentry.errors import (
    BadAnswerError,
    BadRequestError,
    ForbiddenError,
    InterceptedError,
    NoProjectsError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    SentryError,
    ServerError,
    StatusError,
    TooHeavyError,
    UnauthorizedError,
)
from exporter.sentry.remedies import Cause
from exporter.sentry.token import Secret, redact

_DETAIL_LENGTH: Final = 200
_LOOKED_AT: Final = 4096
"""Characters of a text that are masked before it is cut to what is shown."""

_LONGEST_TOKEN: Final = 64
_PAGE_START: Final = 16 * 1024
"""Bytes of a page that are looked at."""

_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_LOGIN: Final = re.compile(r"\blog[ -]?[io]n\b|\bsign[ -]?[io]n\b|\bsso\b", re.IGNORECASE)
_LOGIN_PATH: Final = re.compile(r"/(?:auth|login|signin|sso|oauth2?|saml2?)\b", re.IGNORECASE)
_PASSWORD_FIELD: Final = re.compile(r"""type\s*=\s*["']?password""", re.IGNORECASE)
_ORGANIZATION: Final = re.compile(r"/api/0/organizations/([^/?#]+)/")
_KINDS: Final[dict[int, type[StatusError]]] = {
    HTTPStatus.BAD_REQUEST: BadRequestError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: ServerError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitError,
}
_NO_PROJECTS: Final = "No projects available"
_STORE_STATUSES: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GATEWAY_TIMEOUT)
_STORE_WORDS: Final = re.compile(r"smaller date range|query timeout", re.IGNORECASE)

# The codes of src/sentry/api/exceptions.py, and the words where there is no code.
_CODES: Final = {
    "2fa-required": Cause.TWO_FACTOR,
    "sso-required": Cause.SINGLE_SIGN_ON,
    "member-disabled-over-limit": Cause.MEMBER_OVER_LIMIT,
    "Token expired": Cause.TOKEN_EXPIRED,
    "User inactive or deleted": Cause.USER_INACTIVE,
}
_GLITCHTIP_STATUSES: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_PARAMETERS: Final = frozenset({"category", "field", "start", "end", "interval", "query"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the body of a refusal says.

    ``text`` is for humans, ``code`` the one that Sentry gives with some. ``page`` says that it is
    HTML, ``login`` that it asks for one, ``foreign`` that Sentry did not write it.
    """

    text: str = ""
    code: str = ""
    page: bool = False
    login: bool = False
    foreign: bool = False
    document: Any = field(default=None, repr=False)


def explanation(body: bytes) -> Explanation:
    """Return what ``body`` says; an empty one says nothing.

    Sentry's own bodies are JSON, whatever their type says; a proxy's are text, or HTML of which
    only the title is taken.
    """
    text = body.decode(errors="replace").strip()
    try:
        document = from_json(body)
    except ValueError:
        return _page(text) if text.startswith("<") else Explanation(text, foreign=bool(text))
    match document:
        case {"detail": str(detail)}:
            return Explanation(detail, code=detail)
        case {"detail": {"code": str(code), "message": str(message)}}:
            return Explanation(f"{code}: {message}", code=code)
    return Explanation(text, foreign=True, document=document)


def refusal(status: int, detail: str, explained: Explanation | None = None) -> SentryError:
    """Return the error that an answer with this ``status`` is; ``detail`` may be shown.

    The store's own 429 and 504 differ from the endpoint's and a proxy's only in their words.
    """
    explained = explained or Explanation()
    if status in _STORE_STATUSES and _STORE_WORDS.search(detail):
        return TooHeavyError(status, detail)
    if status == HTTPStatus.BAD_REQUEST and explained.code == _NO_PROJECTS:
        return NoProjectsError(status, detail)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError(status, detail)
    if explained.foreign and status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return InterceptedError(status, detail, cause=_in_between(explained))
    return _KINDS.get(status, StatusError)(status, detail, cause=_cause(status, explained))


def redirect(status: int, asked: str, location: str, secret: Secret) -> RedirectError:
    """Return the error that a redirect from ``asked`` is.

    Of where it leads only scheme and host are told, and the organization: the rest may hold
    anything.
    """
    try:
        target, source = urlsplit(urljoin(asked, location)), urlsplit(asked)
        host, server = target.hostname or "", _server(target.scheme, target.netloc)
    except ValueError:
        return RedirectError(f"{status} to an unreadable address")
    shown = presentable(server, secret)
    organization = _ORGANIZATION.search(target.path)
    own = _ORGANIZATION.search(source.path)
    if _LOGIN_PATH.search(target.path):
        text = f"{status} to a login page at {shown}"
        return RedirectError(text, cause=Cause.LOGIN_PAGE)
    if organization and own and organization[1] != own[1]:
        text = f"{status} to the organization {presentable(organization[1], secret)} at {shown}"
        return RedirectError(text, cause=Cause.ANOTHER_ORGANIZATION)
    if (source.scheme, target.scheme, host) == ("http", "https", source.hostname):
        # The path that Sentry is served under is our own, and so may be told.
        prefix = source.path.partition("/api/0/")[0]
        url = shown + prefix if target.path.startswith(f"{prefix}/") else shown
        return RedirectError(f"{status} to {shown}", cause=Cause.REDIRECT_TO_HTTPS, about=url)
    return RedirectError(f"{status} to {shown}")


def page_error(body: bytes, secret: Secret) -> BadAnswerError | None:
    """Return the error that the body of a 200 is if it is a page, else None."""
    start = body[:_PAGE_START].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"<"):
        return None
    page = _page(start.decode(errors="replace"))
    text = f"is {presentable(page.text, secret)}, not JSON"
    return BadAnswerError("body", text, cause=_in_between(page))


def is_redirect(status: int) -> bool:
    """Return whether ``status`` is a 3xx."""
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST


def is_glitchtip(body: bytes) -> bool:
    """Return whether a 200 of stats_v2 is the one of GlitchTip, whose groups have series only."""
    try:
        document = from_json(body)
    except ValueError:
        return False
    match document:
        case {"intervals": list(), "groups": list(groups)} if "start" not in document:
            return all(isinstance(group, dict) and "by" not in group for group in groups)
    return False


def presentable(text: str, secret: Secret | None = None) -> str:
    """Return ``text`` as one line of at most 200 visible characters, secrets masked.

    ``secret`` is masked even if it does not look like one.
    """
    line = " ".join(text.split())
    visible = "".join(character for character in line if character.isprintable())
    if secret is not None:
        visible = visible.replace(secret.reveal(), str(secret))
    return redact(_beginning(visible))[:_DETAIL_LENGTH]


def _beginning(line: str) -> str:
    """Return what is looked at of ``line``, without the start of a secret whose end was cut off.

    Only a whole one is known for what it is.
    """
    if len(line) <= _LOOKED_AT:
        return line
    whole, _, cut = line[:_LOOKED_AT].rpartition(" ")
    return f"{whole} {cut.partition('//')[0][:-_LONGEST_TOKEN]}".strip()


def _page(text: str) -> Explanation:
    title = _TITLE.search(text)
    name = " ".join(html.unescape(title[1]).split()) if title else ""
    shown = f'a page titled "{name}"' if name else "a page without a title"
    login = bool(_LOGIN.search(name) or _PASSWORD_FIELD.search(text))
    return Explanation(shown, page=True, login=login, foreign=True)


def _cause(status: int, explained: Explanation) -> Cause | None:
    if status == HTTPStatus.GONE:
        return Cause.GONE
    if status in _GLITCHTIP_STATUSES and _complains_as_glitchtip(explained.document):
        return Cause.GLITCHTIP
    if explained.page:
        return _in_between(explained)
    return _CODES.get(explained.code) if status == HTTPStatus.UNAUTHORIZED else None


def _in_between(explained: Explanation) -> Cause:
    return Cause.LOGIN_PAGE if explained.login else Cause.IN_BETWEEN


def _complains_as_glitchtip(document: Any) -> bool:
    """Return whether a document is a complaint about parameters that Sentry would not make.

    GlitchTip's are lists of places, as those of django-ninja and, once, of REST framework; Sentry
    always says a sentence.
    """
    match document:
        case {"detail": [{"loc": list(), "msg": str()}, *_]}:
            return True
        case dict():
            complaints = [document[name] for name in _PARAMETERS & document.keys()]
            return bool(complaints) and all(isinstance(one, list) for one in complaints)
    return False


def _server(scheme: str, netloc: str) -> str:
    return f"{scheme}://{netloc.rpartition('@')[2]}"
