"""The loop: polls what is due, one poll of a query at a time, and goes on whatever happens."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Final

import pytest
import schedule
from structlog.testing import capture_logs

from exporter.collect.poll.loop import MAX_DELAY, MAX_SILENCE, PollLoop
from exporter.threads import start_thread
from tests.support.clock import Clock

Work = Callable[[], None]
TIMEOUT = 5
"""Seconds before a hang is called one."""


class FakeWatch:
    """Has something to publish while it is said to, and records when it did."""

    def __init__(self, on_publish: Work = lambda: None) -> None:
        self.is_silent = True
        self._on_publish = on_publish
        self.published: list[float] = []

    def must_publish(self, _now: float) -> bool:
        """Return whether there is something to publish."""
        return not self.is_silent

    def publish(self, now: float) -> None:
        """Record the time."""
        self.published.append(now)
        self._on_publish()


class FakeQuery:
    """Is due whenever it is said to be, and records when it was refreshed and polled."""

    about: Final = {"organization": "acme", "query": "fake"}

    def __init__(self, on_poll: Work = lambda: None, on_due: Work = lambda: None) -> None:
        self.refreshed: list[float] = []
        self.polled: list[float] = []
        self.is_due = True
        self.watch = FakeWatch()
        self._on_poll = on_poll
        self._on_due = on_due

    def due(self, _now: float) -> bool:
        """Return whether to poll."""
        self._on_due()
        return self.is_due

    def must_refresh(self, _now: float) -> bool:
        """Return that time always changes something."""
        return True

    def refresh(self, now: float) -> None:
        """Record the time."""
        self.refreshed.append(now)

    def poll(self, now: float) -> None:
        """Record that a poll began."""
        self.polled.append(now)
        self._on_poll()


def fail() -> None:
    """Do what nobody foresaw."""
    raise RuntimeError


def poller(*queries: FakeQuery, start: Callable[[Work], None] = lambda work: work()) -> PollLoop:
    """Return a loop over ``queries`` whose polls run at once, unless started otherwise."""
    return PollLoop(lambda: queries, monotonic=Clock(), start=start)


class TestTick:
    """One look at the clock."""

    def test_due(self) -> None:
        """What is due is polled at the time of the tick, what is not is only refreshed."""
        due, resting = FakeQuery(), FakeQuery()
        resting.is_due = False

        poller(due, resting).tick(7)

        assert [7] == due.polled
        assert [] == resting.polled
        assert [7] == resting.refreshed

    def test_one_at_a_time(self) -> None:
        """A query whose poll is out is left alone until that poll is back."""
        waiting: list[Work] = []
        query = FakeQuery()
        loop = poller(query, start=waiting.append)

        loop.tick(1)
        loop.tick(2)
        out = len(waiting)
        waiting.pop()()
        loop.tick(3)

        assert 1 == out
        assert 1 == len(waiting)

    def test_hangs(self) -> None:
        """A poll that hangs holds up neither the loop nor the poll of another query."""
        release, hangs, polled = threading.Event(), threading.Event(), threading.Event()

        def hang() -> None:
            hangs.set()
            release.wait(TIMEOUT)

        hanging = FakeQuery(on_poll=hang)
        healthy = FakeQuery(on_poll=polled.set)
        loop = poller(hanging, healthy, start=start_thread)

        loop.tick(1)
        came = hangs.wait(TIMEOUT) and polled.wait(TIMEOUT)
        loop.tick(2)
        release.set()

        assert came
        assert [1] == hanging.polled

    def test_meanwhile(self) -> None:
        """What is to be published while a poll is out is published then."""
        waiting: list[Work] = []
        query = FakeQuery()
        loop = poller(query, start=waiting.append)
        loop.tick(1)
        query.watch.is_silent = False

        loop.tick(2)
        loop.watch(2)
        waiting.pop()()

        assert 1 == len(waiting)
        assert [] == query.polled
        assert [2] == query.watch.published

    def test_watched_while_it_hangs(self) -> None:
        """What is to be published is published while the loop hangs, as on a disk."""
        release, published = threading.Event(), threading.Event()

        def hang() -> None:
            release.wait(TIMEOUT)

        query = FakeQuery(on_due=hang)
        query.watch = FakeWatch(published.set)
        query.watch.is_silent = False
        loop = PollLoop(lambda: [query], start=start_thread)

        start_thread(loop.run)
        start_thread(loop.run_watch)
        came = published.wait(TIMEOUT)
        loop.stop()
        release.set()

        assert came

    def test_fault(self) -> None:
        """A query that cannot even be looked after is logged once, and the next ones go on."""
        broken, healthy = FakeQuery(on_due=fail), FakeQuery()
        loop = poller(broken, healthy)

        with capture_logs() as logs:
            loop.tick(1)
            loop.tick(2)

        assert [("error", "acme", "fake")] == [
            (entry["log_level"], entry["organization"], entry["query"]) for entry in logs
        ]
        assert [1, 2] == healthy.polled

    def test_no_thread(self) -> None:
        """If no thread can be had, every query is tried at each tick, and the log says so once."""
        started: list[Work] = []

        def start(work: Work) -> None:
            started.append(work)
            if len(started) <= 20:
                raise RuntimeError("can't start new thread")

        loop = poller(*(FakeQuery() for _ in range(10)), start=start)

        with capture_logs() as logs:
            for second in range(3):
                loop.tick(second)

        assert 30 == len(started)
        assert ["can't start new thread"] == [entry["error"] for entry in logs]

    def test_a_thread_that_never_runs(self) -> None:
        """A thread that does not begin, as without memory, is replaced, and does nothing later."""
        waiting: list[Work] = []
        query, monotonic = FakeQuery(), Clock()
        loop = PollLoop(lambda: [query], monotonic=monotonic, start=waiting.append)
        loop.tick(1)
        monotonic.now += MAX_DELAY - 1
        loop.tick(2)
        before = len(waiting)
        monotonic.now += 1
        loop.tick(3)
        for work in waiting:
            work()

        assert 1 == before
        assert [3] == query.polled
        assert loop.idle()

    @pytest.mark.parametrize("run", [PollLoop.run, PollLoop.run_watch])
    def test_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, run: Callable[[PollLoop], None]
    ) -> None:
        """Whatever fails between two polls, as without memory, does not end the loop."""
        monkeypatch.setattr("exporter.collect.poll.loop.TICK", 0.01)
        looks: list[int] = []
        loop: PollLoop

        def queries() -> list[FakeQuery]:
            looks.append(len(looks))
            if len(looks) > 3:
                loop.stop()
            raise MemoryError

        loop = PollLoop(queries)
        with capture_logs() as logs:
            run(loop)

        assert 4 == len(looks)
        assert ["cannot determine which polls are due"] == [entry["event"] for entry in logs]

    def test_poll_raises(self) -> None:
        """A poll that ends in an exception is over, which is logged once, and is polled again."""
        query = FakeQuery(on_poll=fail)
        loop = poller(query)

        with capture_logs() as logs:
            loop.tick(1)
            loop.tick(2)

        assert [1, 2] == query.polled
        assert ["a poll ended unexpectedly"] == [entry["event"] for entry in logs]


class TestAlive:
    """Whether the loop lives."""

    @pytest.mark.parametrize(
        ("seconds", "expected"), [(0, True), (MAX_SILENCE - 1, True), (MAX_SILENCE, False)]
    )
    def test_alive(self, seconds: float, *, expected: bool) -> None:
        """A loop that has not looked at the clock for ten seconds is dead."""
        clock = Clock()
        loop = PollLoop(list, monotonic=clock)

        clock.sleep(seconds)

        assert expected is loop.alive()

    def test_revives(self) -> None:
        """A look at the clock is a sign of life."""
        clock = Clock()
        loop = PollLoop(list, monotonic=clock)
        clock.sleep(MAX_SILENCE)

        loop.tick(1)

        assert loop.alive()


class LocalTime(datetime):
    """Local time, which goes by only while the loop pauses."""

    shown: "LocalTime"

    @classmethod
    def now(cls, _tz: tzinfo | None = None) -> "LocalTime":
        """Return the time that the host shows."""
        return cls.shown


class Pause(threading.Event):
    """Takes no time, but lets local time go by, and has it set during the first pause."""

    set_by: timedelta
    most = 10

    def wait(self, timeout: float | None = None) -> bool:
        """Let ``timeout`` seconds go by."""
        assert timeout is not None

        self.most -= 1
        LocalTime.shown += timedelta(seconds=timeout) + Pause.set_by
        Pause.set_by = timedelta()
        return self.is_set() or not self.most


class TestRun:
    """The loop itself, on a host whose time is at hand."""

    @pytest.fixture(autouse=True)
    def _host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let neither the loop nor `schedule` see the real time, or wait for it."""
        LocalTime.shown = LocalTime(2026, 3, 29, 1, 59, 58)
        local = SimpleNamespace(datetime=LocalTime, timedelta=timedelta)
        monkeypatch.setattr(schedule, "datetime", local)
        monkeypatch.setattr("exporter.collect.poll.loop.datetime", LocalTime)
        monkeypatch.setattr("exporter.collect.poll.loop.Event", Pause)

    @pytest.mark.parametrize("hours", [0, -24 * 365, -1, 1, 24 * 365])
    def test_ticks(self, hours: int) -> None:
        """The clock is looked at every second until stopped, however local time is set."""
        Pause.set_by = timedelta(hours=hours)
        query, looks = FakeQuery(), iter((1, 2, 3))
        query.is_due = False

        def look() -> float:
            now = next(looks)
            if now == 3:
                loop.stop()
            return now

        loop = PollLoop(lambda: [query], clock=look, start=lambda work: work())
        loop.run()

        assert [1, 2, 3] == query.refreshed
