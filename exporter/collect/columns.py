"""Rows of very many series, a few bytes each.

Every series has a place in its ledger's `SeriesTable`; a `Column` holds a value for some of them
in an array. To whoever reads it, a column is a mapping from series to values, in the order of the
table, which is the same for every column and does not change but at its end.
"""

from array import array
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from itertools import compress
from typing import Final

from exporter.collect.subject import Series

_ABSENT: Final = {code: (1 << array(code).itemsize * 8) - 1 for code in "IQ"}
"""What stands for no value, by the type of the array: the largest number that it can hold."""


class SeriesTable:
    """Gives each series a place, for good."""

    def __init__(self) -> None:
        self.places: dict[Series, int] = {}

    def place(self, rows: Iterable[Series]) -> None:
        """Give those of ``rows`` that have none a place, in sorted order."""
        for series in sorted(set(rows) - self.places.keys()):
            self.places[series] = len(self.places)


class Column(Mapping[Series, int]):
    """Values, which are not negative, of some of the series in a table. Immutable."""

    __slots__ = ("cells", "table")

    def __init__(self, table: SeriesTable, values: "array[int]") -> None:
        self.table = table
        self.cells = values

    @classmethod
    def of(cls, table: SeriesTable, rows: Mapping[Series, int]) -> "Column":
        """Return ``rows`` as a column of ``table``, which gets the series that it lacks."""
        return cls(table, array("I")).updated(rows)

    def updated(self, rows: Mapping[Series, int]) -> "Column":
        """Return this column with the values of ``rows`` in place of those that it has."""
        table = self.table
        table.place(rows)
        code = self._code(rows.values())
        values = self._widened(code, len(table.places))
        places = table.places
        for series, value in rows.items():
            values[places[series]] = value
        return Column(table, values)

    def filled(self, present: Iterable[bool]) -> "Column":
        """Return a column of the series of which ``present`` is true, zero where there is none.

        ``present`` has a truth for each series of the table.
        """
        absent = _ABSENT[self.cells.typecode]
        values = self._widened(self.cells.typecode, len(self.table.places))
        shown = [
            absent if not here else 0 if value == absent else value
            for value, here in zip(values, present, strict=True)
        ]
        return Column(self.table, array(self.cells.typecode, shown))

    def places(self) -> Iterator[int]:
        """Yield the places of the series that have a value."""
        absent = _ABSENT[self.cells.typecode]
        return compress(range(len(self.cells)), (value != absent for value in self.cells))

    def items(self) -> ItemsView[Series, int]:
        """Return the series with their values."""
        return _Items(self)

    def pairs(self) -> Iterator[tuple[Series, int]]:
        """Yield each series and its value."""
        absent = _ABSENT[self.cells.typecode]
        # The last table entries may have come after this column: zip leaves them out.
        pairs = zip(self.table.places, self.cells, strict=False)
        return (pair for pair in pairs if pair[1] != absent)

    def __getitem__(self, series: Series) -> int:
        place = self.table.places[series]
        if place >= len(self.cells) or self.cells[place] == _ABSENT[self.cells.typecode]:
            raise KeyError(series)
        return self.cells[place]

    def __iter__(self) -> Iterator[Series]:
        return (series for series, _ in self.pairs())

    def __len__(self) -> int:
        return len(self.cells) - self.cells.count(_ABSENT[self.cells.typecode])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Column) and self._alike(other):
            return self.cells == other.cells
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Column({dict(self.pairs())!r})"

    def _alike(self, other: "Column") -> bool:
        """Tell whether the arrays of both mean the same, place by place."""
        mine, others = self.cells, other.cells
        same_type = mine.typecode == others.typecode and len(mine) == len(others)
        return self.table is other.table and same_type

    def _code(self, values: Iterable[int]) -> str:
        wide = self.cells.typecode == "Q" or max(values, default=0) >= _ABSENT["I"]
        return "Q" if wide else "I"

    def _widened(self, code: str, length: int) -> "array[int]":
        """Return a copy of the values, in an array of type ``code`` that is ``length`` long."""
        before, absent = _ABSENT[self.cells.typecode], _ABSENT[code]
        if code == self.cells.typecode:
            values = self.cells[:]
        else:
            values = array(code, [absent if v == before else v for v in self.cells])
        values.extend([absent] * (length - len(values)))
        return values


class _Items(ItemsView[Series, int]):
    """The items of a column, without a look-up for each."""

    _mapping: Column

    def __iter__(self) -> Iterator[tuple[Series, int]]:
        return self._mapping.pairs()
