"""Polls while our clock is set: a tick from before that, and a correction from after it."""

from collections.abc import Callable, Sequence

import pytest

from exporter.collect.plan.core import Reply
from exporter.collect.poll.poller_state import MAX_DURATION
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.question import Question
from exporter.sentry.server_clock import TOLERANCE
from tests.support.pollers import poller
from tests.support.publishing import RecordingPublisher
from tests.support.rows import HOUR, row
from tests.support.sentry import Sentry
from tests.support.settings import NOW

DAY = 24 * HOUR


class DatedSentry(Sentry):
    """Answers while our clock shows what ``shown`` returns; its own shows the same."""

    shown: Callable[[], float] = staticmethod(lambda: NOW)

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Answer ``questions`` with a date."""
        self.status = ApiStatus(0.0, dated_at=self.shown())
        return super().ask_all(questions)


@pytest.mark.parametrize(
    "ahead", [40 * DAY, -40 * DAY, 2 * TOLERANCE, -MAX_DURATION - 2 * TOLERANCE]
)
def test_a_tick_from_before_the_clock_was_set(ahead: float) -> None:
    """The poll begins again at the time of the answers; nothing of the wrong time remains."""
    sentry = DatedSentry([row(5)])
    one = poller(sentry, RecordingPublisher())
    report = one.poll(NOW + ahead)

    assert NOW == report.last_success
    assert [NOW] == [each.began for each in report.last_polls]


@pytest.mark.parametrize("behind", [0, TOLERANCE, MAX_DURATION])
def test_a_poll_takes_time(behind: float) -> None:
    """Answers that come within the time of a poll show that the tick was right."""
    sentry = DatedSentry([row(5)])
    report = poller(sentry, RecordingPublisher()).poll(NOW - behind)

    assert NOW - behind == report.last_success


def test_a_poll_takes_longer_than_it_should() -> None:
    """A slow last round counts, though the answers come long after the tick: no clock was set."""
    took = 2.0 * MAX_DURATION
    times = iter((100.0, *[100 + took] * 5))
    sentry = DatedSentry([row(5)])
    report = poller(sentry, RecordingPublisher(), timer=lambda: next(times)).poll(NOW - took)

    assert (NOW - took, True, 1) == (report.last_success, report.up, report.polls)


def test_a_predecessor_ends_during_the_poll_of_its_successor() -> None:
    """What the successor has noted for its own poll stays, and the predecessor begins no other."""
    sentry = DatedSentry([row(5)])
    one = poller(sentry, RecordingPublisher())

    def replaced() -> float:
        one.state.hand_over(object())
        one.state.correction, one.state.tick = 7.0, (NOW + HOUR, None)
        return NOW + 40 * DAY

    sentry.shown = replaced
    one.poll(NOW)

    assert (7.0, (NOW + HOUR, None)) == (one.state.correction, one.state.tick)
    assert 1 == len(sentry.asked)


def test_a_clock_that_is_set_all_the_time() -> None:
    """Nothing comes of such a poll, and the next one is due."""
    times = iter(range(0, 1000 * DAY, DAY))
    sentry = DatedSentry([row(5)])
    sentry.shown = lambda: NOW + next(times) + 2 * DAY
    one = poller(sentry, RecordingPublisher())
    report = one.poll(NOW)

    assert 0 == report.polls
    assert one.due(NOW + DAY)
