"""Times as they are written, and the buckets that can be read."""

import pytest

from exporter.backfill.times import DAY, HOUR, Job, Range, RangeError, job_window, last_end, moment
from tests.support.rows import NOON
from tests.support.settings import SETTLE, organization, query

NOW = NOON + 10 * 60
LIMIT = last_end(NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-08-01", 1785542400),
        ("2026-08-01T12:00:00Z", 1785585600),
        ("2026-08-01T12:00:00+02:00", 1785578400),
        ("1785542400", 1785542400),
        ("90d", NOW - 90 * DAY),
        ("36h", NOW - 36 * HOUR),
    ],
)
def test_times(text: str, expected: float) -> None:
    """A time is a date in UTC, seconds since the epoch, or a duration before now."""
    assert expected == moment(text, NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "90", "2026-13-01", "1e999", "nan", "-5"])
def test_what_is_no_time(text: str) -> None:
    """Anything else is refused, with what is allowed."""
    with pytest.raises(RangeError, match="is not a time: expected a date such as"):
        moment(text, NOW)


def test_last_bucket_has_settled_three_hours_ago() -> None:
    """The sample of the last bucket is not in what Prometheus has in memory."""
    window = job_window(organization(), query(), Range(NOW - DAY, NOW, LIMIT), HOUR, NOW)
    last = Job(0, organization(), query(), window).finished(window.end - HOUR)

    assert NOON - 3 * HOUR == window.end
    assert NOW - 4 * HOUR < last <= NOW - 3 * HOUR


def test_only_complete_buckets_are_read() -> None:
    """A bucket that begins before the range, or ends after it, is not read."""
    asked = Range(NOON - 2 * DAY + 1, NOON - DAY - 1, LIMIT)
    window = job_window(organization(), query(), asked, HOUR, NOW)

    assert (NOON - 2 * DAY + HOUR, NOON - DAY - HOUR) == (window.start, window.end)


@pytest.mark.parametrize(
    ("interval", "resolution", "expected"),
    [(HOUR, HOUR, HOUR), (HOUR, DAY, DAY), (6 * HOUR, HOUR, 6 * HOUR), (DAY, HOUR, DAY)],
)
def test_resolution(interval: int, resolution: int, expected: int) -> None:
    """Buckets are those of the query, or days; gauges show those of the query only."""
    asked = query(interval=interval)
    window = job_window(organization(), asked, Range(NOW - 9 * DAY, NOW, LIMIT), resolution, NOW)

    assert expected == window.interval
    assert 0 == window.start % expected == window.end % expected
    assert (interval == expected) == Job(0, organization(), asked, window).shows_gauges


def test_ninety_days_by_the_hour() -> None:
    """The range may begin 90 days ago; the first hour is far enough from the edge."""
    window = job_window(organization(), query(), Range(NOW - 90 * DAY, NOW, LIMIT), HOUR, NOW)

    assert NOON - 90 * DAY + 2 * HOUR == window.start


def test_older_hours_are_refused() -> None:
    """What is older is refused with the reason, and with what can be read instead."""
    asked = Range(NOW - 90 * DAY - 1, NOW, LIMIT)
    message = "is too old: Sentry has buckets of less than a day for 90 days, here from .* on"
    with pytest.raises(RangeError, match=f"^acme/outcomes: .* {message}"):
        job_window(organization(), query(), asked, HOUR, NOW)


def test_thirteen_months_by_the_day() -> None:
    """Days can be read for 13 months."""
    window = job_window(organization(), query(), Range(NOW - 393 * DAY, NOW, LIMIT), DAY, NOW)

    assert 392 == len(window) + (NOW - 4 * HOUR - window.end) // DAY


def test_older_days_are_refused() -> None:
    """What is older is refused with the reason."""
    asked = Range(NOW - 394 * DAY, NOW, LIMIT)
    with pytest.raises(RangeError, match="is too old: Sentry has days for 13 months"):
        job_window(organization(), query(), asked, DAY, NOW)


def test_nothing_to_read() -> None:
    """A range without a finished bucket is refused."""
    with pytest.raises(RangeError, match=r"no bucket of 1h is finished between .* and "):
        job_window(organization(), query(), Range(NOW - 4 * HOUR, NOW, LIMIT), HOUR, NOW)


def test_time_of_a_sample() -> None:
    """A bucket's sample has the time at which it has settled."""
    window = job_window(organization(), query(), Range(NOW - DAY, NOW, LIMIT), HOUR, NOW)

    assert NOON - HOUR + SETTLE == Job(0, organization(), query(), window).finished(NOON - 2 * HOUR)
