"""What a poll reads: what has changed since it was last read, and no more."""

from collections.abc import Mapping, Sequence

import pytest

from exporter.buckets import Window
from exporter.collect.ledger.ledger import Book, Found
from exporter.collect.plan import window as reading
from exporter.collect.plan.resolved import Subject
from exporter.collect.plan.window import AT_ONCE, Harvest, read_window
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.question import QUANTITY
from tests.collect.polling import API, HOUR, NOON, OLD, WEB, row, series
from tests.collect.store import Row, Store

BY_OUTCOME = Subject((QUANTITY,), ("category", "outcome"), HOUR)
BY_PROJECT = Subject((QUANTITY,), ("project", "category", "outcome"), HOUR)
FINISHED = NOON - HOUR


def window(hours: int) -> Window:
    """Return ``hours`` hours, the last of them the running one, which begins at `NOON`."""
    return Window(NOON - (hours - 1) * HOUR, NOON + HOUR, HOUR)


def hourly(hours: int, project: int = WEB) -> list[Row]:
    """Return a row for each of ``hours`` hours, each with another quantity."""
    return [row(age + 1, bucket=NOON - age * HOUR, project=project) for age in range(hours)]


def harvest(
    store: Store,
    books: Mapping[int, Book] | None = None,
    hours: int = 4,
    subject: Subject = BY_PROJECT,
) -> Harvest:
    """Read ``hours`` hours from ``store``, of which ``books`` are known."""
    store.asked.clear()
    return store.run(read_window(subject, window(hours), FINISHED, books or {}, (WEB, API)))


def kept(found: Mapping[int, Found]) -> dict[int, Book]:
    """Return ``found`` as a ledger has it after a poll."""
    return {
        start: Book(one.rows, one.told, one.finished, one.whole) for start, one in found.items()
    }


def known(store: Store, hours: int = 4) -> dict[int, Book]:
    """Return the books of ``hours`` hours that were read to the end."""
    books: dict[int, Book] = {}
    while True:
        read = harvest(store, books, hours)
        books |= kept(read.found)
        if not read.backlog:
            return books


def asked_by_project(store: Store) -> list[int]:
    """Return the buckets that were asked by project, in the order asked."""
    return [question.window.start for question in store.asked if "project" in question.group_by]


class TestWithoutProject:
    """A query that does not group by project."""

    def test_one_question(self) -> None:
        """The whole window is one question, every bucket of it in the harvest."""
        store = Store(hourly(3))

        read = harvest(store, subject=BY_OUTCOME)

        assert [window(4)] == [question.window for question in store.asked]
        assert {
            NOON - age * HOUR: Found({series(): age + 1} if age < 3 else {}, finished=age > 0)
            for age in range(4)
        } == read.found
        assert not read.backlog

    def test_not_whole(self) -> None:
        """A bucket that cannot be proven is in the harvest, and said to be so."""
        rows = [row(outcome="invalid", category=f"category-{number}") for number in range(30)]

        read = harvest(Store(rows, limit=3), subject=BY_OUTCOME)

        assert not read.found[FINISHED].whole


class TestByProject:
    """A query by project reads first what the buckets hold without project."""

    def test_first_poll(self) -> None:
        """The newest buckets come first, so that they show at once; the rest is a backlog."""
        store = Store(hourly(4))

        read = harvest(store)

        assert window(4) == store.asked[0].window
        assert [NOON, FINISHED] == asked_by_project(store)
        assert {NOON, FINISHED} == set(read.found)
        assert {series(WEB): 2} == read.found[FINISHED].rows
        assert {series(): 2} == read.found[FINISHED].told
        assert read.backlog

    def test_backlog(self) -> None:
        """The poll that follows reads the rest, the newest first."""
        store = Store(hourly(4))

        read = harvest(store, kept(harvest(store).found))

        assert [NOON - 2 * HOUR, NOON - 3 * HOUR] == asked_by_project(store)
        assert not read.backlog

    def test_long_backlog(self) -> None:
        """A poll reads no more than a number of buckets; those after it read on."""
        hours = 2 * AT_ONCE + 10
        store = Store(hourly(hours))
        books = kept(harvest(store, hours=hours).found)

        sizes = []
        backlog = True
        while backlog:
            read = harvest(store, books, hours)
            books |= kept(read.found)
            sizes.append(len(asked_by_project(store)))
            backlog = read.backlog

        assert [AT_ONCE, AT_ONCE, 8] == sizes
        assert set(window(hours).buckets()) == set(books)

    @pytest.mark.parametrize(("most", "expected"), [(1, 3), (5, 5), (10**6, 16)])
    def test_large_backlog(self, monkeypatch: pytest.MonkeyPatch, most: int, expected: int) -> None:
        """Of buckets with many rows a poll reads fewer, but always the newest few."""
        monkeypatch.setattr(reading, "ROWS_AT_ONCE", most)
        store = Store([row(bucket=NOON - age * HOUR) for age in range(18)])
        books = kept(harvest(store, hours=18).found)

        read = harvest(store, books, 18)

        assert expected == len(read.found)
        assert (expected < 16) is read.backlog

    def test_silent_backlog(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hours in which nothing happened are no matter of size."""
        monkeypatch.setattr(reading, "ROWS_AT_ONCE", 1)
        store = Store(hourly(2))
        books = kept(harvest(store, hours=18).found)

        read = harvest(store, books, 18)

        assert 16 == len(read.found)
        assert not read.backlog

    def test_running_hour_comes_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A backlog is not made longer by the running hour, which grows again and again."""
        monkeypatch.setattr(reading, "ROWS_AT_ONCE", 1)
        store = Store(hourly(5))
        books = kept(harvest(store, hours=5).found)
        store.rows = [*store.rows, row(5, bucket=NOON)]

        read = harvest(store, books, 5)

        assert NOON not in read.found
        assert read.backlog
        assert NOON in harvest(store, books | kept(read.found), 5).found

    def test_nothing_new(self) -> None:
        """Where nothing has changed, one question is all that is asked, and no bucket read."""
        store = Store(hourly(4))

        read = harvest(store, known(store))

        assert 1 == len(store.asked)
        assert Harvest({}) == read

    def test_changed(self) -> None:
        """Only buckets whose numbers have changed are asked again."""
        store = Store(hourly(4))
        books = known(store)
        store.rows = [*store.rows, row(5, bucket=NOON - 2 * HOUR, project=API)]

        read = harvest(store, books)

        assert [NOON - 2 * HOUR] == asked_by_project(store)
        assert {series(WEB): 3, series(API): 5} == read.found[NOON - 2 * HOUR].rows

    def test_after_a_gap(self) -> None:
        """After a gap the newest buckets are read before what was missed."""
        store = Store(hourly(8))
        books = {start: book for start, book in known(store, 8).items() if start < NOON - 5 * HOUR}

        read = harvest(store, books, 8)

        assert [NOON, FINISHED] == asked_by_project(store)
        assert read.backlog

    def test_silent(self) -> None:
        """An hour in which nothing happened is known without being asked by project."""
        store = Store([row(3, bucket=NOON)])

        read = harvest(store)

        assert [NOON] == asked_by_project(store)
        assert {} == read.found[FINISHED].rows
        assert read.found[FINISHED].whole

    def test_fallen_silent(self) -> None:
        """A bucket that lost all it had is empty, and not asked by project."""
        store = Store([row(3, bucket=NOON), row(2)])
        books = known(store)
        store.rows = [row(3, bucket=NOON)]

        read = harvest(store, books)

        assert [] == asked_by_project(store)
        assert {} == read.found[FINISHED].rows

    def test_finishes(self) -> None:
        """A bucket that has not changed since it ran is finished now, without a question."""
        store = Store(hourly(4))
        books = known(store)
        running = {NOON - 2 * HOUR, FINISHED}
        books |= {
            start: Book(books[start].rows, books[start].told, finished=False) for start in running
        }

        read = harvest(store, books)

        assert [] == asked_by_project(store)
        assert read.found == {
            start: Found(books[start].rows, books[start].told, finished=True) for start in running
        }

    def test_readable(self) -> None:
        """Only projects that came back from Sentry in this very poll are known to be readable."""
        store = Store([*hourly(4), row(7, bucket=NOON, project=API)])
        first = harvest(store)

        second = harvest(store, known(store))

        assert {WEB, API} == first.readable
        assert frozenset() == second.readable

    def test_deleted_project(self) -> None:
        """What a project holds that is on no list comes with its bucket, under its id."""
        store = Store([*hourly(1), row(7, bucket=NOON, project=OLD)])

        read = harvest(store)

        assert {series(WEB): 1, series(OLD): 7} == read.found[NOON].rows


class TestProof:
    """Buckets that were not proven whole."""

    def books(self, store: Store, unproven: Sequence[int]) -> dict[int, Book]:
        """Return what is known of ``store``, of which ``unproven`` could not be proven."""
        return {
            start: Book(book.rows, book.told, book.finished, start not in unproven)
            for start, book in known(store).items()
        }

    def test_shown_bucket_is_tried_again(self) -> None:
        """The bucket that is shown is read again until it is proven, though it is the same."""
        store = Store(hourly(4))

        read = harvest(store, self.books(store, [FINISHED]))

        assert [FINISHED] == asked_by_project(store)
        assert read.found[FINISHED].whole

    def test_others_are_not(self) -> None:
        """No other bucket is read again for that."""
        store = Store(hourly(4))

        harvest(store, self.books(store, [NOON, NOON - 2 * HOUR]))

        assert [] == asked_by_project(store)

    def test_cut(self) -> None:
        """What splitting a bucket taught is in the harvest, for the next poll to begin with."""
        rows = [row(project=project, reason=f"r{project}") for project in (WEB, API) * 9]
        rows += [
            row(project=project, reason=f"r{number}")
            for project in (WEB, API)
            for number in range(5100)
        ]
        subject = Subject((QUANTITY,), (*BY_PROJECT.group_by, "reason"), HOUR)
        store = Store(rows)

        first = harvest(store, subject=subject)
        by_project = len(asked_by_project(store))
        store.asked.clear()
        plan = read_window(subject, window(4), FINISHED, {}, (WEB, API), first.cut)
        second = store.run(plan)

        assert first.cut is not None
        assert first.found == second.found
        assert len(asked_by_project(store)) < by_project


def test_refused() -> None:
    """A question that the store refuses whatever its size is the end of the reading."""
    store = Store(hourly(1), refuse_over=0)

    with pytest.raises(TooHeavyError):
        harvest(store)
