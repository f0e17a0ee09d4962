"""Asks Sentry, within the limits of the token, and tells every failure as a `SentryError`."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

import requests
import structlog

from exporter import buckets
from exporter.buckets import Window
from exporter.sentry.answer import Answer, nothing, parse
from exporter.sentry.errors import (
    BadAnswerError,
    BadRequestError,
    DeadlineError,
    ForbiddenError,
    NoProjectsError,
    NotFoundError,
    RateLimitError,
    SentryError,
    ServerError,
    TokenError,
    TooHeavyError,
    TooLargeError,
)
from exporter.sentry.limits import LONGEST_PAUSE, Notice, TokenLimits, read_date, read_notice
from exporter.sentry.news import Deprecation, News
from exporter.sentry.projects import Project, ProjectList, next_cursor, parse_page
from exporter.sentry.question import ALL_READABLE, QUANTITY, Question
from exporter.sentry.refusals import is_glitchtip, presentable
from exporter.sentry.remedies import Cause
from exporter.sentry.token import TokenSource, file_fingerprint
from exporter.sentry.transport import Reply, Transport

RATE_LIMIT_RETRIES: Final = 5
MOST_REFUSALS: Final = 6
"""Questions of one call that the store may refuse as too heavy before it counts as down."""

STORE_PAUSE: Final = 30.0
"""In seconds: the store behind the endpoint is overloaded, and its window is not told."""

TOLD_FROM: Final = 5.0
"""In seconds: who waits for as long as that says so in the log."""

WAITS: Final = "exporter.sentry.waits"
"""The name of the logger that tells of such waits."""

PAGE_LIMIT: Final = 1000
PAGE_SIZE: Final = 100

_STATS: Final = "stats_v2"
_PROJECTS: Final = "projects"
APIS: Final = (_STATS, _PROJECTS)
"""The parts of Sentry's API that are asked, as the label ``api`` calls them."""

_PAGE: Final = (
    ("per_page", str(PAGE_SIZE)),
    ("collapse", "latestDeploys"),
    ("collapse", "unusedFeatures"),
)
_ALL: Final = (("all_projects", "1"), *_PAGE)
"""All projects at once; of a server that does not know how, their first page."""

# A page may still be had where all at once are too much, or where asking for them is a mistake.
_NOT_AT_ONCE: Final = (BadRequestError, DeadlineError, ServerError, TooHeavyError, TooLargeError)

_CONCURRENCY_WORDS: Final = "allowed concurrency"
_WINDOW: Final = 1.0
_HOUR: Final = 3600

Refusal = TooHeavyError | ForbiddenError

_log = structlog.get_logger(__name__)
_waits = structlog.get_logger(WAITS)


class Meter(Protocol):
    """Where a client's requests are counted; ``api`` is one of `APIS`."""

    def request(self, api: str, code: int, seconds: float) -> None:
        """Count one request that was sent; ``code`` is 0 where no status came."""

    def failure(self, api: str, reason: str) -> None:
        """Count one request without a usable answer, for a `SentryError`'s reason."""

    def rate_limit(self, limit: int, remaining: int) -> None:
        """Keep what the server said last about its present window."""

    def throttled(self, seconds: float) -> None:
        """Add time waited because the server said so."""

    def clock_skew(self, seconds: float) -> None:
        """Keep by how much the server's clock is ahead of this host's."""

    def deprecation(self, api: str, moment: float | None) -> None:
        """Keep when ``api`` is to go away, in seconds since the epoch; None if it is not."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One organization on one server, and the token that reads it.

    ``organization`` is a slug or an id, ``name`` what the log calls it, the same where it is left
    empty. ``url`` has no slash at its end, ``timeout`` is in seconds,
    ``max_response_size`` in bytes.
    """

    organization: str
    url: str
    token: TokenSource
    ca_file: Path | None = None
    timeout: float = 30.0
    max_response_size: int = 64 * 1024 * 1024
    name: str = ""

    def credentials(self) -> Hashable:
        """Return what changes when the token's place or the CA file does; never raises.

        Nothing secret is in its repr, and no file is read for it.
        """
        ca_file = None if self.ca_file is None else file_fingerprint(self.ca_file)
        return self.token.fingerprint(), ca_file


class SentryClient:
    """One organization's stats and projects; any number of threads may ask.

    ``now`` is the wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        upstream: Upstream,
        session: requests.Session,
        limits: TokenLimits,
        meter: Meter,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._organization = upstream.organization
        self._name = upstream.name or upstream.organization
        self._base = f"{upstream.url}/api/0/organizations/{quote(self._organization, safe='')}"
        self._transport = Transport(
            session,
            upstream.token,
            ca_file=upstream.ca_file,
            timeout=upstream.timeout,
            max_response_size=upstream.max_response_size,
        )
        self._limits = limits
        self._meter = meter
        self._now = now
        self._news = News(self._name, meter, now)
        self._clock_skew: float | None = None
        self._refused: SentryError | None = None
        self._by_pages = False
        self._listed = False
        self._answered = False
        self._reads_any = True

    @property
    def clock_skew(self) -> float | None:
        """By how many seconds the server's clock was ahead of ours at the last answer with a date.

        It may be wrong by a second, the resolution of that date. None until there is one.
        """
        return self._clock_skew

    @property
    def deprecations(self) -> Mapping[str, Deprecation]:
        """What the server has announced to take away, by API."""
        return self._news.announced

    def credentials(self) -> Hashable:
        """Return what changes when the token's place or the CA file does; see `Upstream`."""
        return self._upstream.credentials()

    def ask(self, question: Question) -> Answer:
        """Return the answer to ``question``; raises `SentryError`.

        Where the token can read no project, a question about all that it can read has no groups.
        """
        try:
            reply = self._get(_STATS, question.parameters())
        except NoProjectsError:
            return nothing(question)
        with self._failures(_STATS):
            answer = self._parsed(reply.body, question)
        self._answered = True
        return answer

    def ask_all(self, questions: Sequence[Question]) -> list[Answer | Refusal]:
        """Return the answers in order, asked as many at once as the token may.

        A question that is too heavy has its error in its place, unless there are too many of
        them, and so has one that is forbidden because of a project that it names. Any other error
        is raised, the first one, and what has not begun by then is not asked.
        """
        refusals: list[TooHeavyError] = []
        tasks = [partial(self._try, question, refusals) for question in questions]
        return self._limits.run_all(tasks)

    def projects(self) -> ProjectList:
        """Return every project of the organization; raises `SentryError`.

        They are asked for at once; where that fails and a page does not, by pages, and so from
        then on unless the server had trouble of its own. A list that says of every project that
        it cannot be read speaks of the token's user: whether the token reads projects all the same
        is learnt from the stats.
        """
        listed = ProjectList.of(self._pages())
        if listed.by_id and not listed.accessible and self._reads_projects():
            return listed.all_readable()
        return listed

    def _reads_projects(self) -> bool:
        """Return whether there is any project that the token can read.

        Where that cannot be learnt, the last verdict holds, and before there is one, that it can:
        the list has been had, and what cannot be read does not come back from the stats anyway.
        """
        end = buckets.floor(self._now(), _HOUR)
        # Hardly any row is of this kind: it is the status that answers.
        question = Question(
            (QUANTITY,),
            ("project",),
            Window(end - _HOUR, end, _HOUR),
            category=("default",),
            outcome=("abuse",),
            project=ALL_READABLE,
        )
        try:
            self._get(_STATS, question.parameters())
            self._reads_any = True
        except NoProjectsError:
            self._reads_any = False
        except SentryError as error:
            _log.debug("cannot learn whether the token reads projects", error=str(error))
        return self._reads_any

    def _try(self, question: Question, refusals: list[TooHeavyError]) -> Answer | Refusal:
        try:
            return self.ask(question)
        except ForbiddenError as error:
            if not question.project:
                raise
            return error
        except TooHeavyError as error:
            refusals.append(error)
            if len(refusals) > MOST_REFUSALS:
                raise
            return error

    def _parsed(self, body: bytes, question: Question) -> Answer:
        try:
            return parse(body, question)
        except BadAnswerError as error:
            if is_glitchtip(body):
                error.cause = Cause.GLITCHTIP
            raise

    def _pages(self) -> Iterator[Project]:
        cursor: str | None = None
        seen: set[str | None] = set()
        while cursor not in seen and len(seen) < PAGE_LIMIT:
            seen.add(cursor)
            if cursor is None:
                reply, by_pages = self._first_page()
            else:
                reply, by_pages = self._get(_PROJECTS, [*_PAGE, ("cursor", cursor)]), True
            with self._failures(_PROJECTS):
                page = parse_page(reply.body)
                _check_link(reply, full=by_pages and len(page) >= PAGE_SIZE)
                cursor = next_cursor(reply.headers.get("Link", ""))
            self._listed = True
            yield from page
            if cursor is None:
                return
        with self._failures(_PROJECTS):
            raise BadAnswerError("Link", "the pages do not come to an end")

    def _first_page(self) -> tuple[Reply, bool]:
        """Return all projects in one answer, or a page where they cannot be had so; and which."""
        if self._by_pages:
            return self._get(_PROJECTS, _PAGE), True
        try:
            return self._get(_PROJECTS, _ALL), False
        except _NOT_AT_ONCE as error:
            failure = error
        page = self._get(_PROJECTS, _PAGE)
        # Only now: a server that is down gives no page either, and is not to be judged by that.
        # Nor by an error of its own, which may pass.
        self._by_pages = not isinstance(failure, ServerError)
        _log.warning(
            "cannot read all projects in one request, falling back to pages",
            organization=self._name,
            reason=failure.reason,
            error=str(failure),
        )
        return page, True

    def _get(self, api: str, parameters: Sequence[tuple[str, str]]) -> Reply:
        """Return a 200; a 429 of the endpoint is waited for, all else that goes wrong raised."""
        for attempt in range(RATE_LIMIT_RETRIES):
            with suppress(RateLimitError):
                return self._get_once(api, parameters, 2.0**attempt)
        return self._get_once(api, parameters, 2.0**RATE_LIMIT_RETRIES)

    def _get_once(
        self, api: str, parameters: Sequence[tuple[str, str]], fallback_pause: float
    ) -> Reply:
        tell = partial(self._tell_wait, api)
        with self._limits.turn(tell) as throttled, self._failures(api):
            if throttled:
                self._meter.throttled(throttled)
            observe = partial(self._meter.request, api)
            sent = self._now()
            reply = self._transport.get(self._url(api), parameters, observe)
            self._compare_clocks(reply, (sent + self._now()) / 2)
            self._news.take(api, reply.status, reply.headers)
            self._rest(read_notice(reply.headers, self._now()), reply.error, fallback_pause)
            if reply.error is not None:
                raise reply.error
        return reply

    def _compare_clocks(self, reply: Reply, now: float) -> None:
        """Hold the answer's date against our clock, which showed ``now`` halfway."""
        date = read_date(reply.headers)
        if date is not None:
            self._clock_skew = date - now
            self._meter.clock_skew(self._clock_skew)

    def _rest(self, notice: Notice, error: SentryError | None, fallback_pause: float) -> None:
        """Let the token rest for as long as an answer requires."""
        if notice.limit is not None and notice.remaining is not None:
            self._meter.rate_limit(notice.limit, notice.remaining)
        seconds = _pause(notice, error, fallback_pause)
        if seconds > 0:
            self._limits.pause(seconds)
            self._refused = error

    def _tell_wait(self, api: str, seconds: float) -> None:
        if seconds >= TOLD_FROM:
            _waits.info(
                "waiting before the next request, as Sentry requires",
                organization=self._name,
                api=api,
                reason=self._refused.reason if self._refused else "rate_limited",
                seconds=round(seconds),
                at_most=round(_longest_wait(self._refused)),
            )

    @contextmanager
    def _failures(self, api: str) -> Iterator[None]:
        try:
            yield
        except NoProjectsError:
            # An answer like any other, to a question about what the token can read.
            raise
        except SentryError as error:
            self._meter.failure(api, error.reason)
            if isinstance(error, BadAnswerError):
                # A place in a document is made of the server's own keys.
                error.args = (presentable(str(error.args[0])),)
            if isinstance(error, NotFoundError):
                error.cause = error.cause or self._why_not_found(api)
            if not isinstance(error, TokenError):
                error.asked = str(self._transport.route(self._url(api)))
            raise

    def _why_not_found(self, api: str) -> Cause | None:
        if api == _STATS and self._listed and not self._answered:
            return Cause.NO_STATS
        return Cause.NUMERIC_ID if self._organization.isdigit() else None

    def _url(self, api: str) -> str:
        return f"{self._base}/{api}/"


def _check_link(reply: Reply, *, full: bool) -> None:
    """Raise `BadAnswerError` where the header that leads to the next page has been lost.

    Half a list would look like a whole one.
    """
    if "Link" in reply.headers:
        return
    if reply.broken_headers:
        raise BadAnswerError("Link", "may be lost: the headers of the answer are broken")
    if full:
        raise BadAnswerError("Link", "is missing from a full page")


def _longest_wait(error: SentryError | None) -> float:
    """Return the seconds after which a call is given up that meets nothing but ``error``."""
    if isinstance(error, TooHeavyError):
        return (MOST_REFUSALS + 1) * LONGEST_PAUSE
    return LONGEST_PAUSE * (RATE_LIMIT_RETRIES if isinstance(error, RateLimitError) else 1)


def _pause(notice: Notice, error: SentryError | None, fallback_pause: float) -> float:
    """Return the seconds for which the token has to rest after an answer.

    ``fallback_pause`` is for a 429 that does not say how long it lasts.
    """
    retry_after = notice.retry_after or 0.0
    if isinstance(error, TooHeavyError):
        return max(retry_after, STORE_PAUSE)
    if isinstance(error, RateLimitError):
        # The reset is that of the requests' window, which has nothing to do with concurrency.
        crowded = _CONCURRENCY_WORDS in error.detail
        return retry_after or (not crowded and notice.reset) or fallback_pause
    if notice.remaining == 0:
        return max(retry_after, _WINDOW if notice.reset is None else notice.reset)
    return retry_after
