"""What survives a restart, and files that are not touched."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Found, KeepError, Kept, Ledger
from exporter.collect.reckoning import reckon
from exporter.collect.rows import Series
from exporter.config import Filter
from exporter.sentry.stats import QUANTITY, TIMES_SEEN
from exporter.state import State, StateError
from tests.collect.polling import API, HOUR, NOON, NOW, WEB, organization, query, series

ACME = organization()
OUTCOMES = query()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the state file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    """Return a new state file, open."""
    with closing(State(path)) as opened:
        yield opened


def poll(kept: Kept, found: dict[int, Found], now: float = NOW, keep_from: int = 0) -> None:
    """Do what a poll does that read ``found``."""
    change = reckon(
        kept.ledger, found, now=now, running_end=NOON + HOUR, keep_from=keep_from, readable=None
    )
    assert kept.keeper is not None

    kept.keeper.save(change, now)
    kept.ledger.apply(change)


def polled(state: State) -> Kept:
    """Return what is kept of `OUTCOMES` after two polls."""
    kept = state.restore(ACME, OUTCOMES)
    poll(kept, {NOON: Found({series(): 1})})
    poll(kept, {NOON: Found({series(): 4, series(outcome="abuse"): 2})}, NOW + 60)
    return kept


def files(path: Path) -> dict[str, bytes]:
    """Return what is in the folder of ``path``."""
    return {one.name: one.read_bytes() for one in path.parent.iterdir()}


class TestRestore:
    """Ledgers that come back."""

    def test_new(self, state: State) -> None:
        """A query that nothing is known of has an empty ledger."""
        kept = state.restore(ACME, OUTCOMES)

        assert (Ledger(), 0) == (kept.ledger, kept.last_success)

    def test_goes_on(self, path: Path) -> None:
        """After a restart the ledger is as it was, and so is the time of its last poll."""
        with closing(State(path)) as state:
            before = polled(state).ledger

        with closing(State(path)) as state:
            kept = state.restore(ACME, OUTCOMES)

        assert before == kept.ledger
        assert NOW + 60 == kept.last_success

    def test_goes_on_counting(self, path: Path) -> None:
        """What a restored query polls is written like anything else."""
        with closing(State(path)) as state:
            polled(state)
        with closing(State(path)) as state:
            poll(state.restore(ACME, OUTCOMES), {NOON: Found({series(): 9})}, NOW + 120)

        with closing(State(path)) as state:
            ledger = state.restore(ACME, OUTCOMES).ledger

        assert {series(): 8, series(outcome="abuse"): 2} == ledger.counters

    def test_dropped(self, path: Path) -> None:
        """Buckets that leave the lookback leave the file."""
        with closing(State(path)) as state:
            poll(polled(state), {}, NOW + HOUR, keep_from=NOON + HOUR)

        with closing(State(path)) as state:
            ledger = state.restore(ACME, OUTCOMES).ledger
            with state.transaction() as database:
                left = [
                    database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a constant
                    for table in ("book", "entry")
                ]

        assert {} == ledger.books
        assert {series(): 3, series(outcome="abuse"): 2} == ledger.counters
        assert [(0,), (0,)] == left

    @pytest.mark.parametrize("label", ["", "a\0b", "'; DROP TABLE book; --", "ключ\n"])
    def test_any_label(self, path: Path, label: str) -> None:
        """Labels come back as they were, whatever is in them."""
        one = Series(QUANTITY, label, label, label, 4_505_000_000_000_000)
        with closing(State(path)) as state:
            poll(state.restore(ACME, OUTCOMES), {NOON: Found({one: 5})})

        with closing(State(path)) as state:
            assert {one: 5} == state.restore(ACME, OUTCOMES).ledger.books[NOON].rows


rows = st.dictionaries(
    st.builds(series, st.sampled_from([0, WEB, API]), st.sampled_from(["error", "span"])),
    st.integers(0, 2**53),
    max_size=4,
)
found = st.builds(Found, rows, rows, st.booleans(), st.booleans())
polls = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from([NOON + hour * HOUR for hour in range(-2, 3)]), found),
        st.sampled_from([0, NOON - HOUR, NOON + HOUR]),
        st.none() | st.frozensets(st.sampled_from([WEB, API])),
    ),
    max_size=5,
)


@given(history=polls)
@settings(deadline=None, max_examples=20)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[dict[int, Found], int, frozenset[int] | None]],
) -> None:
    """Whatever polls do to a ledger, a restart after any of them brings back the same one.

    But for who can be read, which each poll is told anew.
    """
    path = tmp_path_factory.mktemp("state") / "state.db"
    ledger = Ledger()
    for number, (read, keep_from, readable) in enumerate(history):
        change = reckon(
            ledger,
            read,
            now=NOW + number,
            running_end=NOON,
            keep_from=keep_from,
            readable=readable,
        )
        with closing(State(path)) as state:
            keeper = state.restore(ACME, OUTCOMES).keeper
            assert keeper is not None

            keeper.save(change, NOW + number)
        ledger.apply(change)

    with closing(State(path)) as state:
        assert replace(ledger, readable=None) == state.restore(ACME, OUTCOMES).ledger


class TestIdentity:
    """To whom a ledger belongs."""

    @pytest.mark.parametrize(
        "same",
        [
            {"name": "renamed"},
            {"group_by": ("outcome", "category")},
            {"poll_interval": 300},
            {"lookback": HOUR},
            {"counters": False},
        ],
    )
    def test_goes_on(self, state: State, same: dict[str, object]) -> None:
        """A query that asks the same goes on, whatever it is called and however often it asks."""
        before = polled(state).ledger

        after = state.restore(ACME, replace(OUTCOMES, **same))  # type: ignore[arg-type]

        assert before == after.ledger

    @pytest.mark.parametrize(
        "other",
        [
            {"group_by": ("category",)},
            {"interval": 6 * HOUR},
            {"fields": (TIMES_SEEN,)},
            {"fields": (QUANTITY, TIMES_SEEN)},
            {"filter": Filter(category=("error",))},
            {"filter": Filter(outcome=("abuse",))},
            {"filter": Filter(reason="none")},
            {"filter": Filter(project=("web",))},
        ],
    )
    def test_starts_anew(self, state: State, other: dict[str, object]) -> None:
        """A query that asks something else starts anew, and leaves the old ledger alone."""
        before = polled(state).ledger

        after = state.restore(ACME, replace(OUTCOMES, **other))  # type: ignore[arg-type]

        assert Ledger() == after.ledger
        assert before == state.restore(ACME, OUTCOMES).ledger

    def test_organizations_apart(self, state: State) -> None:
        """The same question to another organization is another one."""
        polled(state)

        assert Ledger() == state.restore(organization(slug="globex"), OUTCOMES).ledger

    def test_order_of_filters(self, state: State) -> None:
        """The order of a filter's values makes no difference."""
        there = query(filter=Filter(category=("error", "span")))
        back = query(filter=Filter(category=("span", "error")))
        kept = state.restore(ACME, there)
        poll(kept, {NOON: Found({series(): 4})})

        assert kept.ledger == state.restore(ACME, back).ledger

    def test_twins(self, state: State) -> None:
        """Queries that ask the same under two names have a ledger each."""
        polled(state)

        assert Ledger() == state.restore(ACME, OUTCOMES, ordinal=1).ledger


def delete_halfway(state: State) -> None:
    """Delete something, and fail before the transaction ends."""
    with state.transaction() as database:
        database.execute("DELETE FROM entry")
        raise ZeroDivisionError


class TestTransactions:
    """All or nothing."""

    def test_exception(self, path: Path) -> None:
        """An exception inside a transaction leaves the file as it was."""
        with closing(State(path)) as state:
            before = polled(state).ledger
            with pytest.raises(ZeroDivisionError):
                delete_halfway(state)

        with closing(State(path)) as state:
            assert before == state.restore(ACME, OUTCOMES).ledger

    def test_fails_halfway(self, state: State) -> None:
        """A poll that cannot be written to the end is not written at all, and can be again."""
        kept = polled(state)
        with state.transaction() as database:
            database.execute(
                "CREATE TEMP TRIGGER full BEFORE INSERT ON entry WHEN NEW.value = 13"
                " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        read = {NOON: Found({series(): 12, series(outcome="invalid"): 13})}

        with pytest.raises(KeepError, match="disk full"):
            poll(kept, read, NOW + 120)
        before = state.restore(ACME, OUTCOMES).ledger
        with state.transaction() as database:
            database.execute("DROP TRIGGER full")
        poll(kept, read, NOW + 180)

        assert {series(): 3, series(outcome="abuse"): 2} == before.counters
        assert kept.ledger == state.restore(ACME, OUTCOMES).ledger

    def test_closed(self, path: Path) -> None:
        """What is to be written after the file was closed is an error like any other."""
        state = State(path)
        kept = polled(state)
        state.close()

        with pytest.raises(StateError):
            poll(kept, {NOON: Found({series(): 12})})

    def test_killed(self, path: Path, tmp_path: Path) -> None:
        """What the disk holds while the process lives is all that a kill leaves, and enough."""
        with closing(State(path)) as state:
            before = polled(state).ledger
            left = tmp_path / "killed"
            left.mkdir()
            for one in tmp_path.glob("state.db*"):
                (left / one.name).write_bytes(one.read_bytes())

        with closing(State(left / path.name)) as state:
            assert before == state.restore(ACME, OUTCOMES).ledger


def _newer(path: Path) -> None:
    State(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recipe (name TEXT)")


def _garbage(path: Path) -> None:
    path.write_text("dear diary, " * 500)


def _damaged(path: Path) -> None:
    with closing(State(path)) as state:
        polled(state)
        with state.transaction() as database:
            (size,) = database.execute("PRAGMA page_size").fetchone()
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * size] + b"\xff" * (len(whole) - 2 * size))


def _cut(path: Path) -> None:
    State(path).close()
    path.write_bytes(path.read_bytes()[:5000])


class TestRefused:
    """Files that cannot be used."""

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (_newer, "newer version .* run that version, or name another --state.path"),
            (_foreign, "another program; name another --state.path"),
            (_garbage, "(?s)damaged or no state file .* restore it from a backup, or move it away"),
            (_damaged, "(?s)damaged or no state file .* restore it from a backup, or move it away"),
            (_cut, "(?s)damaged or no state file .* restore it from a backup, or move it away"),
        ],
    )
    def test_left_alone(self, path: Path, make: Callable[[Path], None], words: str) -> None:
        """The error names the file and says what to do, and the file stays as it is."""
        make(path)
        before = files(path)

        with pytest.raises(StateError, match=words) as refusal:
            State(path)

        assert str(refusal.value).startswith(str(path))
        assert before == files(path)

    def test_two_at_once(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is open is refused to a second one, and the first goes on."""
        monkeypatch.setattr("exporter.state.opening._WAIT", 0.01)
        with closing(State(path)) as state:
            with pytest.raises(StateError, match="in use by another process"):
                State(path)
            polled(state)

        with closing(State(path)) as state:
            assert NOW + 60 == state.restore(ACME, OUTCOMES).last_success

    def test_two_at_once_before_any_poll(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """That holds from the moment a file is opened that has been there before."""
        monkeypatch.setattr("exporter.state.opening._WAIT", 0.01)
        State(path).close()

        with closing(State(path)), pytest.raises(StateError, match="in use by another process"):
            State(path)

    def test_no_folder(self, tmp_path: Path) -> None:
        """A folder that is not there is said to be the trouble."""
        with pytest.raises(StateError, match="its folder can be written to"):
            State(tmp_path / "nowhere" / "state.db")

    def test_empty(self, path: Path) -> None:
        """An empty file is as good as none."""
        path.touch()

        with closing(State(path)) as state:
            assert Ledger() == state.restore(ACME, OUTCOMES).ledger
