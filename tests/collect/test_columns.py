"""Columns: rows of very many series, as mappings."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.collect.ledger.columns import Column, SeriesTable
from exporter.collect.series import Series, parts_of
from exporter.sentry.question import QUANTITY

SERIES = [
    Series(QUANTITY, category, "accepted", "", project)
    for category in "ab"
    for project in (3, 1, 2)
]
EVERY = dict.fromkeys(SERIES, 1)

values = st.one_of(st.integers(0, 3), st.sampled_from([2**32 - 2, 2**32 - 1, 2**32, 2**63 - 1]))
rows = st.dictionaries(st.sampled_from(SERIES), values)


class TestColumn:
    """One column."""

    @given(rows)
    def test_is_the_mapping_it_was_made_of(self, found: dict[Series, int]) -> None:
        """It has the same series with the same values, none besides, whatever their size."""
        column = Column.of(SeriesTable(), found)

        assert found == dict(column.items())
        assert found == column
        assert found == {series: column[series] for series in column}
        assert len(found) == len(column)

    @given(rows, rows)
    def test_an_update_replaces_values(
        self, before: dict[Series, int], after: dict[Series, int]
    ) -> None:
        """An updated column has the new values, and the old one stays as it was."""
        column = Column.of(SeriesTable(), before)

        updated = column.updated(after)

        assert before | after == updated
        assert before == column

    @given(rows, rows)
    def test_is_equal_to_what_holds_the_same(
        self, one: dict[Series, int], other: dict[Series, int]
    ) -> None:
        """Columns are equal if their rows are, of the same table or of another."""
        table = SeriesTable()
        first, second = Column.of(table, one), Column.of(table, other)

        assert (one == other) == (first == second)
        assert (one == other) == (first == Column.of(SeriesTable(), other))

    @given(rows, st.sets(st.sampled_from(SERIES)))
    def test_filled_has_zeros_for_the_rest(
        self, found: dict[Series, int], present: set[Series]
    ) -> None:
        """Series that are present and have no value are zero, those not present are left out."""
        table = SeriesTable()
        table.place(parts_of(EVERY))
        column = Column.of(table, found)

        filled = column.filled(series in present for series in Column.of(table, EVERY))

        assert {series: found.get(series, 0) for series in present} == filled

    def test_lacks_what_came_later(self) -> None:
        """A series that the table got after the column was made is not in it."""
        table = SeriesTable()
        column = Column.of(table, {SERIES[0]: 5})
        table.place(parts_of(EVERY))

        assert SERIES[1] not in column
        assert {SERIES[0]: 5} == column


class TestSeriesTable:
    """The order of series."""

    def test_places_are_sorted_and_stay(self) -> None:
        """Series that come together are sorted; those that come later follow their like."""
        table = SeriesTable()
        table.place(parts_of(dict.fromkeys(reversed(SERIES[1:4]), 0)))
        table.place(parts_of(EVERY))

        a, b = SERIES[0].without_project(), SERIES[3].without_project()
        assert {a: {1: 0, 2: 1, 3: 3}, b: {3: 2, 1: 4, 2: 5}} == table.places
        assert [a.of(1), a.of(2), a.of(3), b.of(3), b.of(1), b.of(2)] == list(
            Column.of(table, EVERY)
        )
