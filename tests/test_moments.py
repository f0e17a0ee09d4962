"""Moments and durations as text."""

import re
from datetime import datetime
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.moments import elapsed, iso


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (1772323650, "2026-03-01T00:07:30Z"),
        (1772323650.999999, "2026-03-01T00:07:30Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (-62135596800, "0001-01-01T00:00:00Z"),
    ],
)
def test_moment(moment: float, text: str) -> None:
    """A moment is written in UTC, without its fraction."""
    assert text == iso(moment)


@pytest.mark.parametrize("moment", [1e12, -1e12, 1e300, inf, -inf, nan])
def test_absurd_moment(moment: float) -> None:
    """A moment that no calendar has is no error."""
    assert "an unknown time" == iso(moment)


@given(st.integers(-62135596800, 253402300799))
def test_moments_can_be_read_again(moment: int) -> None:
    """What is written is the moment itself."""
    assert moment == datetime.fromisoformat(iso(moment)).timestamp()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (5720, "1h35m"),
        (10860, "3h1m"),
        (3605, "1h"),
        (7259, "2h"),
        (86400 * 3, "3d"),
        (86400 * 3 + 59 * 60, "3d"),
        (86400 + 300, "1d"),
        (93784, "1d2h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """A duration is written in its two largest units that follow each other."""
    assert text == elapsed(seconds)


@given(st.floats(0, 1e9))
def test_durations_are_close(seconds: float) -> None:
    """What is written is at most one of its smaller units less than the duration."""
    sizes = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    parts = re.findall(r"(\d+)([dhms])", elapsed(seconds))
    written = sum(int(count) * sizes[unit] for count, unit in parts)
    error = {"d": 3600, "h": 60, "m": 1, "s": 1}[parts[0][1]]

    assert -0.5 <= seconds - written < error + 0.5
