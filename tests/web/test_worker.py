"""Threads for work that would stop the event loop."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from exporter.web.worker import NoThreadError, Worker
from tests.support.programs import REPOSITORY

HANG = 60.0


def test_result() -> None:
    """The result of a call is that of its future."""
    assert 3 == Worker("test").submit(sum, [1, 2]).result(HANG)


def test_error() -> None:
    """An error is raised where the result is taken, and the next call is made."""
    worker = Worker("test")
    failing = worker.submit(int, "x")
    following = worker.submit(int, "1")

    with pytest.raises(ValueError, match="invalid literal"):
        failing.result(HANG)
    assert 1 == following.result(HANG)


def test_one_after_the_other() -> None:
    """All calls are made in the same thread, in their order."""
    worker = Worker("test")
    order: list[tuple[int, str]] = []

    def note(number: int) -> None:
        """Note a call."""
        order.append((number, threading.current_thread().name))

    for future in [worker.submit(note, number) for number in range(100)]:
        future.result(HANG)

    assert [(number, "test") for number in range(100)] == order


def test_several_at_the_same_time() -> None:
    """As many calls run at once as there are threads, and no more."""
    worker, meet, go_on = Worker("test", threads=2), threading.Barrier(2), threading.Event()
    met = [worker.submit(meet.wait, HANG) for _ in range(2)]

    assert {0, 1} == {future.result(HANG) for future in met}
    for _ in range(2):
        worker.submit(go_on.wait, HANG)
    third = worker.submit(int, "3")

    assert not third.running()
    assert not third.done()
    go_on.set()
    assert 3 == third.result(HANG)


def test_cancelled_call_is_not_made() -> None:
    """A call that is cancelled in time is not made."""
    worker, go_on = Worker("test"), threading.Event()
    worker.submit(go_on.wait, HANG)
    cancelled = worker.submit(pytest.fail)

    assert cancelled.cancel()
    go_on.set()
    assert 1 == worker.submit(int, "1").result(HANG)


def test_process_ends_during_a_call() -> None:
    """A call that never returns does not keep the process from ending."""
    program = (
        "import threading; from exporter.web.worker import Worker; "
        "Worker('test').submit(threading.Event().wait)"
    )
    subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", program], cwd=REPOSITORY, check=True, timeout=HANG
    )


class _FaultError(Exception):
    """An error that can be referred to weakly."""


def test_error_is_released() -> None:
    """Once nobody refers to the future of a failed call, its error is gone, frames and all."""
    worker = Worker("test")

    def fail() -> None:
        raise _FaultError

    failing = worker.submit(fail)
    error = failing.exception(HANG)
    assert error is not None
    reference = weakref.ref(error)
    # The thread is done with the call once it makes the next one.
    worker.submit(int, "1").result(HANG)

    gc.disable()
    del failing, error
    gone = reference() is None
    gc.enable()

    assert gone


def test_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host gives no thread, the call fails at once, and the next one is made."""
    start = threading.Thread.start

    def refuse(_thread: threading.Thread) -> None:
        """Fail as the interpreter does."""
        raise RuntimeError("can't start new thread")

    worker = Worker("test")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(NoThreadError):
        worker.submit(int, "1")
    monkeypatch.setattr(threading.Thread, "start", start)

    assert 2 == worker.submit(int, "2").result(HANG)
