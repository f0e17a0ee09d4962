"""What gauges and counters show of a series."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.backfill.progress_file import ABSENT
from exporter.backfill.samples import shown_by_counter, shown_by_gauge, summed

VALUES = st.lists(st.integers(0, 9) | st.just(ABSENT), max_size=30)


def test_gauge_is_zero_within_the_lookback() -> None:
    """A series that is in another bucket of the lookback is 0, as on the page."""
    values = [ABSENT, 5, ABSENT, ABSENT, ABSENT, 2]

    assert [None, 5, 0, 0, None, 2] == list(shown_by_gauge(values, 3))


def test_counter_is_the_sum_so_far() -> None:
    """A counter begins at 0 before the first bucket."""
    assert [0, 5, 5, 7] == list(shown_by_counter([5, ABSENT, 2], 30))


def test_counter_of_a_new_series_begins_at_zero() -> None:
    """A series that appears later is 0 one bucket before, so that increase() sees its events."""
    assert [None, None, 0, 3] == list(shown_by_counter([ABSENT, ABSENT, 3], 30))


def test_counter_is_let_go_after_a_while() -> None:
    """It is not shown while its series has not been seen for long, and then goes on."""
    values = [1, ABSENT, ABSENT, ABSENT, ABSENT, 2]

    assert [0, 1, 1, 1, None, 1, 3] == list(shown_by_counter(values, 2))


def test_counter_ends_where_it_is_to_end() -> None:
    """It never exceeds the value that it has at the seam to a running exporter."""
    assert [0, 5, 6, 6] == list(shown_by_counter([5, 2, 1], 30, 6))


@given(VALUES, st.integers(0, 10))
def test_counter_gains_everything(values: list[int], forgotten_after: int) -> None:
    """Whatever a series does, its counter never decreases and gains the sum of its buckets."""
    shown = list(shown_by_counter(values, forgotten_after))
    seen = [value for value in shown if value is not None]

    assert len(values) + 1 == len(shown)
    assert sorted(seen) == seen
    assert sum(value for value in values if value != ABSENT) == max(seen, default=0)
    assert 0 == min(seen, default=0)


@given(VALUES, VALUES)
def test_series_with_the_same_labels_are_added(first: list[int], second: list[int]) -> None:
    """Their sum has a value where one of them has."""
    size = min(len(first), len(second))
    added = summed([first[:size], second[:size]])

    for one, other, both in zip(first, second, added, strict=False):
        present = [value for value in (one, other) if value != ABSENT]
        assert (sum(present) if present else ABSENT) == both
