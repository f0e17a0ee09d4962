"""A day and some hours of known outcomes, as a Prometheus that scraped the exporter has them.

Polls and scrapes happen on a clock that is turned by hand; what the exporter published at each
scrape goes into one OpenMetrics file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from exporter.app import Exporter
from exporter.config import Config
from exporter.simulator import Organization, Project, ProjectStatus, Row, Token, World
from tests.docs.clock import Clock, page, poll_due

TOKEN: Final = "known"
ACME: Final = 1
WEB, API, GONE = 11, 12, 13

MIDNIGHT: Final = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
DAY: Final = 86400
HOUR: Final = 3600
NOW: Final = MIDNIGHT + DAY + 2 * HOUR + 37 * 60
"""When the documents' expressions are asked: the third hour of a day is running."""

LATE: Final = 40
"""How many events come hours after their hour."""

PHASE: Final = 17
"""Seconds past the minute at which polls and scrapes happen."""

SCRAPE_INTERVAL: Final = 60
_BEGIN: Final = MIDNIGHT - 600 + PHASE

_NOT_DOCUMENTED: Final = ("sentry_stats_api_", "sentry_stats_poll_", "sentry_stats_exporter_")


def world() -> World:
    """Return one organization with two projects, a deleted one, and what happened to it."""
    return World(
        organizations=[Organization(ACME, "acme")],
        projects=[
            Project(WEB, ACME, "web", "javascript"),
            Project(API, ACME, "api", "python"),
            Project(GONE, ACME, "gone", None, ProjectStatus.DELETED),
        ],
        tokens=[Token(TOKEN, organization=ACME)],
    )


def rows() -> Iterator[Row]:
    """Yield the outcomes: some at 10 and 40 minutes past every hour, one too late, and a burst."""
    for hour in range(-30, 28):
        for minute in (10, 40):
            at = MIDNIGHT + hour * HOUR + minute * 60
            yield from _rows_at(at, day=hour // 24, busy=hour % 24)
    yield _row(API, "error", "accepted", None, MIDNIGHT + 5 * HOUR, LATE, MIDNIGHT + 8 * HOUR)
    yield _row(API, "error", "accepted", None, NOW - 17 * 60, 700)


def _rows_at(at: float, day: int, busy: int) -> Iterator[Row]:
    yield _row(WEB, "error", "accepted", None, at, 100 + 20 * day + 10 * busy)
    yield _row(API, "error", "accepted", None, at, 50 + busy)
    yield _row(GONE, "error", "accepted", None, at, 2)
    yield _row(WEB, "error", "filtered", "browser-extensions", at, 7)
    yield _row(API, "error", "invalid", "cors", at, 3)
    yield _row(WEB, "error", "client_discard", "sample_rate", at, 5)
    yield _row(WEB, "error", "client_discard", "ratelimit_backoff", at, 4)
    yield _row(WEB, "transaction", "accepted", None, at, 1000 + busy)
    yield _row(WEB, "attachment", "accepted", None, at, 1_000_000 + busy)
    if 9 <= busy <= 12:
        yield _row(WEB, "error", "rate_limited", "key_quota", at, 30 + busy)


def _row(
    project: int,
    category: str,
    outcome: str,
    reason: str | None,
    at: float,
    quantity: int,
    written_at: float | None = None,
) -> Row:
    return Row(ACME, project, category, outcome, reason, at, quantity, 1, written_at)


@dataclass
class Recording:
    """Scrapes of an exporter, family by family."""

    _headers: dict[str, list[str]] = field(default_factory=dict)
    _samples: dict[str, list[str]] = field(default_factory=dict)

    def scrape(self, page: str, now: float) -> None:
        """Add the samples of an OpenMetrics page that was scraped at ``now``."""
        family = ""
        for line in page.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                self._headers[family] = []
            if line.startswith("# "):
                self._headers.setdefault(family, []).append(line)
            else:
                self._samples.setdefault(family, []).append(f"{line} {now:.0f}")

    def text(self) -> str:
        """Return everything as one OpenMetrics document."""
        lines = [
            line
            for family, samples in self._samples.items()
            if family.startswith("sentry_stats_") and not family.startswith(_NOT_DOCUMENTED)
            for line in (*self._headers[family], *samples)
        ]
        return "\n".join([*lines, "# EOF", ""])


def record(config: Config, clock: Clock) -> str:
    """Return what a Prometheus that scrapes every minute would have by `NOW`."""
    exporter = Exporter(config, clock=clock)
    recording = Recording()
    clock.now = _BEGIN
    while clock.now <= NOW:
        poll_due(exporter, clock.now)
        recording.scrape(page(exporter, openmetrics=True), clock.now)
        clock.now += SCRAPE_INTERVAL
    return recording.text()
