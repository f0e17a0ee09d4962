"""Refusals and other answers of no use: what they say, and which `SentryError` each is."""

import html
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import UNSET

from exporter.sentry.decoding import JSON_ERRORS
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

_MAX_DETAIL: Final = 200
"""Characters of a text that are shown."""

_MAX_MASKED: Final = 4096
"""Characters of a text in which secrets are masked before it is cut to what is shown."""

_MAX_TOKEN: Final = 64
_MAX_PAGE: Final = 16 * 1024
"""Bytes of a page that are searched for its title."""

_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_LOGIN: Final = re.compile(r"\blog[ -]?[io]n\b|\bsign[ -]?[io]n\b|\bsso\b", re.IGNORECASE)
_LOGIN_PATH: Final = re.compile(r"/(?:auth|login|signin|sso|oauth2?|saml2?)\b", re.IGNORECASE)
_PASSWORD_FIELD: Final = re.compile(r"""type\s*=\s*["']?password""", re.IGNORECASE)
_ORGANIZATION: Final = re.compile(r"/api/0/organizations/([^/?#]+)/")
_PAYMENTS: Final = "/api/0/customers/"
"""In the address of answers that hold payment data."""
_KINDS: Final[dict[int, type[StatusError]]] = {
    HTTPStatus.BAD_REQUEST: BadRequestError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: ServerError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitError,
}
_NO_PROJECTS: Final = "No projects available"
# The wording of the store's allocation policy and of its timeouts, in Sentry's
# src/sentry/api/handlers.py; the endpoint's own 429 says "too frequently".
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
# Refused parameters: 422 from django-ninja, 400 from the REST framework of older versions.
_GLITCHTIP_STATUSES: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_PARAMETERS: Final = frozenset({"category", "field", "start", "end", "interval", "query"})


class _GlitchTipGroup(msgspec.Struct):
    by: Any = UNSET


class _GlitchTipDocument(msgspec.Struct):
    intervals: list[Any]
    groups: list[_GlitchTipGroup]
    start: Any = UNSET


_GLITCHTIP: Final = msgspec.json.Decoder(_GlitchTipDocument)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the body of a refusal says.

    ``text`` is for humans; ``code`` is Sentry's, which some bodies have. ``page`` is set for HTML,
    ``login`` for a login page, ``foreign`` for a body that is not Sentry's.
    """

    text: str = ""
    code: str = ""
    page: bool = False
    login: bool = False
    foreign: bool = False
    document: Any = field(default=None, repr=False)


def explanation(body: bytes, asked: str = "") -> Explanation:
    """Return what ``body``, of the address ``asked``, says; an empty one says nothing.

    Sentry's own bodies are JSON, whatever their content type; a proxy's are text, or HTML, of
    which only the title is used. What may hold payment data is not repeated.
    """
    text = body.decode(errors="replace").strip()
    try:
        document = msgspec.json.decode(body)
    except JSON_ERRORS:
        if text.startswith("<"):
            return _page(text)
        return Explanation("" if _PAYMENTS in asked else text, foreign=bool(text))
    match document:
        case {"detail": str(detail)}:
            return Explanation(detail, code=detail)
        case {"detail": {"code": str(code), "message": str(message)}}:
            return Explanation(f"{code}: {message}", code=code)
    if _PAYMENTS in asked:
        return Explanation(foreign=True)
    return Explanation(text, foreign=True, document=document)


def refusal(status: int, detail: str, explained: Explanation | None = None) -> SentryError:
    """Return the error for an answer with this ``status``; ``detail`` may be shown.

    The store's own 429 and 504 differ from the endpoint's and a proxy's only in their wording
    (``src/sentry/api/handlers.py`` in Sentry).
    """
    explained = explained or Explanation()
    # Before the 5xx: at the store's own 504 a smaller question helps, at a proxy's it does not.
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
    """Return the error for a redirect from ``asked`` to ``location``.

    Its text shows only scheme, host and organization of the target, and the path before that of
    the API: the others may be secret.
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
    prefix = source.path.partition("/api/0/")[0]
    if (source.scheme, target.scheme, host) == ("http", "https", source.hostname):
        # The path before the API's is the one in our own url, and so may be shown.
        url = shown + prefix if target.path.startswith(f"{prefix}/") else shown
        return RedirectError(f"{status} to {shown}", cause=Cause.REDIRECT_TO_URL, about=url)
    if server == _server(source.scheme, source.netloc):
        return _redirect_within(status, shown, prefix, target.path, secret)
    return RedirectError(f"{status} to {shown}")


def _redirect_within(
    status: int, server: str, prefix: str, path: str, secret: Secret
) -> RedirectError:
    """Return the error for a redirect to ``path`` on the same server, which has our ``prefix``."""
    before, api, _ = path.partition("/api/0/organizations/")
    if not api:
        text = f"{status} to another path of {server}"
        return RedirectError(text, cause=Cause.REDIRECT_TO_ANOTHER_PATH)
    if before == prefix:
        return RedirectError(f"{status} to the same address", cause=Cause.REDIRECT_TO_ITSELF)
    url = presentable(f"{server}{before}", secret)
    return RedirectError(f"{status} to {url}", cause=Cause.REDIRECT_TO_URL, about=url)


def page_error(body: bytes, secret: Secret) -> BadAnswerError | None:
    """Return the error for the body of a 200 that is a page, None if it is not one."""
    start = body[:_MAX_PAGE].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"<"):
        return None
    page = _page(start.decode(errors="replace"))
    text = f"the answer is {presentable(page.text, secret)}, not JSON"
    return BadAnswerError("", text, cause=_in_between(page))


def is_redirect(status: int) -> bool:
    """Return whether ``status`` is a 3xx."""
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST


def is_glitchtip(body: bytes) -> bool:
    """Return whether a 200 of stats_v2 is GlitchTip's, whose groups have only a series."""
    try:
        document = _GLITCHTIP.decode(body)
    except JSON_ERRORS:
        return False
    return document.start is UNSET and all(group.by is UNSET for group in document.groups)


def presentable(text: str, secret: Secret | None = None) -> str:
    """Return ``text`` as one line of at most 200 visible characters, secrets masked.

    ``secret`` is masked even if it does not look like one.
    """
    line = " ".join(text.split())
    visible = "".join(character for character in line if character.isprintable())
    # Before anything is cut off: a part of the token would no longer be recognized.
    if secret is not None:
        visible = visible.replace(secret.reveal(), str(secret))
    return redact(_beginning(visible))[:_MAX_DETAIL]


def _beginning(line: str) -> str:
    """Return the beginning of ``line``, without the start of a secret whose end was cut off.

    Only a complete secret is recognized.
    """
    if len(line) <= _MAX_MASKED:
        return line
    words, _, cut = line[:_MAX_MASKED].rpartition(" ")
    return f"{words} {cut.partition('//')[0][:-_MAX_TOKEN]}".strip()


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
    # Sentry's own 404s have a detail, those of other servers and of proxies nothing or a text.
    if status == HTTPStatus.NOT_FOUND and not (explained.code or explained.login):
        return Cause.NOT_SENTRY
    if explained.page:
        return _in_between(explained)
    return _CODES.get(explained.code) if status == HTTPStatus.UNAUTHORIZED else None


def _in_between(explained: Explanation) -> Cause:
    return Cause.LOGIN_PAGE if explained.login else Cause.IN_BETWEEN


def _complains_as_glitchtip(document: Any) -> bool:
    """Return whether ``document`` complains about parameters in GlitchTip's way.

    GlitchTip's complaints are lists of places, from django-ninja or, in older versions, from REST
    framework; Sentry's are sentences.
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
