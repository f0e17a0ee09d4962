"""The ledger: what one query has seen, bucket by bucket, and what it has counted of it.

For each bucket of the lookback it keeps, by project id, the value last read of each series and how
much of it was counted. Counters belong to the labels that users see, not to the ids behind them:
what a project gains is added to the counter of the label that the project is shown under at that
time. `exporter.collect.ledger.posting` works out what readings change, without changing anything;
`Ledger.apply` takes that change over. Between the two the change is written down, where the ledger
shall outlive the process.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from exporter.collect.ledger.columns import Column, SeriesTable
from exporter.collect.series import PartedRows, Rows, Series, parts_of

RISE_AFTER: Final = 120
"""Seconds for which a counter born later is shown at 0, so that a scrape sees it there."""

NO_LABEL: Final = 0
"""The number of the empty label, under which the remainder is counted."""


class KeepError(Exception):
    """A change could not be written down, and so must not be shown either."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a poll read of one bucket, by project id; 0 stands for the remainder.

    ``told`` is the same bucket without project, for queries by project. ``finished`` tells whether
    the bucket was finished when it was read, ``whole`` whether it is proven.
    """

    rows: Rows
    told: Rows = field(default_factory=dict)
    finished: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Book(Found):
    """One bucket of the ledger: what was last found, and what has been counted of it.

    ``counted`` has the series of which another amount was counted than the value now shows, which
    may be more or less.
    """

    counted: Rows = field(default_factory=dict)


class Labels:
    """Gives each project label a number, for the counters' columns; the empty label has 0."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names: list[str] = [""]
        self._numbers = {"": NO_LABEL}
        for name in names:
            self.number(name)

    def number(self, name: str) -> int:
        """Return the number of a label, a new one if it has none."""
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


@dataclass(frozen=True, slots=True)
class Change:
    """What a poll does to a ledger: new books and counter values, and what was noticed.

    Counters are `Series` whose project is a label's number. ``born`` names those that were not
    there before, ``unseen`` since when those that are no longer seen have not been, ``seen`` those
    that are back, ``forgotten`` those that are let go; ``dropped`` names the books that leave.
    ``revisions`` counts the finished values that grew, ``regressions`` those that fell. To
    ``compact`` a ledger is to let go of the series that no book has any more.
    """

    books: Mapping[int, Book]
    dropped: frozenset[int]
    counters: Rows
    born: Mapping[Series, float]
    counts_from: int
    asked: frozenset[int] | None
    revisions: int
    regressions: int
    clock_skew: float | None = None
    unseen: Mapping[Series, float] = field(default_factory=dict)
    seen: frozenset[Series] = frozenset()
    forgotten: frozenset[Series] = frozenset()
    compact: bool = False
    checked_at: float | None = None


@dataclass(slots=True)
class Ledger:
    """What one query has seen and counted.

    A bucket that is read for the first time is counted if it starts at ``counts_from`` or later:
    what was there before the first poll, or has left the lookback, is taken as it is found.
    ``born`` holds when the counters that came after the first poll were first shown, ``unseen``
    since when those are not seen whose labels are not. ``asked`` are the projects that the last
    poll asked for by a filter, ``None`` where all are asked for. ``clock_skew`` is the server's
    clock minus ours at the last poll, in seconds.
    """

    books: dict[int, Book] = field(default_factory=dict)
    counters: Rows = field(default_factory=dict)
    born: dict[Series, float] = field(default_factory=dict)
    counts_from: int | None = None
    asked: frozenset[int] | None = None
    labels: Labels = field(default_factory=Labels, compare=False)
    unseen: dict[Series, float] = field(default_factory=dict)
    clock_skew: float | None = None
    checked_at: float | None = field(default=None, compare=False)
    _table: SeriesTable = field(default_factory=SeriesTable, compare=False, repr=False)
    _counted: SeriesTable = field(default_factory=SeriesTable, compare=False, repr=False)
    _seen: "array[int]" = field(default_factory=lambda: array("q"), compare=False, repr=False)
    """For each place of the table the start of the newest bucket that the series was seen in."""

    def __post_init__(self) -> None:
        self.counters = Column.of(self._counted, self.counters)
        self._keep(self._columns(self.books))

    def apply(self, change: Change) -> None:
        """Take ``change`` over."""
        # What cannot be held in a column raises here, before anything is taken over.
        counters = self._counters().updated(change.counters)
        books = self._columns(change.books)
        self.counters = counters
        self._keep(books)
        for start in change.dropped:
            self.books.pop(start, None)
        self.born.update(change.born)
        self.counts_from = change.counts_from
        self.asked = change.asked
        self.clock_skew = change.clock_skew
        self.unseen.update(change.unseen)
        self.checked_at = change.checked_at or self.checked_at
        for series in (*change.seen, *change.forgotten):
            self.unseen.pop(series, None)
        if change.forgotten:
            self._forget(change.forgotten)
        if change.compact:
            self._compact()

    def bucket(self, start: int) -> Rows:
        """Return the bucket at ``start``, with a zero for what was seen in another one only."""
        oldest = min(self.books)
        # A change that could not be taken over may have left places behind.
        self._lengthen()
        column = self._column(self.books[start].rows)
        if len(column) == len(self._table):
            return column
        return column.filled(seen >= oldest for seen in self._seen)

    def last_seen(self, whole: Series) -> Iterator[tuple[int, int]]:
        """Yield the projects of a series, each with the newest bucket that it was seen in.

        Those that no book has any more are among them.
        """
        seen = self._seen
        for project, place in self._table.places.get(whole, {}).items():
            if place < len(seen) and seen[place]:
                yield project, seen[place]

    def unused(self) -> float:
        """Return which share of the series that the ledger has a place for is in no book."""
        oldest = min(self.books, default=0)
        return sum(seen < oldest for seen in self._seen) / max(len(self._seen), 1)

    def rise(self, now: float) -> None:
        """Let the counters rise that have been shown at 0 for long enough, for good."""
        self.born = {s: at for s, at in self.born.items() if abs(now - at) < RISE_AFTER}

    def next_rise(self) -> float | None:
        """Return when the next counter leaves 0, ``None`` if none waits."""
        return min((at + RISE_AFTER for at in self.born.values()), default=None)

    def shown_counters(self) -> Rows:
        """Return the counters as they are to be shown, the newest ones still at 0."""
        return self._counters().updated(dict.fromkeys(self.born, 0))

    def _forget(self, series: frozenset[Series]) -> None:
        gone: dict[Series, set[int]] = {}
        for one in series:
            gone.setdefault(one.without_project(), set()).add(one.project)
        self.born = {one: at for one, at in self.born.items() if one not in series}
        kept = {
            whole: {label: value for label, value in values.items() if label not in gone[whole]}
            if whole in gone
            else values
            for whole, values in parts_of(self.counters).items()
        }
        self._counted = SeriesTable()
        self.counters = Column.of(self._counted, PartedRows(kept))

    def _compact(self) -> None:
        # In parts: a `Series` for each value of a large ledger would take a gigabyte for a moment.
        books = {
            start: replace(book, rows=PartedRows(dict(parts_of(book.rows))))
            for start, book in sorted(self.books.items())
        }
        self._table, self._seen = SeriesTable(), array("q")
        self._keep(self._columns(books))

    def _columns(self, books: Mapping[int, Book]) -> dict[int, Book]:
        return {
            start: replace(book, rows=Column.of(self._table, book.rows))
            for start, book in sorted(books.items())
        }

    def _keep(self, books: Mapping[int, Book]) -> None:
        self.books |= books
        self._lengthen()
        for start, book in books.items():
            column = self._column(book.rows)
            cells, absent = column.cells, column.absent
            # Of what the column is too short for, zip says nothing: it was not seen in it.
            pairs = zip(cells, self._seen, strict=False)
            newest = [start if cell != absent and start > seen else seen for cell, seen in pairs]
            self._seen[: len(cells)] = array("q", newest)

    def _lengthen(self) -> None:
        self._seen.extend([0] * (len(self._table) - len(self._seen)))

    def _column(self, rows: Rows) -> Column:
        return rows if isinstance(rows, Column) else Column.of(self._table, rows)

    def _counters(self) -> Column:
        counters = self.counters
        return counters if isinstance(counters, Column) else Column.of(self._counted, counters)


class Keeper(Protocol):
    """What keeps a ledger beyond the life of the process."""

    def save(self, change: Change, succeeded: float | None) -> None:
        """Write ``change``, and when the poll began if it succeeded, or raise `KeepError`."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A ledger, when the last poll in it began, and what keeps it if anything does."""

    ledger: Ledger
    last_success: float = 0
    keeper: Keeper | None = None
