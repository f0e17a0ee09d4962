"""One query: when it is polled, what a poll does, and what it reports."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from exporter.collect.ledger.ledger import Kept, Ledger
from exporter.collect.poll.query import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    QueryPoller,
)
from exporter.collect.snapshot import Report
from exporter.config import Query
from exporter.sentry.errors import (
    ForbiddenError,
    NetworkError,
    SentryError,
    ServerError,
    UnauthorizedError,
)
from tests.collect.polling import (
    HOUR,
    NOON,
    NOW,
    SETTLE,
    FakeKeeper,
    RecordingPublisher,
    Sentry,
    poller,
    query,
    row,
    series,
    shown,
)

DAY = 24 * HOUR
MIDNIGHT = NOON // DAY * DAY + SETTLE
BY_PROJECT = ("project", "category", "outcome")
OFTEN = query(poll_interval=300)


class FussyPublisher(RecordingPublisher):
    """Shows nothing new, if it feels like it."""

    fussy = False

    def publish(self, report: Report) -> None:
        """Keep a report whose view it has seen before."""
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

        one.due(NOW - back)

        assert expected is one.due(moment)

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

        assert [min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE) for tries in range(11)] == pauses

    def test_lasting(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Where somebody has to mend something, it is tried again every five minutes."""
        sentry.error = UnauthorizedError(401, "Invalid token")
        one = poller(sentry, publisher, query(interval=DAY, poll_interval=DAY))

        pauses = self.pauses(one, 5)

        assert [LONGEST_PAUSE] * 5 == pauses

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

        assert MIDNIGHT + LONGEST_PAUSE == one.report.next_poll

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

        with capture_logs() as logs:
            failed = one.poll(NOW)
        sentry.error = None
        mended = one.poll(NOW + LONGEST_PAUSE)

        assert {"internal": 1} == failed.failures
        assert NOW + LONGEST_PAUSE == failed.next_poll
        assert [True] == [entry.get("exc_info", False) for entry in logs]
        assert mended.up

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
        assert before.counters == shown(one).counters
        assert not one.due(NOW + HOUR + 1)

    @pytest.mark.parametrize("act", [QueryPoller.poll, QueryPoller.heed])
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
        assert not one.changes(later + 1)

    @pytest.mark.parametrize("error", [NetworkError("no route"), ForbiddenError(403, "no")])
    def test_log(self, sentry: Sentry, publisher: RecordingPublisher, error: SentryError) -> None:
        """A failure is one line in the log, with who and why."""
        sentry.error = error

        with capture_logs() as logs:
            poller(sentry, publisher).poll(NOW)

        assert [
            {
                "event": "poll failed",
                "log_level": "warning",
                "organization": "acme",
                "query": "outcomes",
                "reason": error.reason,
                "error": str(error),
                "remedy": error.remedy,
            }
        ] == logs


class TestAge:
    """Data that gets old."""

    def test_withdrawn(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Data older than ``max_age`` is withdrawn, by time alone, once."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        one.heed(NOW + 3 * HOUR - 1)
        before = len(publisher.reports)

        one.heed(NOW + 3 * HOUR)
        one.heed(NOW + 3 * HOUR + 1)

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
        one.heed(NOW + 3 * HOUR)
        sentry.add(row(3, bucket=NOON + HOUR))

        view = one.poll(NOW + 4 * HOUR).view

        assert view is not None
        assert {series(): 3} == view.counters

    @pytest.mark.parametrize(("max_age", "expected"), [(HOUR, 2 * DAY), (3 * DAY, 3 * DAY)])
    def test_no_shorter_than_the_interval(
        self, sentry: Sentry, publisher: RecordingPublisher, max_age: int, expected: int
    ) -> None:
        """Data of a query that is polled seldom is not withdrawn between two polls."""
        asked = query(interval=DAY, poll_interval=DAY)
        one = poller(sentry, publisher, asked, settings={"max_age": max_age})
        one.poll(NOW)

        one.heed(NOW + expected - 1)
        before = one.report.view
        one.heed(NOW + expected)

        assert before is not None
        assert one.report.view is None


class TestKept:
    """A ledger that outlives the process."""

    def test_saved(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Each poll is written with its time, and a failed one is not."""
        keeper = FakeKeeper()
        one = poller(sentry, publisher, kept=Kept(Ledger(), keeper=keeper))
        one.poll(NOW)
        sentry.error = NetworkError("no route")
        one.poll(NOW + HOUR)

        assert [NOW] == [at for _, at in keeper.saved]

    def test_nothing_shown_that_is_not_kept(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """What cannot be written is not shown: the poll fails, and is tried again."""
        keeper = FakeKeeper()
        one = poller(sentry, publisher, kept=Kept(Ledger(), keeper=keeper))
        before = one.poll(NOW)
        sentry.add(row(4))
        keeper.full = True

        failed = one.poll(NOW + HOUR)
        keeper.full = False
        mended = one.poll(failed.next_poll)

        assert {"state": 1} == failed.failures
        assert NOW + HOUR + FIRST_PAUSE == failed.next_poll
        assert (before.view, 0, NOW) == (failed.view, failed.revisions, failed.last_success)
        assert mended.up
        assert {series(): 4} == shown(one).counters

    def test_goes_on(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A poller that is given a ledger goes on from it, and shows it after its first poll."""
        ledger = Ledger()
        poller(sentry, publisher, kept=Kept(ledger)).poll(NOW)
        sentry.add(row(6, bucket=NOON + 2 * HOUR))
        one = poller(sentry, publisher, kept=Kept(ledger, last_success=NOW))
        before = one.report

        one.poll(NOW + 3 * HOUR)

        assert (NOW, None) == (before.last_success, before.view)
        assert {series(): 6} == shown(one).counters
