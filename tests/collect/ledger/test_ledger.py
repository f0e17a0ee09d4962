"""The ledger: counters gain what is new, once, and never decrease."""

from collections.abc import Mapping
from copy import deepcopy

import pytest

from exporter.collect.ledger import GRACE_PERIOD, Change, Ledger, post
from exporter.collect.series import ProjectSeries, Reading
from tests.support.rows import (
    API,
    HOUR,
    NOON,
    WEB,
    Flat,
    bucket,
    by_label,
    by_project,
    flat,
    reading,
    series,
)

ACCEPTED = series()
DROPPED = series(outcome="rate_limited")
YESTERDAY = NOON - 24 * HOUR


def posted(
    ledger: Ledger,
    readings: Mapping[int, Reading],
    now: float = NOON,
    *,
    running_end: int = NOON + HOUR,
    first_bucket: int = YESTERDAY,
    labels: Mapping[int, str] | None = None,
    asked: frozenset[int] | None = None,
    by_project: bool = True,
    jumped: bool = False,
    backlog: bool = False,
) -> Change:
    """Post what a poll during the hour of `NOON` read to ``ledger``."""
    change = post(
        ledger,
        readings,
        now=now,
        running_end=running_end,
        first_bucket=first_bucket,
        labels=labels,
        asked=asked,
        by_project=by_project,
        jumped=jumped,
        backlog=backlog,
    )
    ledger.apply(change)
    return change


def ledger_of(
    readings: Mapping[int, Reading],
    labels: Mapping[int, str] | None = None,
    asked: frozenset[int] | None = None,
) -> Ledger:
    """Return a ledger after a first poll."""
    ledger = Ledger()
    posted(ledger, readings, labels=labels, asked=asked)
    return ledger


def counters(ledger: Ledger) -> dict[ProjectSeries, int]:
    """Return the counters by project, where ids stand in for labels."""
    return by_project(ledger.counters, ledger.labels)


def finished(values: Flat) -> Reading:
    """Return a reading of a finished bucket."""
    return reading(values, finished=True)


class TestFirstPoll:
    """What is there when counting begins."""

    def test_begins_at_zero(self) -> None:
        """Counters begin at 0, whatever the lookback holds, and need not wait to be shown."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 7}), NOON - HOUR: finished({DROPPED: 3})})

        assert {ACCEPTED: 0, DROPPED: 0} == flat(ledger.counters)
        assert {} == ledger.in_grace
        assert NOON + HOUR == ledger.counts_from

    def test_left_for_later(self) -> None:
        """A bucket of the first lookback that a later poll reads is not counted either."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 7})})

        posted(ledger, {NOON - HOUR: finished({ACCEPTED: 5})})

        assert {ACCEPTED: 0} == flat(ledger.counters)

    def test_posting_changes_nothing(self) -> None:
        """Posting works out what a poll changes; the ledger stays as it is."""
        ledger = Ledger()

        post(
            ledger,
            {NOON: reading({ACCEPTED: 7})},
            now=NOON,
            running_end=NOON + HOUR,
            first_bucket=0,
        )

        assert Ledger() == ledger


class TestGains:
    """What later polls add."""

    def test_no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A change that there is no memory for changes nothing, and counts once it is posted."""
        ledger = ledger_of({NOON: reading({series(WEB): 5})}, {WEB: "web"})
        before = deepcopy(ledger)
        read = {NOON: reading({series(WEB): 8, series(API): 2}), YESTERDAY: reading({})}
        labels = {WEB: "web", API: "api"}

        def fail(*_arguments: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr("exporter.collect.ledger.ledger._see", fail)
            with pytest.raises(MemoryError):
                posted(ledger, read, labels=labels)
        unchanged = before == ledger
        posted(ledger, read, labels=labels)

        assert unchanged
        assert {"web": 3, "api": 2} == by_label(ledger)

    def test_growth(self) -> None:
        """Counters gain what buckets gain, the running one included, the sum of them all."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 7}), NOON - HOUR: finished({ACCEPTED: 3})})

        posted(ledger, {NOON: reading({ACCEPTED: 9}), NOON - HOUR: finished({ACCEPTED: 4})})

        assert {ACCEPTED: 3} == flat(ledger.counters)

    def test_same_again(self) -> None:
        """A bucket that is read again as it was changes nothing."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 7})})

        before = ledger.counters
        change = posted(ledger, {NOON: reading({ACCEPTED: 7})})

        assert before is change.counters
        assert 0 == change.revisions

    def test_new_bucket(self) -> None:
        """A bucket that begins after the first poll is counted from nothing."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 7})})

        posted(ledger, {NOON + HOUR: reading({ACCEPTED: 5})})

        assert {ACCEPTED: 5} == flat(ledger.counters)

    def test_late_data(self) -> None:
        """What a finished bucket gains is counted, and each value that grew is a revision."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 3})})

        change = posted(ledger, {NOON - HOUR: finished({ACCEPTED: 4, DROPPED: 2})})

        assert {ACCEPTED: 1, DROPPED: 2} == flat(ledger.counters)
        assert (2, 0) == (change.revisions, change.regressions)

    def test_running_bucket_grows(self) -> None:
        """Growth of a bucket that was not finished when last read is no revision."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 3})})

        change = posted(ledger, {NOON: finished({ACCEPTED: 4})})

        assert 0 == change.revisions


class TestDecreases:
    """Values that shrink, though Sentry retracts nothing."""

    def test_regression(self) -> None:
        """A value that shrinks is one regression, and takes nothing from the counter."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        change = posted(ledger, {NOON - HOUR: finished({ACCEPTED: 6})})
        again = posted(ledger, {NOON - HOUR: finished({ACCEPTED: 6})})

        assert {ACCEPTED: 0} == flat(ledger.counters)
        assert {ACCEPTED: 10} == flat(ledger.buckets[NOON - HOUR].counted)
        assert [1, 0] == [change.regressions, again.regressions]

    @pytest.mark.parametrize(("value", "expected"), [(8, 0), (10, 0), (13, 3)])
    def test_growth_after_a_decrease(self, value: int, expected: int) -> None:
        """What comes back after a decrease has been counted; only what exceeds it is new."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        posted(ledger, {NOON - HOUR: finished({ACCEPTED: 6})})
        posted(ledger, {NOON - HOUR: finished({ACCEPTED: value})})

        assert {ACCEPTED: expected} == flat(ledger.counters)

    def test_shrinks_again(self) -> None:
        """A second decrease is a second regression; the highest value stays the counted one."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        regressions = [
            posted(ledger, {NOON - HOUR: finished(rows)}).regressions
            for rows in ({ACCEPTED: 6}, {ACCEPTED: 8}, {}, {ACCEPTED: 10})
        ]

        assert [1, 0, 1, 0] == regressions
        assert {ACCEPTED: 0} == flat(ledger.counters)

    def test_gone(self) -> None:
        """A series that is missing from a bucket it was in stays in it, as 0."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 10})})

        posted(ledger, {NOON - HOUR: finished({})})

        assert {ACCEPTED: 0} == flat(ledger.buckets[NOON - HOUR].rows)
        assert {ACCEPTED: 10} == flat(ledger.buckets[NOON - HOUR].counted)

    def test_running_bucket_shrinks(self) -> None:
        """A decrease in a bucket that is not finished is no regression; it is overcounted too."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 10})})

        change = posted(ledger, {NOON: reading({ACCEPTED: 6})})
        posted(ledger, {NOON: reading({ACCEPTED: 11})})

        assert 0 == change.regressions
        assert {ACCEPTED: 1} == flat(ledger.counters)


class TestProjects:
    """What moves between projects and the remainder."""

    def test_to_a_project(self) -> None:
        """What the remainder held and a project turns out to have is no gain of the project."""
        ledger = ledger_of({NOON: reading({series(0): 10})})

        change = posted(ledger, {NOON: reading({series(WEB): 7, series(0): 4})})

        assert {series(WEB): 1, series(0): 0} == counters(ledger)
        assert 0 == change.regressions

    def test_to_the_remainder(self) -> None:
        """What a project held and nobody accounts for any more is no gain of the remainder."""
        ledger = ledger_of({NOON: reading({series(WEB): 10, series(API): 5})})

        posted(ledger, {NOON: reading({series(0): 17})})

        assert {series(WEB): 0, series(API): 0, series(0): 2} == counters(ledger)

    def test_there_and_back(self) -> None:
        """A move and its return leave every counter where it was."""
        rows = {series(WEB): 10, series(API): 5}
        ledger = ledger_of({NOON: reading(rows)})

        posted(ledger, {NOON: reading({series(0): 15})})
        posted(ledger, {NOON: reading(rows)})

        assert {0} == set(flat(ledger.counters).values())
        assert {} == flat(ledger.buckets[NOON].counted)

    def test_other_categories(self) -> None:
        """Only within a category and an outcome can something have moved."""
        ledger = ledger_of({NOON: reading({series(0, "error"): 10})})

        posted(ledger, {NOON: reading({series(WEB, "span"): 7})})

        assert 7 == counters(ledger)[series(WEB, "span")]
        assert {series(0, "error"): 10} == flat(ledger.buckets[NOON].counted)

    def test_shrinks_and_comes_back(self) -> None:
        """While a project is overcounted, the remainder gains only what is really new."""
        one, three = series(1), series(3)
        ledger = ledger_of({NOON - HOUR: reading({})})
        readings = (
            {one: 100, three: 100, series(): 5},
            {one: 50, three: 100, series(): 10},
            {one: 100, three: 100, series(): 10},
        )

        for rows in readings:
            posted(ledger, {NOON + HOUR: reading(rows)})

        assert {one: 100, three: 100, series(): 10} == counters(ledger)

    def test_moves_out_of_the_remainder(self) -> None:
        """What was counted for the remainder by mistake is offset by what comes next."""
        one, three = series(1), series(3)
        ledger = ledger_of({NOON - HOUR: reading({})})
        readings = (
            {one: 50, series(): 55},
            {one: 100, series(): 110},
            {one: 100, three: 100, series(): 10},
        )
        for rows in readings:
            posted(ledger, {NOON + HOUR: reading(rows)})
        before = counters(ledger)

        posted(ledger, {NOON + HOUR: reading({one: 100, three: 100, series(): 40})})

        assert {one: 100, three: 0, series(): 110} == before
        assert {one: 100, three: 30, series(): 110} == counters(ledger)

    def test_what_gained_most_yields_first(self) -> None:
        """A project that just appears takes over what was counted; another one's gain is new."""
        ledger = ledger_of({NOON: reading({series(WEB): 10, series(): 100})})

        posted(ledger, {NOON: reading({series(WEB): 13, series(API): 100})})

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

        change = posted(ledger, {NOON - HOUR: finished({series(p): v for p, v in after.items()})})

        assert expected == (change.revisions, change.regressions)


class TestLabels:
    """Counters belong to the labels that are seen."""

    def test_rename(self) -> None:
        """What a project gains after a rename is counted under its new slug, from 0 on."""
        ledger = ledger_of({NOON: reading({series(WEB): 10})}, {WEB: "web"})
        posted(ledger, {NOON: reading({series(WEB): 17})}, labels={WEB: "web"})

        posted(ledger, {NOON: reading({series(WEB): 20})}, labels={WEB: "shop"})

        assert {"web": 7, "shop": 3} == by_label(ledger)

    def test_take_over(self) -> None:
        """A slug that another project gets goes on from where it was."""
        ledger = ledger_of({NOON: reading({series(WEB): 10, series(API): 60})}, {WEB: "web"})
        posted(ledger, {NOON: reading({series(WEB): 17, series(API): 80})}, labels={WEB: "web"})

        posted(
            ledger,
            {NOON: reading({series(WEB): 18, series(API): 85})},
            labels={WEB: "old", API: "web"},
        )

        assert {"web": 12, "": 20, "old": 1} == by_label(ledger)

    def test_swap(self) -> None:
        """Two slugs that are swapped make no counter decrease or jump."""
        ledger = ledger_of({NOON: reading({series(WEB): 0, series(API): 0})}, {WEB: "a", API: "b"})
        posted(
            ledger,
            {NOON: reading({series(WEB): 1000, series(API): 3})},
            labels={WEB: "a", API: "b"},
        )

        posted(
            ledger,
            {NOON: reading({series(WEB): 1100, series(API): 7})},
            labels={WEB: "b", API: "a"},
        )

        assert {"a": 1004, "b": 103} == by_label(ledger)

    def test_hidden(self) -> None:
        """What a project without label gains is counted with the remainder."""
        ledger = ledger_of({NOON: reading({series(WEB): 10})}, {WEB: "web"})

        posted(ledger, {NOON: reading({series(WEB): 14, series(): 2})}, labels={})

        assert {"web": 0, "": 6} == by_label(ledger)

    def test_new_label(self) -> None:
        """A new label's counter is shown at 0 first, like any other that comes later."""
        ledger = ledger_of({NOON: reading({series(WEB): 10})}, {WEB: "web"})

        posted(ledger, {NOON: reading({series(WEB): 14})}, labels={WEB: "shop"})

        assert {0} == set(flat(ledger.shown_counters()).values())
        assert NOON + GRACE_PERIOD == ledger.grace_ends_at()


class TestFilter:
    """Queries whose filter names projects."""

    def test_out_of_reach(self) -> None:
        """What was counted of a project that cannot be asked for stays until it comes back."""
        both, one = frozenset({WEB, API}), frozenset({WEB})
        ledger = ledger_of({NOON: reading({series(WEB): 10, series(API): 5})}, asked=both)
        posted(ledger, {NOON: reading({series(WEB): 12})}, asked=one)

        posted(ledger, {NOON: reading({series(WEB): 13, series(API): 9})}, asked=both)

        assert {series(WEB): 3, series(API): 4} == counters(ledger)

    def test_another_project(self) -> None:
        """A project that was not asked for before is counted from its first reading on."""
        ledger = ledger_of({NOON: reading({series(WEB): 10})}, asked=frozenset({WEB}))
        posted(ledger, {NOON: reading({series(API): 500})}, asked=frozenset({API}))
        before = counters(ledger)

        posted(ledger, {NOON: reading({series(API): 503})}, asked=frozenset({API}))

        assert {series(WEB): 0, series(API): 0} == before
        assert {series(WEB): 0, series(API): 3} == counters(ledger)

    def test_sum_of_others(self) -> None:
        """A sum over other projects than before is counted from its first reading on."""
        both, one = frozenset({WEB, API}), frozenset({WEB})
        ledger = ledger_of({NOON: reading({series(): 15})}, asked=both)
        sums = []
        for value, asked in ((10, one), (12, one), (18, both), (19, both)):
            posted(ledger, {NOON: reading({series(): value})}, asked=asked, by_project=False)
            sums.append(flat(ledger.counters)[series()])

        assert [0, 2, 2, 3] == sums

    def test_new_bucket(self) -> None:
        """A bucket that begins when other projects are asked for is counted like any other."""
        ledger = ledger_of({NOON: reading({series(): 15})}, asked=frozenset({WEB, API}))

        posted(ledger, {NOON + HOUR: reading({series(): 4})}, asked=frozenset({WEB}))

        assert {series(): 4} == flat(ledger.counters)

    def test_backlog(self) -> None:
        """A project that can be asked for again is not counted in hours that a later poll reads."""
        both, one = frozenset({WEB, API}), frozenset({WEB})
        hours = (NOON - HOUR, NOON)
        ledger = ledger_of({start: reading({series(WEB): 10}) for start in hours}, asked=one)

        for start in reversed(hours):
            change = posted(
                ledger, {start: reading({series(WEB): 13, series(API): 100})}, asked=both
            )
            assert 0 == change.revisions

        assert {series(WEB): 6, series(API): 0} == counters(ledger)

    @pytest.mark.parametrize("between", [{}, {series(): 1}])
    def test_sum_without_a_series(self, between: Flat) -> None:
        """A sum over other projects is counted from its next growth on, whatever it holds first."""
        both, one = frozenset({WEB, API}), frozenset({WEB})
        ledger = ledger_of({NOON: reading({series(): 5})}, asked=both)
        first = sum(between.values())
        for held in (between, {series(): first + 3}):
            posted(ledger, {NOON: reading(held)}, asked=one, by_project=False)

        assert {series(): 3} == flat(ledger.counters)


class TestForgetting:
    """Counters whose labels are no longer seen."""

    DAY = 24 * HOUR

    def after(self, days: float, *, seen_again: float | None = None) -> tuple[Ledger, Change]:
        """Return a ledger in which a series was seen in one bucket only, after so many days."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 1, DROPPED: 2})})
        change = Change(ledger.series, ledger.counters)
        for hour in range(1, int(days * 24) + 1):
            start = NOON + hour * HOUR
            again = seen_again is not None and hour == int(seen_again * 24)
            rows = {ACCEPTED: 1, DROPPED: 1} if again else {ACCEPTED: 1}
            change = posted(
                ledger,
                {start: reading(rows)},
                start,
                running_end=start + HOUR,
                first_bucket=start - 24 * HOUR,
            )
        return ledger, change

    def test_stays(self) -> None:
        """A counter stays for 30 days after its label was last seen."""
        ledger, _ = self.after(30)

        assert DROPPED in flat(ledger.counters)

    def test_goes(self) -> None:
        """After that it is dropped, and nothing is left of it."""
        ledger, _ = self.after(30.5)

        assert {ACCEPTED} == set(flat(ledger.counters))
        assert {} == ledger.unseen
        assert [ACCEPTED] == [
            one for one in (ACCEPTED, DROPPED) if list(ledger.last_seen(one.series))
        ]

    def test_seen_again(self) -> None:
        """A label that is seen again has another 30 days."""
        ledger, _ = self.after(45, seen_again=20)

        assert 1 == flat(ledger.counters)[DROPPED]

    def test_comes_back(self) -> None:
        """A label that comes back after it was dropped begins at 0 once more."""
        ledger, _ = self.after(31)
        start = NOON + 31 * self.DAY + HOUR

        posted(
            ledger, {start: reading({DROPPED: 5})}, start, running_end=start + HOUR, first_bucket=0
        )

        assert {ACCEPTED: 744, DROPPED: 5} == flat(ledger.counters)
        assert 0 == flat(ledger.shown_counters())[DROPPED]

    def test_seen_between_two_looks(self) -> None:
        """A label that is seen now and then stays, though never when it is looked for."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 1, DROPPED: 1})})
        for hour in range(1, 40 * 24):
            start = NOON + hour * HOUR
            held = {ACCEPTED: 1, DROPPED: 1} if hour % 24 == 3 else {ACCEPTED: 1}
            posted(
                ledger,
                {start: reading(held)},
                start,
                running_end=start + HOUR,
                first_bucket=start - HOUR,
            )

        assert 40 == flat(ledger.counters)[DROPPED]

    def test_not_with_a_backlog(self) -> None:
        """While buckets are left to be read, which may have its label, no counter goes."""
        ledger, _ = self.after(30)
        start = NOON + 32 * self.DAY

        posted(
            ledger,
            {start: reading({ACCEPTED: 1})},
            start,
            running_end=start + HOUR,
            first_bucket=0,
            backlog=True,
        )

        assert DROPPED in flat(ledger.counters)


def test_hours_that_a_clock_jumped_over() -> None:
    """After the clock has jumped, hours that were not seen are not counted."""
    ledger = ledger_of({NOON: reading({ACCEPTED: 1})})
    days = {NOON + hour * HOUR: reading({ACCEPTED: 100}) for hour in range(1, 72)}

    posted(ledger, days, running_end=NOON + 72 * HOUR, jumped=True)
    posted(ledger, days | {NOON + 72 * HOUR: reading({ACCEPTED: 7})}, running_end=NOON + 73 * HOUR)

    assert {ACCEPTED: 7} == flat(ledger.counters)


class TestLookback:
    """Buckets that leave."""

    def test_dropped(self) -> None:
        """Buckets before the lookback are dropped; their counters stay."""
        ledger = ledger_of({NOON: reading({}), NOON - HOUR: finished({ACCEPTED: 5})})

        change = posted(ledger, {NOON: reading({DROPPED: 1})}, first_bucket=NOON)

        assert frozenset({NOON - HOUR}) == change.dropped
        assert [NOON] == list(ledger.buckets)
        assert {ACCEPTED: 0, DROPPED: 1} == flat(ledger.counters)
        assert {DROPPED: 1} == flat(ledger.shown_bucket(NOON))

    def test_not_counted_again(self) -> None:
        """A bucket that has left, and comes back into sight, is not counted again."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 1})})
        later = {NOON + HOUR: reading({ACCEPTED: 5})}
        posted(ledger, later, running_end=NOON + 4 * HOUR, first_bucket=NOON + 2 * HOUR)

        posted(ledger, later, running_end=NOON + 4 * HOUR)

        assert {ACCEPTED: 5} == flat(ledger.counters)

    def test_counted_on_its_way_out(self) -> None:
        """A bucket that was missed, and is out of the lookback when it is read, is counted."""
        ledger = ledger_of({NOON: reading({ACCEPTED: 1})})

        change = posted(
            ledger, {NOON + HOUR: finished({ACCEPTED: 5})}, first_bucket=NOON + 9 * HOUR
        )

        assert {ACCEPTED: 5} == flat(ledger.counters)
        assert {} == change.buckets


class TestGracePeriod:
    """Counters that appear after the first poll."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """Return a ledger into which a second series came at `NOON`."""
        ledger = ledger_of({NOON - HOUR: finished({ACCEPTED: 5})})
        posted(ledger, {NOON - HOUR: finished({ACCEPTED: 6, DROPPED: 3})})
        return ledger

    @pytest.mark.parametrize(
        ("after", "expected"), [(0, 0), (GRACE_PERIOD - 1, 0), (GRACE_PERIOD, 3)]
    )
    def test_shown_at_zero(self, ledger: Ledger, after: int, expected: int) -> None:
        """A new counter is shown at 0 for two minutes, and then at its value."""
        ledger.end_grace(NOON + after)

        assert {ACCEPTED: 1, DROPPED: expected} == flat(ledger.shown_counters())

    def test_never_back_at_zero(self, ledger: Ledger) -> None:
        """A counter that was shown at its value stays there, though the clock is set back."""
        ledger.end_grace(NOON + GRACE_PERIOD)
        ledger.end_grace(NOON + 1)

        assert {ACCEPTED: 1, DROPPED: 3} == flat(ledger.shown_counters())

    def test_grace_ends_at(self, ledger: Ledger) -> None:
        """The ledger knows when the next grace period ends, and that there is none."""
        waiting = ledger.grace_ends_at()
        ledger.end_grace(NOON + GRACE_PERIOD)

        assert NOON + GRACE_PERIOD == waiting
        assert ledger.grace_ends_at() is None

    def test_first_come_first(self, ledger: Ledger) -> None:
        """Of several grace periods the earliest ends first."""
        posted(ledger, {NOON: reading({series(0, "span"): 1})}, now=NOON + 60)

        first = ledger.grace_ends_at()
        ledger.end_grace(NOON + GRACE_PERIOD)

        assert NOON + GRACE_PERIOD == first
        assert NOON + 60 + GRACE_PERIOD == ledger.grace_ends_at()

    def test_once(self, ledger: Ledger) -> None:
        """What a counter gains later does not begin another grace period."""
        posted(ledger, {NOON - HOUR: finished({ACCEPTED: 6, DROPPED: 4})}, now=NOON + 60)

        assert NOON + GRACE_PERIOD == ledger.grace_ends_at()


def test_bucket_is_what_was_read() -> None:
    """A bucket has the organization total, and whether it was finished and proven."""
    one = reading({series(WEB): 5}, {ACCEPTED: 5}, finished=True, proven=False)

    assert bucket(one) == ledger_of({NOON: one}).buckets[NOON]


def test_newest_bucket_of_a_series() -> None:
    """An older bucket that is read again does not hide that a series is in a newer one too."""
    ledger = ledger_of({NOON: reading({ACCEPTED: 1}), NOON - HOUR: finished({ACCEPTED: 1})})
    posted(ledger, {NOON - HOUR: finished({ACCEPTED: 2})})

    posted(ledger, {NOON + HOUR: reading({DROPPED: 1})}, first_bucket=NOON)

    assert {ACCEPTED: 0, DROPPED: 1} == flat(ledger.shown_bucket(NOON + HOUR))


@pytest.mark.parametrize(("after", "expected"), [(0, 0), (GRACE_PERIOD - 1, 0), (GRACE_PERIOD, 3)])
def test_clock_set_back_in_a_grace_period(after: int, expected: int) -> None:
    """A grace period begins anew when the clock is set back, and lasts as long by the new clock."""
    ledger = ledger_of({NOON: reading({ACCEPTED: 5})})
    posted(ledger, {NOON: reading({ACCEPTED: 5, DROPPED: 3})})

    ledger.follow_clock(NOON - HOUR)
    ledger.end_grace(NOON - HOUR + after)

    assert expected == flat(ledger.shown_counters())[DROPPED]


def test_revisions_after_a_decrease() -> None:
    """A finished value that grows is a revision, though it was larger before it shrank."""
    ledger = ledger_of({NOON - HOUR: finished({series(WEB): 10, series(API): 4})})
    posted(ledger, {NOON - HOUR: finished({series(WEB): 6, series(API): 4})})

    change = posted(ledger, {NOON - HOUR: finished({series(WEB): 8, series(API): 4})})

    assert (1, 0) == (change.revisions, change.regressions)


def test_many_unseen_counters() -> None:
    """Counters of each series that are seen again are, and those of others are not."""
    ledger = ledger_of({NOON: reading({series(WEB, "a"): 1, series(WEB, "b"): 1})})
    for later in (NOON + 48 * HOUR, NOON + 55 * HOUR):
        posted(ledger, {later: reading({})}, later, running_end=later + HOUR, first_bucket=later)
    unseen = set(ledger.unseen)
    again = NOON + 62 * HOUR

    change = posted(
        ledger, {again: reading({series(WEB, "a"): 1})}, again, running_end=again + HOUR
    )

    assert 2 == len(unseen)
    assert ["a"] == [one.series.category for one in change.seen]
    assert ["b"] == [one.series.category for one in ledger.unseen]
