"""Rows and their sums."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from exporter.collect.series import (
    Series,
    added,
    difference,
    joined,
    labelled,
    lesser,
    nonzero,
    totals,
    without_reason,
)
from tests.support.rows import Flat, flat, rows, series

keys = st.builds(series, st.integers(0, 3), st.sampled_from(["error", "span"]))
several = st.dictionaries(keys, st.integers(0, 9))
kinds = st.builds(
    Series, st.just("f"), st.sampled_from("ab"), st.just(""), st.sampled_from(["", "r", "s"])
)
sums = st.dictionaries(kinds, st.integers(0, 9))

Sums = Mapping[Series, int]


class TestRows:
    """Rows by project."""

    @given(several, several)
    def test_joined(self, one: Flat, other: Flat) -> None:
        """A sum has the values of both, and those of the same project together."""
        total = flat(joined(rows(one), rows(other)))

        assert one.keys() | other.keys() == total.keys()
        assert all(one.get(key, 0) + other.get(key, 0) == value for key, value in total.items())

    @given(several)
    def test_totals(self, held: Flat) -> None:
        """Without project, rows hold as much, and no zeros."""
        total = totals(rows(held))

        assert sum(held.values()) == sum(total.values())
        assert all(total.values())

    @given(
        st.dictionaries(st.integers(0, 5), st.integers(0, 9)),
        st.none() | st.dictionaries(st.integers(1, 5), st.text(max_size=1)),
    )
    def test_labelled(self, values: dict[int, int], labels: dict[int, str] | None) -> None:
        """What projects without a label hold is under 0, and nothing is lost."""
        shown = labelled(values, labels)

        assert sum(values.values()) == sum(shown.values())
        assert labels is None or shown.keys() <= {0, *labels}


class TestTotals:
    """Sums of the organization's series."""

    @given(sums, sums)
    def test_added(self, one: Sums, other: Sums) -> None:
        """A sum has the series of both, and their values together."""
        total = added(one, other)

        assert one.keys() | other.keys() == total.keys()
        assert all(one.get(key, 0) + other.get(key, 0) == value for key, value in total.items())

    @given(sums, sums)
    def test_difference(self, larger: Sums, smaller: Sums) -> None:
        """A difference is positive, and makes the smaller sums reach the larger ones."""
        missing = difference(larger, smaller)
        reached = added(smaller, missing)

        assert all(value > 0 for value in missing.values())
        assert all(max(v, smaller.get(s, 0)) == reached.get(s, 0) for s, v in larger.items())

    @given(sums, sums)
    def test_lesser(self, one: Sums, other: Sums) -> None:
        """The lesser of two sums is in neither more than in the other."""
        assert all(
            value == min(one[key], other.get(key, 0)) for key, value in lesser(one, other).items()
        )

    @given(sums)
    def test_nonzero(self, held: Sums) -> None:
        """Leaving out zeros leaves out nothing else."""
        assert {series: value for series, value in held.items() if value != 0} == nonzero(held)

    @given(sums)
    def test_without_reason(self, held: Sums) -> None:
        """Without reasons the sum of each category is the same."""
        total = without_reason(held)

        assert sum(held.values()) == sum(total.values())
        assert {""} >= {series.reason for series in total}
