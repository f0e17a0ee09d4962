"""What readings change in a ledger: pure, the ledger stays as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.collect.ledger import Book, Change, Found, Ledger
from exporter.collect.rows import PartedRows, Parts, Rows, Series, parts_of

Values = Mapping[int, int]
"""What the projects of one series of the whole organization have."""


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
        if entry.changed or start not in ledger.books:
            books[start] = entry.book
    new, counters = _gained(ledger.counters, entries)
    return Change(
        books={start: book for start, book in books.items() if start >= keep_from},
        dropped=frozenset(start for start in ledger.books if start < keep_from),
        counters=PartedRows(counters),
        born={} if first else dict.fromkeys(PartedRows(new), now),
        counts_from=max(counts_from, keep_from),
        readable=readable,
        revisions=sum(entry.revisions for entry in entries),
        regressions=sum(entry.regressions for entry in entries),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one bucket becomes, whether that is a change, and what its series gain by it."""

    book: Book
    changed: bool
    gains: Parts = field(default_factory=dict)
    revisions: int = 0
    regressions: int = 0


def _entered(before: Book | None, found: Found) -> _Entry:
    """Enter ``found`` over ``before``; ``None`` is a bucket whose contents are not counted."""
    if before is None:
        book = Book(found.rows, found.told, found.finished, found.whole)
        return _Entry(book, changed=True)
    now, known, fell = parts_of(found.rows), parts_of(before.rows), parts_of(before.fallen)
    parts = {
        whole: _entered_part(now.get(whole, {}), known.get(whole, {}), fell.get(whole, {}))
        for whole in dict.fromkeys([*now, *known])
    }
    book = Book(
        PartedRows({whole: part.rows for whole, part in parts.items()}),
        found.told,
        found.finished,
        found.whole,
        PartedRows({whole: part.fallen for whole, part in parts.items() if part.fallen}),
    )
    about = (book.told, book.finished, book.whole)
    return _Entry(
        book,
        any(part.changed for part in parts.values())
        or about != (before.told, before.finished, before.whole),
        {whole: part.gains for whole, part in parts.items()},
        sum(part.grown for part in parts.values()) if before.finished else 0,
        sum(part.shrunk for part in parts.values()) if before.finished else 0,
    )


@dataclass(frozen=True, slots=True)
class _EnteredPart:
    """What one part of a bucket becomes; ``grown`` and ``shrunk`` are numbers of values."""

    rows: Values
    changed: bool = False
    gains: Values = field(default_factory=dict)
    fallen: Values = field(default_factory=dict)
    grown: int = 0
    shrunk: int = 0


def _entered_part(now: Values, known: Values, fell: Values) -> _EnteredPart:
    if now == known and not fell:
        return _EnteredPart(now)
    counted = {**known, **{p: known.get(p, 0) + more for p, more in fell.items()}}
    gains = _above(now, counted)
    grown_only = sum(gains.values()) == sum(now.values()) - sum(counted.values())
    fallen = {} if grown_only else _above(counted, now)
    grown = len(_above(now, known)) if fell else len(gains)
    if fallen:
        _reattribute(gains, fallen)
    rows = {**dict.fromkeys(fallen, 0), **now} if fallen else now
    changed = rows != known or fallen != fell
    return _EnteredPart(rows, changed, gains, fallen, grown, len(_above(fallen, fell)))


def _above(values: Values, others: Values) -> dict[int, int]:
    """Return how much larger ``values`` are, where they are."""
    get = others.get
    return {p: value - other for p, value in values.items() if value > (other := get(p, 0))}


def _reattribute(gains: dict[int, int], fallen: dict[int, int]) -> None:
    """Let what moved between a project and project 0 be no gain: it has been counted already."""
    for project in list(gains):
        for source in [0] if project else [one for one in fallen if one]:
            moved = min(gains[project], fallen.get(source, 0))
            gains[project] -= moved
            fallen[source] = fallen.get(source, 0) - moved
    for project in [project for project, value in fallen.items() if not value]:
        del fallen[project]


_F = TypeVar("_F", bound=Found)


def _folded(found: _F, readable: frozenset[int] | None) -> _F:
    """Return ``found`` with what is not in ``readable`` under project 0."""
    if readable is None or _readable(found.rows, readable):
        return found
    if isinstance(found, Book):
        return replace(
            found, rows=_fold(found.rows, readable), fallen=_fold(found.fallen, readable)
        )
    return replace(found, rows=_fold(found.rows, readable))


def _readable(rows: Rows, readable: frozenset[int]) -> bool:
    shown = readable | {0}
    return all(values.keys() <= shown for values in parts_of(rows).values())


def _fold(rows: Rows, readable: frozenset[int]) -> PartedRows:
    return PartedRows(
        {whole: _folded_part(values, readable) for whole, values in parts_of(rows).items()}
    )


def _folded_part(values: Values, readable: frozenset[int]) -> Values:
    kept = {project: value for project, value in values.items() if project in readable}
    rest = [value for project, value in values.items() if project not in readable]
    return {**kept, 0: sum(rest)} if rest else kept


def _gained(counters: Rows, entries: Iterable[_Entry]) -> tuple[Parts, Parts]:
    """Return the counters that are new, at 0, and those that move or are new at their values."""
    before = parts_of(counters)
    found = [(parts_of(entry.book.rows), entry.gains) for entry in entries]
    new: dict[Series, dict[int, int]] = {}
    moved: dict[Series, dict[int, int]] = {}
    for whole in dict.fromkeys(whole for rows, _ in found for whole in rows):
        known = before.get(whole, {})
        born = new[whole] = dict[int, int]()
        for rows, _ in found:
            born |= {project: 0 for project in rows.get(whole, {}) if project not in known}
        part = moved[whole] = born.copy()
        for _, gains in found:
            gained = gains.get(whole, {})
            counted = {**known, **part} if gained else {}
            part |= {project: counted[project] + gain for project, gain in gained.items()}
    return new, moved
