"""The client of one organization's stats and projects; every failure is a `SentryError`."""

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote

import requests
import structlog
from msgspec.json import Decoder

from exporter import buckets
from exporter.buckets import Window
from exporter.fingerprint import file_fingerprint
from exporter.sentry.answer import Answer, empty, parse
from exporter.sentry.api import PROJECTS, STATS, Meter, OrganizationApi
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.decoding import Document, decode
from exporter.sentry.errors import (
    BadAnswerError,
    BadRequestError,
    DeadlineError,
    ForbiddenError,
    NoProjectsError,
    Refusal,
    SentryError,
    ServerError,
    TooHeavyError,
    TooLargeError,
)
from exporter.sentry.limits import MAX_REFUSALS, TokenLimits
from exporter.sentry.projects import Project, ProjectList, next_cursor, parse_page
from exporter.sentry.question import ALL_READABLE, QUANTITY, ROW_LIMIT, Question
from exporter.sentry.refusals import is_glitchtip
from exporter.sentry.remedies import Cause
from exporter.sentry.token import TokenSource
from exporter.sentry.transport import Bound, Reply, Transport

MAX_PAGES: Final = 1000
# Sentry's maximum; a larger per_page is a 400.
PAGE_SIZE: Final = 100

# Sentry computes both collapsed parts for every project, and nothing here uses them.
_PAGE: Final = (
    ("per_page", str(PAGE_SIZE)),
    ("collapse", "latestDeploys"),
    ("collapse", "unusedFeatures"),
)
_ALL: Final = (("all_projects", "1"), *_PAGE)
"""Parameters for all projects at once; a server that does not know the first sends a page."""

# A page may be available where all projects are too much at once, or not to be asked for.
_NOT_AT_ONCE: Final = (BadRequestError, DeadlineError, ServerError, TooHeavyError, TooLargeError)

_GROUP_SIZE: Final = 1024
"""Bytes of a group with its labels and totals; Sentry's have 200."""

_VALUE_SIZE: Final = 4
"""Bytes of a value in a series, on average: no more than `ROW_LIMIT` of them are not 0."""

_COMMAS: Final = 16
"""Commas of a group, without those in its series; Sentry's have seven."""

_LIST: Final = Bound(1 << 30, 250_000, 1 << 30, "the projects list has more than 250000 objects")
"""A project has about five objects, and 1.5 kB: a list of 64 MiB has 220,000."""

_DOCUMENT: Final = Bound(
    4 << 20, 50_000, 200_000, "the answer has more than 50000 objects, or is larger than 4 MiB"
)

_HOUR: Final = 3600

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Upstream:
    """One organization on one server, and the token that reads it.

    ``organization`` is a slug or an id, ``name`` what the log calls it, the same where it is
    empty. ``url`` has no slash at its end, ``timeout`` is in seconds, ``max_response_size`` in
    bytes.
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

        Its repr shows no secret, and no file is read for it.
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
        self._name = upstream.name or upstream.organization
        self._limits = limits
        self._now = now
        self._transport = transport = Transport(
            session,
            upstream.token,
            ca_file=upstream.ca_file,
            timeout=upstream.timeout,
            max_response_size=upstream.max_response_size,
        )
        base = f"{upstream.url}/api/0/organizations/{quote(upstream.organization, safe='')}"
        self._api = OrganizationApi(self._name, base, transport, limits, meter, now=now)
        self._by_pages = False
        self._can_read_projects = True

    @property
    def status(self) -> ApiStatus:
        """What the answers so far have said beside the data."""
        return self._api.status

    def credentials(self) -> Hashable:
        """Return what changes when the token's place or the CA file does; see `Upstream`."""
        return self._upstream.credentials()

    def close(self) -> None:
        """Begin no other request: what asks for one gets a `ClientClosedError`."""
        self._api.close()

    def ask(self, question: Question) -> Answer:
        """Return the answer to ``question``; raise `SentryError`.

        Where the token can read no project, a question about all that it can read has no groups.
        """
        try:
            return self._api.read(
                STATS, question.parameters(), partial(_answer, question), bound=_bound(question)
            )
        except NoProjectsError:
            return empty(question)

    def ask_all(self, questions: Sequence[Question]) -> list[Answer | Refusal]:
        """Return the answers in order; as many are asked at once as the token's limits allow.

        A question that is too heavy has its error in its place, unless there are too many of
        them, and so has one that is forbidden because of a project that it names. Any other error
        is raised, the first one, and what has not begun by then is not asked.
        """
        too_heavy: list[Question] = []
        tasks = [partial(self._try, question, too_heavy) for question in questions]
        return self._limits.run_all(tasks)

    def projects(self) -> ProjectList:
        """Return every project of the organization; raise `SentryError`.

        A list that says of every project that the token cannot read it describes the token's
        user: whether the token reads projects all the same is then learnt from the stats.
        """
        projects = ProjectList.of(self._pages())
        # The user of an integration is in no team, so hasAccess is false everywhere; see `Project`.
        if projects.by_id and not projects.accessible and self._reads_projects():
            return projects.all_readable()
        return projects

    def look_up(
        self, api: str, url: str, kind: type[Document], use: Callable[[Document], Result]
    ) -> Result:
        """Return what ``use`` makes of what ``url`` answers; raise `SentryError`, its own too.

        Of the answer, ``use`` gets what ``kind`` has fields for. ``api`` is what metrics and the
        log call it.
        """
        return self._api.read(
            api, (), lambda reply: use(decode(Decoder(kind), reply.body)), url, _DOCUMENT
        )

    def _try(self, question: Question, too_heavy: list[Question]) -> Answer | Refusal:
        # An error that is returned loses its traceback, which would hold all frames up to here.
        try:
            return self.ask(question)
        except ForbiddenError as error:
            if not question.project:
                raise
            return error.with_traceback(None)
        except TooHeavyError as error:
            # A race: other threads append too. The list only grows, so passing the limit is never
            # missed.
            too_heavy.append(question)
            if len(too_heavy) > MAX_REFUSALS:
                raise
            return error.with_traceback(None)

    def _reads_projects(self) -> bool:
        """Return whether there is any project that the token can read.

        Where that cannot be learnt, the last result holds, and before there is one, that it can:
        the list could be read, and what the token cannot read is not in the stats anyway.
        """
        end = buckets.floor(self._now(), _HOUR)
        # Only the status matters, so the filter is one that hardly any row passes.
        question = Question(
            (QUANTITY,),
            ("project",),
            Window(end - _HOUR, end, _HOUR),
            category=("default",),
            outcome=("abuse",),
            project=ALL_READABLE,
        )
        try:
            self._api.read(STATS, question.parameters(), lambda _: None, bound=_bound(question))
            self._can_read_projects = True
        except NoProjectsError:
            self._can_read_projects = False
        except SentryError as error:
            _log.debug("cannot find out whether the token can read projects", error=str(error))
        return self._can_read_projects

    def _pages(self) -> Iterator[Project]:
        cursors: set[str] = set()
        page = self._first_page()
        while True:
            yield from page.projects
            if page.next_cursor is None:
                return
            cursors.add(page.next_cursor)
            page = self._page([*_PAGE, ("cursor", page.next_cursor)], cursors)

    def _first_page(self) -> "_Page":
        """Return all projects, or a page of them where they cannot be read at once.

        After that only pages are read, unless the server had an error of its own.
        """
        if self._by_pages:
            return self._page(_PAGE)
        try:
            parse = partial(_parsed_page, by_pages=False)
            return self._api.read(PROJECTS, _ALL, parse, bound=_LIST)
        except _NOT_AT_ONCE as error:
            reason, message, may_pass = error.reason, str(error), isinstance(error, ServerError)
        page = self._page(_PAGE)
        # Set only now: a server that is down sends no page either, which says nothing about it.
        self._by_pages = not may_pass
        _log.warning(
            "cannot read all projects in one request, falling back to pages",
            organization=self._name,
            reason=reason,
            error=message,
        )
        return page

    def _page(
        self, parameters: Sequence[tuple[str, str]], cursors: Collection[str] = ()
    ) -> "_Page":
        parse = partial(_parsed_page, cursors=cursors)
        return self._api.read(PROJECTS, parameters, parse, bound=_LIST)


class _Page(NamedTuple):
    """Some projects, and the cursor of the next page, None on the last one."""

    projects: Sequence[Project]
    next_cursor: str | None


def _parsed_page(reply: Reply, *, by_pages: bool = True, cursors: Collection[str] = ()) -> _Page:
    """Return the page in ``reply``; raise `BadAnswerError` where the list would have no end.

    ``cursors`` are those of the pages that were asked for so far.
    """
    projects = parse_page(reply.body)
    # An answer with all projects has no Link header, however many there are; a page has one.
    _check_link(reply, full=by_pages and len(projects) >= PAGE_SIZE)
    cursor = next_cursor(reply.headers.get("Link", ""))
    if cursor is not None and (cursor in cursors or len(cursors) + 1 >= MAX_PAGES):
        raise BadAnswerError("Link", "the list of projects has no last page")
    return _Page(projects, cursor)


def _check_link(reply: Reply, *, full: bool) -> None:
    """Raise `BadAnswerError` where the header with the next page's cursor has been lost.

    The part of the list that came would be taken for the complete one.
    """
    if "Link" in reply.headers:
        return
    if reply.broken_headers:
        raise BadAnswerError("Link", "may be lost: the headers of the answer are malformed")
    if full:
        raise BadAnswerError("Link", "is missing from a full page")


def _bound(question: Question) -> Bound:
    """Return how much an answer may hold: `ROW_LIMIT` groups, of three or four objects each.

    A series has a value for each bucket, and Sentry adds one or two buckets by rounding.
    """
    has_series = "project" not in question.group_by
    values = (len(question.window) + 2) * len(question.fields) if has_series else 0
    return Bound(
        ROW_LIMIT * (_GROUP_SIZE + _VALUE_SIZE * values),
        ROW_LIMIT * (4 if has_series else 3) + 1,
        ROW_LIMIT * (_COMMAS + values),
        f"the answer has more than {ROW_LIMIT} groups, or more values than these can have",
    )


def _answer(question: Question, reply: Reply) -> Answer:
    try:
        return parse(reply.body, question)
    except BadAnswerError as error:
        if is_glitchtip(reply.body):
            error.cause = Cause.GLITCHTIP
        raise
