"""Which buckets one poll reads: those of a window that have changed since. Pure, a plan.

A query without project reads its window in one question. One by project first reads the
window without project, which is one question too and tells which buckets have changed; only those
are asked by project, the newest first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.buckets import Window
from exporter.collect.ledger import Bucket, size_of
from exporter.collect.plan.core import Hints, Plan, together
from exporter.collect.plan.projects import read_projects
from exporter.collect.plan.proof import References
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_attributable, read_series
from exporter.collect.series import NO_PROJECT, Reading, refused_projects, totals

MAX_BUCKETS: Final = 48
MAX_ROWS: Final = 250_000
"""How much a poll reads by project: so many buckets, fewer if they have more rows. What is left is
the backlog of the polls that follow: with all of a day of large buckets in memory at once, a start
took more memory than everything after it."""

_ALWAYS_READ: Final = 3
"""The running bucket, one that has ended and one that is finished may each have changed: those are
read by one poll, however many rows they have."""


@dataclass(frozen=True, slots=True)
class WindowReading:
    """What a poll has read: a reading for each bucket that may have changed.

    ``backlog`` says that there are buckets left for the next poll. ``readable`` are projects that
    Sentry let the token read, ``refused`` those that it did not.
    """

    readings: Mapping[int, Reading]
    backlog: bool = False
    readable: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()
    hints: Hints = field(default_factory=Hints)


def read_window(
    query: ResolvedQuery,
    window: Window,
    finished: int,
    known: Mapping[int, Bucket],
    projects: tuple[int, ...] = (),
    hints: Hints | None = None,
    *,
    unfinished: bool = True,
) -> Plan[WindowReading]:
    """Read what has changed in ``window``, of which buckets up to ``finished`` are finished.

    ``known`` is what the ledger has of it, ``projects`` those that may be asked for in batches,
    ``hints`` what the last poll learned. By project, buckets that are not finished are read only
    where ``unfinished`` ones are wanted.
    """
    hints = hints or Hints()
    # Before any project: with a later total, what came in meanwhile would look like a remainder.
    total = yield from read_series(query, query.question(window))
    if not query.by_project:
        readings = {start: replace(one, finished=finished >= start) for start, one in total.items()}
        return WindowReading(readings, refused=refused_projects(readings.values()))
    changed = [
        start
        for start in reversed(window.buckets())
        if (unfinished or start <= finished)
        and _has_changed(total[start], known.get(start), shown=start == finished)
    ]
    # The total is over every project: where it is 0, each of them is, and none has to be asked for.
    empty = {start for start in changed if not totals(total[start].rows)}
    now = _chosen(changed, empty, finished, known)
    filled = [start for start in now if start not in empty]
    read = yield from _by_project(query, filled, total, known, projects, hints)
    readings = {
        start: replace(
            read[start][0] if start in read else Reading({}, total[start].proven),
            total=totals(total[start].rows),
            finished=finished >= start,
        )
        for start in now
    }
    held = (values for reading, _ in read.values() for values in reading.rows.values())
    return WindowReading(
        readings | dict(_now_finished(window, finished, known, frozenset(changed))),
        len(now) < len(changed),
        frozenset[int]().union(*held) - {NO_PROJECT},
        refused_projects([*total.values(), *readings.values()]),
        _learned(hints, [learned for _, learned in read.values()]),
    )


def _by_project(
    query: ResolvedQuery,
    buckets: Sequence[int],
    total: Mapping[int, Reading],
    known: Mapping[int, Bucket],
    projects: tuple[int, ...],
    hints: Hints,
) -> Plan[dict[int, tuple[Reading, Hints]]]:
    """Read ``buckets`` by project, all of them side by side."""
    attributable: Mapping[int, Reading] | None = None
    if hints.tells_attributable:
        attributable = yield from _attributable(query, buckets, known)
    # An empty mapping was not asked for and can be asked later, bucket by bucket.
    tells = attributable is not None
    read = yield from together(
        [
            read_projects(
                query,
                start,
                References(total[start], (attributable or {}).get(start), tells),
                projects,
                hints.cut,
            )
            for start in buckets
        ]
    )
    return dict(zip(buckets, read, strict=True))


def _attributable(
    query: ResolvedQuery, buckets: Sequence[int], known: Mapping[int, Bucket]
) -> Plan[Mapping[int, Reading] | None]:
    """Read what the token's projects hold of ``buckets``, where that was not all the last time.

    One question answers it for all of them, before their projects are read. ``None`` where the
    server cannot say.
    """
    # The newest bucket known stands for all: a wrong guess costs a question, never exactness.
    if not buckets or not known or not _has_remainder(known[max(known)]):
        return {}
    window = Window(min(buckets), max(buckets) + query.interval, query.interval)
    return (yield from read_attributable(query, window))


def _has_remainder(bucket: Bucket) -> bool:
    return any(values.get(NO_PROJECT) for values in bucket.rows.values())


def _learned(before: Hints, learned: Sequence[Hints]) -> Hints:
    """Return the hints for the next poll; of several buckets the one with the most rows decides."""
    cuts = [one.cut for one in learned if one.cut]
    return Hints(
        max(cuts, key=lambda cut: cut.rows, default=before.cut),
        before.tells_attributable and all(one.tells_attributable for one in learned),
        any(one.unlisted for one in learned),
    )


def _has_changed(total: Reading, bucket: Bucket | None, *, shown: bool) -> bool:
    """Return whether to read a bucket again; one that is shown is worth another try to prove."""
    # Sentry only adds rows: where the total is the same, every project's value is.
    if bucket is None or totals(total.rows) != bucket.total:
        return True
    return shown and total.proven and not bucket.proven


def _chosen(
    changed: Sequence[int], empty: set[int], finished: int, known: Mapping[int, Bucket]
) -> list[int]:
    """Return what to read now of the ``changed`` buckets, which begin with the newest.

    If the finished bucket was never read, that is just the newest ones, so that they are shown at
    once: after a gap, and at each poll of a query that is polled once per interval. There is
    nothing to be read of ``empty`` ones.
    """
    fresh = [start for start in changed if start >= finished]
    if finished not in known and fresh:
        return fresh
    # The other buckets are taken to be as large as the one shown.
    rows = size_of(known[finished].rows) if finished in known else 0
    size = max(_ALWAYS_READ, min(MAX_BUCKETS, MAX_ROWS // max(rows, 1)))
    # What is shown comes first, then what was never read; the others can wait for the last poll.
    ordered = sorted(changed, key=lambda start: (start != finished, start in known))
    later = [start for start in ordered if start not in empty][size:]
    return [start for start in ordered if start not in later]


def _now_finished(
    window: Window, finished: int, known: Mapping[int, Bucket], changed: frozenset[int]
) -> Iterator[tuple[int, Reading]]:
    """Yield the buckets that have not changed since they were read, and are finished by now.

    One that has changed stays as it was known until it is read: what it gained while it was
    running is no late data.
    """
    for start in window.buckets():
        bucket = known.get(start)
        if bucket is None or bucket.finished or start in changed or start > finished:
            continue
        yield start, Reading(bucket.rows, bucket.proven, bucket.total, finished=True)
