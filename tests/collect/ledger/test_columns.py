"""Columns: rows of very many series at a few bytes each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collect.ledger import Column, SeriesTable
from exporter.collect.series import ProjectSeries
from tests.support.rows import column, flat, rows, series

SERIES = [series(project, category) for category in "ab" for project in (3, 1, 2)]
EVERY = dict.fromkeys(SERIES, 1)

values = st.one_of(st.integers(0, 3), st.sampled_from([2**32 - 2, 2**32 - 1, 2**32, 2**63 - 1]))
several = st.dictionaries(st.sampled_from(SERIES), values)

Flat = dict[ProjectSeries, int]


class TestColumn:
    """One column."""

    @given(several)
    def test_has_what_it_was_made_of(self, held: Flat) -> None:
        """It has the same values, none besides, whatever their size."""
        assert held == flat(column(held))
        assert rows(held) == column(held)

    @given(several, several)
    def test_an_update_replaces_values(self, before: Flat, after: Flat) -> None:
        """An updated column has the new values, and the old one stays as it was."""
        old = column(before)

        updated = old.updated(old.table.extended(rows(after)), rows(after))

        assert before | after == flat(updated)
        assert before == flat(old)

    @given(several, several)
    def test_is_equal_to_what_holds_the_same(self, one: Flat, other: Flat) -> None:
        """Columns are equal if their rows are, of the same table or of another."""
        table = SeriesTable().extended(rows(one)).extended(rows(other))
        first, second = Column.of(table, rows(one)), Column.of(table, rows(other))

        assert (one == other) == (first == second)
        assert (one == other) == (first == column(other))

    @given(several, st.sets(st.sampled_from(SERIES)))
    def test_filled_has_zeros(self, held: Flat, present: set[ProjectSeries]) -> None:
        """Series that are present and have no value are zero; the others stay as they are."""
        one = column(held)
        table = one.table.extended(rows(EVERY))
        filled = one.filled(table, [place in present for place in in_order(table)])

        assert dict.fromkeys(present, 0) | held == flat(filled)

    def test_too_large(self) -> None:
        """A value that looks like an absent one is refused."""
        with pytest.raises(OverflowError):
            column({SERIES[0]: 2**64 - 1})

    def test_empty_ones_are_small(self) -> None:
        """A column without values has no cells, however many series there are."""
        assert not Column.of(SeriesTable().extended(rows(EVERY)), {}).cells


class TestSeriesTable:
    """The order of series."""

    def test_places_are_sorted_and_stay(self) -> None:
        """Series that come together are sorted; those that come later get later places."""
        first = SeriesTable().extended(rows(dict.fromkeys(reversed(SERIES[1:4]), 0)))

        table = first.extended(rows(EVERY))

        a, b = SERIES[0].series, SERIES[3].series
        assert [(a, 1), (a, 2), (b, 3), (a, 3), (b, 1), (b, 2)] == in_order(table)
        assert [(a, 1), (a, 2), (b, 3)] == in_order(first)

    def test_nothing_new(self) -> None:
        """A table that has a place for everything is not made anew."""
        table = SeriesTable().extended(rows(EVERY))

        assert table is table.extended(rows(EVERY))


def in_order(table: SeriesTable) -> list[ProjectSeries]:
    """Return the series and projects of a table by place."""
    runs = ((run, one) for one, several in table.runs.items() for run in several)
    in_place = sorted(runs, key=lambda pair: pair[0].start)
    return [ProjectSeries(one, project) for run, one in in_place for project in run.projects]
