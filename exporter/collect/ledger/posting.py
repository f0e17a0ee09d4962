"""Posting: what readings change in a ledger, which stays as it is. Pure.

The rule that holds whatever happens: for each bucket and each series of the organization, the
counters together gain exactly what the organization's own number has grown beyond what they hold.
Values that shrink, come back, or move between projects and the remainder change only who gains it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.collect.ledger.columns import Column, SeriesTable
from exporter.collect.ledger.gains import Scope, post_series
from exporter.collect.ledger.ledger import NO_LABEL, Bucket, Change, Ledger
from exporter.collect.series import NO_PROJECT, ProjectSeries, Reading, Rows, Series, Values

FORGOTTEN_AFTER: Final = 30 * 86400
"""Seconds after which a counter is let go whose label has not been seen."""

_CHECK_EVERY: Final = 6 * 3600
"""Seconds between two looks for counters that are no longer seen: a look goes through all."""

_MAX_CLOCK_SKEW: Final = 86400
"""Seconds between our clock and the server's from which on no counter is let go."""

_COMPACT_FROM: Final = 0.2
"""The share of places without a value from which on the columns of a ledger are made anew."""


def post(
    ledger: Ledger,
    readings: Mapping[int, Reading],
    *,
    now: float,
    running_end: int,
    first_bucket: int,
    interval: int = 3600,
    labels: Mapping[int, str] | None = None,
    asked: frozenset[int] | None = None,
    by_project: bool = True,
    clock_skew: float | None = None,
    jumped: bool = False,
    backlog: bool = False,
) -> Change:
    """Return what ``readings``, made at ``now``, change in ``ledger``.

    Buckets before ``first_bucket`` are dropped. What ends at ``running_end`` or before and is there
    at the first poll is not counted, and neither is it after our clock ``jumped``: those hours were
    not seen. ``labels`` are those of the projects; a project that is missing from them counts under
    the empty label, and ``None`` lets ids stand in. ``asked`` are the projects that a filter names.
    With a ``backlog`` nothing is let go: what is still to be read may have its label.
    ``interval`` is a bucket's length, ``clock_skew`` the server's clock minus ours, both in
    seconds; a skew of ``None`` leaves the last one. Raises OverflowError where a value or a counter
    needs more than 64 bits.
    """
    first = ledger.counts_from is None
    # The smaller of both: what ends later was counted before the clock was set back.
    counts_from = running_end if jumped else min(running_end, ledger.counts_from or running_end)
    number = _LabelNumbers(ledger.labels, labels)
    posted = {
        start: _post_bucket(
            ledger.buckets.get(start), reading, asked, by_project, counts=start >= counts_from
        )
        for start, reading in readings.items()
    }
    new, gained = _gained(ledger.counters, posted.values(), number)
    skew = ledger.clock_skew if clock_skew is None else clock_skew
    # By a clock that is days ahead, nothing has been seen for long.
    may_look = not backlog and abs(skew or 0) < _MAX_CLOCK_SKEW
    due = may_look and _is_due(ledger.checked_at, now)
    dropped = frozenset(start for start in ledger.buckets if start < first_bucket)
    # When a bucket leaves too: after a restart nothing else says what was last seen in it.
    look = due or (may_look and dropped)
    oldest = max(min(ledger.buckets, default=first_bucket), first_bucket)
    since = dict(_unseen(ledger, posted.values(), number, now, interval, oldest)) if look else {}
    forgotten = frozenset(
        one for one, at in since.items() if at is not None and now - at >= FORGOTTEN_AFTER
    )
    changed = {
        start: one
        for start, one in posted.items()
        if start >= first_bucket and (one.changed or start not in ledger.buckets)
    }
    series, buckets = _columns(ledger.series, asked, changed)
    if due and ledger.unused() > _COMPACT_FROM:
        # Not at each poll: `unused` goes through all places, and every bucket is persisted anew.
        series, buckets = _compacted({**ledger.buckets, **buckets}, dropped)
    return Change(
        series=series,
        counters=_without(_updated(ledger.counters, gained), forgotten),
        buckets=buckets,
        dropped=dropped,
        labels=tuple(number.new),
        # The first poll counts nothing: its counters are at 0 without a grace period.
        in_grace={} if first else dict.fromkeys(_each(new), now),
        # A bucket that was dropped and is read again is new here, but was counted before.
        counts_from=max(counts_from, first_bucket),
        asked=asked,
        revisions=sum(one.revisions for one in posted.values()),
        regressions=sum(one.regressions for one in posted.values()),
        clock_skew=skew,
        unseen=_newly_unseen(ledger, since, forgotten),
        seen=frozenset(one for one, at in since.items() if at is None) | _gaining(ledger, gained),
        forgotten=forgotten,
        checked_at=now if due else None,
    )


def _each(rows: Rows) -> Iterator[ProjectSeries]:
    for series, values in rows.items():
        yield from (ProjectSeries(series, label) for label in values)


class _LabelNumbers(dict[int, int]):
    """The number of the label that each project has, by project id."""

    def __init__(self, known: Sequence[str], labels: Mapping[int, str] | None) -> None:
        super().__init__({NO_PROJECT: NO_LABEL})
        self.new: list[str] = []
        self._labels = labels
        self._numbers = {label: number for number, label in enumerate(known)}

    def __missing__(self, project: int) -> int:
        label = str(project) if self._labels is None else self._labels.get(project, "")
        if label not in self._numbers:
            self._numbers[label] = len(self._numbers)
            self.new.append(label)
        number = self[project] = self._numbers[label]
        return number


@dataclass(frozen=True, slots=True)
class _PostedBucket:
    """What one bucket becomes, whether that is a change, and what its series gain by it."""

    reading: Reading
    rows: Rows
    changed: bool = True
    counted: Rows = field(default_factory=dict)
    gains: Rows = field(default_factory=dict)
    revisions: int = 0
    regressions: int = 0


def _post_bucket(
    before: Bucket | None,
    reading: Reading,
    asked: frozenset[int] | None,
    by_project: bool,  # noqa: FBT001 - passed through
    *,
    counts: bool,
) -> _PostedBucket:
    """Post ``reading`` over ``before``; a new bucket is counted from 0 on if it ``counts``."""
    if before is None and not counts:
        return _PostedBucket(reading, reading.rows)
    if before is None:
        before = Bucket(Column.of(SeriesTable(), {}), asked=asked)
    scope = Scope(asked, before.asked, by_project)
    posted = {
        series: post_series(
            reading.rows.get(series, {}),
            before.rows.get(series, {}),
            before.counted.get(series, {}),
            scope,
            finished=before.finished,
        )
        for series in dict.fromkeys([*reading.rows, *before.rows, *before.counted])
    }
    about = (reading.total, reading.finished, reading.proven, asked)
    return _PostedBucket(
        reading,
        {series: one.values for series, one in posted.items() if one.values},
        any(one.changed for one in posted.values())
        or about != (before.total, before.finished, before.proven, before.asked),
        {series: one.counted for series, one in posted.items() if one.counted},
        {series: one.gains for series, one in posted.items() if one.gains},
        sum(one.revisions for one in posted.values()),
        sum(one.regressions for one in posted.values()),
    )


def _gained(
    counters: Column, posted: Iterable[_PostedBucket], number: _LabelNumbers
) -> tuple[Rows, Rows]:
    """Return the counters that are new, at 0, and those that gain or are new at their values."""
    changed = [(one.rows, one.gains) for one in posted if one.changed]
    new: dict[Series, dict[int, int]] = {}
    gained: dict[Series, dict[int, int]] = {}
    for series in dict.fromkeys(series for rows, _ in changed for series in rows):
        known = counters.get(series, {})
        shown = set[int]()
        for rows, _ in changed:
            shown.update(map(number.__getitem__, rows.get(series, ())))
        begun = dict.fromkeys(sorted(shown.difference(known)), 0)
        # Several buckets can add to one counter: `base` has what those before have added.
        values, base = begun.copy(), {**known, **begun}
        for _, gains in changed:
            if series not in gains:
                continue
            by_label = _by_label(gains[series], number)
            moved = {label: base[label] + gain for label, gain in by_label.items()}
            values |= moved
            base |= moved
        if begun:
            new[series] = begun
        if values:
            gained[series] = values
    return new, gained


def _by_label(gains: Values, number: _LabelNumbers) -> dict[int, int]:
    """Return the gains of projects by the number of their label."""
    labels = list(map(number.__getitem__, gains))
    by_label = dict(zip(labels, gains.values(), strict=True))
    if len(by_label) == len(labels):
        return by_label
    # Several projects without a label of their own, or with the same one.
    by_label.clear()
    for label, gain in zip(labels, gains.values(), strict=True):
        by_label[label] = by_label.get(label, 0) + gain
    return by_label


def _is_due(checked_at: float | None, now: float) -> bool:
    # A negative time means that the clock was set back.
    return checked_at is None or not 0 <= now - checked_at < _CHECK_EVERY


def _unseen(
    ledger: Ledger,
    posted: Iterable[_PostedBucket],
    number: _LabelNumbers,
    now: float,
    interval: int,
    oldest: int,
) -> Iterator[tuple[ProjectSeries, float | None]]:
    """Yield the counters that were or are not seen from ``oldest`` on, and since when.

    ``None``: they are seen.
    """
    read = [one.rows for one in posted]
    unseen: dict[Series, set[int]] = {}
    for one in ledger.unseen:
        unseen.setdefault(one.series, set()).add(one.project)
    for series, counted in ledger.counters.items():
        live = {number[project] for project, start in ledger.last_seen(series) if start >= oldest}
        live.update(*(map(number.__getitem__, rows.get(series, ())) for rows in read))
        missing = counted.keys() - live
        ends: dict[int, int] = {}
        for project, start in ledger.last_seen(series) if missing else ():
            label = number[project]
            ends[label] = max(start + interval, ends.get(label, 0))
        for label in missing:
            one = ProjectSeries(series, label)
            # It may have been seen since, between two looks.
            end = min(now, ends.get(label, now if one not in ledger.unseen else 0))
            yield one, max(end, ledger.unseen.get(one, 0))
        for label in unseen.get(series, set()) & live:
            yield ProjectSeries(series, label), None


def _gaining(ledger: Ledger, gained: Rows) -> frozenset[ProjectSeries]:
    """Return the counters that were not seen and gain now: those are seen between two looks too."""
    return frozenset(one for one in ledger.unseen if one.project in gained.get(one.series, {}))


def _newly_unseen(
    ledger: Ledger,
    since: Mapping[ProjectSeries, float | None],
    forgotten: frozenset[ProjectSeries],
) -> dict[ProjectSeries, float]:
    return {
        one: at
        for one, at in since.items()
        if at is not None and one not in forgotten and at != ledger.unseen.get(one)
    }


def _columns(
    table: SeriesTable, asked: frozenset[int] | None, posted: Mapping[int, _PostedBucket]
) -> tuple[SeriesTable, dict[int, Bucket]]:
    """Return ``table`` with a place for everything that was posted, and its buckets as columns."""
    for _, one in sorted(posted.items()):
        table = table.extended(one.rows)
    return table, {
        start: Bucket(
            Column.of(table, one.rows),
            one.reading.total,
            one.reading.finished,
            one.reading.proven,
            one.counted,
            asked,
        )
        for start, one in posted.items()
    }


def _compacted(
    buckets: Mapping[int, Bucket], dropped: frozenset[int]
) -> tuple[SeriesTable, dict[int, Bucket]]:
    """Return a table of what is in ``buckets`` only, and all of them as columns of it."""
    table = SeriesTable()
    left = {start: bucket for start, bucket in sorted(buckets.items()) if start not in dropped}
    for bucket in left.values():
        table = table.extended(bucket.rows)
    return table, {
        start: replace(bucket, rows=Column.of(table, bucket.rows)) for start, bucket in left.items()
    }


def _updated(counters: Column, gained: Rows) -> Column:
    return counters.updated(counters.table.extended(gained), gained) if gained else counters


def _without(counters: Column, forgotten: frozenset[ProjectSeries]) -> Column:
    """Return ``counters`` without those that are let go, in a table that has no place for them."""
    if not forgotten:
        return counters
    gone: dict[Series, set[int]] = {}
    for one in forgotten:
        gone.setdefault(one.series, set()).add(one.project)
    left = {
        series: {label: value for label, value in values.items() if label not in gone[series]}
        if series in gone
        else values
        for series, values in counters.items()
    }
    return Column.of(SeriesTable().extended(left), left)
