"""The ledger: what one query has seen, bucket by bucket, and what it has counted of it.

For each bucket of the lookback it keeps the value last read of each series and how much of it
was counted. Counters gain what is new, and never fall. `reckon` works out what readings change,
without changing anything; `Ledger.apply` takes that change over. Between the two the change is
written down, where the ledger shall outlive the process.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

from exporter.collect.columns import Column, SeriesTable
from exporter.collect.rows import added
from exporter.collect.subject import Rows, Series

RISE_AFTER: Final = 120
"""Seconds for which a counter born later is shown at 0, so that a scrape sees it there."""


class KeepError(Exception):
    """A change could not be written down, and so must not be shown either."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a poll read of one bucket.

    ``told`` is the same bucket without project, for queries by project. ``finished`` tells whether
    the bucket was finished when it was read, ``whole`` whether it is proven.
    """

    rows: Mapping[Series, int]
    told: Mapping[Series, int] = field(default_factory=dict)
    finished: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Book(Found):
    """One bucket of the ledger: what was last found, and what was counted beyond it.

    ``fallen`` holds, for series whose value fell, how much more than it was counted.
    """

    fallen: Mapping[Series, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What a poll does to a ledger: new books and counter values, and what was noticed.

    ``born`` names the counters that were not there before, ``dropped`` the books that leave.
    ``revisions`` counts the finished values that grew, ``regressions`` those that fell.
    """

    books: Mapping[int, Book]
    dropped: frozenset[int]
    counters: Mapping[Series, int]
    born: Mapping[Series, float]
    counts_from: int
    readable: frozenset[int] | None
    revisions: int
    regressions: int


@dataclass(slots=True)
class Ledger:
    """What one query has seen and counted.

    A bucket that is read for the first time is counted if it starts at ``counts_from`` or later:
    what was there before the first poll, or has left the lookback, is taken as it is found.
    ``born`` holds when the counters that came after the first poll were first shown, ``readable``
    the projects that the books name.
    """

    books: dict[int, Book] = field(default_factory=dict)
    counters: Mapping[Series, int] = field(default_factory=dict)
    born: dict[Series, float] = field(default_factory=dict)
    counts_from: int | None = None
    readable: frozenset[int] | None = None
    _table: SeriesTable = field(default_factory=SeriesTable, compare=False, repr=False)
    _seen: list[int] = field(default_factory=list, compare=False, repr=False)
    """For each place of the table the start of the newest bucket that the series was seen in."""

    def __post_init__(self) -> None:
        self.counters = Column.of(self._table, self.counters)
        self._keep(self._columns(self.books))

    def apply(self, change: Change) -> None:
        """Take ``change`` over."""
        # What cannot be held in a column raises here, before anything is taken over.
        counters = self._column(self.counters).updated(change.counters)
        books = self._columns(change.books)
        self.counters = counters
        self._keep(books)
        for start in change.dropped:
            self.books.pop(start, None)
        self.born.update(change.born)
        self.counts_from = change.counts_from
        self.readable = change.readable

    def bucket(self, start: int) -> Mapping[Series, int]:
        """Return the bucket at ``start``, with a zero for what was seen in another one only."""
        oldest = min(self.books)
        self._seen += [0] * (len(self._table.places) - len(self._seen))
        return self._column(self.books[start].rows).filled(seen >= oldest for seen in self._seen)

    def rise(self, now: float) -> None:
        """Let the counters rise that have been shown at 0 for long enough, for good."""
        self.born = {s: at for s, at in self.born.items() if abs(now - at) < RISE_AFTER}

    def next_rise(self) -> float | None:
        """Return when the next counter leaves 0, ``None`` if none waits."""
        return min((at + RISE_AFTER for at in self.born.values()), default=None)

    def shown_counters(self) -> Mapping[Series, int]:
        """Return the counters as they are to be shown, the newest ones still at 0."""
        return self._column(self.counters).updated(dict.fromkeys(self.born, 0))

    def _columns(self, books: Mapping[int, Book]) -> dict[int, Book]:
        return {
            start: replace(book, rows=Column.of(self._table, book.rows))
            for start, book in sorted(books.items())
        }

    def _keep(self, books: Mapping[int, Book]) -> None:
        self.books |= books
        self._seen += [0] * (len(self._table.places) - len(self._seen))
        for start, book in books.items():
            for place in self._column(book.rows).places():
                self._seen[place] = max(self._seen[place], start)

    def _column(self, rows: Mapping[Series, int]) -> Column:
        return rows if isinstance(rows, Column) else Column.of(self._table, rows)


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


def reckon(
    ledger: Ledger,
    found: Mapping[int, Found],
    *,
    now: float,
    running_end: int,
    keep_from: int,
    readable: frozenset[int] | None = None,
) -> Change:
    """Return what ``found``, read at ``now``, changes in ``ledger``.

    Books before ``keep_from`` are dropped; what ends at ``running_end`` or before and is there at
    the first poll is not counted. For a query by project, ``readable`` are the projects that the
    token can read: what others hold is put under project 0, in the books too, for good.
    """
    first = ledger.counts_from is None
    counts_from = min(running_end, ledger.counts_from or running_end)
    books: dict[int, Book] = {}
    if readable != ledger.readable:
        folded = ((start, _folded(book, readable)) for start, book in ledger.books.items())
        books = {start: book for start, book in folded if book is not ledger.books[start]}
    entries: list[_Entry] = []
    for start, one in found.items():
        before = books.get(start) or ledger.books.get(start)
        if before is None and start >= counts_from:
            before = Book({})
        entry = _entered(before, _folded(one, readable))
        entries.append(entry)
        if entry.book != ledger.books.get(start):
            books[start] = entry.book
    counters = _gained(dict(ledger.counters.items()), entries)
    return Change(
        books={start: book for start, book in books.items() if start >= keep_from},
        dropped=frozenset(start for start in ledger.books if start < keep_from),
        counters=counters,
        born={} if first else {s: now for s in counters if s not in ledger.counters},
        counts_from=max(counts_from, keep_from),
        readable=readable,
        revisions=sum(entry.revisions for entry in entries),
        regressions=sum(entry.regressions for entry in entries),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one bucket becomes, and what its series gain by it."""

    book: Book
    gains: Mapping[Series, int]
    revisions: int
    regressions: int


def _entered(before: Book | None, found: Found) -> _Entry:
    """Enter ``found`` over ``before``; ``None`` is a bucket whose contents are not counted."""
    if before is None:
        return _Entry(Book(found.rows, found.told, found.finished, found.whole), {}, 0, 0)
    known = dict(before.rows.items())
    counted = added(known, before.fallen) if before.fallen else known
    gains = _above(found.rows, counted)
    fallen = _above(counted, found.rows)
    if fallen:
        _reattribute(gains, fallen)
    rows = {**dict.fromkeys(fallen, 0), **found.rows} if fallen else found.rows
    revisions = len(_above(found.rows, known)) if before.finished else 0
    regressions = len(_above(fallen, before.fallen)) if before.finished else 0
    book = Book(rows, found.told, found.finished, found.whole, fallen)
    return _Entry(book, gains, revisions, regressions)


def _above(rows: Mapping[Series, int], others: Mapping[Series, int]) -> Rows:
    """Return how much larger the values of ``rows`` are, where they are."""
    get = others.get
    return {s: value - before for s, value in rows.items() if value > (before := get(s, 0))}


def _reattribute(gains: Rows, fallen: Rows) -> None:
    """Let what moved between a project and project 0 be no gain: it has been counted already."""
    for series in list(gains):
        rest = series.without_project()
        sources = [rest] if series.project else _parts(fallen, rest)
        for source in sources:
            moved = min(gains[series], fallen.get(source, 0))
            gains[series] -= moved
            fallen[source] = fallen.get(source, 0) - moved
    for series in [series for series, value in fallen.items() if not value]:
        del fallen[series]


def _parts(fallen: Rows, rest: Series) -> list[Series]:
    return [series for series in fallen if series.project and series.without_project() == rest]


_F = TypeVar("_F", bound=Found)


def _folded(found: _F, readable: frozenset[int] | None) -> _F:
    """Return ``found`` with what is not in ``readable`` under project 0."""
    if readable is None or {series.project for series in found.rows} <= readable | {0}:
        return found
    if isinstance(found, Book):
        return replace(
            found, rows=_fold(found.rows, readable), fallen=_fold(found.fallen, readable)
        )
    return replace(found, rows=_fold(found.rows, readable))


def _fold(rows: Mapping[Series, int], readable: frozenset[int]) -> Rows:
    folded: Rows = {}
    for series, value in rows.items():
        key = series if series.project in readable else series.without_project()
        folded[key] = folded.get(key, 0) + value
    return folded


def _gained(counters: Mapping[Series, int], entries: Iterable[_Entry]) -> Rows:
    """Return the counters that move or are new, with their new values; new ones are sorted."""
    moved: Rows = {}
    for entry in entries:
        for series in sorted(entry.book.rows.keys() - counters.keys() - moved.keys()):
            moved[series] = 0
        for series, gain in entry.gains.items():
            moved[series] = moved.get(series, counters.get(series, 0)) + gain
    return moved
