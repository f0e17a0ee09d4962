"""The ledger: counters gain what is new, once, and never fall."""

from collections.abc import Mapping

import pytest

from exporter.collect.ledger.ledger import RISE_AFTER, Book, Change, Found, Ledger
from exporter.collect.ledger.posting import reckon
from exporter.collect.series import Rows, Series
from tests.collect.polling import API, HOUR, NOON, WEB, by_project, series

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
    labels: Mapping[int, str] | None = None,
    asked: frozenset[int] | None = None,
    by_project: bool = True,
    jumped: bool = False,
) -> Change:
    """Enter what a poll during the hour of `NOON` found into ``ledger``."""
    change = reckon(
        ledger,
        found,
        now=now,
        running_end=running_end,
        keep_from=keep_from,
        labels=labels,
        asked=asked,
        by_project=by_project,
        jumped=jumped,
    )
    ledger.apply(change)
    return change


def ledger_of(
    found: Mapping[int, Found],
    labels: Mapping[int, str] | None = None,
    asked: frozenset[int] | None = None,
) -> Ledger:
    """Return a ledger after a first poll."""
    ledger = Ledger()
    entered(ledger, found, labels=labels, asked=asked)
    return ledger


def counters(ledger: Ledger) -> dict[Series, int]:
    """Return the counters by project, where ids stand in for labels."""
    return by_project(ledger.counters, ledger.labels.names)


def counted(ledger: Ledger) -> dict[str, int]:
    """Return the counters by label, of a ledger that tells nothing else apart."""
    return {ledger.labels.names[one.project]: value for one, value in ledger.counters.items()}


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
        assert {ACCEPTED: 10} == ledger.books[NOON - HOUR].counted
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
        assert {ACCEPTED: 10} == ledger.books[NOON - HOUR].counted

    def test_running_bucket_falls(self) -> None:
        """A fall in a bucket that is not finished is no regression, but remembered as well."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 10})})

        change = entered(ledger, {NOON: Found({ACCEPTED: 6})})
        entered(ledger, {NOON: Found({ACCEPTED: 11})})

        assert 0 == change.regressions
        assert {ACCEPTED: 1} == ledger.counters


class TestProjects:
    """What moves between projects and the remainder."""

    def test_to_a_project(self) -> None:
        """What the remainder held and a project turns out to have is no gain of the project."""
        ledger = ledger_of({NOON: Found({series(0): 10})})

        change = entered(ledger, {NOON: Found({series(WEB): 7, series(0): 4})})

        assert {series(WEB): 1, series(0): 0} == counters(ledger)
        assert 0 == change.regressions

    def test_to_the_remainder(self) -> None:
        """What a project held and nobody accounts for any more is no gain of the remainder."""
        ledger = ledger_of({NOON: Found({series(WEB): 10, series(API): 5})})

        entered(ledger, {NOON: Found({series(0): 17})})

        assert {series(WEB): 0, series(API): 0, series(0): 2} == counters(ledger)

    def test_there_and_back(self) -> None:
        """A move and its return leave every counter where it was."""
        rows = {series(WEB): 10, series(API): 5}
        ledger = ledger_of({NOON: Found(rows)})

        entered(ledger, {NOON: Found({series(0): 15})})
        entered(ledger, {NOON: Found(rows)})

        assert {0} == set(ledger.counters.values())
        assert {} == ledger.books[NOON].counted

    def test_other_categories(self) -> None:
        """Only within a category and an outcome can something have moved."""
        ledger = ledger_of({NOON: Found({series(0, "error"): 10})})

        entered(ledger, {NOON: Found({series(WEB, "span"): 7})})

        assert 7 == counters(ledger)[series(WEB, "span")]
        assert {series(0, "error"): 10} == ledger.books[NOON].counted

    def test_falls_and_comes_back(self) -> None:
        """While a project's value has fallen, the remainder gains only what is really new."""
        one, three = series(1), series(3)
        ledger = ledger_of({NOON - HOUR: Found({})})
        readings = (
            {one: 100, three: 100, series(): 5},
            {one: 50, three: 100, series(): 10},
            {one: 100, three: 100, series(): 10},
        )

        for rows in readings:
            entered(ledger, {NOON + HOUR: Found(rows)})

        assert {one: 100, three: 100, series(): 10} == counters(ledger)

    def test_moves_out_of_the_remainder(self) -> None:
        """What the remainder was given too much of is made good by what comes next."""
        one, three = series(1), series(3)
        ledger = ledger_of({NOON - HOUR: Found({})})
        readings = (
            {one: 50, series(): 55},
            {one: 100, series(): 110},
            {one: 100, three: 100, series(): 10},
        )
        for rows in readings:
            entered(ledger, {NOON + HOUR: Found(rows)})
        before = counters(ledger)

        entered(ledger, {NOON + HOUR: Found({one: 100, three: 100, series(): 40})})

        assert {one: 100, three: 0, series(): 110} == before
        assert {one: 100, three: 30, series(): 110} == counters(ledger)

    def test_what_gained_most_yields_first(self) -> None:
        """A project that just appears takes over what was counted; another one's gain is new."""
        ledger = ledger_of({NOON: Found({series(WEB): 10, series(): 100})})

        entered(ledger, {NOON: Found({series(WEB): 13, series(API): 100})})

        assert {series(WEB): 3, series(API): 0, series(): 0} == counters(ledger)

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            ({WEB: 10}, {0: 10}, (0, 0)),
            ({0: 10}, {WEB: 10}, (0, 0)),
            ({WEB: 10, API: 5}, {WEB: 4, API: 5, 0: 6}, (0, 0)),
            ({WEB: 10}, {0: 12}, (1, 0)),
            ({WEB: 10}, {0: 8}, (0, 1)),
            ({WEB: 10, API: 5}, {WEB: 5, API: 10}, (1, 1)),
        ],
    )
    def test_moves_are_no_late_data(
        self, before: dict[int, int], after: dict[int, int], expected: tuple[int, int]
    ) -> None:
        """What only moves between a project and the remainder has neither grown nor shrunk."""
        ledger = ledger_of({NOON - HOUR: finished({series(p): v for p, v in before.items()})})

        change = entered(ledger, {NOON - HOUR: finished({series(p): v for p, v in after.items()})})

        assert expected == (change.revisions, change.regressions)


class TestLabels:
    """Counters belong to the labels that are seen."""

    def test_rename(self) -> None:
        """What a project gains after a rename is counted under its new slug, from 0 on."""
        ledger = ledger_of({NOON: Found({series(WEB): 10})}, {WEB: "web"})
        entered(ledger, {NOON: Found({series(WEB): 17})}, labels={WEB: "web"})

        entered(ledger, {NOON: Found({series(WEB): 20})}, labels={WEB: "shop"})

        assert {"web": 7, "shop": 3} == counted(ledger)

    def test_take_over(self) -> None:
        """A slug that another project gets goes on from where it was."""
        ledger = ledger_of({NOON: Found({series(WEB): 10, series(API): 60})}, {WEB: "web"})
        entered(ledger, {NOON: Found({series(WEB): 17, series(API): 80})}, labels={WEB: "web"})

        entered(
            ledger,
            {NOON: Found({series(WEB): 18, series(API): 85})},
            labels={WEB: "old", API: "web"},
        )

        assert {"web": 12, "": 20, "old": 1} == counted(ledger)

    def test_swap(self) -> None:
        """Two slugs that change places make no counter fall or jump."""
        ledger = ledger_of({NOON: Found({series(WEB): 0, series(API): 0})}, {WEB: "a", API: "b"})
        entered(
            ledger,
            {NOON: Found({series(WEB): 1000, series(API): 3})},
            labels={WEB: "a", API: "b"},
        )

        entered(
            ledger,
            {NOON: Found({series(WEB): 1100, series(API): 7})},
            labels={WEB: "b", API: "a"},
        )

        assert {"a": 1004, "b": 103} == counted(ledger)

    def test_hidden(self) -> None:
        """What a project without label gains is counted with the remainder."""
        ledger = ledger_of({NOON: Found({series(WEB): 10})}, {WEB: "web"})

        entered(ledger, {NOON: Found({series(WEB): 14, series(): 2})}, labels={})

        assert {"web": 0, "": 6} == counted(ledger)

    def test_new_label_is_born(self) -> None:
        """A new label's counter is shown at 0 first, like any other that comes later."""
        ledger = ledger_of({NOON: Found({series(WEB): 10})}, {WEB: "web"})

        entered(ledger, {NOON: Found({series(WEB): 14})}, labels={WEB: "shop"})

        assert {0} == set(ledger.shown_counters().values())
        assert NOON + RISE_AFTER == ledger.next_rise()


class TestFilter:
    """Queries whose filter names projects."""

    def test_out_of_reach(self) -> None:
        """A project that cannot be asked for keeps what was counted of it until it comes back."""
        both, one = frozenset({WEB, API}), frozenset({WEB})
        ledger = ledger_of({NOON: Found({series(WEB): 10, series(API): 5})}, asked=both)
        entered(ledger, {NOON: Found({series(WEB): 12})}, asked=one)

        entered(ledger, {NOON: Found({series(WEB): 13, series(API): 9})}, asked=both)

        assert {series(WEB): 3, series(API): 4} == counters(ledger)

    def test_another_project(self) -> None:
        """A project that was not asked for before is taken as it is found, and counted later."""
        ledger = ledger_of({NOON: Found({series(WEB): 10})}, asked=frozenset({WEB}))
        entered(ledger, {NOON: Found({series(API): 500})}, asked=frozenset({API}))
        before = counters(ledger)

        entered(ledger, {NOON: Found({series(API): 503})}, asked=frozenset({API}))

        assert {series(WEB): 0, series(API): 0} == before
        assert {series(WEB): 0, series(API): 3} == counters(ledger)

    def test_sum_of_others(self) -> None:
        """A sum over other projects than before is taken as it is found."""
        both, one = frozenset({WEB, API}), frozenset({WEB})
        ledger = ledger_of({NOON: Found({series(): 15})}, asked=both)
        sums = []
        for value, asked in ((10, one), (12, one), (18, both), (19, both)):
            entered(ledger, {NOON: Found({series(): value})}, asked=asked, by_project=False)
            sums.append(ledger.counters[series()])

        assert [0, 2, 2, 3] == sums

    def test_new_bucket(self) -> None:
        """A bucket that begins when other projects are asked for is counted like any other."""
        ledger = ledger_of({NOON: Found({series(): 15})}, asked=frozenset({WEB, API}))

        entered(ledger, {NOON + HOUR: Found({series(): 4})}, asked=frozenset({WEB}))

        assert {series(): 4} == ledger.counters


class TestForgetting:
    """Counters whose labels are no longer seen."""

    DAY = 24 * HOUR

    def after(self, days: float, *, seen_again: float | None = None) -> tuple[Ledger, Change]:
        """Return a ledger in which a series was seen in one bucket only, after so many days."""
        ledger = ledger_of({NOON: Found({ACCEPTED: 1, DROPPED: 2})})
        change = Change({}, frozenset(), {}, {}, 0, None, 0, 0)
        for hour in range(1, int(days * 24) + 1):
            start = NOON + hour * HOUR
            again = seen_again is not None and hour == int(seen_again * 24)
            rows = {ACCEPTED: 1, DROPPED: 1} if again else {ACCEPTED: 1}
            change = entered(
                ledger,
                {start: Found(rows)},
                start,
                running_end=start + HOUR,
                keep_from=start - 24 * HOUR,
            )
        return ledger, change

    def test_stays(self) -> None:
        """A counter stays for 30 days after its label was last seen."""
        ledger, _ = self.after(30)

        assert DROPPED in ledger.counters

    def test_goes(self) -> None:
        """After that it is let go, and nothing is left of it."""
        ledger, _ = self.after(30.5)

        assert {ACCEPTED} == set(ledger.counters)
        assert {} == ledger.unseen
        assert [series()] == [one for one in (ACCEPTED, DROPPED) if list(ledger.last_seen(one))]

    def test_seen_again(self) -> None:
        """A label that is seen again has another 30 days."""
        ledger, _ = self.after(45, seen_again=20)

        assert 1 == ledger.counters[DROPPED]

    def test_comes_back(self) -> None:
        """A label that comes back after it was let go begins at 0 once more."""
        ledger, _ = self.after(31)
        start = NOON + 31 * self.DAY + HOUR

        entered(ledger, {start: Found({DROPPED: 5})}, start, running_end=start + HOUR, keep_from=0)

        assert {ACCEPTED: 744, DROPPED: 5} == ledger.counters
        assert 0 == ledger.shown_counters()[DROPPED]


def test_hours_that_a_clock_jumped_over() -> None:
    """After the clock has jumped, what was not seen is taken as it is found."""
    ledger = ledger_of({NOON: Found({ACCEPTED: 1})})
    days = {NOON + hour * HOUR: Found({ACCEPTED: 100}) for hour in range(1, 72)}

    entered(ledger, days, running_end=NOON + 72 * HOUR, jumped=True)
    entered(ledger, days | {NOON + 72 * HOUR: Found({ACCEPTED: 7})}, running_end=NOON + 73 * HOUR)

    assert {ACCEPTED: 7} == ledger.counters


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
