"""What readings change in a ledger, which stays as it is but for numbers given to new labels.

The rule that holds whatever happens: for each bucket and each series of the whole organization,
the counters together gain exactly what the organization's own number has grown beyond what they
hold already. Values that fall, come back, or move between projects and the remainder change only
who gains it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.collect.ledger.ledger import NO_LABEL, Book, Change, Found, Labels, Ledger
from exporter.collect.series import PartedRows, Parts, Rows, Series, parts_of

FORGOTTEN_AFTER: Final = 30 * 86400
"""Seconds after which a counter is let go whose labels have not been seen."""

_CHECK_EVERY: Final = 6 * 3600
"""Seconds between two looks for what is no longer seen, which goes through every series."""

_CLOCK_IS_WRONG: Final = 86400
"""Seconds between our clock and the server's from which on nothing is let go."""

_COMPACT_FROM: Final = 0.2
"""The share of series in no book from which on a ledger is compacted."""

_REMAINDER: Final = 0

Values = Mapping[int, int]
"""What the projects of one series of the whole organization have."""


def reckon(
    ledger: Ledger,
    found: Mapping[int, Found],
    *,
    now: float,
    running_end: int,
    keep_from: int,
    interval: int = 3600,
    labels: Mapping[int, str] | None = None,
    asked: frozenset[int] | None = None,
    by_project: bool = True,
    clock_skew: float | None = None,
    jumped: bool = False,
) -> Change:
    """Return what ``found``, read at ``now``, changes in ``ledger``.

    Books before ``keep_from`` are dropped; what ends at ``running_end`` or before and is there at
    the first poll is not counted, nor is it after the clock ``jumped``, as those hours were not
    seen. ``labels`` are those of the projects, the remainder has none and neither has whatever is
    missing from them; ``None`` lets ids stand in. ``asked`` are the projects that a filter named.
    ``interval`` is a bucket's length, ``clock_skew`` the server's clock minus ours, both in
    seconds; a skew of ``None`` leaves the last one.
    """
    first = ledger.counts_from is None
    counts_from = running_end if jumped else min(running_end, ledger.counts_from or running_end)
    number = _Numbers(ledger.labels, labels)
    books: dict[int, Book] = {}
    entries: list[_Entry] = []
    for start, one in found.items():
        before, scope = ledger.books.get(start), _Scope(asked, ledger.asked, by_project)
        if before is None and start >= counts_from:
            before, scope = Book({}), _Scope(asked, asked, by_project)
        entry = _entered(before, one, scope)
        entries.append(entry)
        if entry.changed or start not in ledger.books:
            books[start] = entry.book
    born, counters = _gained(ledger.counters, entries, number)
    births = PartedRows(born)
    due = ledger.checked_at is None or not 0 <= now - ledger.checked_at < _CHECK_EVERY
    # By a clock that is days ahead, everything has long not been seen.
    due = due and abs(clock_skew or 0) < _CLOCK_IS_WRONG
    since = dict(_unseen(ledger, entries, number, now, interval)) if due else {}
    gone = {s for s, at in since.items() if at is not None and now - at >= FORGOTTEN_AFTER}
    return Change(
        books={start: book for start, book in books.items() if start >= keep_from},
        dropped=frozenset(start for start in ledger.books if start < keep_from),
        counters=PartedRows(counters),
        born={} if first else dict.fromkeys(births, now),
        counts_from=max(counts_from, keep_from),
        asked=asked,
        clock_skew=ledger.clock_skew if clock_skew is None else clock_skew,
        revisions=sum(entry.revisions for entry in entries),
        regressions=sum(entry.regressions for entry in entries),
        unseen={
            s: at
            for s, at in since.items()
            if at is not None and s not in gone and s not in ledger.unseen
        },
        seen=frozenset(s for s, at in since.items() if at is None),
        forgotten=frozenset(gone),
        compact=due and ledger.unused() > _COMPACT_FROM,
        checked_at=now if due else None,
    )


class _Numbers(dict[int, int]):
    """The number of the label that each project is shown under, by its id."""

    def __init__(self, table: Labels, labels: Mapping[int, str] | None) -> None:
        super().__init__({_REMAINDER: NO_LABEL})
        self._table = table
        self._labels = labels

    def __missing__(self, project: int) -> int:
        label = str(project) if self._labels is None else self._labels.get(project, "")
        number = self[project] = self._table.number(label)
        return number


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which projects a reading is about, where the query's filter names some.

    One that the last reading was not about brings values of hours that the query did not cover:
    they are taken as they are found. One that this reading is not about keeps what was counted of
    it until it comes back. A sum of several projects cannot be told apart: where it is of others
    than before, it is taken as it is found.
    """

    asked: frozenset[int] | None
    before: frozenset[int] | None
    by_project: bool = True

    @property
    def changed(self) -> bool:
        """Whether this reading is about other projects than the last one."""
        return self.before is not None and self.asked != self.before

    def set_apart(self, counted: dict[int, int], now: Values) -> dict[int, int]:
        """Take out of ``counted`` what this reading says nothing about, and return it.

        What the last reading did not cover is put in as if it had been counted.
        """
        if self.asked is None:
            return {}
        apart = {p: v for p, v in counted.items() if p != _REMAINDER and p not in self.asked}
        for project in apart:
            del counted[project]
        if self.before is not None and self.changed:
            new = self.asked - self.before - counted.keys()
            counted |= {project: now[project] for project in new & now.keys()}
            if not self.by_project and _REMAINDER in now:
                counted[_REMAINDER] = now[_REMAINDER]
        return apart


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one bucket becomes, whether that is a change, and what its series gain by it."""

    book: Book
    changed: bool
    gains: Parts = field(default_factory=dict)
    revisions: int = 0
    regressions: int = 0


def _entered(before: Book | None, found: Found, scope: _Scope) -> _Entry:
    """Enter ``found`` over ``before``; ``None`` is a bucket whose contents are not counted."""
    if before is None:
        book = Book(found.rows, found.told, found.finished, found.whole)
        return _Entry(book, changed=True)
    now, known, held = parts_of(found.rows), parts_of(before.rows), parts_of(before.counted)
    parts = {
        whole: _entered_part(
            now.get(whole, {}),
            known.get(whole, {}),
            held.get(whole, {}),
            scope,
            finished=before.finished,
        )
        for whole in dict.fromkeys([*now, *known, *held])
    }
    book = Book(
        PartedRows({whole: part.rows for whole, part in parts.items()}),
        found.told,
        found.finished,
        found.whole,
        PartedRows({whole: part.counted for whole, part in parts.items() if part.counted}),
    )
    about = (book.told, book.finished, book.whole)
    return _Entry(
        book,
        any(part.changed for part in parts.values())
        or about != (before.told, before.finished, before.whole),
        {whole: part.gains for whole, part in parts.items()},
        sum(part.grown for part in parts.values()),
        sum(part.shrunk for part in parts.values()),
    )


@dataclass(frozen=True, slots=True)
class _EnteredPart:
    """What one part of a bucket becomes; ``grown`` and ``shrunk`` are numbers of values."""

    rows: Values
    changed: bool = False
    gains: Values = field(default_factory=dict)
    counted: Values = field(default_factory=dict)
    grown: int = 0
    shrunk: int = 0


def _entered_part(
    now: Values, known: Values, held: Values, scope: _Scope, *, finished: bool
) -> _EnteredPart:
    """Enter what the projects of one series have ``now``; ``held`` is counted where not known."""
    if now == known and not held:
        return _EnteredPart(now)
    counted = {**known, **held}
    apart = scope.set_apart(counted, now)
    gains = _above(now, counted)
    room = sum(now.values()) - sum(counted.values())
    # Equal sums mean that nothing fell, and so that all is counted that is there.
    differing = {} if sum(gains.values()) == room else _settled(now, counted, gains, room)
    # What was there once stays, as 0: whatever has its label goes on being seen.
    gone = known.keys() - now.keys() - apart.keys()
    rows = {**dict.fromkeys(sorted(gone), 0), **now} if gone else now
    differing |= apart
    changed = rows != known or differing != held
    grown, shrunk = len(gains) if finished else 0, 0
    if finished and scope.changed:
        grown = 0
    elif finished and (held or differing):
        grown, shrunk = _late(now, known, apart)
    return _EnteredPart(rows, changed, gains, differing, grown, shrunk)


def _settled(
    now: Values, counted: dict[int, int], gains: dict[int, int], room: int
) -> dict[int, int]:
    """Cut ``gains`` down to ``room``; return what is counted where that is not the value."""
    _yield_excess(gains, max(room, 0))
    counted |= {project: counted.get(project, 0) + gain for project, gain in gains.items()}
    get = now.get
    differing = {project: value for project, value in counted.items() if value != get(project, 0)}
    # What moved here has been counted elsewhere.
    return differing | {p: 0 for p, value in now.items() if value and p not in counted}


def _above(values: Values, others: Values) -> dict[int, int]:
    """Return how much larger ``values`` are, where they are."""
    get = others.get
    return {p: value - other for p, value in values.items() if value > (other := get(p, 0))}


def _yield_excess(gains: dict[int, int], room: int) -> None:
    """Let single gains give way until all of them together are ``room``.

    The remainder yields first: it is what is known least of. After it, what gained most is
    likeliest to have been moved here from somewhere else, where it has been counted.
    """
    excess = sum(gains.values()) - room
    order = sorted(gains, key=lambda project: (project != _REMAINDER, -gains[project], project))
    for project in order:
        given = min(gains[project], excess)
        gains[project] -= given
        excess -= given
        if not gains[project]:
            del gains[project]
        if not excess:
            return


def _late(now: Values, known: Values, apart: Values) -> tuple[int, int]:
    """Return how many values grew and how many fell.

    What only moved between a project and the remainder did neither.
    """
    grown, fallen = _above(now, known), _above(known, now)
    for project in apart:
        fallen.pop(project, None)
    _take_moved(grown, fallen)
    _take_moved(fallen, grown)
    return sum(map(bool, grown.values())), sum(map(bool, fallen.values()))


def _take_moved(changes: dict[int, int], opposite: dict[int, int]) -> None:
    """Take out of ``changes`` what the ``opposite`` change of the remainder explains."""
    moved = opposite.get(_REMAINDER, 0)
    for project in sorted(changes, key=changes.__getitem__, reverse=True) if moved else ():
        taken = min(moved, changes[project])
        changes[project] -= taken
        opposite[_REMAINDER] = moved = moved - taken


def _gained(counters: Rows, entries: Iterable[_Entry], number: _Numbers) -> tuple[Parts, Parts]:
    """Return the counters that are new, at 0, and those that move or are new at their values."""
    before = parts_of(counters)
    found = [(parts_of(entry.book.rows), entry.gains) for entry in entries if entry.changed]
    new: dict[Series, dict[int, int]] = {}
    moved: dict[Series, dict[int, int]] = {}
    for whole in dict.fromkeys(whole for rows, _ in found for whole in rows):
        known = before.get(whole, {})
        born = new[whole] = dict[int, int]()
        for rows, _ in found:
            shown = map(number.__getitem__, rows.get(whole, {}))
            born |= {label: 0 for label in shown if label not in known}
        part = moved[whole] = born.copy()
        for _, gains in found:
            for project, gain in gains.get(whole, {}).items():
                label = number[project]
                part[label] = part[label] + gain if label in part else known[label] + gain
    return new, moved


def _unseen(
    ledger: Ledger, entries: Iterable[_Entry], number: _Numbers, now: float, interval: int
) -> Iterator[tuple[Series, float | None]]:
    """Yield the counters that were or are not seen, and since when; ``None``: they are seen."""
    oldest = min(ledger.books, default=math.inf)
    read = [parts_of(entry.book.rows) for entry in entries]
    before: dict[Series, set[int]] = {}
    for series in ledger.unseen:
        before.setdefault(series.without_project(), set()).add(series.project)
    for whole, counted in parts_of(ledger.counters).items():
        live = {number[project] for project, start in ledger.last_seen(whole) if start >= oldest}
        live.update(*(map(number.__getitem__, rows.get(whole, ())) for rows in read))
        missing = counted.keys() - live
        last: dict[int, int] = {}
        for project, start in ledger.last_seen(whole) if missing else ():
            label = number[project]
            last[label] = max(start + interval, last.get(label, 0))
        for label in missing:
            series = whole.of(label)
            yield series, ledger.unseen.get(series, min(now, last.get(label, now)))
        for series in ledger.unseen or ():
            if series.project in live and series.without_project() == whole:
                yield series, None
