"""What one token may do, and what an answer's headers say about it."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sentry.limits import (
    MAX_PAUSE,
    Allowance,
    Notice,
    TokenLimits,
    limits_by_token,
    read_notice,
)
from exporter.threads import start_thread
from tests.support.clock import Clock
from tests.support.programs import wait_until

NOW = 1_772_000_000.0
DATE = "Wed, 25 Feb 2026 06:13:20 GMT"


def limits(clock: Clock, concurrency: int = 4, rate: float = 10) -> TokenLimits:
    """Return limits that wait on ``clock``."""
    return TokenLimits(Allowance(concurrency, rate), clock=clock, sleep=clock.sleep)


class TestPace:
    """Requests per second."""

    def test_first_request(self) -> None:
        """The first request need not wait."""
        clock = Clock()

        with limits(clock).turn() as waited:
            assert 0 == waited

        assert [] == clock.slept

    def test_even(self) -> None:
        """Requests that come at once begin evenly, and that is no throttling by Sentry."""
        clock = Clock(0.0)
        token = limits(clock, rate=4)
        begun, waited = [], []

        for _ in range(5):
            with token.turn() as seconds:
                begun.append(clock())
                waited.append(seconds)

        assert [0, 0.25, 0.5, 0.75, 1] == begun
        assert [0] * 5 == waited

    @given(
        st.lists(st.floats(0, 2), min_size=2, max_size=60),
        st.floats(0.2, 50),
        st.lists(st.floats(0, 0.3), max_size=10),
    )
    def test_never_above_the_rate(
        self, arrivals: list[float], rate: float, late: list[float]
    ) -> None:
        """In no second begin more requests than the rate, however they come and oversleep."""
        clock = Clock(0.0)

        def oversleep(seconds: float) -> None:
            clock.sleep(seconds + (late.pop() if late else 0))

        token = TokenLimits(Allowance(4, rate), clock=clock, sleep=oversleep)
        begun = []
        for gap in arrivals:
            clock.now += gap
            with token.turn():
                begun.append(clock())

        assert all(
            sum(start <= moment < start + 1 - 1e-6 for moment in begun) <= math.ceil(rate)
            for start in begun
        )


class TestPause:
    """Waiting because the server said so."""

    def test_pause(self) -> None:
        """A request waits until the pause is over, and learns how long it was."""
        clock = Clock()
        token = limits(clock)
        token.pause(30)
        clock.now += 10

        with token.turn() as waited:
            assert 20 == waited

        assert [20] == clock.slept

    def test_the_first_tells(self) -> None:
        """Of those that wait for the end of a pause, only the first one calls back."""
        clock = Clock()
        token = limits(clock)
        heard: list[float] = []
        for seconds in (30, 20):
            token.pause(seconds)
            now = clock.now
            for _ in range(2):
                clock.now = now
                with token.turn(heard.append):
                    pass

        assert [30, 20] == heard

    @pytest.mark.parametrize("seconds", [61, 1e300, math.inf])
    def test_longest(self, seconds: float) -> None:
        """No pause is longer than the longest."""
        clock = Clock()
        token = limits(clock)
        token.pause(seconds)

        with token.turn() as waited:
            assert MAX_PAUSE == waited

    def test_shorter_later(self) -> None:
        """A shorter pause does not cut a longer one."""
        clock = Clock()
        token = limits(clock)
        token.pause(30)
        token.pause(1)

        with token.turn() as waited:
            assert 30 == waited

    def test_longer_while_asleep(self) -> None:
        """A pause that another request brings counts for those that already wait."""
        clock = Clock()

        def sleep(seconds: float) -> None:
            if not clock.slept:
                token.pause(50)
            clock.sleep(seconds)

        token = TokenLimits(Allowance(4, 10), clock=clock, sleep=sleep)
        token.pause(5)

        with token.turn() as waited:
            assert 50 == waited


class TestWithAllowance:
    """Limits of the same token after its allowance has changed."""

    def test_pause_goes_on(self) -> None:
        """A pause that Sentry required holds for the new allowance, and is announced once."""
        clock = Clock()
        heard: list[float] = []
        before = limits(clock)
        before.pause(30)
        with before.turn(heard.append):
            pass
        clock.now -= 20

        after = before.with_allowance(Allowance(1, 5))
        with after.turn(heard.append) as waited:
            assert 20 == waited

        assert [30] == heard
        assert Allowance(1, 5) == after.allowance

    def test_pause_by_an_old_request(self) -> None:
        """A pause that the answer to an earlier request brings holds for the new allowance."""
        clock = Clock()
        before = limits(clock)
        after = before.with_allowance(Allowance(1, 5))
        before.pause(30)

        with after.turn() as waited:
            assert 30 == waited

    def test_pace_goes_on(self) -> None:
        """The first request begins as long after the last one as the old allowance says."""
        clock = Clock(0.0)
        before = limits(clock, rate=4)
        with before.turn():
            pass

        with before.with_allowance(Allowance(1, 5)).turn():
            assert 0.25 == clock()


class TestRunAll:
    """Several tasks at once."""

    def test_order(self) -> None:
        """Results come in the order of the tasks."""
        tasks = [partial(str, number) for number in range(20)]

        assert [str(number) for number in range(20)] == limits(Clock()).run_all(tasks)

    def test_nothing(self) -> None:
        """No tasks have no results."""
        assert [] == limits(Clock()).run_all(())

    def test_at_once(self) -> None:
        """As many run at once as may be in flight: here two that wait for each other."""
        meeting = threading.Barrier(2, timeout=10)
        token = limits(Clock(), concurrency=2)

        def task() -> int:
            with token.turn():
                return meeting.wait()

        assert {0, 1} == set(token.run_all([task, task]))

    def test_a_thread_that_begins_after_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It does nothing: what has not begun by then never does."""
        late: list[Callable[[], object]] = []
        monkeypatch.setattr("exporter.sentry.limits.start_thread", late.append)
        done: list[int] = []

        def task(number: int) -> None:
            done.append(number)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            limits(Clock(), concurrency=3).run_all([partial(task, n) for n in range(10)])
        for work in late:
            work()

        assert (2, [0]) == (len(late), done)

    def test_never_more(self) -> None:
        """Several callers together never have more in flight than the token may."""
        token = limits(Clock(), concurrency=3)
        in_flight, seen = [0], []
        lock = threading.Lock()

        def task() -> None:
            with token.turn():
                with lock:
                    in_flight[0] += 1
                    seen.append(in_flight[0])
                with lock:
                    in_flight[0] -= 1

        caller = threading.Thread(target=token.run_all, args=([task] * 50,))
        caller.start()
        token.run_all([task] * 50)
        caller.join()

        assert 100 == len(seen)
        assert max(seen) <= 3

    @pytest.mark.parametrize("started", [0, 1])
    def test_no_thread(self, monkeypatch: pytest.MonkeyPatch, started: int) -> None:
        """Where the host gives fewer threads than are wanted, the others and this one do it."""
        left = [started]

        def start(work: Callable[[], object]) -> None:
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
            start_thread(work)

        monkeypatch.setattr("exporter.sentry.limits.start_thread", start)

        results = limits(Clock(), concurrency=3).run_all([partial(int, n) for n in range(10)])

        assert list(range(10)) == results

    def test_a_thread_that_never_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thread that ends before its first step, as without memory, is not waited for."""
        monkeypatch.setattr("exporter.sentry.limits.start_thread", lambda _work: None)

        results = limits(Clock(), concurrency=3).run_all([partial(int, n) for n in range(10)])

        assert list(range(10)) == results

    def test_error(self) -> None:
        """The first error is raised, and what has not begun never does."""
        begun = []

        def task(number: int) -> None:
            begun.append(number)
            if number == 3:
                raise KeyError(number)

        with pytest.raises(KeyError, match="3"):
            limits(Clock(), concurrency=1).run_all([partial(task, n) for n in range(10)])

        assert [0, 1, 2, 3] == begun


class TestSharing:
    """Organizations that are read with the same token."""

    def test_smallest(self) -> None:
        """They share one object, with the smaller of each of their figures."""
        by_token = limits_by_token(
            [("a", Allowance(4, 5)), ("b", Allowance(9, 9)), ("a", Allowance(2, 10))]
        )

        assert {"a": Allowance(2, 5), "b": Allowance(9, 9)} == {
            key: token.allowance for key, token in by_token.items()
        }

    def test_last_place(self) -> None:
        """A user whose requests hang leaves a place to those who share the token, at once."""
        token = shared(Clock(), concurrency=3)
        with hanging(token, "broken", requests=9, out=2) as ended, token.turn(user="healthy"):
            before = len(ended)

        assert 0 == before

    def test_alone(self) -> None:
        """A token that nobody shares has all its places for one user."""
        with hanging(limits(Clock(), concurrency=3), "acme", requests=9, out=3):
            pass

    def test_only_place(self) -> None:
        """Of a token with a single place, the users take turns, however many requests they have."""
        token, begun = shared(Clock(), concurrency=1), list[str]()

        def ask(user: str, requests: int) -> None:
            for _ in range(requests):
                with token.turn(user=user):
                    begun.append(user)

        with hanging(token, "broken", requests=1, out=1):
            several = [("broken", 1)] * 8 + [("healthy", 4)]
            threads = [started(partial(ask, user, requests)) for user, requests in several]
            wait_until(lambda: waiting(token) == 9)
        for thread in threads:
            thread.join()

        assert begun.index("healthy") <= 1
        assert 12 == len(begun)

    def test_pause_of_one(self) -> None:
        """A pause of one user keeps no other one waiting."""
        clock = Clock()
        token = shared(clock)
        token.pause(30, "broken")

        with token.turn(user="healthy") as waited:
            assert 0 == waited
        with token.turn(user="broken") as waited:
            assert 30 == round(waited)

    def test_longest_pause(self) -> None:
        """A user waits for the end of its own pause and of the token's, whichever is later."""
        clock = Clock()
        token = shared(clock)
        token.pause(5, "broken")
        token.pause(20)

        with token.turn(user="broken") as waited:
            assert 20 == waited

    def test_who_gives_up(self) -> None:
        """Who is interrupted while he waits for a pause holds nobody up."""
        token = shared(Clock(), concurrency=1)
        token.pause(30)

        with pytest.raises(KeyError), token.turn(_give_up, "broken"):
            pass
        with token.turn(user="healthy") as waited:
            assert 30 == waited

    def test_all_come_to_an_end(self) -> None:
        """With pauses of all kinds, every request of every user gets its turn."""
        token = shared(Clock(), concurrency=2)
        done = list[str]()

        def ask(user: str) -> None:
            for number in range(10):
                with token.turn(user=user):
                    done.append(user)
                    token.pause(number, user if number % 2 else None)

        threads = [started(partial(ask, user)) for user in "abcdefgh" * 2]
        for thread in threads:
            thread.join(60)

        assert 160 == len(done)


def shared(clock: Clock, concurrency: int = 4) -> TokenLimits:
    """Return limits of a token that several users share."""
    token = limits(clock, concurrency, rate=1e6)
    token.shared = True
    return token


def started(work: Callable[[], None]) -> threading.Thread:
    """Return a thread that does ``work``."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def waiting(token: TokenLimits) -> int:
    """Return how many requests wait for their turn."""
    return sum(len(user.waiting) for user in token._queue._users.values())  # noqa: SLF001


@contextmanager
def hanging(token: TokenLimits, user: str, requests: int, out: int) -> Iterator[list[int]]:
    """Let ``requests`` of a user begin, of which ``out`` can be out, and hang in the block.

    What is given lists those that have ended.
    """
    end, begun, ended = threading.Event(), list[int](), list[int]()

    def request() -> None:
        with token.turn(user=user):
            begun.append(1)
            end.wait(60)
            ended.append(1)

    threads = [started(request) for _ in range(requests)]
    try:
        wait_until(lambda: len(begun) == out and waiting(token) == requests - out)
        yield ended
    finally:
        end.set()
    for thread in threads:
        thread.join(60)


def _give_up(_seconds: float) -> None:
    raise KeyError


class TestNotice:
    """Headers, which may hold anything."""

    def test_sentry(self) -> None:
        """Sentry's headers are read, the reset held against the server's own clock."""
        headers = {
            "X-Sentry-Rate-Limit-Limit": "20",
            "X-Sentry-Rate-Limit-Remaining": "0",
            "X-Sentry-Rate-Limit-Reset": str(int(NOW) + 1),
            "X-Sentry-Rate-Limit-ConcurrentLimit": "25",
            "Date": DATE,
        }

        assert Notice(20, 0, 1.0, None, 25) == read_notice(headers, NOW + 5000)

    def test_silent(self) -> None:
        """A server without limits says nothing."""
        assert Notice(None, None, None, None) == read_notice({}, NOW)

    @pytest.mark.parametrize("text", ["None", "", "-1", "1.5", "1e9", "१", "9" * 40, "x" * 9999])
    def test_garbage(self, text: str) -> None:
        """What is no number counts as absent."""
        headers = {
            f"X-Sentry-Rate-Limit-{name}": text for name in ("Limit", "Remaining", "Reset")
        } | {"Retry-After": text, "Date": text}

        assert Notice(None, None, None, None) == read_notice(headers, NOW)

    @pytest.mark.parametrize(
        ("reset", "expected"), [(NOW + 3, 3.0), (NOW - 3, 0.0), (NOW + 1e6, 1e6)]
    )
    def test_reset_without_date(self, reset: float, expected: float) -> None:
        """Without a date, the reset is held against our clock; one in the past is now."""
        notice = read_notice({"X-Sentry-Rate-Limit-Reset": str(int(reset))}, NOW)

        assert expected == notice.reset

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("120", 120.0),
            ("Wed, 25 Feb 2026 06:13:50 GMT", 30.0),
            ("Wed, 25 Feb 2026 06:00:00 GMT", 0.0),
        ],
    )
    def test_retry_after(self, text: str, expected: float) -> None:
        """Retry-After is seconds or a date."""
        assert expected == read_notice({"Retry-After": text, "Date": DATE}, 0).retry_after

    @given(st.dictionaries(st.sampled_from(["Date", "Retry-After"]), st.text()))
    def test_arbitrary(self, headers: dict[str, str]) -> None:
        """No header makes reading fail."""
        assert None is read_notice(headers, NOW).limit

    @pytest.mark.parametrize(
        "text",
        [
            "Wed, 25 Feb 99999999999 06:13:20 GMT",
            "Wed, 99 Feb 2026 99:99:99 GMT",
            "1 Jan 2026 00:00:00 +99999999999999999999",
            ",",
            "Mon,",
        ],
    )
    def test_odd_dates(self, text: str) -> None:
        """No date makes reading fail, however odd."""
        assert None is read_notice({"Retry-After": text, "Date": text}, NOW).limit
