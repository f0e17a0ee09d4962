"""What queries leave behind, and when it leaves the file."""

from contextlib import closing
from functools import partial
from pathlib import Path

from exporter.state import State
from tests.state.polls import ACME, OUTCOMES, persist, poll, polled, posted, rows_of
from tests.support.rows import HOUR, NOON, flat, reading, series
from tests.support.settings import NOW

DAY = 24 * HOUR

rows_left = partial(
    rows_of,
    tables=("query", "series", "bucket", "counters", "counter_series", "label"),
)


def test_old(path: Path) -> None:
    """What nobody has asked for since then leaves the file."""
    with closing(State(path)) as state:
        polled(state)
    with closing(State(path)) as state:
        state.forget(NOW + 61, ())
        left = rows_left(state)

    assert dict.fromkeys(left, 0) == left


def test_recent(path: Path) -> None:
    """What was asked for later stays."""
    with closing(State(path)) as state:
        polled(state)
    with closing(State(path)) as state:
        before = rows_left(state)
        state.forget(NOW + 60, ())

        assert before == rows_left(state)


def test_in_use(path: Path) -> None:
    """What is polled now stays, however long ago it was."""
    with closing(State(path)) as state:
        before = polled(state).ledger
    with closing(State(path)) as state:
        restored = state.restore(ACME, OUTCOMES)
        state.forget(NOW + 61, [restored.persistence])

        assert before == state.restore(ACME, OUTCOMES).ledger


def test_no_longer_in_use(path: Path) -> None:
    """What was polled by this process leaves too, once a reload has removed its query."""
    with closing(State(path)) as state:
        polled(state)
        state.forget(NOW + 61, ())
        left = rows_left(state)

    assert dict.fromkeys(left, 0) == left


def test_never_succeeded(path: Path) -> None:
    """What failed polls have read stays as long as what successful ones have."""
    with closing(State(path)) as state:
        restored = state.restore(ACME, OUTCOMES)
        persist(restored, posted(restored, {NOON: reading({series(): 1})}), failed=True)
        before = rows_left(state)
        state.forget(NOW, ())
        recent = rows_left(state)
        state.forget(NOW + 1, ())
        left = rows_left(state)

    assert before == recent
    assert dict.fromkeys(left, 0) == left


def test_let_go(state: State) -> None:
    """A counter that is let go leaves the file, and so do the series that no bucket has."""
    restored = polled(state)
    for day in range(32):
        start = NOON + day * DAY
        poll(restored, {start: reading({series(): 9})}, start, first_bucket=start)

    ledger = state.restore(ACME, OUTCOMES).ledger

    assert [series()] == list(flat(ledger.counters))
    assert (1, 1) == (ledger.counters.table.length, ledger.series.length)
    assert restored.ledger == ledger
