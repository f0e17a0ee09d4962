"""What is published while a poll is out."""

from collections.abc import Callable, Sequence
from unittest.mock import Mock

import pytest

from exporter.collect.ledger import Change, Ledger
from exporter.collect.persistence import Restored
from exporter.collect.plan.core import Reply
from exporter.collect.poll.poller_state import MAX_DURATION
from exporter.collect.poll.query import QueryPoller
from exporter.collect.snapshot import Report
from exporter.sentry.question import Question
from tests.support.logs import logged
from tests.support.pollers import poller
from tests.support.publishing import FakePersistence, RecordingPublisher
from tests.support.rows import HOUR, row
from tests.support.sentry import Sentry
from tests.support.settings import NOW, query

MAX_AGE = 3 * HOUR
BY_PROJECT = query("project", "category", "outcome")

Meanwhile = Callable[[], object]


class SlowSentry(Sentry):
    """Lets something happen before each answer."""

    meanwhile: Meanwhile = staticmethod(lambda: None)

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Answer ``questions``, some time later."""
        self.meanwhile()
        return super().ask_all(questions)


class SlowPersistence(FakePersistence):
    """A disk that lets something happen before it answers."""

    meanwhile: Meanwhile = staticmethod(lambda: None)

    def persist(self, change: Change, polled_at: float, *, succeeded: bool) -> None:
        """Record ``change``, some time later."""
        self.meanwhile()
        super().persist(change, polled_at, succeeded=succeeded)


@pytest.fixture
def sentry() -> SlowSentry:
    """Return a Sentry with data."""
    return SlowSentry([row(5)])


@pytest.fixture
def publisher() -> RecordingPublisher:
    """Return what records the reports."""
    return RecordingPublisher()


def looked(one: QueryPoller, now: float) -> Report:
    """Do at ``now`` what the loop does while a poll is out, and return what is shown then."""
    if one.watch.must_publish(now):
        one.watch.publish(now)
    return one.report


@pytest.mark.parametrize(
    ("seconds", "up", "failures"),
    [(MAX_DURATION - 1, True, {}), (MAX_DURATION, False, {"timeout": 1})],
)
def test_too_long(
    sentry: SlowSentry,
    publisher: RecordingPublisher,
    seconds: float,
    *,
    up: bool,
    failures: dict[str, int],
) -> None:
    """A poll that waits for Sentry for too long counts as failed, while its data stay."""
    one = poller(sentry, publisher)
    one.poll(NOW)
    seen: list[Report] = []
    sentry.meanwhile = lambda: seen.append(looked(one, NOW + HOUR + seconds))

    one.poll(NOW + HOUR)

    assert [(up, failures)] == [(report.up, report.failures) for report in seen]
    assert seen[0].view is not None
    assert one.report.up


def test_asks_nothing_more(sentry: SlowSentry, publisher: RecordingPublisher) -> None:
    """Such a poll begins no other request, fails, and is counted once."""
    one = poller(sentry, publisher, BY_PROJECT)
    sentry.meanwhile = lambda: looked(one, NOW + MAX_DURATION)

    one.poll(NOW)

    assert 1 == len(sentry.asked)
    assert (False, 1, {"timeout": 1}) == (one.report.up, one.report.polls, one.report.failures)
    assert publisher.reports[-1] is one.report
    assert not one.watch.must_publish(NOW + 2 * MAX_DURATION)


def test_once(sentry: SlowSentry, publisher: RecordingPublisher) -> None:
    """It is published and logged once that a poll takes too long, and for which reason."""
    one = poller(sentry, publisher)

    def look() -> None:
        for second in range(5):
            looked(one, NOW + MAX_DURATION + second)

    sentry.meanwhile = look
    with logged() as lines:
        one.poll(NOW)

    assert 1 == [line["event"] for line in lines].count("poll takes too long")
    assert [{"timeout": 1}] * 2 == [report.failures for report in publisher.reports]


def test_old_data(sentry: SlowSentry, publisher: RecordingPublisher) -> None:
    """Data are withdrawn when they are too old, whatever a poll is doing, and come back with it."""
    one = poller(sentry, publisher)
    one.poll(NOW)
    seen: list[Report] = []
    sentry.meanwhile = lambda: seen.extend(looked(one, NOW + MAX_AGE + s) for s in (-1, 0, 1))

    one.poll(NOW + MAX_AGE - 60)

    assert [False, True, True] == [report.view is None for report in seen]
    assert [(True, {})] * 3 == [(report.up, report.failures) for report in seen]
    assert one.report.view is not None
    assert publisher.reports[-1] is one.report


def test_disk(sentry: SlowSentry, publisher: RecordingPublisher) -> None:
    """A disk that hangs is a failure of its own, and what it takes at last is published."""
    disk = SlowPersistence()
    one = poller(sentry, publisher, restored=Restored(Ledger(), persistence=disk))
    one.poll(NOW)
    seen: list[Report] = []
    disk.meanwhile = lambda: seen.append(looked(one, NOW + HOUR + MAX_AGE))
    sentry.add(row(3, bucket=sentry.store.rows[0].bucket + HOUR))

    one.poll(NOW + HOUR)

    assert [(False, {"state": 1}, None)] == [(r.up, r.failures, r.view) for r in seen]
    assert (True, {"state": 1}) == (one.report.up, one.report.failures)
    assert one.report.view is not None


def test_replaced_client(sentry: SlowSentry, publisher: RecordingPublisher) -> None:
    """The failure of a poll that is out stays counted when a reload replaces its client."""
    one = poller(sentry, publisher)

    def reload() -> None:
        looked(one, NOW + MAX_DURATION)
        one.state.hand_over(object())

    sentry.meanwhile = reload

    one.poll(NOW)

    assert {"timeout": 1} == one.report.failures
    assert not one.watch.must_publish(NOW + 2 * MAX_DURATION)


def test_publishing_fails(
    sentry: SlowSentry, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that could not be withdrawn are withdrawn as soon as something can be published."""
    one = poller(sentry, publisher)
    one.poll(NOW)
    seen: list[bool] = []

    def look() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(publisher, "publish", Mock(side_effect=MemoryError))
            with pytest.raises(MemoryError):
                looked(one, NOW + MAX_AGE)
        seen.append(one.watch.must_publish(NOW + MAX_AGE + 1))
        seen.append(looked(one, NOW + MAX_AGE + 1).view is None)

    sentry.meanwhile = look
    one.poll(NOW + MAX_AGE - 60)

    assert [True, True] == seen


def test_no_poll(sentry: SlowSentry, publisher: RecordingPublisher) -> None:
    """Old data are withdrawn without a poll too, once, in case that the loop hangs."""
    one = poller(sentry, publisher)
    one.poll(NOW)

    for second in range(3):
        looked(one, NOW + MAX_AGE + second)

    assert [False, True] == [report.view is None for report in publisher.reports]
    assert one.must_refresh(NOW + MAX_AGE)
