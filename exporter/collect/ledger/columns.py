"""Rows of very many series, a few bytes each.

Every series has a place in its ledger's `SeriesTable`; a `Column` holds a value for some of them
in an array. To whoever reads it, a column is rows, in the order of the table, which is the same
for every column; what comes later stands behind its like.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from exporter.collect.series import Parts, ProjectRows, Rows, Series, parts_of

_ABSENT: Final = {code: (1 << array(code).itemsize * 8) - 1 for code in "IQ"}
"""What stands for no value, by the type of the array: the largest number that it can hold."""


class SeriesTable:
    """Gives each series a place, for good.

    ``places`` has the places of the projects of each series of the whole organization.
    """

    def __init__(self) -> None:
        self.places: dict[Series, dict[int, int]] = {}
        self._length = 0
        self._projects: dict[int, int] = {}

    def __len__(self) -> int:
        return self._length

    def place(self, parts: Parts) -> None:
        """Give the series of ``parts`` that have none a place, in sorted order."""
        for whole in sorted(parts):
            places = self.places.setdefault(whole, {})
            for project in sorted(project for project in parts[whole] if project not in places):
                # Of the numbers that are equal, one is kept.
                places[self._projects.setdefault(project, project)] = self._length
                self._length += 1


class Column(ProjectRows):
    """Values, which are not negative, of some of the series in a table. Immutable."""

    __slots__ = ("cells", "table")

    def __init__(self, table: SeriesTable, values: "array[int]") -> None:
        self.table = table
        self.cells = values

    @classmethod
    def of(cls, table: SeriesTable, rows: Rows) -> "Column":
        """Return ``rows`` as a column of ``table``, which gets the series that it lacks."""
        return cls(table, array("I")).updated(rows)

    def updated(self, rows: Rows) -> "Column":
        """Return this column with the values of ``rows`` in place of those that it has."""
        if not rows:
            return self
        table, parts = self.table, parts_of(rows)
        table.place(parts)
        largest = max((max(values.values(), default=0) for values in parts.values()), default=0)
        cells = self._widened(largest)
        for whole, values in parts.items():
            places = table.places[whole]
            for project, value in values.items():
                cells[places[project]] = value
        return Column(table, cells)

    def filled(self, present: Iterable[bool]) -> "Column":
        """Return a column of the series of which ``present`` is true, zero where there is none.

        ``present`` has a truth for each series of the table.
        """
        absent = self.absent
        shown = [
            absent if not here else 0 if value == absent else value
            for value, here in zip(self._widened(), present, strict=True)
        ]
        return Column(self.table, array(self.cells.typecode, shown))

    @property
    def parts(self) -> Parts:
        """Return the parts, each of which is made when it is looked at."""
        return _Parts(self)

    @property
    def absent(self) -> int:
        """What stands among the cells for no value."""
        return _ABSENT[self.cells.typecode]

    def __getitem__(self, series: Series) -> int:
        place = self.table.places[series.without_project()][series.project]
        if place >= len(self.cells) or self.cells[place] == self.absent:
            raise KeyError(series)
        return self.cells[place]

    def __len__(self) -> int:
        return len(self.cells) - self.cells.count(self.absent)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Column) and self._alike(other):
            return self.cells == other.cells
        return super().__eq__(other)

    __hash__ = None

    def _alike(self, other: "Column") -> bool:
        """Tell whether the arrays of both mean the same, place by place."""
        mine, others = self.cells, other.cells
        same_type = mine.typecode == others.typecode and len(mine) == len(others)
        return self.table is other.table and same_type

    def _widened(self, largest: int = 0) -> "array[int]":
        """Return a copy of the cells for the whole table, wide enough for ``largest``."""
        wide = self.cells.typecode == "Q" or largest >= _ABSENT["I"]
        absent, code = (_ABSENT["Q"], "Q") if wide else (_ABSENT["I"], "I")
        if code == self.cells.typecode:
            cells = self.cells[:]
        else:
            cells = array(code, [absent if v == self.absent else v for v in self.cells])
        cells.extend(array(code, [absent]) * (len(self.table) - len(cells)))
        return cells


class _Parts(Parts):
    """The parts of a column."""

    __slots__ = ("_column",)

    def __init__(self, column: Column) -> None:
        self._column = column

    def __getitem__(self, whole: Series) -> Mapping[int, int]:
        cells, absent = self._column.cells, self._column.absent
        # The table's last entries may have come after the column.
        end = len(cells)
        return {
            project: value
            for project, place in self._column.table.places[whole].items()
            if place < end and (value := cells[place]) != absent
        }

    def __iter__(self) -> Iterator[Series]:
        return iter(self._column.table.places)

    def __len__(self) -> int:
        return len(self._column.table.places)
