"""What is done about signals; `tests/end_to_end/test_end_to_end_signals.py` has the processes."""

import signal
import threading
from collections.abc import Callable

import pytest

from exporter.signals import STOP_TIMEOUT, Signals
from tests.support.programs import wait_until


@pytest.fixture
def ends() -> list[int]:
    """Return the exit statuses with which the process would have ended."""
    return []


@pytest.fixture
def signals(ends: list[int]) -> Signals:
    """Return what acts on signals, without ending the process of the test."""
    return Signals(lambda number: number, ends.append)


@pytest.fixture
def timer_seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds of the timers that are started, none of which is ever due."""
    seconds: list[float] = []

    def timer(due: float, _function: Callable[..., object], _arguments: object) -> threading.Thread:
        seconds.append(due)
        return threading.Thread()

    monkeypatch.setattr(threading, "Timer", timer)
    return seconds


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_while_nothing_runs(
    signals: Signals, ends: list[int], number: signal.Signals
) -> None:
    """Outside of a block that can stop, a signal ends the process with the command's status."""
    signals.receive(number)

    assert [number] == ends


@pytest.mark.usefixtures("timer_seconds")
def test_stops_what_runs(signals: Signals, ends: list[int]) -> None:
    """Within a block, a signal calls what stops it, and is remembered by its name."""
    stopped = threading.Event()
    with signals.stopping(stopped.set):
        signals.receive(signal.SIGTERM)

    wait_until(stopped.is_set)

    assert ([], "SIGTERM") == (ends, signals.received)


def test_the_end_has_a_deadline(signals: Signals, timer_seconds: list[float]) -> None:
    """A timer ends the process if what was asked to stop does not."""
    with signals.stopping(lambda: None):
        signals.receive(signal.SIGTERM)

    assert [STOP_TIMEOUT] == timer_seconds


@pytest.mark.usefixtures("timer_seconds")
def test_the_second_signal_ends_at_once(signals: Signals, ends: list[int]) -> None:
    """The second signal does not wait for what the first one began."""
    with signals.stopping(lambda: None):
        signals.receive(signal.SIGTERM)
        signals.receive(signal.SIGINT)

    assert [128 + signal.SIGINT] == ends


@pytest.mark.usefixtures("timer_seconds")
def test_the_second_signal_is_received_while_the_first_is_stuck(
    signals: Signals, ends: list[int]
) -> None:
    """What stops is called in another thread, so that it cannot hold up the second signal."""
    stuck = threading.Event()
    with signals.stopping(stuck.wait):
        signals.receive(signal.SIGTERM)
        signals.receive(signal.SIGTERM)

    assert [128 + signal.SIGTERM] == ends
    stuck.set()


def test_blocks_nest(signals: Signals, ends: list[int]) -> None:
    """After an inner block, the outer one is stopped again; after that, the process ends."""
    with signals.stopping(lambda: None), signals.stopping(lambda: None):
        pass
    signals.receive(signal.SIGTERM)

    assert [signal.SIGTERM] == ends


def test_hangup_reloads(signals: Signals, ends: list[int]) -> None:
    """Within a block that can reload, each SIGHUP does."""
    reloads: list[bool] = []
    with signals.reloading(lambda: reloads.append(True)):
        signals.receive(signal.SIGHUP)
        signals.receive(signal.SIGHUP)

    assert ([True, True], []) == (reloads, ends)


def test_an_early_hangup_is_remembered(signals: Signals) -> None:
    """Signals before the block lead to one reload, at its start."""
    reloads: list[bool] = []
    signals.receive(signal.SIGHUP)
    signals.receive(signal.SIGHUP)
    with signals.reloading(lambda: reloads.append(True)):
        pass
    with signals.reloading(lambda: reloads.append(False)):
        pass

    assert [True] == reloads


def test_no_more_threads(
    signals: Signals, ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started, the process ends at once."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with signals.stopping(lambda: None):
        signals.receive(signal.SIGTERM)

    assert [signal.SIGTERM] == ends
