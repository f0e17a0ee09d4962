"""Deprecations that Sentry announces in the headers of its answers: an API that will go away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import Final, Protocol

import structlog

from exporter.sentry.limits import read_moment
from exporter.sentry.refusals import presentable

_DAY: Final = 86_400.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """An announcement that ``api`` will be removed, with the ``date`` as the server writes it.

    ``replacement`` is ``""`` where none is named.
    """

    api: str
    date: str
    replacement: str

    def __str__(self) -> str:
        instead = f"; its replacement is {self.replacement}" if self.replacement else ""
        return f"Sentry removes {self.api} on {self.date}{instead}"

    @property
    def moment(self) -> float | None:
        """The date in seconds since the epoch, None where it cannot be read."""
        try:
            read = datetime.fromisoformat(self.date)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return read_moment(self.date)


class Meter(Protocol):
    """Where announcements are published."""

    def deprecation(self, api: str, moment: float | None) -> None:
        """Set when ``api`` is to be removed; None withdraws it."""


class Deprecations:
    """What one organization's server announces about each API, logged once a day.

    ``now`` is the wall clock, in seconds since the epoch.
    """

    def __init__(self, organization: str, meter: Meter, now: Callable[[], float]) -> None:
        self._organization = organization
        self._meter = meter
        self._now = now
        self._lock = Lock()
        self._announced: dict[str, Deprecation] = {}
        self._logged: dict[tuple[str, str], float] = {}

    @property
    def announced(self) -> tuple[Deprecation, ...]:
        """What is currently announced."""
        with self._lock:
            return tuple(self._announced.values())

    def note(self, api: str, status: int, headers: Mapping[str, str]) -> None:
        """Note what an answer with ``status`` and ``headers`` announces about ``api``."""
        deprecation = read_deprecation(api, headers)
        with self._lock:
            before = self._announced.get(api)
            if deprecation is not None:
                self._announced[api] = deprecation
            elif status == HTTPStatus.OK:
                # A refusal may come from a proxy, which knows nothing of announcements.
                self._announced.pop(api, None)
            after = self._announced.get(api)
            if after != before:
                # A race: within the lock, the answer noted last is also the one published.
                self._meter.deprecation(api, None if after is None else after.moment)
        if status == HTTPStatus.GONE:
            self._log_daily("Sentry has removed an API", api, deprecation)
        elif deprecation is not None:
            self._log_daily("Sentry removes an API", api, deprecation)

    def _log_daily(self, event: str, api: str, deprecation: Deprecation | None) -> None:
        now = self._now()
        with self._lock:
            # A clock that was set back must not silence this for longer than a day.
            if 0 <= now - self._logged.get((event, api), float("-inf")) < _DAY:
                return
            self._logged[event, api] = now
        _log.warning(
            event,
            organization=self._organization,
            api=api,
            date=deprecation.date if deprecation else "",
            replacement=deprecation.replacement if deprecation else "",
        )


def read_deprecation(api: str, headers: Mapping[str, str]) -> Deprecation | None:
    """Return the deprecation of ``api`` that ``headers`` announce, None if there is none.

    Sentry's ``src/sentry/api/helpers/deprecation.py`` writes the date in ISO 8601.
    """
    date = presentable(headers.get("X-Sentry-Deprecation-Date", ""))
    if not date:
        return None
    replacement = presentable(headers.get("X-Sentry-Replacement-Endpoint", ""))
    return Deprecation(api, date, replacement)
