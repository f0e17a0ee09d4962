"""What survives a restart, and files that are not touched."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger.ledger import Found, KeepError, Kept, Ledger
from exporter.collect.ledger.posting import reckon
from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.series import Series
from exporter.config import Filter, Organization, Query
from exporter.sentry.errors import ServerError
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from exporter.state import State, StateError
from tests.collect.polling import (
    API,
    HOUR,
    NOON,
    NOW,
    WEB,
    RecordingPublisher,
    Sentry,
    organization,
    query,
    series,
)

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
    change = reckon(kept.ledger, found, now=now, running_end=NOON + HOUR, keep_from=keep_from)
    assert kept.keeper is not None

    kept.keeper.save(change, now)
    kept.ledger.apply(change)


def polled(state: State) -> Kept:
    """Return what is kept of `OUTCOMES` after two polls."""
    kept = state.restore(ACME, OUTCOMES)
    poll(kept, {NOON: Found({series(): 1})})
    poll(kept, {NOON: Found({series(): 4, series(outcome="abuse"): 2})}, NOW + 60)
    return kept


def described(ledger: Ledger) -> tuple[object, ...]:
    """Return what a ledger has, labels in the place of their numbers.

    What is not seen any more is left out: a restarted exporter may know less exactly since when.
    """

    def named(found: Mapping[Series, float]) -> dict[tuple[str, ...], float]:
        names = ledger.labels.names
        return {(*one[:-1], names[one.project]): value for one, value in found.items()}

    return (
        ledger.books,
        named(ledger.counters),
        named(ledger.born),
        ledger.counts_from,
        ledger.asked,
        ledger.clock_skew,
    )


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
projects = st.sampled_from([WEB, API])
polls = st.lists(
    st.fixed_dictionaries(
        {
            "found": st.dictionaries(
                st.sampled_from([NOON + hour * HOUR for hour in range(-2, 3)]), found
            ),
            "now": st.sampled_from([NOW, NOW + HOUR, NOW + 20 * 24 * HOUR]),
            "keep_from": st.sampled_from([0, NOON - HOUR, NOON + HOUR]),
            "labels": st.none() | st.dictionaries(projects, st.sampled_from(["web", "api", "ü"])),
            "asked": st.none() | st.frozensets(projects),
            "clock_skew": st.none() | st.floats(-99, 99),
        }
    ),
    max_size=5,
)


@given(history=polls)
@settings(deadline=None, max_examples=40)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, Any]]
) -> None:
    """Whatever polls do to a ledger, a restart after any of them brings back the same one."""
    path = tmp_path_factory.mktemp("state") / "state.db"
    ledger = Ledger()
    for poll in history:
        # The file's own ledger sees what the other one does: a look at what is unseen, each time.
        ledger.checked_at = None
        with closing(State(path)) as state:
            kept = state.restore(ACME, OUTCOMES)
            change = reckon(kept.ledger, running_end=NOON, **poll)
            assert kept.keeper is not None

            kept.keeper.save(change, NOW)
        ledger.apply(reckon(ledger, running_end=NOON, **poll))

    with closing(State(path)) as state:
        assert described(ledger) == described(state.restore(ACME, OUTCOMES).ledger)


class TestIdentity:
    """To whom a ledger belongs."""

    @pytest.mark.parametrize(
        "same",
        [
            {"group_by": ("outcome", "category")},
            {"poll_interval": 300},
            {"lookback": HOUR},
            {"counters": False},
        ],
    )
    def test_goes_on(self, state: State, same: dict[str, object]) -> None:
        """A query that asks the same goes on, however often it asks."""
        before = polled(state).ledger

        after = state.restore(ACME, replace(OUTCOMES, **same))  # type: ignore[arg-type]

        assert before == after.ledger

    @pytest.mark.parametrize(
        ("acme", "outcomes"),
        [(ACME, replace(OUTCOMES, name="renamed")), (organization(name="acme-eu"), OUTCOMES)],
    )
    def test_renamed(self, state: State, acme: Organization, outcomes: Query) -> None:
        """Under a new name nothing is counted twice or lost: its counters begin at 0."""
        before = polled(state).ledger

        kept = state.restore(acme, outcomes)
        poll(kept, {NOON: Found({series(): 9, series(outcome="abuse"): 2})}, NOW + 120)

        assert before.books.keys() == kept.ledger.books.keys()
        assert {series(): 5, series(outcome="abuse"): 0} == kept.ledger.counters
        assert {series(), series(outcome="abuse")} == kept.ledger.born.keys()

    def test_renamed_and_back(self, state: State) -> None:
        """Under its old name a query's counters go on from where they were."""
        polled(state)
        renamed = state.restore(ACME, replace(OUTCOMES, name="renamed"))
        poll(renamed, {NOON: Found({series(): 9})}, NOW + 120)

        kept = state.restore(ACME, OUTCOMES)
        poll(kept, {NOON: Found({series(): 11})}, NOW + 180)

        assert {series(): 5, series(outcome="abuse"): 2} == kept.ledger.counters

    def test_new_address(self, state: State) -> None:
        """An organization whose server has another address goes on."""
        before = polled(state).ledger

        moved = organization(url="https://us.sentry.example")

        assert before == state.restore(moved, OUTCOMES).ledger

    def test_another_organizations_address(self, state: State) -> None:
        """The books of an organization that is gone do not fall to another one that moves."""
        polled(state)
        other = organization(name="other", url="https://other.example")
        kept = state.restore(other, OUTCOMES, elsewhere=[ACME.url])
        poll(kept, {NOON: Found({series(): 700})}, NOW + 120)

        moved = organization(name="other", url="https://us.other.example")

        assert kept.ledger.books == state.restore(moved, OUTCOMES).ledger.books

    def test_two_servers(self, state: State) -> None:
        """Organizations of the same slug on two servers have a ledger each."""
        polled(state)
        other = organization(name="other", url="https://other.example")

        assert Ledger() == state.restore(other, OUTCOMES, elsewhere=[ACME.url]).ledger

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

        assert {} == after.ledger.books
        assert after.ledger.counts_from is None
        assert before == state.restore(ACME, OUTCOMES).ledger

    def test_organizations_apart(self, state: State) -> None:
        """The same question to another organization is another one."""
        polled(state)

        globex = organization(slug="globex", name="globex")

        assert Ledger() == state.restore(globex, OUTCOMES).ledger

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

        twin = replace(OUTCOMES, name="twin")

        assert Ledger() == state.restore(ACME, twin, ordinal=1).ledger


class TestProjectList:
    """The projects list, which serves where Sentry cannot be asked after a restart."""

    listed = ProjectList.of(
        [
            Project(1, "web", "python", accessible=True, teams=("a", "b")),
            Project(2, "ключ", "", accessible=False),
        ]
    )

    def test_kept(self, path: Path) -> None:
        """A list comes back as it was."""
        with closing(State(path)) as state:
            state.project_list(ACME).save(self.listed)

        with closing(State(path)) as state:
            assert self.listed == state.project_list(ACME).load()

    @pytest.mark.parametrize("other", [{"name": "b"}, {"slug": "b"}, {"url": "https://b.example"}])
    def test_of_another_organization(self, state: State, other: dict[str, str]) -> None:
        """No other organization gets it."""
        state.project_list(ACME).save(self.listed)

        assert state.project_list(organization(**other)).load() is None

    def test_serves_after_a_restart(self, state: State) -> None:
        """A list that cannot be read from Sentry is the one of the process before."""
        state.project_list(ACME).save(self.listed)
        sentry, publisher = Sentry(), RecordingPublisher()
        sentry.listing_error = ServerError(503, "")
        kept = state.project_list(ACME)

        directory = ProjectDirectory("acme", sentry, publisher, keeper=kept)

        assert self.listed == directory.projects(NOW)
        assert [1] == [one.id for one in publisher.projects["acme"]]

    def test_read_again(self, state: State) -> None:
        """Where Sentry can be asked, it is, and what it says is kept."""
        state.project_list(ACME).save(self.listed)
        sentry = Sentry()
        kept = state.project_list(ACME)

        found = ProjectDirectory("acme", sentry, RecordingPublisher(), keeper=kept).projects(NOW)

        assert found == sentry.listing == kept.load()


class TestForget:
    """What queries leave behind."""

    def test_old(self, path: Path) -> None:
        """What nobody has asked for since then leaves the file."""
        with closing(State(path)) as state:
            polled(state)
        with closing(State(path)) as state:
            state.forget(NOW + 61)
            left = rows_left(state)

        assert dict.fromkeys(left, 0) == left

    def test_recent(self, path: Path) -> None:
        """What was asked for later stays."""
        with closing(State(path)) as state:
            polled(state)
        with closing(State(path)) as state:
            before = rows_left(state)
            state.forget(NOW + 60)

            assert before == rows_left(state)

    def test_in_use(self, path: Path) -> None:
        """What is polled now stays, however long ago it was."""
        with closing(State(path)) as state:
            before = polled(state).ledger
        with closing(State(path)) as state:
            state.restore(ACME, OUTCOMES)
            state.forget(NOW + 61)

            assert before == state.restore(ACME, OUTCOMES).ledger

    def test_let_go(self, state: State) -> None:
        """A counter that is let go leaves the file, and so do the series that no bucket has."""
        kept = polled(state)
        for day in range(32):
            start = NOON + day * 24 * HOUR
            poll(kept, {start: Found({series(): 9})}, start, start)

        left = rows_left(state)

        assert (1, 1) == (left["counter"], left["series"])
        assert described(kept.ledger) == described(state.restore(ACME, OUTCOMES).ledger)


def rows_left(state: State) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = ("query", "series", "book", "entry", "published", "counter")
    with state.transaction() as database:
        return {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant
            for table in tables
        }


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
        database.execute("PRAGMA user_version = 3")


def _unreleased(path: Path) -> None:
    State(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")


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
            (_unreleased, "a version that was never released; move it away"),
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
        with pytest.raises(StateError, match=r"its folder .* does not exist"):
            State(tmp_path / "nowhere" / "state.db")

    def test_empty(self, path: Path) -> None:
        """An empty file is as good as none."""
        path.touch()

        with closing(State(path)) as state:
            assert Ledger() == state.restore(ACME, OUTCOMES).ledger
