"""One query: when it is polled, what a poll does, and what it reports."""

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from weakref import ReferenceType, ref

import pytest

from exporter.collect.ledger import GRACE_PERIOD, Ledger
from exporter.collect.persistence import Restored
from exporter.collect.plan.core import Reply
from exporter.collect.poll.poller_state import MAX_LAST_POLLS
from exporter.collect.poll.query import QueryPoller
from exporter.collect.poll.schedule import FIRST_PAUSE, MAX_PAUSE
from exporter.collect.snapshot import Poll, Report
from exporter.config import Filter, Query
from exporter.moments import iso
from exporter.sentry.errors import (
    ForbiddenError,
    NetworkError,
    SentryError,
    ServerError,
    UnauthorizedError,
)
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question
from exporter.state import State
from tests.support.logs import logged
from tests.support.pollers import poller, shown
from tests.support.publishing import FakePersistence, RecordingPublisher
from tests.support.rows import API, HOUR, NOON, flat, row, series
from tests.support.sentry import Sentry
from tests.support.settings import NOW, SETTLE, organization, query

DAY = 24 * HOUR
MIDNIGHT = NOON // DAY * DAY + SETTLE
BY_PROJECT = ("project", "category", "outcome")
OFTEN = query(poll_interval=300)


class FussyPublisher(RecordingPublisher):
    """Shows nothing new, if it feels like it."""

    fussy = False

    def publish(self, report: Report) -> None:
        """Record a report whose view it has seen before."""
        if self.fussy and report.view is not self.reports[-1].view:
            raise RuntimeError("no more threads")
        super().publish(report)


class TestSlots:
    """When it is polled."""

    def test_first(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The first poll is due at once, whatever the time."""
        assert poller(sentry, publisher).due(NOW + 1234)

    @pytest.mark.parametrize(
        ("asked", "now", "expected"),
        [
            (query(), NOW, NOW + HOUR),
            (query(), NOW - 1, NOW),
            (query(), NOW + 1234.5, NOW + HOUR),
            (OFTEN, NOW, NOW + 300),
            (OFTEN, NOW + 299, NOW + 300),
            (query(interval=DAY, poll_interval=DAY), NOW, NOON // DAY * DAY + DAY + SETTLE),
        ],
    )
    def test_next(
        self,
        sentry: Sentry,
        publisher: RecordingPublisher,
        asked: Query,
        now: float,
        expected: float,
    ) -> None:
        """The next poll falls on the settling time past the next multiple of the interval."""
        report = poller(sentry, publisher, asked).poll(now)

        assert report.up
        assert (now, expected) == (report.last_success, report.next_poll)

    def test_offset(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """With an offset the slots lie later by as much, and show what they would have shown."""
        prompt, later = poller(sentry, publisher), poller(sentry, publisher, offset=7)

        assert NOW + HOUR + 7 == later.poll(NOW + 7).next_poll
        assert prompt.poll(NOW).view == later.report.view
        assert [False, True] == [later.due(NOW + HOUR + 6), later.due(NOW + HOUR + 7)]

    def test_due(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """It is due from its slot on, and not before."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert [False, True, True] == [
            one.due(NOW + HOUR - 0.5),
            one.due(NOW + HOUR),
            one.due(NOW + 9 * HOUR),
        ]

    @pytest.mark.parametrize(
        ("back", "moment", "expected"),
        [
            (0.5, NOW - 0.5, False),
            (0.5, NOW, False),
            (HOUR - 1, NOW, False),
            (2 * HOUR, NOW - 2 * HOUR, False),
            (2 * HOUR, NOW - HOUR, True),
            (DAY, NOW - DAY + HOUR - 1, False),
            (DAY, NOW - DAY + HOUR, True),
        ],
    )
    def test_clock_set_back(
        self,
        sentry: Sentry,
        publisher: RecordingPublisher,
        back: float,
        moment: float,
        expected: bool,  # noqa: FBT001 - one of the table's columns
    ) -> None:
        """A clock set back a little makes no slot come twice; set back far, it is believed."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        one.refresh(NOW - back)

        assert expected is one.due(moment)

    def test_clock_set_back_without_data(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """The pause after a failure follows a clock that is set back, too."""
        sentry.error = NetworkError("no route")
        one = poller(sentry, publisher)
        one.poll(NOW)

        one.refresh(NOW - DAY)

        assert [False, True] == [one.due(NOW - DAY + HOUR - 1), one.due(NOW - DAY + HOUR)]

    def test_clock_set_forward(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Of the slots that a clock set forward leaps over, one poll is made."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        report = one.poll(NOW + 100 * HOUR + 7)

        assert NOW + 101 * HOUR == report.next_poll

    def test_backlog(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What a poll by project leaves unread is polled for at once, until nothing is left."""
        sentry.add(row(bucket=NOON - 5 * HOUR))
        one = poller(sentry, publisher, query(*BY_PROJECT))

        first, second = one.poll(NOW), one.poll(NOW + 2)

        assert NOW == first.next_poll
        assert first.view is not None
        assert NOW + HOUR == second.next_poll


class TestFailure:
    """Polls that fail."""

    def pauses(self, one: QueryPoller, number: int) -> list[float]:
        """Return how long after each of ``number`` polls the next is due."""
        pauses, now = [], float(MIDNIGHT)
        for _ in range(number):
            pauses.append(one.poll(now).next_poll - now)
            now += pauses[-1]
        return pauses

    def test_growing_pauses(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A failure is tried again soon, then after pauses that double up to five minutes."""
        sentry.error = NetworkError("no route")
        one = poller(sentry, publisher, query(interval=DAY, poll_interval=DAY))

        pauses = self.pauses(one, 11)

        assert [min(FIRST_PAUSE * 2**tries, MAX_PAUSE) for tries in range(11)] == pauses

    def test_lasting(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Where somebody has to fix something, it is tried again every five minutes."""
        sentry.error = UnauthorizedError(401, "Invalid token")
        one = poller(sentry, publisher, query(interval=DAY, poll_interval=DAY))

        pauses = self.pauses(one, 5)

        assert [MAX_PAUSE] * 5 == pauses

    def test_never_later_than_the_slot(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """However long the pause, the next regular poll takes place."""
        sentry.error = UnauthorizedError(401, "Invalid token")
        one = poller(sentry, publisher, OFTEN)

        assert [300] * 3 == self.pauses(one, 3)

    def test_many(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Pauses stay what they are after any number of failures."""
        sentry.error = NetworkError("no route")
        one = poller(sentry, publisher, query(interval=DAY, poll_interval=DAY))
        for _ in range(2000):
            one.poll(MIDNIGHT)

        assert MIDNIGHT + MAX_PAUSE == one.report.next_poll

    def test_another_token(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What failed is due at once when token or CA file have changed; what works is not."""
        one, other = poller(sentry, publisher), poller(sentry, publisher)
        other.poll(NOW)
        sentry.error = UnauthorizedError(401, "Invalid token")
        one.poll(NOW)
        before = one.due(NOW + 1)
        sentry.token = "second"

        assert not before
        assert one.due(NOW + 1)
        assert not other.due(NOW + 1)

    def test_success_ends_it(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """After a success the first pause is short again."""
        one = poller(sentry, publisher)
        sentry.error = NetworkError("no route")
        self.pauses(one, 3)
        sentry.error = None
        one.poll(MIDNIGHT)
        sentry.error = NetworkError("no route")

        assert [FIRST_PAUSE] == self.pauses(one, 1)

    def test_changes_no_data(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A failed poll says so, counts its reason, and leaves data and last success alone."""
        one = poller(sentry, publisher)
        before = one.poll(NOW)
        sentry.error = ServerError(502, "Bad Gateway")

        one.poll(NOW + HOUR)
        after = one.poll(NOW + HOUR + 10)

        assert not after.up
        assert before.view == after.view
        assert (NOW, 3) == (after.last_success, after.polls)
        assert {"server_error": 2} == after.failures

    def test_reported_values_stay(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A report that was published does not change with later failures."""
        one = poller(sentry, publisher)
        sentry.error = NetworkError("no route")

        one.poll(NOW)
        one.poll(NOW + 10)

        assert [{"network": 1}, {"network": 2}] == [one.failures for one in publisher.reports]

    def test_internal_fault(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A fault of ours is a failed poll like any other, and the next one may succeed."""
        one = poller(sentry, publisher)
        sentry.error = ZeroDivisionError()

        with logged() as logs:
            failed = one.poll(NOW)
        sentry.error = None
        repaired = one.poll(NOW + MAX_PAUSE)

        assert {"internal": 1} == failed.failures
        assert NOW + MAX_PAUSE == failed.next_poll
        assert [ZeroDivisionError] == [type(entry.get("exc_info")) for entry in logs]
        assert repaired.up

    def test_too_large_for_a_ledger(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What cannot be counted is a failed poll, with new series in it too; the data stay."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        for hour in (-1, 0, 1):
            sentry.add(row(2**63 - 10, bucket=NOON + hour * HOUR))
        sentry.add(row(outcome="abuse", bucket=NOON + HOUR))
        before = shown(one)

        failed = one.poll(NOW + HOUR)

        assert not failed.up
        assert {"internal": 1} == failed.failures
        assert flat(before.counters) == flat(shown(one).counters)
        assert not one.due(NOW + HOUR + 1)

    @pytest.mark.parametrize("act", [QueryPoller.poll, QueryPoller.refresh])
    def test_cannot_be_shown(
        self, sentry: Sentry, act: Callable[[QueryPoller, float], object]
    ) -> None:
        """Data that cannot be shown are a failure, and are not tried again every second."""
        publisher = FussyPublisher()
        one = poller(sentry, publisher)
        one.poll(NOW)
        before = one.report.view
        publisher.fussy = True
        later = NOW + 3 * HOUR
        act(one, later)

        assert not one.report.up
        assert {"internal": 1} == one.report.failures
        assert before is one.report.view
        assert not one.due(later + 1)
        assert not one.must_refresh(later + 1)

    def test_end_is_logged(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The first success after failures is logged, with what was caught up; later ones not."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.error = NetworkError("no route")
        one.poll(NOW + HOUR)
        one.poll(NOW + 2 * HOUR)
        sentry.error = None

        with logged() as logs:
            one.poll(NOW + 3 * HOUR)
            one.poll(NOW + 4 * HOUR)

        assert [
            {
                "event": "poll succeeds again",
                "log_level": "info",
                "organization": "acme",
                "query": "outcomes",
                "failures": 2,
                "failed_for": "2h",
                "requests": 1,
                "seconds": 0.0,
                "buckets": 3,
            }
        ] == logs

    def test_first_success_after_a_restart(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """The first success says how many buckets have finished since the earlier process."""
        restored = Restored(Ledger(), last_success=NOW - 5 * HOUR)
        with logged() as logs:
            poller(sentry, publisher, restored=restored).poll(NOW)

        assert [("first poll succeeded", 5)] == [(it["event"], it["buckets"]) for it in logs]

    def test_first_success(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The first success is logged; without an earlier one there is nothing to catch up."""
        with logged() as logs:
            poller(sentry, publisher).poll(NOW)

        assert ["first poll succeeded"] == [it["event"] for it in logs]
        assert "buckets" not in logs[0]

    def test_shown_again(self, sentry: Sentry) -> None:
        """Data that could not be shown are shown after a pause, once, and the schedule stays."""
        publisher = FussyPublisher()
        one = poller(sentry, publisher)
        one.poll(NOW)
        publisher.fussy = True
        one.poll(NOW + HOUR)
        due = [one.due(NOW + 2 * HOUR - 1), one.due(NOW + 2 * HOUR)]
        publisher.fussy = False
        before = one.must_refresh(NOW + 2 * HOUR - 1)

        one.refresh(NOW + 2 * HOUR)

        assert [False, True] == due
        assert not before
        assert NOON == shown(one).start
        assert not one.must_refresh(NOW + 2 * HOUR + 1)

    @pytest.mark.parametrize("error", [NetworkError("no route"), ForbiddenError(403, "no")])
    def test_log(self, sentry: Sentry, publisher: RecordingPublisher, error: SentryError) -> None:
        """A failure is one line in the log, with who and why, and when it is tried again."""
        error.asked, error.request = "https://sentry.io/api/", "1234abcd"
        sentry.error = error

        with logged() as logs:
            poller(sentry, publisher).poll(NOW)

        assert [
            {
                "event": "poll failed",
                "log_level": "warning",
                "organization": "acme",
                "query": "outcomes",
                "reason": error.reason,
                "error": error.message,
                "url": "https://sentry.io/api/",
                **({"status": 403} if error.reason == "forbidden" else {}),
                "request": "1234abcd",
                "remedy": error.remedy,
                "next_try": iso(NOW + (MAX_PAUSE if error.lasting else FIRST_PAUSE)),
            }
        ] == logs


class TestAge:
    """Data that gets old."""

    def test_withdrawn(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Data older than ``max_age`` is withdrawn, by time alone, once."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        one.refresh(NOW + 3 * HOUR - 1)
        before = len(publisher.reports)

        one.refresh(NOW + 3 * HOUR)
        one.refresh(NOW + 3 * HOUR + 1)

        assert 1 == before
        assert [None] == [report.view for report in publisher.reports[before:]]

    def test_withdrawn_by_a_failure(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A poll that fails after ``max_age`` shows no data either."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.error = NetworkError("no route")

        report = one.poll(NOW + 3 * HOUR)

        assert report.view is None
        assert not report.up

    def test_returns(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The next success shows data again, and counters go on."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        one.refresh(NOW + 3 * HOUR)
        sentry.add(row(3, bucket=NOON + HOUR))

        view = one.poll(NOW + 4 * HOUR).view

        assert view is not None
        assert {series(): 3} == flat(view.counters)

    @pytest.mark.parametrize(("max_age", "expected"), [(HOUR, 2 * DAY), (3 * DAY, 3 * DAY)])
    def test_no_shorter_than_the_interval(
        self, sentry: Sentry, publisher: RecordingPublisher, max_age: int, expected: int
    ) -> None:
        """Data of a query that is polled seldom is not withdrawn between two polls."""
        asked = query(interval=DAY, poll_interval=DAY)
        one = poller(sentry, publisher, asked, settings={"max_age": max_age})
        one.poll(NOW)

        one.refresh(NOW + expected - 1)
        before = one.report.view
        one.refresh(NOW + expected)

        assert before is not None
        assert one.report.view is None


class TestPersisted:
    """A ledger that outlives the process."""

    def test_saved(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Each poll is written with its time, and a failed one is not."""
        persistence = FakePersistence()
        one = poller(sentry, publisher, restored=Restored(Ledger(), persistence=persistence))
        one.poll(NOW)
        sentry.error = NetworkError("no route")
        one.poll(NOW + HOUR)

        assert [(NOW, True)] == [(at, succeeded) for _, at, succeeded in persistence.persisted]

    def test_nothing_shown_that_is_not_persisted(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """What cannot be written is not shown: the poll fails, and is tried again."""
        persistence = FakePersistence()
        one = poller(sentry, publisher, restored=Restored(Ledger(), persistence=persistence))
        before = one.poll(NOW)
        sentry.add(row(4))
        persistence.full = True

        failed = one.poll(NOW + HOUR)
        persistence.full = False
        repaired = one.poll(failed.next_poll)

        assert {"state": 1} == failed.failures
        assert NOW + HOUR + FIRST_PAUSE == failed.next_poll
        assert (before.view, 0, NOW) == (failed.view, failed.revisions, failed.last_success)
        assert repaired.up
        assert {series(): 4} == flat(shown(one).counters)

    def test_goes_on(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A poller that is given a ledger goes on from it, and shows it after its first poll."""
        ledger = Ledger()
        poller(sentry, publisher, restored=Restored(ledger)).poll(NOW)
        sentry.add(row(6, bucket=NOON + 2 * HOUR))
        one = poller(sentry, publisher, restored=Restored(ledger, last_success=NOW))
        before = one.report

        one.poll(NOW + 3 * HOUR)

        assert (NOW, None) == (before.last_success, before.view)
        assert {series(): 6} == flat(shown(one).counters)

    def test_failed_poll_in_a_file(
        self, sentry: Sentry, publisher: RecordingPublisher, tmp_path: Path
    ) -> None:
        """A poll without the list moves buckets and counters, but not the last success."""
        asked = query(*BY_PROJECT)
        with closing(State(tmp_path / "state")) as state:
            restored = state.restore(organization(), asked)
            poller(sentry, publisher, asked, restored=restored).poll(NOW)
        sentry.listing_error = ForbiddenError(403, "no")
        sentry.add(row(4), row(3, bucket=NOON, project=API))
        with closing(State(tmp_path / "state")) as state:
            restored = state.restore(organization(), asked)
            failed = poller(sentry, publisher, asked, restored=restored).poll(NOW + HOUR)
        with closing(State(tmp_path / "state")) as state:
            restored = state.restore(organization(), asked)

        assert (False, NOW) == (failed.up, failed.last_success)
        assert NOW == restored.last_success
        assert NOON == max(restored.ledger.buckets)
        assert 3 == flat(restored.ledger.buckets[NOON].rows)[series(API)]
        assert 4 + 3 == sum(flat(restored.ledger.counters).values())


class TestSetBackInAGracePeriod:
    """A clock that is set back while a new counter is shown at 0."""

    @pytest.mark.parametrize("back", [1, GRACE_PERIOD, HOUR / 2])
    def test_begins_again(self, sentry: Sentry, publisher: RecordingPublisher, back: float) -> None:
        """The counter is shown at 0 for two minutes of the new clock, and no longer."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.add(row(3, outcome="abuse"))
        one.poll(NOW + HOUR)
        new = NOW + HOUR - back
        values = []

        for later in (0, GRACE_PERIOD - 1, GRACE_PERIOD):
            one.refresh(new + later)
            values.append((flat(shown(one).counters) or {})[series(outcome="abuse")])

        assert [0, 0, 3] == values
        assert not one.must_refresh(new + GRACE_PERIOD + 1)

    def test_noticed_by_a_poll(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A poll after the clock was set back does not end the grace period either."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.add(row(3, outcome="abuse"))
        one.poll(NOW + HOUR)
        one.poll(NOW + HOUR / 2)
        before = dict(flat(shown(one).counters) or {})

        one.refresh(NOW + HOUR / 2 + GRACE_PERIOD)

        assert 0 == before[series(outcome="abuse")]
        assert 3 == (flat(shown(one).counters) or {})[series(outcome="abuse")]

    def test_age(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The age of the data counts from when the clock was set back."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        one.refresh(NOW - HOUR / 2)

        one.refresh(NOW + 2.5 * HOUR - 1)
        before = one.report.view
        one.refresh(NOW + 2.5 * HOUR)

        assert before is not None
        assert one.report.view is None


class TestPauses:
    """What the schedule learns from a poll."""

    def test_from_its_end(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The pause after a poll that took a minute begins when it has failed."""
        sentry.error = NetworkError("no route")
        timer = iter((100.0, 160.0))
        one = poller(sentry, publisher, timer=lambda: next(timer))

        assert NOW + 60 + FIRST_PAUSE == one.poll(NOW).next_poll


class TestLastPolls:
    """What a report has of the last polls."""

    def test_values(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Each has its time, what it took, and why it failed if it did, without secrets."""
        error = UnauthorizedError(401, "no such token: sntryu_0123456789abcdef")
        sentry.error = error
        timer = iter((100.0, 160.0, 200.0, 201.0, 202.0))
        one = poller(sentry, publisher, timer=lambda: next(timer))
        one.poll(NOW)
        sentry.error = None

        report = one.poll(NOW + HOUR)

        assert (
            Poll(NOW, 60, 1, "unauthorized", "401: no such token: <secret>", error.remedy),
            Poll(NOW + HOUR, 2, 1),
        ) == report.last_polls

    def test_other_failures(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A fault of ours and a full disk are there too, with a text of bounded length."""
        persistence = FakePersistence()
        persistence.full = True
        one = poller(sentry, publisher, restored=Restored(Ledger(), persistence=persistence))
        one.poll(NOW)
        sentry.error = ZeroDivisionError("x" * 10_000)

        last = one.poll(NOW + HOUR).last_polls

        assert [("state", "no space left"), ("internal", f"ZeroDivisionError: {'x' * 481}")] == [
            (poll.reason, poll.error) for poll in last
        ]

    def test_bounded(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The oldest leave."""
        one = poller(sentry, publisher)
        for number in range(MAX_LAST_POLLS + 5):
            one.poll(NOW + number * HOUR)

        began = [poll.began for poll in one.report.last_polls]
        assert [NOW + number * HOUR for number in range(5, MAX_LAST_POLLS + 5)] == began

    def test_failures_stay_longer(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Failures that are older than the last polls stay, of those the last ones too."""
        one = poller(sentry, publisher)
        for number in range(2 * MAX_LAST_POLLS + 5):
            sentry.error = None if number % 2 else UnauthorizedError(401, "Invalid token")
            one.poll(NOW + number * HOUR)
        sentry.error = None
        for number in range(100, 100 + MAX_LAST_POLLS):
            one.poll(NOW + number * HOUR)

        last = one.report.last_polls
        assert ["unauthorized"] * MAX_LAST_POLLS + [""] * MAX_LAST_POLLS == [
            poll.reason for poll in last
        ]
        assert NOW + 2 * MAX_LAST_POLLS * HOUR + 4 * HOUR == last[MAX_LAST_POLLS - 1].began

    def test_failures_in_a_row(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The report says how many polls have failed in a row, and since when."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.error = UnauthorizedError(401, "Invalid token")
        for number in (1, 2, 3):
            one.poll(NOW + number * HOUR)
        failing = one.report
        sentry.error = None
        one.poll(NOW + 4 * HOUR)

        assert (3, NOW + HOUR) == (failing.failed_polls, failing.failing_since)
        assert (0, 0) == (one.report.failed_polls, one.report.failing_since)

    def test_history(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The report has the buckets of the lookback, also after its data were withdrawn."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        before = one.report.history
        sentry.error = UnauthorizedError(401, "Invalid token")
        one.poll(NOW + 4 * HOUR)

        assert one.report.view is None
        assert one.state.ledger.buckets == before == one.report.history

    @pytest.mark.parametrize("missing", ["answers", "list"])
    def test_no_exception_stays_in_memory(
        self, publisher: RecordingPublisher, missing: str
    ) -> None:
        """An error is let go of, as its frames hold what Sentry answered."""
        errors: list[ReferenceType[Exception]] = []

        class Failing(Sentry):
            def fail(self) -> None:
                error = NetworkError("no route")
                errors.append(ref(error))
                raise error

            def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
                if missing == "answers":
                    self.fail()
                return super().ask_all(questions)

            def projects(self) -> ProjectList:
                if missing == "list":
                    self.fail()
                return super().projects()

        one = poller(Failing([row(5)]), publisher, query(*BY_PROJECT))
        report = one.poll(NOW)
        gc.collect()

        assert {"network": 1} == report.failures
        assert [None] == [error() for error in errors]


class TestSuccessor:
    """A poller that takes over from another one with the same query."""

    def test_goes_on(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """It goes on where its predecessor was: report, next poll, data and counters."""
        one = poller(sentry, publisher)
        before = one.poll(NOW)
        sentry.add(row(4))

        other = poller(sentry, publisher, state=one.state)
        due = [other.due(NOW + HOUR - 1), other.due(NOW + HOUR)]
        taken = other.report
        other.poll(NOW + HOUR)

        assert before is taken
        assert [False, True] == due
        assert not other.must_refresh(NOW + HOUR)
        assert {series(): 4} == {s: v for s, v in (flat(shown(other).counters) or {}).items() if v}
        assert 2 == other.report.polls

    def test_publishes_what_came_late(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What its predecessor read after it was replaced is published by the successor."""
        gone = RecordingPublisher()
        one = poller(sentry, gone)
        other = poller(sentry, publisher, state=one.state)
        one.poll(NOW)
        before = other.must_refresh(NOW)

        other.refresh(NOW)

        assert before
        assert not other.must_refresh(NOW)
        assert [one.report] == publisher.reports

    def test_own_settings(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Its settings are in force, for data that are there already too."""
        one = poller(sentry, publisher, settings={"max_age": 9 * HOUR})
        one.poll(NOW)
        other = poller(sentry, publisher, state=one.state)

        assert not one.must_refresh(NOW + 3 * HOUR)
        assert other.must_refresh(NOW + 3 * HOUR)

    def test_other_settling_time(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What is shown stays, though another bucket would be the finished one by now."""
        one = poller(sentry, publisher)
        one.poll(NOW - 1)
        before = shown(one)
        other = poller(sentry, publisher, state=one.state, settings={"settle": 60})

        other.refresh(NOW + 3 * HOUR - 2)

        assert before == shown(other)

    def test_one_at_a_time(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """While one of them polls, nothing is due for the other."""
        seen: list[bool] = []
        one = poller(sentry, publisher)
        other = poller(sentry, publisher, state=one.state)

        class Watching(RecordingPublisher):
            def publish(self, _report: Report) -> None:
                seen.extend((other.due(NOW + HOUR), other.must_refresh(NOW + DAY)))

        poller(sentry, Watching(), state=one.state).poll(NOW)

        assert [False, False] == seen
        assert other.due(NOW + HOUR)

    def test_another_client(self, publisher: RecordingPublisher) -> None:
        """Another client counts as other credentials: what failed, or was refused, is tried."""
        old, new = Sentry([row(5)]), Sentry([row(5)])
        asked = query(filter=Filter(project=("project-1", "project-2")), poll_interval=300)
        old.refuses = frozenset({API})
        one = poller(old, publisher, asked)
        refused = one.poll(NOW).missing
        old.error = NetworkError("no route")
        one.poll(NOW + 300)
        other = poller(new, publisher, asked, state=one.state)

        assert ("project-2",) == refused
        assert not one.due(NOW + 301)
        assert other.due(NOW + 301)
        assert () == other.poll(NOW + 301).missing


class TestClosed:
    """A poller whose query was removed, or is another one now."""

    def test_no_more_polls(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """It sends no question and publishes nothing any more."""
        one = poller(sentry, publisher)
        before = one.report
        one.state.closed = True

        assert before is one.poll(NOW)
        assert not one.due(NOW)
        assert not one.must_refresh(NOW + DAY)
        assert [] == sentry.asked
        assert [] == publisher.reports

    def test_refresh_that_waits(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A refresh that waits while the query is removed publishes nothing."""

        class Closing(AbstractContextManager[None]):
            """A lock that others hold until the state is closed."""

            def locked(self) -> bool:
                return False

            def __enter__(self) -> None:
                one.state.closed = True

            def __exit__(self, *_: object) -> None:
                pass

        one = poller(sentry, publisher)
        before = one.poll(NOW)
        one.state.working = Closing()  # type: ignore[assignment]

        one.refresh(NOW + DAY)

        assert before is one.report
        assert [before] == publisher.reports

    def test_poll_that_is_out(self, publisher: RecordingPublisher) -> None:
        """A poll that is out then changes nothing, persists nothing and publishes nothing."""
        persistence = FakePersistence()

        class Closing(Sentry):
            def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
                one.state.closed = True
                return super().ask_all(questions)

        one = poller(
            Closing([row(5)]), publisher, restored=Restored(Ledger(), persistence=persistence)
        )
        before = one.report

        after = one.poll(NOW)

        assert before is after
        assert [] == persistence.persisted
        assert {} == dict(one.state.ledger.buckets)
        assert [] == publisher.reports
