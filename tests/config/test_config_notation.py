"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from exporter.config.notation import duration, in_units, seconds, size

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@given(st.integers(0, 999_999), st.sampled_from(sorted(UNITS)))
def test_duration_is_number_times_unit(number: int, unit: str) -> None:
    """A duration counts seconds."""
    assert number * UNITS[unit] == seconds(f"{number}{unit}")


@given(st.integers(0, 999_999))
def test_seconds_survive_being_written(moment: int) -> None:
    """What `in_units` writes, `seconds` reads."""
    assert moment == seconds(in_units(moment))


@pytest.mark.parametrize(
    "written", ["", "5", "m", "5 m", "05m", "-5m", "1.5h", "1h30m", "5M", "5w", "\u0665m"]
)
def test_anything_else_is_no_duration(written: str) -> None:
    """One integer and one unit, nothing before, between or after."""
    with pytest.raises(ValueError, match=r"^$"):
        seconds(written)


@given(st.integers(0, 200))
def test_bounds_of_a_duration_belong_to_it(number: int) -> None:
    """A duration is read if it lies within its bounds, ends included, and refused otherwise."""
    kind = duration("30s", "2m")

    if 30 <= number <= 120:
        assert number == kind.validate(f"{number}s")
    else:
        with pytest.raises(PydanticCustomError, match="from 30s to 2m"):
            kind.validate(f"{number}s")


@pytest.mark.parametrize(
    ("written", "octets"), [("1024B", 1024), ("1KiB", 1024), ("3MiB", 3 << 20), ("1GiB", 1 << 30)]
)
def test_sizes_are_in_powers_of_two(written: str, octets: int) -> None:
    """A size counts bytes."""
    assert octets == size("1KiB", "1GiB").validate(written)


@pytest.mark.parametrize("written", ["1023B", "2GiB", "64MB", "64", "64 MiB", 64, None])
def test_anything_else_is_no_size(written: object) -> None:
    """Sizes have a unit and lie within their bounds."""
    with pytest.raises(PydanticCustomError, match="from 1KiB to 1GiB"):
        size("1KiB", "1GiB").validate(written)
