"""Which buckets a backfill can read, and when their samples would have been scraped. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exporter.buckets import Window, floor
from exporter.config import QUOTAS_QUERY, Organization, Query
from exporter.config.notation import in_units, seconds
from exporter.moments import iso

HOUR: Final = 3600
DAY: Final = 86400

HOURLY_RETENTION: Final = 90 * DAY
"""Of a question that begins earlier, Sentry answers everything from its daily table: the values of
a day are all in its first bucket (Snuba's ``storage_selectors/outcomes.py``)."""

DAILY_RETENTION: Final = 393 * DAY
"""The shortest 13 months."""

EDGE: Final = HOUR
"""How far from the end of the hourly retention the first bucket is, as time passes and clocks
differ."""

HEAD: Final = 3 * HOUR
"""What Prometheus still has in memory, and promtool must not write."""

_EPOCH: Final = re.compile("[0-9]{9,11}")


class RangeError(ValueError):
    """A time or range that cannot be read. The message says why, and what can be."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for: the buckets from ``start`` to ``end``, with no sample after ``limit``.

    All are in seconds since the epoch.
    """

    start: float
    end: float
    limit: float


@dataclass(frozen=True, slots=True)
class Job:
    """A query, and the buckets that are read of it; ``number`` identifies it in the progress file.

    The interval of ``window`` is that of the query, unless days were asked for.
    """

    number: int
    organization: Organization
    query: Query
    window: Window

    @property
    def name(self) -> str:
        """The query as messages name it."""
        return f"{self.organization.name}/{self.query.name}"

    @property
    def shows_gauges(self) -> bool:
        """Whether its buckets are those that the bucket gauges of the query show."""
        return self.window.interval == self.query.interval

    @property
    def is_of_quotas(self) -> bool:
        """Whether it is read for quotas, and no configured query."""
        return self.query.name.partition(" ")[0] == QUOTAS_QUERY

    def finished(self, start: int) -> int:
        """Return when the bucket at ``start`` was finished."""
        return start + self.window.interval + self.organization.settle


def moment(text: str, now: float) -> float:
    """Return the time that ``text`` means: a date, seconds since the epoch, or a time before now.

    Raises `RangeError` if it means none.
    """
    for read in (_before(now), _seconds, _date):
        try:
            return read(text)
        except (ValueError, OverflowError):
            pass
    raise RangeError(
        f"{text!r} is not a time: expected a date such as 2026-08-01 or 2026-08-01T12:00:00Z, "
        "seconds since the epoch, or a duration before now such as 90d"
    )


def last_end(now: float) -> float:
    """Return the end of what can be imported at ``now``."""
    return now - HEAD


def job_window(
    organization: Organization, query: Query, asked: Range, resolution: int, now: float
) -> Window:
    """Return the buckets of ``query`` in the range that is ``asked`` for.

    ``resolution`` is the shortest bucket, in seconds. Raises `RangeError` if Sentry does not have
    these buckets any more, or if there are none.
    """
    interval = max(query.interval, resolution)
    name = f"{organization.name}/{query.name}"
    start = max(asked.start, _earliest(name, interval, asked.start, now))
    # Whatever is asked for: the sample of a bucket comes when it has settled.
    end = min(asked.end, asked.limit - organization.settle)
    window = Window(-floor(-start, interval), floor(end, interval), interval)
    if window.start >= window.end:
        raise RangeError(
            f"{name}: no bucket of {in_units(interval)} is finished between {iso(asked.start)} and "
            f"{iso(asked.limit)}, where history ends"
        )
    return window


def _earliest(name: str, interval: int, start: float, now: float) -> float:
    """Return the earliest time that can be read; raises `RangeError` if ``start`` is too old."""
    if interval < DAY:
        if start < now - HOURLY_RETENTION:
            first = -floor(-(now - HOURLY_RETENTION + EDGE), interval)
            raise RangeError(
                f"{name}: {iso(start)} is too old: Sentry has buckets of less than a day for 90 "
                f"days, here from {iso(first)} on; begin there, or use --resolution 1d for the "
                "counters of up to 13 months"
            )
        return now - HOURLY_RETENTION + EDGE
    if start < now - DAILY_RETENTION:
        first = -floor(-(now - DAILY_RETENTION), DAY)
        raise RangeError(
            f"{name}: {iso(start)} is too old: Sentry has days for 13 months, "
            f"here from {iso(first)} on"
        )
    return now - DAILY_RETENTION


def _before(now: float) -> Callable[[str], float]:
    return lambda text: now - seconds(text)


def _seconds(text: str) -> float:
    """Return seconds since the epoch; fewer digits would be a year, or a number without a unit."""
    if not _EPOCH.fullmatch(text):
        raise ValueError
    return float(text)


def _date(text: str) -> float:
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
