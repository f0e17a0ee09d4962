"""The ledger: counters gain what is new, once, and never fall."""

from collections.abc import Mapping

import pytest

from exporter.collect.ledger import RISE_AFTER, Book, Change, Found, Ledger
from exporter.collect.reckoning import reckon
from exporter.collect.rows import Rows
from tests.collect.polling import API, HOUR, NOON, OLD, WEB, series

ACCEPTED = series()
DROPPED = series(outcome="rate_limited")
YESTERDAY = NOON - 24 * HOUR


def entered(
    ledger: Ledger,
    found: Mapping[int, Found],
    now: float = NOON,
    *,
    running_end: int = NOON + HOUR,
    keep_from: int = YESTERDAY,
    readable: frozenset[int] | None = None,
) -> Change:
    """Enter what a poll during the hour of `NOON` found into ``ledger``."""
    change = reckon(
        ledger,
        found,
        now=now,
        running_end=running_end,
        keep_from=keep_from,
        readable=readable,
    )
    ledger.apply(change)
    return change


def ledger_of(found: Mapping[int, Found], readable: frozenset[int] | None = None) -> Ledger:
    """Return a ledger after a first poll."""
    ledger = Ledger()
    entered(ledger, found, readable=readable)
    return ledger


def finished(rows: Rows) -> Found:
    """Return what was found in a finished bucket."""
    return Found(rows, finished=True)


class TestFirstPoll:
    """What is there when counting begins."""

    def test_begins_at_zero(self) -> None:
        """Counters begin at 0, whatever the lookback holds, and need not wait to be shown."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 7}), NOON - HOUR: finished({DROPPED: 3})})

        assert {ACCEPTED: 0, DROPPED: 0} == ledger.counters
        assert {} == ledger.born
        assert NOON + HOUR == ledger.counts_from

    def test_left_for_later(self) -> None:
        """A bucket of the first lookback that a later poll reads is not counted either."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 7})})

        entered(ledger, {NOON - HOUR: finished({ACCEPTED: 5})})

        assert {ACCEPTED: 0} == ledger.counters

    def test_changes_nothing_by_reckoning(self) -> None:
        """What a poll changes is worked out beside the ledger, which stays as it is."""
        ledger = Ledger()

        reckon(ledger, {NOON: Found({ACCEPTED: 7})}, now=NOON, running_end=NOON + HOUR, keep_from=0)

        assert Ledger() == ledger


class TestGains:
    """What later polls add."""

    def test_growth(self) -> None:
        """Counters gain what buckets gain, the running one included, the sum of them all."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 7}), NOON - HOUR: finished({ACCEPTED: 3})})

        entered(ledger, {NOON: Found({ACCEPTED: 9}), NOON - HOUR: finished({ACCEPTED: 4})})

        assert {ACCEPTED: 3} == ledger.counters

    def test_same_again(self) -> None:
        """A bucket that is read again as it was changes nothing."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 7})})

        change = entered(ledger, {NOON: Found({ACCEPTED: 7})})

        assert {} == change.counters
        assert 0 == change.revisions

    def test_new_bucket(self) -> None:
        """A bucket that begins after the first poll is counted from nothing."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 7})})

        entered(ledger, {NOON + HOUR: Found({ACCEPTED: 5})})

        assert {ACCEPTED: 5} == ledger.counters

    def test_late_data(self) -> None:
        """What a finished bucket gains is counted, and each value that grew is a revision."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 3})})

        change = entered(ledger, {NOON - HOUR: finished({ACCEPTED: 4, DROPPED: 2})})

        assert {ACCEPTED: 1, DROPPED: 2} == ledger.counters
        assert (2, 0) == (change.revisions, change.regressions)

    def test_running_bucket_grows(self) -> None:
        """Growth of a bucket that was not finished when last read is no revision."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 3})})

        change = entered(ledger, {NOON: finished({ACCEPTED: 4})})

        assert 0 == change.revisions


class TestFalls:
    """Values that shrink, though Sentry retracts nothing."""

    def test_regression(self) -> None:
        """A value that falls is noticed once, remembered, and takes nothing from the counter."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        change = entered(ledger, {NOON - HOUR: finished({ACCEPTED: 6})})
        again = entered(ledger, {NOON - HOUR: finished({ACCEPTED: 6})})

        assert {ACCEPTED: 0} == ledger.counters
        assert {ACCEPTED: 4} == ledger.books[NOON - HOUR].fallen
        assert [1, 0] == [change.regressions, again.regressions]

    @pytest.mark.parametrize(("value", "expected"), [(8, 0), (10, 0), (13, 3)])
    def test_rise_after_a_fall(self, value: int, expected: int) -> None:
        """What comes back after a fall was counted already; only what exceeds it is new."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        entered(ledger, {NOON - HOUR: finished({ACCEPTED: 6})})
        entered(ledger, {NOON - HOUR: finished({ACCEPTED: value})})

        assert {ACCEPTED: expected} == ledger.counters

    def test_falls_further(self) -> None:
        """A second fall is a second regression, and the highest value stays the counted one."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        falls = [
            entered(ledger, {NOON - HOUR: finished(rows)}).regressions
            for rows in ({ACCEPTED: 6}, {ACCEPTED: 8}, {}, {ACCEPTED: 10})
        ]

        assert [1, 0, 1, 0] == falls
        assert {ACCEPTED: 0} == ledger.counters

    def test_gone(self) -> None:
        """A series that is missing from a bucket it was in stays in it, as 0."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        entered(ledger, {NOON - HOUR: finished({})})

        assert {ACCEPTED: 0} == ledger.books[NOON - HOUR].rows
        assert {ACCEPTED: 10} == ledger.books[NOON - HOUR].fallen

    def test_running_bucket_falls(self) -> None:
        """A fall in a bucket that is not finished is no regression, but remembered as well."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 10})})

        change = entered(ledger, {NOON: Found({ACCEPTED: 6})})
        entered(ledger, {NOON: Found({ACCEPTED: 11})})

        assert 0 == change.regressions
        assert {ACCEPTED: 1} == ledger.counters


class TestProjects:
    """What is moved between a project and project 0, and what projects leave behind."""

    both = frozenset({WEB, API})

    def test_to_a_project(self) -> None:
        """What project 0 held and a project turns out to have is no gain of the project."""
        ledger = ledger_of({NOON: Found({series(0): 10})}, self.both)

        change = entered(ledger, {NOON: Found({series(WEB): 7, series(0): 4})}, readable=self.both)

        assert {series(WEB): 1, series(0): 0} == ledger.counters
        assert 0 == change.regressions

    def test_to_project_0(self) -> None:
        """What a project held and nobody accounts for any more is no gain of project 0."""
        ledger = ledger_of({NOON: Found({series(WEB): 10, series(API): 5})}, self.both)

        entered(ledger, {NOON: Found({series(0): 17})}, readable=self.both)

        assert {series(WEB): 0, series(API): 0, series(0): 2} == ledger.counters
        assert {} == ledger.books[NOON].fallen

    def test_there_and_back(self) -> None:
        """A move and its return leave every counter where it was."""
        rows = {series(WEB): 10, series(API): 5}
        ledger = ledger_of({NOON: Found(rows)}, self.both)

        entered(ledger, {NOON: Found({series(0): 15})}, readable=self.both)
        entered(ledger, {NOON: Found(rows)}, readable=self.both)

        assert {0} == set(ledger.counters.values())
        assert {} == ledger.books[NOON].fallen

    def test_other_categories(self) -> None:
        """Only within a category and an outcome can something have been moved."""
        ledger = ledger_of({NOON: Found({series(0, "error"): 10})}, self.both)

        entered(ledger, {NOON: Found({series(WEB, "span"): 7})}, readable=self.both)

        assert 7 == ledger.counters[series(WEB, "span")]
        assert {series(0, "error"): 10} == ledger.books[NOON].fallen

    def test_vanished_project(self) -> None:
        """A project that cannot be read any more is folded into project 0, in every book."""
        ledger = ledger_of(
            {
                NOON: Found({series(OLD): 4, series(0): 1}),
                NOON - HOUR: finished({series(OLD): 5}),
            },
            frozenset({OLD}),
        )

        change = entered(
            ledger, {NOON: Found({series(OLD): 6, series(0): 1})}, readable=frozenset({WEB})
        )

        assert {series(0): 7} == ledger.books[NOON].rows
        assert {series(0): 5} == ledger.books[NOON - HOUR].rows
        assert {series(OLD): 0, series(0): 2} == ledger.counters
        assert (0, 0) == (change.revisions, change.regressions)

    def test_fallen_vanishes(self) -> None:
        """What a vanished project's value fell by is folded too, and not counted again."""
        ledger = ledger_of({NOON: Found({series(OLD): 10})}, frozenset({OLD}))
        entered(ledger, {NOON: Found({series(OLD): 6})}, readable=frozenset({OLD}))

        entered(ledger, {NOON: Found({series(OLD): 11})}, readable=frozenset())

        assert {series(OLD): 0, series(0): 1} == ledger.counters


class TestLookback:
    """Buckets that leave."""

    def test_dropped(self) -> None:
        """Books before the lookback are dropped, their counters stay."""
        ledger = ledger_of({NOON: Found({}), NOON - HOUR: finished({ACCEPTED: 5})})

        change = entered(ledger, {NOON: Found({DROPPED: 1})}, keep_from=NOON)

        assert frozenset({NOON - HOUR}) == change.dropped
        assert [NOON] == list(ledger.books)
        assert {ACCEPTED: 0, DROPPED: 1} == ledger.counters
        assert {DROPPED: 1} == ledger.bucket(NOON)

    def test_not_counted_again(self) -> None:
        """A bucket that has left, and comes back into sight, is not counted again."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 1})})
        later = {NOON + HOUR: Found({ACCEPTED: 5})}
        entered(ledger, later, running_end=NOON + 4 * HOUR, keep_from=NOON + 2 * HOUR)

        entered(ledger, later, running_end=NOON + 4 * HOUR)

        assert {ACCEPTED: 5} == ledger.counters

    def test_counted_on_its_way_out(self) -> None:
        """A bucket that was missed, and is out of the lookback when it is read, is counted."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 1})})

        change = entered(ledger, {NOON + HOUR: finished({ACCEPTED: 5})}, keep_from=NOON + 9 * HOUR)

        assert {ACCEPTED: 5} == ledger.counters
        assert {} == change.books


class TestBirth:
    """Counters that appear after the first poll."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """Return a ledger into which a second series came at `NOON`."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 5})})
        entered(ledger, {NOON - HOUR: finished({ACCEPTED: 6, DROPPED: 3})})
        return ledger

    @pytest.mark.parametrize(("after", "expected"), [(0, 0), (RISE_AFTER - 1, 0), (RISE_AFTER, 3)])
    def test_shown_at_zero(self, ledger: Ledger, after: int, expected: int) -> None:
        """A counter born later is shown at 0 for two minutes, and then rises."""
        ledger.rise(NOON + after)

        assert {ACCEPTED: 1, DROPPED: expected} == ledger.shown_counters()

    def test_never_falls_back(self, ledger: Ledger) -> None:
        """A counter that has risen stays there, though the clock is set back."""
        ledger.rise(NOON + RISE_AFTER)
        ledger.rise(NOON + 1)

        assert {ACCEPTED: 1, DROPPED: 3} == ledger.shown_counters()

    def test_next_rise(self, ledger: Ledger) -> None:
        """The ledger knows when the next counter rises, and that none waits."""
        waiting = ledger.next_rise()
        ledger.rise(NOON + RISE_AFTER)

        assert NOON + RISE_AFTER == waiting
        assert ledger.next_rise() is None

    def test_first_come_first(self, ledger: Ledger) -> None:
        """Of several births the earliest is the next to rise."""
        entered(ledger, {NOON: Found({series(0, "span"): 1})}, now=NOON + 60)

        first = ledger.next_rise()
        ledger.rise(NOON + RISE_AFTER)

        assert NOON + RISE_AFTER == first
        assert NOON + 60 + RISE_AFTER == ledger.next_rise()

    def test_born_once(self, ledger: Ledger) -> None:
        """What a counter gains later does not make it wait again."""
        entered(ledger, {NOON - HOUR: finished({ACCEPTED: 6, DROPPED: 4})}, now=NOON + 60)

        assert NOON + RISE_AFTER == ledger.next_rise()


def test_book_is_what_was_found() -> None:
    """A book keeps what was told, and whether the bucket was finished and whole."""
    told = {ACCEPTED: 5}
    ledger = ledger_of({NOON: Found({series(WEB): 5}, told, finished=True, whole=False)})

    assert Book({series(WEB): 5}, told, finished=True, whole=False) == ledger.books[NOON]
