"""The values that the exporter would have shown of one series, from what its buckets hold. Pure.

All work on a list with a value for each bucket in order of time, `ABSENT` for none.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, zip_longest

from exporter.backfill.progress_file import ABSENT


def summed(columns: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the sum of several series that share their labels."""
    if len(columns) == 1:
        return columns[0]
    return [
        sum(present) if (present := [one for one in values if one != ABSENT]) else ABSENT
        for values in zip(*columns, strict=True)
    ]


def shown_by_gauge(values: Sequence[int], lookback: int) -> Iterable[int | None]:
    """Return what the gauge shows of each bucket: 0 if it is only in one of the ``lookback``."""
    # Most series are in every bucket.
    return _with_zeros(values, lookback) if ABSENT in values else values


def _with_zeros(values: Sequence[int], lookback: int) -> Iterator[int | None]:
    since = lookback
    for value in values:
        since = 0 if value != ABSENT else since + 1
        if value != ABSENT:
            yield value
        else:
            yield 0 if since < lookback else None


def shown_by_counter(
    values: Sequence[int], forgotten_after: int, end: int | None = None
) -> Iterable[int | None]:
    """Return what the counter shows before the first bucket, and after each.

    It begins at 0 one bucket before its first value, and is let go after as many buckets without
    one. It never exceeds ``end``.
    """
    shown: Iterable[int | None] = (
        _running_sum(values, forgotten_after) if ABSENT in values else accumulate(values, initial=0)
    )
    if end is None:
        return shown
    return (None if value is None else min(value, end) for value in shown)


def _running_sum(values: Sequence[int], forgotten_after: int) -> Iterator[int | None]:
    total, since, seen = 0, 0, False
    shown: int | None = 0 if values[0] != ABSENT else None
    for value, following in zip_longest(values, values[1:], fillvalue=ABSENT):
        yield shown
        since = 0 if value != ABSENT else since + 1
        seen = seen or value != ABSENT
        total += 0 if value == ABSENT else value
        if seen and since <= forgotten_after:
            shown = total
        else:
            # Shown at 0 before its first value, so that increase() sees it.
            shown = total if following != ABSENT else None
    yield shown
