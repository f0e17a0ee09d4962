"""The ledger: what one query has read, bucket by bucket, and what it has counted of it.

For each bucket of the lookback it has, by project id, the value last read of each series and how
much of that was counted. Counters belong to the labels that users see, not to the ids behind them:
what a project gains is added to the counter of the label that the project has at that time.
`exporter.collect.ledger.posting` works out what readings change; `Ledger.apply` changes it. Between
the two, the change is persisted.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.collect.ledger.columns import Column, SeriesTable
from exporter.collect.series import ProjectSeries, Rows, Series, Totals

GRACE_PERIOD: Final = 120
"""Seconds in which a new counter is shown at 0, so that a scrape sees it there."""

NO_LABEL: Final = 0
"""The number of the empty label, under which the remainder is counted."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of the ledger: what was last read of it, and what has been counted of that.

    ``rows`` are by project id. ``total`` is the organization total, for queries by project.
    ``finished`` says that the bucket was finished when it was read, ``proven`` that the reading was
    not cut. ``counted`` has, for each value that differs from the amount counted, that amount: more
    (overcounted) or less. ``asked`` are the projects that a filter asked for when it was read,
    ``None`` where all are asked for.
    """

    rows: Column
    total: Totals = field(default_factory=dict)
    finished: bool = False
    proven: bool = True
    counted: Rows = field(default_factory=dict)
    asked: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a poll changes in a ledger, and what was noticed on the way.

    ``buckets`` are columns of ``series``. If the origin of ``series`` or of the counters' table is
    not the ledger's, the new table takes the place of the old one, and has all that there is.
    ``labels`` are the new ones, numbered on from those of the ledger. ``in_grace`` has the counters
    that are new, and when they are first shown. ``unseen`` says since when counters that are no
    longer seen have not been seen, ``seen`` which are seen again, ``forgotten`` which are let go.
    ``dropped`` are the buckets that leave. ``revisions`` counts the finished values that grew,
    ``regressions`` those that shrank.
    """

    series: SeriesTable
    counters: Column
    buckets: Mapping[int, Bucket] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()
    labels: tuple[str, ...] = ()
    in_grace: Mapping[ProjectSeries, float] = field(default_factory=dict)
    counts_from: int = 0
    asked: frozenset[int] | None = None
    revisions: int = 0
    regressions: int = 0
    clock_skew: float | None = None
    unseen: Mapping[ProjectSeries, float] = field(default_factory=dict)
    seen: frozenset[ProjectSeries] = frozenset()
    forgotten: frozenset[ProjectSeries] = frozenset()
    checked_at: float | None = None


def _no_rows() -> Column:
    return Column.of(SeriesTable(), {})


@dataclass(slots=True)
class Ledger:
    """What one query has read and counted.

    A bucket that is read for the first time is counted if it starts at ``counts_from`` or later:
    what was there before the first poll, or has left the lookback, is not counted. The projects of
    ``counters`` are numbers of ``labels``. ``in_grace`` says when the counters in their grace
    period were first shown, ``unseen`` since when the label of a counter has not been seen.
    ``asked`` are the projects that the last poll asked for by a filter, ``None`` where all are
    asked for. ``clock_skew`` is the server's clock minus ours at the last poll, ``checked_at`` when
    counters that are no longer seen were last looked for, both in seconds.
    """

    buckets: dict[int, Bucket] = field(default_factory=dict)
    counters: Column = field(default_factory=_no_rows)
    labels: list[str] = field(default_factory=lambda: [""])
    in_grace: dict[ProjectSeries, float] = field(default_factory=dict)
    counts_from: int | None = None
    asked: frozenset[int] | None = None
    unseen: dict[ProjectSeries, float] = field(default_factory=dict)
    clock_skew: float | None = None
    series: SeriesTable = field(default_factory=SeriesTable, compare=False, repr=False)
    checked_at: float | None = field(default=None, compare=False)
    _last_seen: "array[int]" = field(default_factory=lambda: array("q"), compare=False, repr=False)
    """By place, the start of the newest bucket that the series was in, 0 for none."""

    def __post_init__(self) -> None:
        _see(self._last_seen, self.series.length, self.buckets)

    def apply(self, change: Change) -> None:
        """Take ``change`` over, which was worked out for this ledger as it is.

        Without memory for it, nothing changes: what was taken over in part would count wrongly.
        """
        buckets = {**self.buckets, **change.buckets}
        for start in change.dropped:
            buckets.pop(start, None)
        in_grace = {
            one: at
            for one, at in {**self.in_grace, **change.in_grace}.items()
            if one not in change.forgotten
        }
        unseen = {**self.unseen, **change.unseen}
        for one in (*change.seen, *change.forgotten):
            unseen.pop(one, None)
        # In another table, places mean other series; it is filled from all buckets.
        is_same = change.series.origin is self.series.origin
        last_seen = self._last_seen if is_same else array("q")
        _see(last_seen, change.series.length, change.buckets)
        self.labels.extend(change.labels)
        # From here on, nothing takes memory.
        self.series, self.counters = change.series, change.counters
        self.buckets, self.in_grace, self.unseen = buckets, in_grace, unseen
        self._last_seen = last_seen
        self.counts_from = change.counts_from
        self.asked = change.asked
        self.clock_skew = change.clock_skew
        self.checked_at = change.checked_at or self.checked_at

    def shown_bucket(self, start: int) -> Column:
        """Return the bucket at ``start``, with a zero for what is in another bucket only."""
        oldest = min(self.buckets)
        present = (newest >= oldest for newest in self._last_seen)
        return self.buckets[start].rows.filled(self.series, present)

    def last_seen(self, series: Series) -> Iterator[tuple[int, int]]:
        """Yield the projects of a series, each with the newest bucket that it was in.

        Those that are in no bucket of the ledger any more are among them.
        """
        for run in self.series.runs.get(series, ()):
            newest = self._last_seen[run.start : run.end]
            yield from (pair for pair in zip(run.projects, newest, strict=True) if pair[1])

    def unused(self) -> float:
        """Return the share of the places that no bucket of the ledger has a value for."""
        oldest = min(self.buckets, default=0)
        places = self._last_seen
        return sum(newest < oldest for newest in places) / max(len(places), 1)

    def follow_clock(self, now: float) -> None:
        """Begin the grace periods at ``now`` that begin later: the clock was set back since."""
        self.in_grace = {one: min(at, now) for one, at in self.in_grace.items()}

    def end_grace(self, now: float) -> None:
        """Show the counters from now on whose grace period has ended, for good."""
        self.in_grace = {one: at for one, at in self.in_grace.items() if now - at < GRACE_PERIOD}

    def grace_ends_at(self) -> float | None:
        """Return when the next grace period ends, ``None`` if there is none."""
        return min((at + GRACE_PERIOD for at in self.in_grace.values()), default=None)

    def shown_counters(self) -> Column:
        """Return the counters as they are to be shown, at 0 in their grace period."""
        zeros: dict[Series, dict[int, int]] = {}
        for one in self.in_grace:
            zeros.setdefault(one.series, {})[one.project] = 0
        return self.counters.updated(self.counters.table, zeros) if zeros else self.counters


def _see(newest: "array[int]", length: int, buckets: Mapping[int, Bucket]) -> None:
    """Note in ``newest`` in which buckets the series are, of those that are new or changed.

    There are ``length`` places.
    """
    newest.extend([0] * (length - len(newest)))
    places: Sequence[int] = range(len(newest))
    # The newest bucket first: after it, hardly a place is left to look at.
    for start, bucket in sorted(buckets.items(), reverse=True):
        cells, absent = bucket.rows.cells, bucket.rows.absent
        end = len(cells)
        places = [place for place in places if newest[place] < start]
        for place in places:
            if place < end and cells[place] != absent:
                newest[place] = start
