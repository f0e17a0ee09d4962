"""HTTP to Sentry: one GET request, limited in size and in time whatever the server does."""

import http.client
import io
import logging
import socket
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
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection

from exporter import __version__
from exporter.loopback import is_loopback
from exporter.sentry.errors import SentryError, TooLargeError
from exporter.sentry.network import Route, causes_of, proxy_refusal, release_frames, request_error
from exporter.sentry.refusals import (
    explanation,
    is_redirect,
    page_error,
    presentable,
    redirect,
    refusal,
)
from exporter.sentry.remedies import Cause
from exporter.sentry.token import Secret, TokenSource

# Measured with a body of 18 MB: reading it takes 14 ms of CPU, 25 ms in chunks of 16 KiB, and 12 ms
# in chunks of 256 KiB, by which a body may exceed max_response_size before that is noticed.
_CHUNK: Final = 64 * 1024
_MAX_INTERIM: Final = 16
_REFUSAL_SIZE: Final = 16 * 1024
_DROPPED: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLEOFError)
_BROKEN: Final = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``body`` of a 200, of any other ``detail``, the text in its body.

    ``error`` is None where the body may be what was asked for. With ``broken_headers``, some of
    those that were sent may be missing from ``headers``.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    detail: str = ""
    error: SentryError | None = None
    broken_headers: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """How much an answer may hold: so many bytes, JSON objects and commas.

    What exceeds it is refused while it is read: decoded, objects take twenty times as much memory
    as their text, and no scrape is answered while that happens. ``why`` says what has no more.
    """

    size: int
    objects: int
    commas: int
    why: str

    def allows(self, size: int, objects: int, commas: int) -> bool:
        """Return whether an answer may hold so much."""
        return size <= self.size and objects <= self.objects and commas <= self.commas


def open_session(connections: int) -> requests.Session:
    """Return a session that reuses up to ``connections``, and nothing else, between requests."""
    session = _Session()
    session.headers.update(
        {"User-Agent": f"sentry-stats-exporter/{__version__}", "Accept": "application/json"}
    )
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = _DeadlineAdapter(pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class Transport:
    """Sends requests to one server, with a token that is read anew for each of them.

    ``timeout`` is in seconds, for a request with its answer; only the resolver's own limits apply
    to looking up the server's name. ``max_response_size`` is in bytes, uncompressed.
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
        bound: Bound | None = None,
    ) -> Reply:
        """Return the answer, of whatever status; raise `SentryError` where there is none.

        A 200 is within ``bound``. ``observe`` is called once, also if a request on a dropped
        connection was sent again, with the status, 0 if there was none, and the seconds it took.
        """
        secret = self._token.read()
        # What the caller is handling becomes the context of a new error, but did not cause it.
        outside = sys.exception()
        started = self._clock()
        status = 0
        try:
            with self._send(url, parameters, secret, started, outside) as response:
                status = response.status_code
                return self._reply(response, url, secret, bound)
        except SentryError:
            raise
        except Exception as error:  # noqa: BLE001  # libraries stumble over garbage in many ways
            failure = self._failure(list(causes_of(error, outside)), url, secret)
            release_frames(error, outside)
        finally:
            observe(status, self._clock() - started)
        # Raised outside of the handler, it does not refer to the request and its headers.
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, which would hold it in turn

    def route(self, url: str) -> Route:
        """Return the route to ``url``, as it may be shown; never raises."""
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
            # A race: the server may close an idle connection just when it is used again.
            if not any(isinstance(cause, _DROPPED) for cause in causes_of(error, outside)):
                raise
            release_frames(error, outside)
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
            # Per request: requests lets REQUESTS_CA_BUNDLE override Session.verify, but not a path
            # given here.
            verify=True if self._ca_file is None else str(self._ca_file),
            allow_redirects=False,
            # Otherwise requests would read the body before its size can be limited.
            stream=True,
            timeout=_timeout(left),  # type: ignore[arg-type]  # known to requests, not to its stubs
        )

    def _reply(
        self, response: requests.Response, url: str, secret: Secret, bound: Bound | None
    ) -> Reply:
        status, headers = response.status_code, response.headers
        if status == HTTPStatus.OK:
            body = self._body(response, bound)
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
        explained = explanation(_refusal(response), url)
        detail = presentable(explained.text, secret)
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            error: SentryError = proxy_refusal(status, detail, self.route(url))
        else:
            error = refusal(status, detail, explained)
        return Reply(status, headers, detail=detail, error=error)

    def _body(self, response: requests.Response, bound: Bound | None) -> bytes:
        # Its value is no copy, as bytes of a bytearray would be.
        body = io.BytesIO()
        objects = commas = 0
        # Decompressed in chunks too: a small gzip body may expand to any size.
        for chunk in response.raw.stream(_CHUNK, decode_content=True):
            size = body.tell() + len(chunk)
            if size > self._max_response_size:
                raise TooLargeError(f"the body is larger than {self._max_response_size} bytes")
            objects += chunk.count(b"{")
            commas += chunk.count(b",")
            if bound is not None and not bound.allows(size, objects, commas):
                raise TooLargeError(bound.why, cause=Cause.NOT_SENTRY)
            body.write(chunk)
        return body.getvalue()

    def _failure(self, causes: Sequence[BaseException], url: str, secret: Secret) -> SentryError:
        failure = request_error(causes, self.route(url), self._ca_file, self._timeout)
        failure.args = tuple(presentable(str(text), secret) for text in failure.args)
        return failure


class _Session(requests.Session):
    """Follows no redirect: requests would read its body without a limit, even unfollowed.

    Servers on this host are asked directly, whatever proxy the environment names.
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
    """Sets the token; requests would replace a plain header by what ``~/.netrc`` holds."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"
        return request


def _timeout(left: float) -> urllib3.Timeout:
    # Half for the connection: a host's second address and the handshake need their share.
    return urllib3.Timeout(total=left, connect=left / 2)


def _has_broken_headers(response: requests.Response) -> bool:
    """Return whether a line of the headers is malformed: all after it are lost."""
    # urllib3 only logs what the parser of http.client noted as defects.
    original = getattr(response.raw, "_original_response", None)
    return bool(getattr(getattr(original, "msg", None), "defects", ()))


def _without_traceback(record: logging.LogRecord) -> bool:
    """Remove the traceback from urllib3's warning about broken headers, and pass the record."""
    record.exc_info = None
    return True


logging.getLogger("urllib3.connection").addFilter(_without_traceback)


def _refusal(response: requests.Response) -> bytes:
    """Return the beginning of a refusal's body, ``b""`` if it is broken: the status counts."""
    try:
        body: bytes = response.raw.read(_REFUSAL_SIZE, decode_content=True)
    except _BROKEN:
        return b""
    return body


class _DeadlineAdapter(HTTPAdapter):
    """Gives every answer a deadline, through an HTTP proxy too.

    A socket's own timeout starts again with each byte, so a server that sends one byte now and
    then could hold a request for ever. Here the reader of an answer, status line and headers
    included, allows each read only what is left of the time that the answer had at its start. A
    later answer on the same connection starts with its own time.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _use_deadlines(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.PoolManager:
        """Return the pools of connections through a proxy."""
        manager: urllib3.PoolManager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):
            _use_deadlines(manager)
        return manager


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a moment of the monotonic clock."""

    def __init__(self, connection: socket.socket, raw: io.RawIOBase, seconds: float) -> None:
        self._connection = connection
        self._raw = raw
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not arrive in time")
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that must arrive within the time that the socket has at its start."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            # Detached: otherwise the replaced reader would close the raw one when it is collected.
            self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach(), seconds))

    def begin(self) -> None:
        """Read status and headers, past interim answers, of which http.client knows only 100.

        The answer that follows one would be taken for that of the next request.
        """
        super().begin()
        for _ in range(_MAX_INTERIM):
            if self.status >= HTTPStatus.OK or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                break
            self.headers = None  # type: ignore[assignment]  # otherwise nothing more is read
            super().begin()
        # Nothing that follows is an answer, if there is one at all.
        self.will_close = self.will_close or self.status < HTTPStatus.OK


class _PlainConnection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; see the parent class.

        With TLS 1.3 a server that refuses the client closes while the request is being sent, and
        its reason is an alert that is still to be read. urllib3 reads on after a broken pipe.
        """
        try:
            super().request(*args, **kwargs)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError from error


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _use_deadlines(manager: urllib3.PoolManager) -> None:
    # Assigned, not updated: the dictionary that is there belongs to all of urllib3.
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
