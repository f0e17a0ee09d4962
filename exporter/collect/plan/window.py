"""What one poll reads: the buckets of a window that have changed since they were last read.

Pure, a plan like the others. A query without project reads its whole window
in one question. One by project first reads the window without project, which is one question too
and tells which buckets have changed; only those are asked by project, the newest first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.buckets import Window
from exporter.collect.ledger.ledger import Book, Found
from exporter.collect.plan.core import Cut, Plan, Reading, together
from exporter.collect.plan.projects import ProjectReading, References, read_projects
from exporter.collect.plan.resolved import Subject
from exporter.collect.plan.series import read_attributable, read_series
from exporter.collect.series import Rows, nonzero, parts_of

AT_ONCE: Final = 48
ROWS_AT_ONCE: Final = 250_000
"""How much a poll reads by project: so many buckets, fewer if they have more rows. What is left is
read by the polls that follow it."""

_NEWEST: Final = 3
"""Of an hour that runs, one that has ended and one that is finished, each may have changed: those
are read by one poll, however many rows they have."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a poll brought home: ``backlog`` if there are buckets that it left for the next.

    ``readable`` are projects that Sentry let the token read, ``refused`` such that it did not.
    ``lacking`` says that there are others to be read, ``tells_attributable`` that the server says
    what they hold together.
    """

    found: Mapping[int, Found]
    backlog: bool = False
    cut: Cut | None = None
    readable: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()
    lacking: bool = False
    tells_attributable: bool = True


def read_window(
    subject: Subject,
    window: Window,
    finished: int,
    books: Mapping[int, Book],
    projects: tuple[int, ...] = (),
    cut: Cut | None = None,
    *,
    unfinished: bool = True,
    tells_attributable: bool = True,
) -> Plan[Harvest]:
    """Read what has changed in ``window``, of which buckets up to ``finished`` are finished.

    ``books`` is what is known of it, ``projects`` those that may be asked for in batches, ``cut``
    what the last harvest said of splitting. By project, buckets that are not finished are read
    only where ``unfinished`` ones are wanted. Whether the server ``tells_attributable`` is what
    the last harvest said.
    """
    told = yield from read_series(subject, subject.question(window))
    refused = frozenset[int]().union(*(one.refused for one in told.values()))
    if not subject.by_project:
        found = {start: _found(one, {}, finished >= start) for start, one in told.items()}
        return Harvest(found, refused=refused)
    changed = [
        start
        for start in reversed(window.buckets())
        if (unfinished or start <= finished)
        and _moved(told[start], books.get(start), shown=start == finished)
    ]
    silent = {start for start in changed if not nonzero(told[start].rows)}
    now = _first_of(changed, silent, finished, books)
    filled = [start for start in now if start not in silent]
    attributable: Mapping[int, Reading] | None = {} if tells_attributable else None
    if tells_attributable:
        attributable = yield from _attributable(subject, filled, books)
    tells = attributable is not None
    readings = yield from together(
        [
            read_projects(
                subject,
                start,
                References(told[start], (attributable or {}).get(start), tells),
                projects,
                cut,
            )
            for start in filled
        ]
    )
    read = dict(zip(filled, readings, strict=True))
    found = {
        start: _found(
            read.get(start, ProjectReading({}, told[start].whole)),
            told[start].rows,
            finished >= start,
        )
        for start in now
    }
    found |= dict(_now_finished(window, finished, books, found))
    came = (values for reading in readings for values in parts_of(reading.rows).values())
    readable = frozenset[int]().union(*came) - {0}
    refused = refused.union(*(reading.refused for reading in readings))
    return Harvest(
        found,
        len(now) < len(changed),
        _largest(readings),
        readable,
        refused,
        any(reading.lacking for reading in readings),
        tells and all(reading.is_told for reading in readings),
    )


def _attributable(
    subject: Subject, buckets: Sequence[int], books: Mapping[int, Book]
) -> Plan[Mapping[int, Reading] | None]:
    """Read what the token's projects hold of ``buckets``, where that was not all the last time.

    One question tells it of all of them, before their projects are read. ``None`` where the server
    does not tell it.
    """
    if not buckets or not books or not _has_remainder(books[max(books)]):
        return {}
    window = Window(min(buckets), max(buckets) + subject.interval, subject.interval)
    return (yield from read_attributable(subject, window))


def _has_remainder(book: Book) -> bool:
    return any(values.get(0) for values in parts_of(book.rows).values())


def _largest(readings: Sequence[ProjectReading]) -> Cut | None:
    """Return what to remember: the cut of the bucket that had the most rows."""
    cuts = [reading.cut for reading in readings if reading.cut]
    return max(cuts, key=lambda cut: cut.rows, default=None)


def _found(reading: Reading, told: Rows, finished: bool) -> Found:  # noqa: FBT001
    return Found(reading.rows, told, finished, reading.whole)


def _moved(told: Reading, book: Book | None, *, shown: bool) -> bool:
    """Tell whether to read a bucket (again): what is shown is also worth another try to prove."""
    if book is None or nonzero(told.rows) != nonzero(book.told):
        return True
    return shown and told.whole and not book.whole


def _first_of(
    changed: list[int], silent: set[int], finished: int, books: Mapping[int, Book]
) -> list[int]:
    """Return what to read now of what has ``changed``, which begins with the newest.

    After a gap that is just the newest buckets, so that they show at once. What is ``silent`` has
    nothing to be read.
    """
    fresh = [start for start in changed if start >= finished]
    if finished not in books and fresh:
        return fresh
    rows = len(books[finished].rows) if finished in books else 0
    most = max(_NEWEST, min(AT_ONCE, ROWS_AT_ONCE // max(rows, 1)))
    # What is shown comes first, then what was never read; the rest can wait for the last poll.
    ordered = sorted(changed, key=lambda start: (start != finished, start in books))
    later = [start for start in ordered if start not in silent][most:]
    return [start for start in ordered if start not in later]


def _now_finished(
    window: Window, finished: int, books: Mapping[int, Book], found: Mapping[int, Found]
) -> Iterator[tuple[int, Found]]:
    """Yield the buckets that have not changed since they were read, and are finished by now."""
    for start in window.buckets():
        book = books.get(start)
        if book is not None and start not in found and start <= finished and not book.finished:
            yield start, Found(book.rows, book.told, finished=True, whole=book.whole)
