"""The values that the exporter would have shown of one series, from what its buckets hold. Pure.

All work on a list with a value for each bucket in order of time, `ABSENT` for none.
"""

from collections.abc import Iterator, Sequence

from exporter.backfill.progress_file import ABSENT


def summed(columns: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the sum of several series that share their labels."""
    if len(columns) == 1:
        return columns[0]
    return [
        sum(present) if (present := [one for one in values if one != ABSENT]) else ABSENT
        for values in zip(*columns, strict=True)
    ]


def shown_by_gauge(values: Sequence[int], lookback: int) -> Iterator[int | None]:
    """Yield what the gauge shows of each bucket: 0 if it is only in one of the ``lookback``."""
    since = lookback
    for value in values:
        since = 0 if value != ABSENT else since + 1
        if value != ABSENT:
            yield value
        else:
            yield 0 if since < lookback else None


def shown_by_counter(
    values: Sequence[int], forgotten_after: int, end: int | None = None
) -> Iterator[int | None]:
    """Yield what the counter shows before the first bucket, and after each.

    It begins at 0 one bucket before its first value, and is let go after as many buckets without
    one. It never exceeds ``end``.
    """
    total, since, seen = 0, 0, False
    before: int | None = 0 if values and values[0] != ABSENT else None
    for number, value in enumerate(values):
        yield before
        following = values[number + 1] if number + 1 < len(values) else ABSENT
        since = 0 if value != ABSENT else since + 1
        seen = seen or value != ABSENT
        total += 0 if value == ABSENT else value
        if seen and since <= forgotten_after:
            before = total if end is None else min(total, end)
        else:
            # Shown at 0 before its first value, so that increase() sees it.
            before = (total if seen else 0) if following != ABSENT else None
    yield before
