"""What stands before every path: the rate limit, the login, and the headers of every answer."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.config import RateLimit, WebConfig
from exporter.web.live import LiveWebConfig
from exporter.web.login import Logins, TooManyLoginsError, parse_login

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="sentry-stats-exporter", charset="UTF-8"'}
_LATER: Final = {"Retry-After": "1"}


class Access:
    """An application behind the web configuration, which may change from request to request.

    ``clock`` returns monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        web: LiveWebConfig,
        clock: Callable[[], float],
        logins: Logins | None = None,
    ) -> None:
        self._app = app
        self._web = web
        self._limiter = _Limiter(clock)
        self._logins = logins or Logins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        await self._web.refresh()
        config = self._web.config
        names = {name for name, _ in config.headers}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [pair for pair in message.get("headers", ()) if pair[0] not in names]
                message = {**message, "headers": [*own, *config.headers]}
            await send(message)

        refusal = await self._refusal(config, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, with_headers)

    async def _refusal(self, config: WebConfig, headers: Headers) -> Response | None:
        if not self._limiter.allows(config.rate_limit):
            return _line(HTTPStatus.TOO_MANY_REQUESTS, _LATER)
        if not config.users:
            return None
        values = headers.getlist("authorization")
        login = parse_login(values[0].encode("latin-1")) if len(values) == 1 else None
        try:
            if login is not None and await self._logins.accepts(config.users, login):
                return None
        except TooManyLoginsError:
            return _line(HTTPStatus.SERVICE_UNAVAILABLE, _LATER)
        return _line(HTTPStatus.UNAUTHORIZED, _CHALLENGE)


class _Limiter:
    """A token bucket, as the toolkit's: ``burst`` requests at once, then one per ``interval``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limit = RateLimit()
        self._tokens = 0.0
        self._at = 0.0

    def allows(self, limit: RateLimit) -> bool:
        """Return whether a request is within ``limit``, and count it if so."""
        if not limit.interval:
            return True
        now = self._clock()
        if limit != self._limit:
            self._limit, self._tokens, self._at = limit, float(limit.burst), now
        gained = (now - self._at) / limit.interval
        self._tokens, self._at = min(limit.burst, self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _line(status: HTTPStatus, headers: dict[str, str]) -> Response:
    return PlainTextResponse(f"{status.phrase}\n", status, headers)
