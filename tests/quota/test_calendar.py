"""Billing periods: by the day of the month, or every so many days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.quota.calendar import Cycle, Every, Monthly, period_at
from exporter.quota.model import DAY, Period


def moment(text: str) -> int:
    """Return the epoch seconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def days(start: str, end: str) -> Period:
    """Return the period from the first to the last day, both inclusive."""
    return Period(moment(start), moment(end) + DAY)


@pytest.mark.parametrize(
    ("start_day", "now", "period"),
    [
        (1, "2026-11-26T12:00", days("2026-11-01", "2026-11-30")),
        (17, "2026-11-17T00:00", days("2026-11-17", "2026-12-16")),
        (17, "2026-11-16T23:59:59", days("2026-10-17", "2026-11-16")),
        (17, "2026-12-31T23:59:59", days("2026-12-17", "2027-01-16")),
        (17, "2027-01-01T00:00", days("2026-12-17", "2027-01-16")),
        (31, "2026-02-15T00:00", days("2026-01-31", "2026-02-27")),
        (31, "2026-02-28T00:00", days("2026-02-28", "2026-03-30")),
        (31, "2028-02-28T12:00", days("2028-01-31", "2028-02-28")),
        (31, "2028-02-29T00:00", days("2028-02-29", "2028-03-30")),
        (30, "2026-03-01T00:00", days("2026-02-28", "2026-03-29")),
        (29, "2100-03-01T00:00", days("2100-02-28", "2100-03-28")),
        (31, "2026-04-30T00:00", days("2026-04-30", "2026-05-30")),
    ],
)
def test_monthly(start_day: int, now: str, period: Period) -> None:
    """A month begins on its day, or on the last day of a shorter month."""
    assert period == period_at(Monthly(start_day), moment(now))


@pytest.mark.parametrize(
    ("length", "now", "period"),
    [
        (7, "2026-01-05T00:00", days("2026-01-05", "2026-01-11")),
        (7, "2026-03-01T12:00", days("2026-02-23", "2026-03-01")),
        (7, "2026-01-04T23:59:59", days("2025-12-29", "2026-01-04")),
        (365, "2026-12-31T00:00", days("2026-01-05", "2027-01-04")),
    ],
)
def test_every_so_many_days(length: int, now: str, period: Period) -> None:
    """Periods of a number of days count from any of their first days, also backwards."""
    cycle = Every(length * DAY, moment("2026-01-05"))

    assert period == period_at(cycle, moment(now))


@given(
    st.one_of(
        st.builds(Monthly, st.integers(1, 31)),
        st.builds(
            lambda days, first: Every(days * DAY, first * DAY),
            st.integers(1, 366),
            st.integers(0, 30_000),
        ),
    ),
    st.integers(moment("1970-03-01"), moment("2200-01-01")),
)
def test_periods_follow_each_other(cycle: Cycle, now: int) -> None:
    """Every moment is in its period, and each period ends where the next one begins."""
    period = period_at(cycle, now)

    assert period.start <= now < period.end
    assert period == period_at(cycle, period.start) == period_at(cycle, period.end - 1)
    assert period.end == period_at(cycle, period.end).start
    assert timedelta(0) == timedelta(seconds=period.start % DAY)
