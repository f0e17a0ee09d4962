"""One organization's API: requests within the token's limits, counted, and retried after a 429."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_hex
from threading import Lock
from typing import Final, Protocol, TypeVar

import structlog

from exporter.sentry.api_status import ApiStatus, RateLimit
from exporter.sentry.deprecation import Deprecations
from exporter.sentry.errors import (
    NoProjectsError,
    NotFoundError,
    RateLimitError,
    SentryError,
    TokenError,
    TooHeavyError,
)
from exporter.sentry.limits import (
    RATE_LIMIT_RETRIES,
    Notice,
    TokenLimits,
    max_wait,
    pause_after,
    read_date,
    read_notice,
)
from exporter.sentry.remedies import Cause
from exporter.sentry.server_clock import ServerClock, halfway
from exporter.sentry.transport import Bound, Reply, Transport

STATS: Final = "stats_v2"
PROJECTS: Final = "projects"
APIS: Final = (STATS, PROJECTS)
"""The parts of Sentry's API that are used, as the label ``api`` names them."""

WAITS: Final = "exporter.sentry.waits"
"""The name of the logger for waits that Sentry requires."""

_MIN_LOGGED_WAIT: Final = 5.0
"""In seconds; a wait that is at least as long is logged when it begins."""

_ID_SIZE: Final = 4
"""Bytes of a request's id in the log."""

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)
_waits = structlog.get_logger(WAITS)


class Meter(Protocol):
    """Where requests are counted; ``api`` is one of `APIS`, or another one that `check` reads."""

    def request(self, api: str, code: int, seconds: float) -> None:
        """Count one request that was sent; ``code`` is 0 where no status came."""

    def failure(self, api: str, reason: str) -> None:
        """Count one request without a usable answer, by the reason of its `SentryError`."""

    def rate_limit(self, limit: int, remaining: int) -> None:
        """Set what the server's last answer says of its current rate limit window."""

    def throttled(self, seconds: float) -> None:
        """Add time waited because Sentry's rate limit required it."""

    def clock_skew(self, seconds: float) -> None:
        """Set by how much the server's clock is ahead of this host's."""

    def deprecation(self, api: str, moment: float | None) -> None:
        """Set when ``api`` is to be removed, in seconds since the epoch; None if it is not."""


class ClientClosedError(Exception):
    """The client has been closed, because another one has taken its place."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One request; ``id`` is what the log calls it, and its answer is within ``bound``."""

    api: str
    url: str
    id: str
    bound: Bound | None = None


class OrganizationApi:
    """The API of one organization at ``base``; any number of threads may read from it.

    ``name`` is what the log calls the organization, ``now`` the wall clock in seconds since the
    epoch, ``monotonic`` a clock that nobody sets.
    """

    def __init__(
        self,
        name: str,
        base: str,
        transport: Transport,
        limits: TokenLimits,
        meter: Meter,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._base = base
        self._transport = transport
        self._limits = limits
        self._meter = meter
        self._now = now
        self._monotonic = monotonic
        self._deprecations = Deprecations(name, meter, now)
        self._server_clock = ServerClock()
        # Made when answers come, as thousands of pollers look at it every second.
        self._status = ApiStatus()
        self._noting = Lock()
        self._last_refusal: tuple[str, float] = "rate_limited", max_wait(None)
        self._answered: set[str] = set()
        self._closed = False

    @property
    def status(self) -> ApiStatus:
        """What the answers so far have said beside the data."""
        return self._status

    def close(self) -> None:
        """Begin no other request; those that are out go on."""
        self._closed = True

    def read(
        self,
        api: str,
        parameters: Sequence[tuple[str, str]],
        parse: Callable[[Reply], Result],
        url: str = "",
        bound: Bound | None = None,
    ) -> Result:
        """Return what ``parse`` makes of the 200 that answers; raise `SentryError`.

        A 429 of the endpoint is retried after the wait that it requires. An ``api`` that is not one
        of `APIS` needs its ``url``. The answer is within ``bound``.
        """
        reply, request = self._get(api, url or f"{self._base}/{api}/", parameters, bound)
        with self._failures(request):
            # After the turn: decoding a large answer does not occupy one of the token's places.
            result = parse(reply)
        self._answered.add(api)
        return result

    def _get(
        self, api: str, url: str, parameters: Sequence[tuple[str, str]], bound: Bound | None
    ) -> tuple[Reply, _Request]:
        """Return the reply that may be the answer, and its request."""
        attempt = 0
        while True:
            request = _Request(api, url, token_hex(_ID_SIZE), bound)
            try:
                return self._get_once(request, parameters, 2.0**attempt), request
            except RateLimitError:
                if attempt == RATE_LIMIT_RETRIES:
                    raise
            attempt += 1

    def _get_once(
        self, request: _Request, parameters: Sequence[tuple[str, str]], fallback_pause: float
    ) -> Reply:
        log_wait = partial(self._log_wait, request.api)
        with self._limits.turn(log_wait, self._name) as throttled, self._failures(request):
            # After the wait for the turn, which may have taken minutes.
            if self._closed:
                raise ClientClosedError
            if throttled:
                self._meter.throttled(throttled)
            self._log_request(request, parameters)
            ended: dict[str, float] = {}
            observe = partial(self._observe, request, ended)
            # The server wrote its date some time between the two readings of our clock.
            sent, began = self._now(), self._monotonic()
            try:
                reply = self._transport.get(request.url, parameters, observe, request.bound)
                took = self._monotonic() - began
                self._compare_clocks(reply, halfway(sent, self._now(), took))
                notice = read_notice(reply.headers, self._now())
                ended |= self._note_rate_limit(notice)
            finally:
                self._log_end(request, ended)
            self._note_deprecations(request.api, reply)
            # Before the turn ends: the thread that gets this place next already meets the pause.
            self._pause(pause_after(notice, reply.error, fallback_pause), reply.error)
            if reply.error is None:
                return reply
            try:
                raise reply.error
            finally:
                del reply  # the error's traceback holds this frame, and so its own reply

    def _log_request(self, request: _Request, parameters: Sequence[tuple[str, str]]) -> None:
        _log.debug(
            "request",
            organization=self._name,
            api=request.api,
            request=request.id,
            parameters="&".join(f"{name}={value}" for name, value in parameters),
        )

    def _observe(
        self, request: _Request, ended: dict[str, float], code: int, seconds: float
    ) -> None:
        """Count a request that was sent, and add how it ended to ``ended``."""
        self._meter.request(request.api, code, seconds)
        ended.update(status=code, seconds=round(seconds, 3))

    def _log_end(self, request: _Request, ended: Mapping[str, float]) -> None:
        # Nothing has ended where nothing was sent, as without a token.
        if ended:
            _log.debug(
                "request ended",
                organization=self._name,
                api=request.api,
                request=request.id,
                **ended,
            )

    def _compare_clocks(self, reply: Reply, now: float) -> None:
        """Compare the answer's date with our clock, which showed ``now`` halfway."""
        date = read_date(reply.headers)
        if date is not None:
            self._meter.clock_skew(date - now)
            with self._noting:
                self._server_clock.note(date, now, self._monotonic())
                correction = self._server_clock.correction
                self._status = replace(
                    self._status, clock_skew=date - now, correction=correction, dated_at=now
                )

    def _note_rate_limit(self, notice: Notice) -> Mapping[str, int]:
        """Note the limits in an answer, and return them; one without them changes nothing."""
        limit, remaining, concurrent = notice.limit, notice.remaining, notice.concurrent
        # On every answer, a 200 too (Sentry's src/sentry/middleware/ratelimit.py), but not on those
        # of a proxy.
        if limit is None or remaining is None:
            return {}
        with self._noting:
            before = self._status.rate_limit
            if concurrent is None and before is not None:
                concurrent = before.concurrent
            rate_limit = RateLimit(limit, remaining, concurrent)
            self._status = replace(self._status, rate_limit=rate_limit)
        self._meter.rate_limit(limit, remaining)
        return {"limit": limit, "remaining": remaining}

    def _note_deprecations(self, api: str, reply: Reply) -> None:
        self._deprecations.note(api, reply.status, reply.headers)
        with self._noting:
            self._status = replace(self._status, deprecations=self._deprecations.announced)

    def _pause(self, seconds: float, error: SentryError | None) -> None:
        """Let the token pause for as long as an answer with ``error`` requires.

        What the store refuses is too much of this organization's data: others need not wait.
        """
        if seconds > 0:
            user = self._name if isinstance(error, TooHeavyError) else None
            self._limits.pause(seconds, user)
            reason = error.reason if error else "rate_limited"
            # One tuple, because threads share it: the log never combines two refusals.
            self._last_refusal = reason, max_wait(error)

    def _log_wait(self, api: str, seconds: float) -> None:
        if seconds >= _MIN_LOGGED_WAIT:
            reason, at_most = self._last_refusal
            _waits.info(
                "waiting before the next request, as Sentry requires",
                organization=self._name,
                api=api,
                reason=reason,
                seconds=round(seconds),
                at_most=round(at_most),
            )

    @contextmanager
    def _failures(self, request: _Request) -> Iterator[None]:
        """Count a `SentryError`, and add to it what is known here: request, address and cause."""
        try:
            yield
        except NoProjectsError:
            # An answer like any other, to a question about what the token can read.
            raise
        except SentryError as error:
            self._meter.failure(request.api, error.reason)
            if isinstance(error, NotFoundError):
                error.cause = self._why_not_found(request.api, error.cause)
            if not isinstance(error, TokenError):
                error.asked = str(self._transport.route(request.url))
                error.request = request.id
            _log.debug(
                "request failed", request=request.id, reason=error.reason, error=error.message
            )
            raise

    def _why_not_found(self, api: str, cause: Cause | None) -> Cause | None:
        """Return what is behind a 404; by its body alone, it is ``cause``."""
        # A wrong slug is a 404 for both APIs. Once stats have been answered, the endpoint exists.
        lacks_stats = api == STATS and PROJECTS in self._answered and STATS not in self._answered
        if lacks_stats and cause in {None, Cause.NOT_SENTRY}:
            return Cause.NO_STATS
        is_id = self._base.rpartition("/")[2].isdigit()
        return Cause.NUMERIC_ID if is_id and cause is None else cause
