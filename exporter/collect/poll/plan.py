"""The plan of an organization, read from Sentry at most once an hour."""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol, TypeVar

import structlog

from exporter.collect.poll.failure import Failure
from exporter.collect.quota.account import contradiction, plan_url
from exporter.config import Organization
from exporter.moments import iso
from exporter.quota.model import HOUR, Period
from exporter.sentry.customer import CUSTOMERS, CustomerDocument, CustomerPlan, plan_of
from exporter.sentry.errors import BadAnswerError, SentryError

PAUSE: Final = HOUR
"""Seconds between two requests for the plan."""

_TEMPORARY: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

D = TypeVar("D")
T = TypeVar("T")

_log = structlog.get_logger(__name__)


class PlanClient(Protocol):
    """What can be asked for a plan."""

    def look_up(self, api: str, url: str, kind: type[D], use: Callable[[D], T]) -> T:
        """Return what ``use`` makes of what ``url`` answers, as far as ``kind`` has fields."""
        ...

    def credentials(self) -> Hashable:
        """Return what changes when the token or the CA file does."""
        ...


@dataclass(slots=True, eq=False)
class PlanState:
    """What is known of a plan; ``up`` is None until it is asked for.

    ``reason`` is why it could not be read last, ``""`` if it could. ``contradicted`` are the
    periods that the last warning named.
    """

    plan: CustomerPlan | None = None
    up: bool | None = None
    tried_at: float | None = None
    tried_with: Hashable = None
    reason: str = ""
    contradicted: tuple[Period, Period] | None = field(default=None)


class PlanSource:
    """Reads the plan of an organization; ``waiting`` is a context for its request."""

    def __init__(
        self,
        organization: Organization,
        client: PlanClient,
        state: PlanState,
        waiting: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._organization = organization
        self._client = client
        self._state = state
        self._waiting = waiting

    def read(self, now: float) -> bool:
        """Read the plan if that is due; return whether it was read."""
        state = self._state
        if self._organization.billing.plan == "off":
            state.plan, state.up = None, None
            return False
        credentials = self._client, self._client.credentials()
        is_recent = state.tried_at is not None and 0 <= now - state.tried_at < PAUSE
        if is_recent and state.tried_with == credentials:
            return False
        try:
            with self._waiting():
                url = plan_url(self._organization)
                use = partial(plan_of, now=now)
                plan = self._client.look_up(CUSTOMERS, url, CustomerDocument, use)
        except SentryError as error:
            # Only now: a poll whose answer counts for nothing is no try of its successor's.
            state.tried_at, state.tried_with = now, credentials
            self._fail(error)
            return False
        state.tried_at, state.tried_with = now, credentials
        self._succeed(plan)
        return True

    def _succeed(self, plan: CustomerPlan) -> None:
        state = self._state
        if state.reason:
            _log.info("the plan can be read again", organization=self._organization.name)
        state.plan, state.up, state.reason = plan, True, ""
        periods = contradiction(self._organization.billing, plan)
        if periods is not None and periods != state.contradicted:
            named, planned = periods
            _log.warning(
                "the period in the file differs from that of the plan, whose period is used",
                organization=self._organization.name,
                file=period_text(named),
                plan=period_text(planned),
            )
        state.contradicted = periods

    def _fail(self, error: SentryError) -> None:
        """Go on with the values of the file, or with the plan if Sentry is only out of reach."""
        state = self._state
        state.up = False
        if _denies(error):
            state.plan = None
        if state.reason != error.reason:
            _log.warning(
                "cannot read the plan, using the last one"
                if state.plan
                else "cannot read the plan, using the values of the file",
                organization=self._organization.name,
                reason=error.reason,
                **Failure.of(error).details(),
            )
        state.reason = error.reason


def _denies(error: SentryError) -> bool:
    """Return whether the answer says that there is no plan, rather than that Sentry has a problem.

    A path that has moved is a redirect, or one of many 4xx.
    """
    is_refused = error.code // 100 == 4 and error.code not in _TEMPORARY  # noqa: PLR2004 - a 4xx
    return error.lasting or isinstance(error, BadAnswerError) or is_refused


def period_text(period: Period) -> str:
    """Return the first and the last day of a period."""
    return f"{iso(period.start)[:10]} to {iso(period.end - 1)[:10]}"
