"""Rows of very many series at a few bytes each. Immutable.

Every series and project has a place in a `SeriesTable`; a `Column` holds the values of one bucket
in an array, by place. A table only grows: what was placed keeps its place, so that columns of the
same origin can be compared and written cell by cell.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exporter.collect.series import Rows, Series, Values

_ABSENT: Final = {code: (1 << array(code).itemsize * 8) - 1 for code in "IQ"}
"""The cell that stands for no value, by the type of the array: its largest number."""


class Run(NamedTuple):
    """Projects of one series whose places follow each other, the first one at ``start``."""

    start: int
    projects: "array[int]"

    @property
    def end(self) -> int:
        """The place after the last one."""
        return self.start + len(self.projects)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesTable:
    """The places of the series and projects of a ledger.

    ``origin`` is the same object for a table and all that were made from it by `extended`.
    """

    runs: Mapping[Series, tuple[Run, ...]] = field(default_factory=dict)
    length: int = 0
    origin: object = field(default_factory=object)

    def extended(self, rows: Rows) -> "SeriesTable":
        """Return a table that has a place for all of ``rows``, new ones in sorted order."""
        runs = dict(self.runs)
        length = self.length
        for series in sorted(rows):
            values, before = rows[series], runs.get(series, ())
            # Counted first: where nothing is missing, no set of all projects is built.
            placed = sum(sum(map(values.__contains__, run.projects)) for run in before)
            if placed < len(values):
                missing = values.keys() - {one for run in before for one in run.projects}
                run = Run(length, array("Q", sorted(missing)))
                runs[series] = (*before, run)
                length = run.end
        return self if length == self.length else SeriesTable(runs, length, self.origin)


class Column(Mapping[Series, Values]):
    """Values, which are not negative, of some of the series in a table.

    It has a cell for each place up to its last value: most buckets of a quiet night are empty, and
    take no memory. Read as rows, it has every series of the table, some of them perhaps without a
    value.
    """

    __slots__ = ("cells", "table")

    def __init__(self, table: SeriesTable, cells: "array[int]") -> None:
        self.table = table
        self.cells = cells

    @classmethod
    def of(cls, table: SeriesTable, rows: Rows) -> "Column":
        """Return ``rows`` as a column of ``table``, which has a place for all of them.

        Raises OverflowError for a value from 2**64 - 1 on.
        """
        return cls(table, array("I")).updated(table, rows)

    def updated(self, table: SeriesTable, rows: Rows) -> "Column":
        """Return this column in ``table``, an extension of its own, with the values of ``rows``.

        Raises OverflowError as `of` does.
        """
        filled = {series: values for series, values in rows.items() if values}
        largest = max((max(values.values()) for values in filled.values()), default=0)
        if largest >= _ABSENT["Q"]:
            raise OverflowError(f"{largest} is too large for a column")
        end = max((table.runs[series][-1].end for series in filled), default=0)
        cells = self._resized(end, largest)
        for series, values in filled.items():
            for run in table.runs[series]:
                _write(cells, run, values)
        return Column(table, cells)

    def filled(self, table: SeriesTable, present: Iterable[bool]) -> "Column":
        """Return this column in ``table`` with zeros where there is no value though it is present.

        ``present`` has a truth for each place of the table.
        """
        absent = self.absent
        cells = self._resized(table.length)
        if absent not in cells:
            return Column(table, cells)
        shown = [
            0 if here and value == absent else value
            for value, here in zip(cells, present, strict=True)
        ]
        return Column(table, array(cells.typecode, shown))

    @property
    def absent(self) -> int:
        """The cell that stands for no value."""
        return _ABSENT[self.cells.typecode]

    def __getitem__(self, series: Series) -> dict[int, int]:
        absent = self.absent
        values: dict[int, int] = {}
        for run in self.table.runs[series]:
            cells = self.cells[run.start : run.end]
            # The cells may end before the run does: places after the last value have no cell.
            pairs = zip(run.projects, cells, strict=False)
            if absent in cells:
                values.update([pair for pair in pairs if pair[1] != absent])
            else:
                values.update(pairs)
        return values

    def __iter__(self) -> Iterator[Series]:
        return iter(self.table.runs)

    def __len__(self) -> int:
        return len(self.table.runs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        if isinstance(other, Column) and self._alike(other):
            return self.cells == other.cells
        return _filled(self) == _filled(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Column({_filled(self)!r})"

    def _alike(self, other: "Column") -> bool:
        """Return whether equal cells mean equal values."""
        mine, others = self.cells, other.cells
        same_type = mine.typecode == others.typecode and len(mine) == len(others)
        return self.table.origin is other.table.origin and same_type

    def _resized(self, length: int, largest: int = 0) -> "array[int]":
        """Return a copy of the cells, at least so many, wide enough for ``largest``."""
        wide = self.cells.typecode == "Q" or largest >= _ABSENT["I"]
        absent, code = (_ABSENT["Q"], "Q") if wide else (_ABSENT["I"], "I")
        if code == self.cells.typecode:
            cells = self.cells[:]
        else:
            cells = array(code, [absent if v == self.absent else v for v in self.cells])
        cells.extend(array(code, [absent]) * (length - len(cells)))
        return cells


def size_of(rows: Rows) -> int:
    """Return how many values ``rows`` have."""
    if isinstance(rows, Column):
        return len(rows.cells) - rows.cells.count(rows.absent)
    return sum(map(len, rows.values()))


def _write(cells: "array[int]", run: Run, values: Values) -> None:
    """Put those of ``values`` that belong to the projects of ``run`` into ``cells``."""
    before = cells[run.start : run.end]
    # `get(project, cell)`: a project without a new value stays as it is.
    new = list(map(values.get, run.projects, before))
    cells[run.start : run.end] = array("Q" if cells.typecode == "Q" else "I", new)


def _filled(rows: Rows) -> dict[Series, Values]:
    return {series: values for series, values in rows.items() if values}
