"""Percentiles, and sides that take turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.distribution import Distribution, in_turns, percentile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


class TestPercentile:
    """The smallest value that a share of them does not exceed."""

    @pytest.mark.parametrize(
        ("share", "expected"), [(0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1, 100)]
    )
    def test_of_a_hundred_values(self, share: float, expected: float) -> None:
        """Of 1 to 100, it is the share's own number, rounded up."""
        values = list(range(100, 0, -1))

        assert expected == percentile(values, share)

    @given(VALUES, st.floats(0, 1))
    def test_is_a_value_that_enough_do_not_exceed(self, values: list[float], share: float) -> None:
        """It is one of the values, and no smaller one would do."""
        value = percentile(values, share)
        up_to_it = sum(one <= value for one in values)
        below_it = sum(one < value for one in values)

        assert value in values
        assert up_to_it >= share * len(values)
        assert below_it < max(share * len(values), 1)

    def test_of_nothing_there_is_none(self) -> None:
        """No values are an error."""
        with pytest.raises(ValueError, match="no values"):
            percentile([], 0.5)


class TestDistribution:
    """Median and p99."""

    def test_of_a_few_values_p99_is_the_largest(self) -> None:
        """Of fewer than a hundred values, only the last is exceeded by so few."""
        few = Distribution((3.0, 1.0, 2.0))

        assert (2.0, 3.0) == (few.median, few.p99)

    def test_one_outlier_in_two_hundred_is_beyond_p99(self) -> None:
        """What happens once in two hundred times is left out."""
        many = Distribution((*[1.0] * 199, 50.0))

        assert (1.0, 1.0) == (many.median, many.p99)


def test_both_sides_take_their_turn_in_every_round() -> None:
    """Neither side is measured twice in a row."""
    order: list[str] = []

    def turn(side: str) -> int:
        order.append(side)
        return len(order)

    measured = in_turns([lambda: turn("ours"), lambda: turn("against")], 3)

    assert ["ours", "against"] * 3 == order
    assert [(1, 3, 5), (2, 4, 6)] == measured
