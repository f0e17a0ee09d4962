"""Request handling without sockets: routing, rate limits, faults, and the answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from exporter.simulator import control, customers, projects, stats
from exporter.simulator.access import authenticate, authorize, find_token
from exporter.simulator.columns import ColumnStore
from exporter.simulator.deprecation import Deprecation
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.limits import OTHER_LIMIT, STATS_LIMIT, Limiter, RateLimit, caller_of
from exporter.simulator.messages import JSON, TEXT, Answer, Refused, Request, document, refusal
from exporter.simulator.release import CURRENT, Release
from exporter.simulator.world import World

_ROUTE: Final = re.compile(r"/api/0/organizations/([^/]+)/(?:(stats_v2|projects)/)?")
_CUSTOMER: Final = re.compile(r"/api/0/customers/([^/]+)/")
_DETAILS: Final = "details"
"""What requests about the organization itself are called."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the fault that disturbs its delivery, if any."""

    answer: Answer
    fault: Fault | None = None


@dataclass(slots=True)
class Application:
    """Answers requests about ``world`` as Sentry does. ``clock`` returns epoch seconds.

    A ``rate_limit`` of ``None`` simulates a self-hosted server: no limits, no headers about them.
    ``wait`` is called with ``latency``, in seconds, before each answer. Unless ``all_projects``
    is set, the query parameter of that name is ignored. ``release`` is the simulated release of
    Sentry. ``deprecations`` may change at any time.
    """

    world: World
    clock: Callable[[], float]
    wait: Callable[[float], object]
    latency: float = 0.0
    row_limit: int = 10_000
    rate_limit: RateLimit | None = STATS_LIMIT
    all_projects: bool = True
    release: Release = CURRENT
    deprecations: list[Deprecation] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    _limiter: Limiter = field(default_factory=Limiter)
    _columns: ColumnStore = field(init=False)

    def __post_init__(self) -> None:
        self._columns = ColumnStore(self.world.store)

    def reply(self, request: Request) -> Reply:
        """Return the reply to ``request``."""
        try:
            return self._route(request)
        except Refused as refused:
            return Reply(refused.answer)

    def _route(self, request: Request) -> Reply:
        if request.path.startswith(control.PREFIX):
            return Reply(
                control.answer(
                    request, self.world, self.faults, self.deprecations, now=self.clock()
                )
            )
        customer = _CUSTOMER.fullmatch(request.path)
        if customer is not None:
            return self._limited(request, customer[1], "customers")
        route = _ROUTE.fullmatch(request.path)
        if route is None or (route[2] == "stats_v2" and not self.release.has_stats_v2):
            return Reply(_no_route(request))
        return self._limited(request, route[1], route[2] or _DETAILS)

    def _limited(self, request: Request, organization: str, endpoint: str) -> Reply:
        now = self.clock()
        # Limits come before authentication: a request with an unknown token counts for its address.
        token = find_token(self.world, request.headers.get("authorization", ""))
        caller = caller_of(token, request.address)
        limit = self._limit(endpoint)
        with self._limiter.admit(limit, endpoint, caller, now) as admission:
            if admission.refused is not None:
                return Reply(admission.refused.with_headers(admission.headers))
            self.wait(self.latency)
            fault = self.faults.take(self._slug(organization), endpoint, now)
            faulty_answer = fault.answer() if fault else None
            answer = faulty_answer or self._answer(request, organization, endpoint)
            headers = (*admission.headers, *self._deprecation_headers(endpoint))
            return Reply(answer.with_headers(headers), fault)

    def _answer(self, request: Request, id_or_slug: str, endpoint: str) -> Answer:
        if request.method not in {"GET", "HEAD"}:
            return refusal(405, f'Method "{request.method}" not allowed.')
        try:
            token = authenticate(self.world, request.headers.get("authorization", ""))
            organization = authorize(self.world, token, id_or_slug, self.release)
            parameters = request.parameters()
            if endpoint == _DETAILS:
                return document(200, organization.details())
            if endpoint == "customers":
                return customers.answer(
                    token, organization, self.world, self._columns, now=self.clock()
                )
            if endpoint == "projects":
                return projects.answer(
                    parameters,
                    token,
                    organization,
                    self.world,
                    supports_all_projects=self.all_projects,
                )
            return stats.answer(
                parameters,
                token,
                organization,
                self.world,
                self._columns,
                now=self.clock(),
                row_limit=self.row_limit,
                release=self.release,
            )
        except Refused as refused:
            return refused.answer

    def _deprecation_headers(self, endpoint: str) -> tuple[tuple[str, str], ...]:
        announced = [each.headers() for each in self.deprecations if each.endpoint == endpoint]
        # A later announcement for the same endpoint replaces an earlier one.
        return announced[-1] if announced else ()

    def _limit(self, endpoint: str) -> RateLimit | None:
        # The projects list has no limit of its own: it shares the caller's default one.
        uses_default = self.rate_limit is not None and endpoint != "stats_v2"
        return OTHER_LIMIT if uses_default else self.rate_limit

    def _slug(self, id_or_slug: str) -> str:
        organization = self.world.organization(id_or_slug)
        return organization.slug if organization else id_or_slug


def _no_route(request: Request) -> Answer:
    # As src/sentry/api/endpoints/catchall.py answers: no redirect, and text unless JSON was sent.
    advice = "Route not found, did you forget a trailing slash?"
    if request.path.endswith("/"):
        return document(404, {"info": "Route not found"})
    if request.headers.get("content-type") == JSON:
        return document(404, {"info": f"{advice} try: {request.path}/"})
    return Answer(404, f"{advice}\n\ntry: {request.path}/\n".encode(), TEXT)
