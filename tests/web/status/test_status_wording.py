"""Numbers, times and durations in words."""

import pytest

from exporter.web.status.wording import (
    ago,
    count,
    duration,
    short_count,
    short_duration,
    until,
    utc,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (86_400 + 59, "1 d"),
        (-120, "2 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """A duration has its two largest units."""
    assert text == duration(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4213, "0.42 s"), (9.994, "9.99 s"), (10.2, "10 s"), (75, "1 min 15 s")]
)
def test_short_duration(seconds: float, text: str) -> None:
    """What takes less than ten seconds is given in hundredths."""
    assert text == short_duration(seconds)


@pytest.mark.parametrize(
    ("moment", "text"), [(40, "1 min ago"), (100, "now"), (100.9, "now"), (220, "in 2 min")]
)
def test_ago(moment: float, text: str) -> None:
    """A moment is in the past, in the future, or now."""
    assert text == ago(moment, 100)


@pytest.mark.parametrize(("moment", "text"), [(40, "now"), (100.9, "now"), (220, "in 2 min")])
def test_until(moment: float, text: str) -> None:
    """What should have happened already happens now."""
    assert text == until(moment, 100)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (1234567, "1,234,567"), (2**62, "4,611,686,018,427,387,904"), (1.5, "1.5")],
)
def test_count(number: float, text: str) -> None:
    """Integers are exact, fractions have three digits."""
    assert text == count(number)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1500, "1.5 k"),
        (2_000_000, "2 M"),
        (1e9, "1 G"),
        (2**62, "4.61e+03 P"),
    ],
)
def test_short_count(number: float, text: str) -> None:
    """A number on an axis is short."""
    assert text == short_count(number)


@pytest.mark.parametrize("moment", [1e18, -1e18, float("inf"), float("nan")])
def test_impossible_times(moment: float) -> None:
    """A time beyond the calendar is no error."""
    assert "an unknown time" == utc(moment)
