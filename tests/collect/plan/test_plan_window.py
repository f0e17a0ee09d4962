"""What a poll reads: what has changed since it was last read, and no more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from exporter.buckets import Window
from exporter.collect.ledger import Bucket
from exporter.collect.plan import window as plan_window
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.window import MAX_BUCKETS, WindowReading, read_window
from exporter.collect.series import NO_PROJECT, Reading
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.question import QUANTITY
from tests.support.rows import (
    API,
    HOUR,
    NOON,
    OLD,
    WEB,
    bucket,
    flat,
    reading,
    row,
    series,
    totals,
)
from tests.support.store import Row, Store

BY_OUTCOME = ResolvedQuery((QUANTITY,), ("category", "outcome"), HOUR)
BY_PROJECT = ResolvedQuery((QUANTITY,), ("project", "category", "outcome"), HOUR)
FINISHED = NOON - HOUR


def window(hours: int) -> Window:
    """Return ``hours`` hours, the last of them the running one, which begins at `NOON`."""
    return Window(NOON - (hours - 1) * HOUR, NOON + HOUR, HOUR)


def hourly(hours: int, project: int = WEB) -> list[Row]:
    """Return a row for each of ``hours`` hours, each with another quantity."""
    return [row(age + 1, bucket=NOON - age * HOUR, project=project) for age in range(hours)]


def read_from(
    store: Store,
    known: Mapping[int, Bucket] | None = None,
    hours: int = 4,
    query: ResolvedQuery = BY_PROJECT,
) -> WindowReading:
    """Read ``hours`` hours from ``store``, of which some are ``known``."""
    store.asked.clear()
    return store.run(read_window(query, window(hours), FINISHED, known or {}, (WEB, API)))


def posted(read: WindowReading) -> dict[int, Bucket]:
    """Return what a ledger has after a poll that has ``read`` these buckets."""
    return {start: bucket(one) for start, one in read.readings.items()}


def known(store: Store, hours: int = 4) -> dict[int, Bucket]:
    """Return the buckets of ``hours`` hours that were read to the end."""
    buckets: dict[int, Bucket] = {}
    while True:
        read = read_from(store, buckets, hours)
        buckets |= posted(read)
        if not read.backlog:
            return buckets


def asked_by_project(store: Store) -> list[int]:
    """Return the buckets that were asked by project, in the order asked."""
    return [question.window.start for question in store.asked if "project" in question.group_by]


class TestWithoutProject:
    """A query that does not group by project."""

    def test_one_question(self) -> None:
        """All of the window is one question, and every bucket of it is read."""
        store = Store(hourly(3))

        read = read_from(store, query=BY_OUTCOME)

        assert [window(4)] == [question.window for question in store.asked]
        assert {
            NOON - age * HOUR: reading({series(): age + 1} if age < 3 else {}, finished=age > 0)
            for age in range(4)
        } == read.readings
        assert not read.backlog

    def test_not_proven(self) -> None:
        """A bucket that cannot be proven is read, and marked."""
        rows = [row(outcome="invalid", category=f"category-{number}") for number in range(30)]

        read = read_from(Store(rows, limit=3), query=BY_OUTCOME)

        assert not read.readings[FINISHED].proven


class TestByProject:
    """A query by project reads first what the buckets hold without project."""

    def test_totals_that_never_agree(self) -> None:
        """A server that disagrees with itself costs few questions in each poll, of any lookback."""
        rows = [*hourly(24), *hourly(24, API), *hourly(24, OLD)]
        store = Store(rows, disagreement=1, readable=frozenset({WEB, API}))
        buckets = known(store, 24)
        store.rows = [*rows, row(7)]

        read = read_from(store, buckets, 24)

        ours = read.readings[FINISHED]
        assert not ours.proven
        assert {WEB: 9, API: 2, NO_PROJECT: 2} == ours.rows[series().series]
        assert len(store.asked) <= 15

    def test_first_poll(self) -> None:
        """The newest buckets come first, so that they show at once; the others are a backlog."""
        store = Store(hourly(4))

        read = read_from(store)

        assert window(4) == store.asked[0].window
        assert [NOON, FINISHED] == asked_by_project(store)
        assert {NOON, FINISHED} == set(read.readings)
        assert {series(WEB): 2} == flat(read.readings[FINISHED].rows)
        assert totals({series(): 2}) == read.readings[FINISHED].total
        assert read.backlog

    def test_backlog(self) -> None:
        """The poll that follows reads the others, the newest first."""
        store = Store(hourly(4))

        read = read_from(store, posted(read_from(store)))

        assert [NOON - 2 * HOUR, NOON - 3 * HOUR] == asked_by_project(store)
        assert not read.backlog

    def test_long_backlog(self) -> None:
        """A poll reads no more than a number of buckets; those after it read on."""
        hours = 2 * MAX_BUCKETS + 10
        store = Store(hourly(hours))
        buckets = posted(read_from(store, hours=hours))

        sizes = []
        backlog = True
        while backlog:
            read = read_from(store, buckets, hours)
            buckets |= posted(read)
            sizes.append(len(asked_by_project(store)))
            backlog = read.backlog

        assert [MAX_BUCKETS, MAX_BUCKETS, 8] == sizes
        assert set(window(hours).buckets()) == set(buckets)

    @pytest.mark.parametrize(("size", "expected"), [(1, 3), (5, 5), (10**6, 16)])
    def test_large_backlog(self, monkeypatch: pytest.MonkeyPatch, size: int, expected: int) -> None:
        """Of buckets with many rows a poll reads fewer, but always the newest few."""
        monkeypatch.setattr(plan_window, "MAX_ROWS", size)
        store = Store([row(bucket=NOON - age * HOUR) for age in range(18)])
        buckets = posted(read_from(store, hours=18))

        read = read_from(store, buckets, 18)

        assert expected == len(read.readings)
        assert (expected < 16) is read.backlog

    def test_empty_backlog(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hours in which nothing happened are no matter of size."""
        monkeypatch.setattr(plan_window, "MAX_ROWS", 1)
        store = Store(hourly(2))
        buckets = posted(read_from(store, hours=18))

        read = read_from(store, buckets, 18)

        assert 16 == len(read.readings)
        assert not read.backlog

    def test_running_hour_comes_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A backlog is not made longer by the running hour, which grows again and again."""
        monkeypatch.setattr(plan_window, "MAX_ROWS", 1)
        store = Store(hourly(5))
        buckets = posted(read_from(store, hours=5))
        store.rows = [*store.rows, row(5, bucket=NOON)]

        read = read_from(store, buckets, 5)

        assert NOON not in read.readings
        assert read.backlog
        assert NOON in read_from(store, buckets | posted(read), 5).readings

    def test_nothing_new(self) -> None:
        """Where nothing has changed, one question is all that is asked, and no bucket read."""
        store = Store(hourly(4))

        read = read_from(store, known(store))

        assert 1 == len(store.asked)
        assert WindowReading({}) == read

    def test_changed(self) -> None:
        """Only buckets whose numbers have changed are asked again."""
        store = Store(hourly(4))
        buckets = known(store)
        store.rows = [*store.rows, row(5, bucket=NOON - 2 * HOUR, project=API)]

        read = read_from(store, buckets)

        assert [NOON - 2 * HOUR] == asked_by_project(store)
        assert {series(WEB): 3, series(API): 5} == flat(read.readings[NOON - 2 * HOUR].rows)

    def test_after_a_gap(self) -> None:
        """After a gap the newest buckets are read before what was missed."""
        store = Store(hourly(8))
        buckets = {start: one for start, one in known(store, 8).items() if start < NOON - 5 * HOUR}

        read = read_from(store, buckets, 8)

        assert [NOON, FINISHED] == asked_by_project(store)
        assert read.backlog

    def test_empty(self) -> None:
        """An hour in which nothing happened is known without being asked by project."""
        store = Store([row(3, bucket=NOON)])

        read = read_from(store)

        assert [NOON] == asked_by_project(store)
        assert {} == flat(read.readings[FINISHED].rows)
        assert read.readings[FINISHED].proven

    def test_empty_again(self) -> None:
        """A bucket that lost all it had is empty, and not asked by project."""
        store = Store([row(3, bucket=NOON), row(2)])
        buckets = known(store)
        store.rows = [row(3, bucket=NOON)]

        read = read_from(store, buckets)

        assert [] == asked_by_project(store)
        assert {} == flat(read.readings[FINISHED].rows)

    def test_finishes(self) -> None:
        """A bucket that has not changed since it ran is finished now, without a question."""
        store = Store(hourly(4))
        buckets = known(store)
        running = {NOON - 2 * HOUR, FINISHED}
        buckets |= {
            start: Bucket(buckets[start].rows, buckets[start].total, finished=False)
            for start in running
        }

        read = read_from(store, buckets)

        assert [] == asked_by_project(store)
        assert read.readings == {
            start: Reading(buckets[start].rows, total=buckets[start].total, finished=True)
            for start in running
        }

    def test_backlog_is_not_finished(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bucket that has changed stays as it was known until a later poll reads it."""
        monkeypatch.setattr(plan_window, "MAX_ROWS", 1)
        store = Store(hourly(8))
        before = NOON - 6 * HOUR
        buckets = {before: replace(known(store, 8)[before], finished=False)}
        store.rows = [*store.rows, row(5, bucket=before)]

        read = read_from(store, buckets, 8)

        assert read.backlog
        assert before not in read.readings

    def test_readable(self) -> None:
        """Only projects that came back from Sentry in this very poll are known to be readable."""
        store = Store([*hourly(4), row(7, bucket=NOON, project=API)])
        first = read_from(store)

        second = read_from(store, known(store))

        assert {WEB, API} == first.readable
        assert frozenset() == second.readable

    def test_deleted_project(self) -> None:
        """What a project holds that is on no list comes with its bucket, under its id."""
        store = Store([*hourly(1), row(7, bucket=NOON, project=OLD)])

        read = read_from(store)

        assert {series(WEB): 1, series(OLD): 7} == flat(read.readings[NOON].rows)


class TestProof:
    """Buckets that were not proven."""

    def known(self, store: Store, unproven: Sequence[int]) -> dict[int, Bucket]:
        """Return what is known of ``store``, of which ``unproven`` could not be proven."""
        return {
            start: Bucket(one.rows, one.total, one.finished, start not in unproven)
            for start, one in known(store).items()
        }

    def test_shown_bucket_is_tried_again(self) -> None:
        """The bucket that is shown is read again until it is proven, though it is the same."""
        store = Store(hourly(4))

        read = read_from(store, self.known(store, [FINISHED]))

        assert [FINISHED] == asked_by_project(store)
        assert read.readings[FINISHED].proven

    def test_others_are_not(self) -> None:
        """No other bucket is read again for that."""
        store = Store(hourly(4))

        read_from(store, self.known(store, [NOON, NOON - 2 * HOUR]))

        assert [] == asked_by_project(store)

    def test_cut(self) -> None:
        """What splitting a bucket taught is in the hints, with which the next poll begins."""
        rows = [row(project=project, reason=f"r{project}") for project in (WEB, API) * 9]
        rows += [
            row(project=project, reason=f"r{number}")
            for project in (WEB, API)
            for number in range(5100)
        ]
        query = ResolvedQuery((QUANTITY,), (*BY_PROJECT.group_by, "reason"), HOUR)
        store = Store(rows)

        first = read_from(store, query=query)
        by_project = len(asked_by_project(store))
        store.asked.clear()
        plan = read_window(query, window(4), FINISHED, {}, (WEB, API), first.hints)
        second = store.run(plan)

        assert first.hints.cut is not None
        assert first.readings == second.readings
        assert len(asked_by_project(store)) < by_project


def test_refused() -> None:
    """A question that the store refuses whatever its size is the end of the reading."""
    store = Store(hourly(1), refuse_over=0)

    with pytest.raises(TooHeavyError):
        read_from(store)
