"""Damage that SQLite does not see: blobs that are no blobs, or hold nonsense."""

import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Ledger
from exporter.collect.series import Series
from exporter.state import State, StateError
from exporter.state.blobs import as_numbers, pack
from tests.state.polls import ACME, OUTCOMES, files, poll
from tests.support.rows import API, HOUR, NOON, WEB, reading, series
from tests.support.settings import NOW

DAMAGED = "damaged or not a state file"
BLOBS = [
    ("query", "asked"),
    ("series", "runs"),
    ("bucket", "cells"),
    ("bucket", "total"),
    ("bucket", "counted"),
    ("counters", "cells"),
    ("counters", "in_grace"),
    ("counters", "unseen"),
    ("counter_series", "runs"),
    ("label", "labels"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def has_everything(state: State) -> None:
    """Write a query that has something in each blob."""
    restored = state.restore(ACME, OUTCOMES)
    asked = frozenset([WEB, API])
    first = reading({series(WEB): 5, series(API): 2**40}, {series(): 2**41}, finished=True)
    poll(restored, {NOON + HOUR: first}, asked=asked)
    moved = reading({series(WEB): 3, series(API): 2**40, series(WEB, "span"): 1})
    poll(restored, {NOON + HOUR: moved}, NOW + 60, asked=asked)
    poll(restored, {}, NOW + 9 * HOUR, first_bucket=NOON + HOUR, labels={WEB: "web"}, asked=asked)
    renamed = reading({series(WEB): 4, series(API): 2**40})
    at = NOW + 18 * HOUR
    poll(restored, {NOON + 9 * HOUR: renamed}, at, labels={WEB: "w"}, asked=asked)

    assert restored.ledger.buckets[NOON + HOUR].counted
    assert restored.ledger.in_grace
    assert restored.ledger.unseen


def replaced(state: State, table: str, column: str, blob: object) -> Any:
    """Put ``blob`` into the last row of ``table``, and return what was there."""
    with state.transaction() as database:
        row, before = database.execute(
            f"SELECT rowid, {column} FROM {table} ORDER BY rowid DESC"  # noqa: S608 - constants
        ).fetchone()
        database.execute(
            f"UPDATE {table} SET {column} = ? WHERE rowid = ?",  # noqa: S608 - constants
            [blob, row],
        )
    return before


@pytest.fixture(scope="module")
def full() -> Iterator[State]:
    """Return a state in memory that has something in each blob."""
    with closing(State(Path(":memory:"))) as state:
        has_everything(state)
        yield state


def restored(state: State) -> Ledger | str:
    """Return what is restored, or why it cannot be."""
    try:
        return state.restore(ACME, OUTCOMES).ledger
    except StateError as error:
        return str(error)


def flipped(blob: bytes, bit: int) -> bytes:
    """Return ``blob`` with another value of one bit."""
    place = bit // 8 % len(blob)
    return blob[:place] + bytes([blob[place] ^ 1 << bit % 8]) + blob[place + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), BLOBS)
@given(
    damage=st.one_of(
        st.binary().map(lambda junk: lambda _: junk),
        st.integers(0, 60).map(lambda size: lambda blob: blob[:-1][:size]),
        st.integers(0, 4000).map(lambda bit: lambda blob: flipped(blob, bit)),
    )
)
@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged(full: State, table: str, column: str, damage: Callable[[bytes], bytes]) -> None:
    """Bytes that are not those that were written are an error, or make no difference."""
    before = full.restore(ACME, OUTCOMES).ledger
    blob = replaced(full, table, column, b"")
    replaced(full, table, column, damage(blob))

    after = restored(full)
    replaced(full, table, column, blob)

    assert after == before or DAMAGED in str(after)


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), BLOBS)
@given(content=ANYTHING.map(pack) | st.binary().map(zlib.compress))
@settings(deadline=None, max_examples=50)
@example(pack(as_numbers(array("Q", range(9)))))
@example(pack({Series("", "", "", ""): {2**40: 1}}))
@example(pack([]))
@example("text")
@example(2**60)
def test_nonsense(full: State, table: str, column: str, content: object) -> None:
    """What was never written like that is a `StateError`, or a ledger: no other error."""
    blob = replaced(full, table, column, content)

    after = restored(full)
    replaced(full, table, column, blob)

    assert isinstance(after, Ledger) or DAMAGED in after


@pytest.mark.parametrize(
    ("table", "column", "content", "why"),
    [
        ("bucket", "cells", pack(as_numbers(array("I", range(9)))), "9 values for 3 series"),
        ("bucket", "cells", pack(("Q", b"seven b")), "not a multiple of item size"),
        ("bucket", "finished", 7, "Expected `bool`, got `int`"),
        ("bucket", "start", "noon", "Expected `int`, got `str`"),
        ("series", "start", 1, "series from 1 on, expected from 2 on"),
        ("label", "start", 7, "labels from 7 on, expected from 4 on"),
        ("label", "labels", pack([]), "counters without a label"),
        ("counters", "in_grace", pack({Series("", "", "", ""): {7: 1.5}}), "without a label"),
        ("counters", "unseen", pack({Series("", "", "", ""): {7: 1.5}}), "without a label"),
        ("query", "clock_skew", "much", "Expected `float"),
    ],
)
def test_left_alone(path: Path, table: str, column: str, content: object, why: str) -> None:
    """The error says which query it is and what to do, and the file stays as it is."""
    with closing(State(path)) as state:
        has_everything(state)
        replaced(state, table, column, content)
    before = files(path)

    with closing(State(path)) as state, pytest.raises(StateError) as refusal:
        state.restore(ACME, OUTCOMES)

    assert f"{path} is damaged or not a state file (query outcomes of acme: " in str(refusal.value)
    assert why in str(refusal.value)
    assert before == files(path)


@pytest.mark.parametrize(
    ("text", "spoiled"),
    [
        (b"ON DELETE CASCADE", b"ON DELETE \xc3ASCADE"),
        (b"https://sentry.example", b"https://\xc3entry.example"),
    ],
)
def test_no_text(path: Path, text: bytes, spoiled: bytes) -> None:
    """A text that is not UTF-8 is damage, in the tables and in their definition."""
    with closing(State(path)) as state:
        has_everything(state)
    path.write_bytes(path.read_bytes().replace(text, spoiled))

    with pytest.raises(StateError, match=DAMAGED), closing(State(path)) as state:
        state.restore(ACME, OUTCOMES)
