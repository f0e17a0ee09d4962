"""Plans, against a store that cuts answers, refuses questions, and gains rows in between."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.buckets import Window, latest_finished, lookback_window
from exporter.categories import OUTCOMES
from exporter.collect.ledger import Bucket
from exporter.collect.plan.core import Cut, Hints
from exporter.collect.plan.projects import read_projects
from exporter.collect.plan.proof import References
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_series
from exporter.collect.plan.window import read_window
from exporter.collect.series import ProjectSeries, Series
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.question import QUANTITY
from tests.support.rows import HOUR, NOON, bucket, flat
from tests.support.store import MERGED, Row, Store

QUERY = ResolvedQuery((QUANTITY,), ("project", "category", "outcome", "reason"), HOUR)
ONE_HOUR = Window(NOON, NOON + HOUR, HOUR)
HOURS = 6
NEVER = 1 << 62
"""Rows of an answer that the store refuses."""

rows = st.builds(
    Row,
    st.integers(1, 12),
    st.sampled_from(["error", "default", "security", "span", "transaction"]),
    st.sampled_from(["accepted", "invalid", "rate_limited"]),
    st.sampled_from(["none", "a", "b"]),
    st.just(NOON),
    st.integers(0, 9),
)


@contextmanager
def row_limit(limit: int) -> Iterator[None]:
    """Let plans believe that the store cuts at ``limit`` rows, which here it does."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("proof", "projects"):
            patch.setattr(f"exporter.collect.plan.{module}.ROW_LIMIT", limit)
        yield


def held(stored: Sequence[Row], readable: frozenset[int]) -> Mapping[ProjectSeries, int]:
    """Return the truth about a bucket by project; what cannot be read is the remainder's."""
    truth: Counter[ProjectSeries] = Counter()
    for row in stored:
        kind = Series(QUANTITY, MERGED.get(row.category, row.category), row.outcome, row.reason)
        truth[ProjectSeries(kind, row.project if row.project in readable else 0)] += row.quantity
    return +truth


@given(
    stored=st.lists(rows, max_size=80),
    readable=st.frozensets(st.integers(1, 12)),
    limit=st.integers(12, 60),
    refuse_over=st.sampled_from([5, 20, NEVER]),
    listed=st.booleans(),
    old=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=300, derandomize=True)
def test_sums_and_requests(
    stored: list[Row],
    readable: frozenset[int],
    limit: int,
    refuse_over: int,
    *,
    listed: bool,
    old: bool,
    seed: int,
) -> None:
    """Whatever is cut, refused or not readable: the sum is the organization's, in few requests."""
    store = Store(
        stored, limit, limit, refuse_over=refuse_over, readable=readable, old=old, seed=seed
    )
    projects = tuple(sorted(readable)) if listed else ()
    with row_limit(limit):
        try:
            total = store.run(read_series(QUERY, QUERY.question(ONE_HOUR)))[NOON]
            plan = read_projects(QUERY, NOON, References(total), projects, Cut(0, limit))
            reading, _ = store.run(plan)
        except TooHeavyError:
            # The smallest question there is was refused: the poll fails, and changes nothing.
            assume(refuse_over == NEVER)
            raise

    sums = flat(reading.rows)
    assert sum(row.quantity for row in stored) == sum(sums.values())
    assert min(sums.values(), default=0) >= 0
    assert not reading.proven or held(stored, readable) == {k: v for k, v in sums.items() if v}
    # In the worst case, each project is asked for alone, each outcome of it, and each category.
    each = 1 + len(OUTCOMES) * (1 + 3)
    assert len(store.asked) <= (len(projects) * 2 + 3) * each


@given(
    hours=st.lists(st.lists(rows, max_size=6), min_size=HOURS, max_size=HOURS),
    arrivals=st.lists(st.tuples(st.integers(0, HOURS - 1), rows), max_size=8),
)
@settings(max_examples=150, derandomize=True)
def test_what_is_read_of_a_window(hours: list[list[Row]], arrivals: list[tuple[int, Row]]) -> None:
    """Polls read exactly the buckets that have changed, and then know all of the window."""
    starts = range(NOON - (HOURS - 1) * HOUR, NOON + HOUR, HOUR)
    window = Window(starts.start, starts.stop, HOUR)
    stored = [
        row._replace(bucket=start)
        for start, held_then in zip(starts, hours, strict=True)
        for row in held_then
    ]
    store = Store(stored)
    known: dict[int, Bucket] = {}
    for changed in ({row.bucket for row in stored if row.quantity}, None):
        late = [row._replace(bucket=starts[at]) for at, row in arrivals] if changed is None else []
        store.rows = [*stored, *late]
        expected = {row.bucket for row in late if row.quantity} if changed is None else changed
        asked = _polled_out(store, window, known)

        assert sorted(expected) == sorted(asked)
        for start in starts:
            truth = held([row for row in store.rows if row.bucket == start], frozenset(range(13)))
            assert truth == {k: v for k, v in flat(known[start].rows).items() if v}


def _polled_out(store: Store, window: Window, known: dict[int, Bucket]) -> list[int]:
    """Poll until nothing is left to read; return the buckets that were asked by project."""
    store.asked.clear()
    backlog, hints = True, Hints()
    while backlog:
        projects = tuple(range(1, 13))
        plan = read_window(QUERY, window, NOON - HOUR, known, projects, hints)
        read = store.run(plan)
        known |= {start: bucket(one) for start, one in read.readings.items()}
        backlog, hints = read.backlog, read.hints
    return [one.window.start for one in store.asked if "project" in one.group_by]


@given(
    now=st.floats(86400 * 60, 4e9),
    interval=st.sampled_from([HOUR, 2 * HOUR, 6 * HOUR, 24 * HOUR]),
    settle=st.integers(0, HOUR),
    lookback=st.integers(HOUR, 30 * 86400),
)
@settings(max_examples=300, derandomize=True)
def test_a_window_has_every_bucket_once(
    now: float, interval: int, settle: int, lookback: int
) -> None:
    """It has the running bucket, those that settle, and of the finished ones the lookback."""
    window = lookback_window(now, interval, settle, lookback)
    starts = list(window.buckets())
    finished = [start for start in starts if start + interval + settle <= now]

    assert all(start % interval == 0 for start in starts)
    assert list(range(starts[0], starts[-1] + 1, interval)) == starts
    assert starts[-1] <= now < starts[-1] + interval
    assert latest_finished(now, interval, settle) == finished[-1]
    # As many as the lookback has begun.
    assert -(-lookback // interval) == len(finished)
    assert len(window) == len(starts)
