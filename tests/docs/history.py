"""A day and some hours of known outcomes, as scraped from the exporter by a Prometheus.

Polls and scrapes run on a clock that the test sets. The page_text of each scrape is added to one
OpenMetrics file.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import Final

from exporter.app import Exporter
from exporter.config import Config
from exporter.simulator import Organization, Project, ProjectStatus, Row, Token, World
from tests.support.clock import Clock
from tests.support.exporters import scraped

TOKEN: Final = "known"
ACME: Final = 1
WEB, API, GONE = 11, 12, 13

MIDNIGHT: Final = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
DAY: Final = 86400
HOUR: Final = 3600
NOW: Final = MIDNIGHT + DAY + 2 * HOUR + 37 * 60
"""When the documents' expressions are evaluated: in the third hour of a day."""

LATE: Final = 40
"""The number of events that arrive hours after their hour."""

PHASE: Final = 17
"""Polls and scrapes run this many seconds past the minute."""

SCRAPE_INTERVAL: Final = 60
_BEGIN: Final = MIDNIGHT - 600 + PHASE


def world() -> World:
    """Return one organization with two active projects and a deleted one, without outcomes."""
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
    """Yield the outcomes: at 10 and 40 minutes past every hour, late events, and a burst."""
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
    yield _row(WEB, "attachment", "rate_limited", "key_quota", at, 20_000 + busy)
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


def pages(config: Config, clock: Clock) -> Iterator[tuple[float, str]]:
    """Yield the pages that are scraped until `NOW`, with their times; polls are made when due."""
    moments = count(_BEGIN, SCRAPE_INTERVAL)
    return scraped(Exporter(config, clock=clock), clock, takewhile(NOW.__ge__, moments))
