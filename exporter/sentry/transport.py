"""HTTP to Sentry: one GET, bounded in size and in time, whatever the server does."""

import http.client
import logging
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from exporter import __version__
from exporter.loopback import is_loopback
from exporter.sentry.deadline import DeadlineAdapter
from exporter.sentry.diagnosis import causes, diagnosis, proxy_refusal
from exporter.sentry.errors import SentryError, TooLargeError
from exporter.sentry.refusals import (
    explanation,
    is_redirect,
    page_error,
    presentable,
    redirect,
    refusal,
)
from exporter.sentry.route import Route
from exporter.sentry.token import Secret, TokenSource

_CHUNK: Final = 64 * 1024
_REFUSAL_SIZE: Final = 16 * 1024
_DROPPED: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLEOFError)
_BROKEN: Final = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``body`` of a 200, ``detail`` of any other, what its body says.

    ``error`` is the one that it amounts to, None where the body may be what was asked for. With
    ``broken_headers``, some that were sent may not be among ``headers``.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    detail: str = ""
    error: SentryError | None = None
    broken_headers: bool = False


def open_session(connections: int) -> requests.Session:
    """Return a session that keeps as many ``connections``, and nothing else, between requests."""
    session = _Session()
    session.headers.update(
        {"User-Agent": f"sentry-stats-exporter/{__version__}", "Accept": "application/json"}
    )
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = DeadlineAdapter(pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class Transport:
    """Asks one server, with one token, which is read from its place for each request.

    ``timeout`` is in seconds, for a request with its body; looking up the server's name takes as
    long as the resolver's own limits allow. ``max_response_size`` is in bytes, unpacked.
    """

    def __init__(
        self,
        session: requests.Session,
        token: TokenSource,
        *,
        ca_file: Path | None,
        timeout: float,
        max_response_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._token = token
        self._ca_file = ca_file
        self._timeout = timeout
        self._max_response_size = max_response_size
        self._clock = clock

    def get(
        self,
        url: str,
        parameters: Sequence[tuple[str, str]],
        observe: Callable[[int, float], None],
    ) -> Reply:
        """Return the answer, of whatever status; raises `SentryError` where there is none.

        ``observe`` is told of every request that was sent: its status, 0 if none came, and the
        seconds it took.
        """
        secret = self._token.read()
        outside = sys.exception()
        started = self._clock()
        status = 0
        try:
            with self._send(url, parameters, secret, started, outside) as response:
                status = response.status_code
                return self._reply(response, url, secret)
        except SentryError:
            raise
        except Exception as error:  # noqa: BLE001  # libraries stumble over garbage in many ways
            failure = self._failure(list(causes(error, outside)), url, secret)
        finally:
            observe(status, self._clock() - started)
        # Raised out here, it does not refer to the request and so not to its headers.
        raise failure

    def route(self, url: str) -> Route:
        """Return the way to ``url``, as it may be shown; never raises."""
        return Route.of(url, self._session)

    def _send(
        self,
        url: str,
        parameters: Sequence[tuple[str, str]],
        secret: Secret,
        started: float,
        outside: BaseException | None,
    ) -> requests.Response:
        try:
            return self._request(url, parameters, secret, started)
        except requests.ConnectionError as error:
            # The server may close a kept connection at the moment when it is used again.
            if not any(isinstance(cause, _DROPPED) for cause in causes(error, outside)):
                raise
        return self._request(url, parameters, secret, started)

    def _request(
        self, url: str, parameters: Sequence[tuple[str, str]], secret: Secret, started: float
    ) -> requests.Response:
        left = self._timeout - (self._clock() - started)
        if left <= 0:
            raise TimeoutError
        return self._session.get(
            url,
            params=list(parameters),
            auth=_Bearer(secret),
            verify=True if self._ca_file is None else str(self._ca_file),
            allow_redirects=False,
            stream=True,
            timeout=_timeout(left),  # type: ignore[arg-type]  # known to requests, not to its stubs
        )

    def _reply(self, response: requests.Response, url: str, secret: Secret) -> Reply:
        status, headers = response.status_code, response.headers
        if status == HTTPStatus.OK:
            body = self._body(response)
            return Reply(
                status,
                headers,
                body=body,
                error=page_error(body, secret),
                broken_headers=_has_broken_headers(response),
            )
        if is_redirect(status):
            return Reply(
                status,
                headers,
                error=redirect(status, url, headers.get("Location", ""), secret),
            )
        explained = explanation(_refusal(response))
        detail = presentable(explained.text, secret)
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            error: SentryError = proxy_refusal(status, detail, self.route(url))
        else:
            error = refusal(status, detail, explained)
        return Reply(status, headers, detail=detail, error=error)

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.raw.stream(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > self._max_response_size:
                raise TooLargeError(f"the body is larger than {self._max_response_size} bytes")
        return bytes(body)

    def _failure(self, found: Sequence[BaseException], url: str, secret: Secret) -> SentryError:
        failure = diagnosis(found, self.route(url), self._ca_file, self._timeout)
        failure.args = tuple(presentable(str(text), secret) for text in failure.args)
        return failure


class _Session(requests.Session):
    """Follows nothing: even unfollowed, requests would read a redirect's body without a limit.

    What listens on this host is asked directly, whatever proxy the environment names.
    """

    def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
        """Return the settings of a request; see the parent class."""
        merged = super().merge_environment_settings(url, *settings)
        if is_loopback(urlsplit(str(url)).hostname or ""):
            merged["proxies"] = {}
        return merged

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, whatever the answer says."""


class _Bearer(AuthBase):
    """Sets the token as `AuthBase`, as a ``~/.netrc`` would replace a plain header."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"
        return request


def _timeout(left: float) -> urllib3.Timeout:
    # Half for the connection: a host's second address and the handshake need their share.
    return urllib3.Timeout(total=left, connect=left / 2)


def _has_broken_headers(response: requests.Response) -> bool:
    """Return whether a line among the headers is none: all that come after it are lost."""
    original = getattr(response.raw, "_original_response", None)
    return bool(getattr(getattr(original, "msg", None), "defects", ()))


def _without_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback from what urllib3 logs of broken headers: it shows urllib3 only."""
    record.exc_info = None
    return True


logging.getLogger("urllib3.connection").addFilter(_without_traceback)


def _refusal(response: requests.Response) -> bytes:
    """Return the beginning of a refusal's body; its status counts, even if the body is broken."""
    try:
        body: bytes = response.raw.read(_REFUSAL_SIZE, decode_content=True)
    except _BROKEN:
        return b""
    return body
