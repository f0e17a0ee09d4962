"""Durations, dates and ranges, parsed as stats_v2 parses them.

The rules are spread over ``src/sentry/utils/dates.py`` (durations), ``src/sentry/api/utils.py``
(ranges), ``src/sentry/snuba/sessions_v2.py`` (intervals) and ``src/sentry/snuba/metrics/utils.py``
(rounding).
"""

import re
from datetime import UTC, datetime
from typing import Final

from exporter.buckets import Window, floor
from exporter.simulator.messages import Parameters, Refused
from exporter.simulator.release import CURRENT, Release

MAX_POINTS: Final = 1000
DEFAULT_RANGE: Final = 90 * 86400

_DURATION: Final = re.compile(r"(\d+)([hdmsw]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# What a Python timedelta can hold.
_MAX_DURATION: Final = 999_999_999 * 86400
_DAY: Final = 86400
_TOO_MANY: Final = (
    "Your interval and date range would create too many results. "
    "Use a larger interval, or a smaller date range."
)


def parse_duration(text: str) -> int | None:
    """Return a duration such as ``90m`` in seconds, ``None`` if Sentry cannot parse it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    seconds = int(match[1]) * _UNITS[match[2]]
    return seconds if seconds <= _MAX_DURATION else None


def parse_interval(text: str | None) -> int:
    """Return the interval in seconds, or refuse as Sentry does."""
    # A value that does not parse is silently read as one hour; only the others are validated.
    parsed = parse_duration(text or "1h")
    interval = 3600 if parsed is None else parsed
    if interval % 60 or interval < 60:  # noqa: PLR2004 - one minute
        problem = "has to be a multiple of the minimum interval of one minute."
        raise Refused(400, f"The interval {problem}")
    if interval > _DAY:
        raise Refused(400, "The interval has to be less than one day.")
    if _DAY % interval:
        raise Refused(400, "The interval should divide one day without a remainder.")
    return interval


def parse_moment(text: str) -> float:
    """Return the epoch seconds of an ISO 8601 date, or of a number of epoch seconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _parse_epoch(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_window(parameters: Parameters, now: float, release: Release = CURRENT) -> Window:
    """Return the rounded range: the start is floored to the interval, the end is ceiled."""
    interval = parse_interval(parameters.last("interval"))
    start, end = _parse_range(parameters, now)
    if start >= end:
        raise Refused(400, "start must be before end")
    if release.has_inclusive_end and parameters.last("end"):
        end += 1
    # A start in the future is clamped to now; the end never is.
    window = Window(floor(min(start, now), interval), -floor(-end, interval), interval)
    if len(window) > MAX_POINTS:
        raise Refused(400, _TOO_MANY)
    return window


def _parse_range(parameters: Parameters, now: float) -> tuple[float, float]:
    # It wins over start and end (src/sentry/api/utils.py).
    period = parameters.last("statsPeriod")
    if period is not None:
        seconds = parse_duration(period)
        if seconds is None:
            raise Refused(400, f"Invalid statsPeriod: {period!r}")
        return now - seconds, now
    start, end = parameters.last("start"), parameters.last("end")
    if start and end:
        return parse_moment(start), parse_moment(end)
    if start or end:
        raise Refused(400, "start and end are both required")
    return now - DEFAULT_RANGE, now


def _parse_epoch(text: str) -> float:
    try:
        return datetime.fromtimestamp(float(text), UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        raise Refused(400, f"{text} is not a valid ISO8601 date query") from None
