"""What SIGTERM, SIGINT and SIGHUP do, from the first instruction of the process.

The entry point calls `watch` before it imports anything else. From then on the signals are blocked
in every thread, and one waits for them. Unlike a handler, it acts while the main thread is in a
long call, such as the lookup of a name. Unlike a signal with the default action, a blocked one is
not lost where the process is PID 1.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

# Until `watch` is called, signals have their default action. So nothing is imported here that it
# does not need, not even `typing`.

STOP_TIMEOUT = 1.5
"""Seconds from the first signal until the process ends, whatever it is still waiting for."""

_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
_SERVERS = frozenset({"serve", "simulate", "demo"})
"""Commands that run until a signal comes, which is their success."""

_SIGNALLED = 128
"""What is added to a signal's number for the exit status of what it has interrupted."""


class Signals:
    """What to do about each signal that comes.

    ``status`` returns the exit status for the first signal to stop. ``end`` ends the process at
    once.
    """

    def __init__(
        self,
        status: Callable[[int], int] = lambda _number: 0,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._status = status
        self._end = end
        self._lock = threading.Lock()
        self._stop: Callable[[], object] | None = None
        self._reload: Callable[[], object] | None = None
        self._must_reload = False
        self._received = ""

    @property
    def received(self) -> str:
        """The name of the signal that stops the process, ``""`` if none came."""
        return self._received

    def receive(self, number: int) -> None:
        """Act on a signal. The second one to stop ends the process at once."""
        if number not in _STOPPING:
            self._request_reload()
        elif self._received:
            self._end(_SIGNALLED + number)
        else:
            self._begin_to_stop(number)

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call ``stop`` if a signal to stop comes during the block, instead of ending at once."""
        before, self._stop = self._stop, stop
        try:
            yield
        finally:
            self._stop = before

    @contextmanager
    def reloading(self, reload: Callable[[], object]) -> Iterator[None]:
        """Call ``reload`` if SIGHUP comes during the block, and if it came before."""
        with self._lock:
            self._reload = reload
            missed, self._must_reload = self._must_reload, False
        if missed:
            reload()
        try:
            yield
        finally:
            self._reload = None

    def _begin_to_stop(self, number: int) -> None:
        self._received = signal.Signals(number).name
        status, stop = self._status(number), self._stop
        if stop is None:
            self._end(status)
            return
        try:
            # In other threads: this one must be free for the second signal.
            _start(threading.Timer(STOP_TIMEOUT, self._end, [status]))
            _start(threading.Thread(target=stop, name="stop"))
        except RuntimeError:  # no more threads
            self._end(status)

    def _request_reload(self) -> None:
        with self._lock:
            reload = self._reload
            self._must_reload = reload is None
        if reload is not None:
            reload()


_signals = Signals()


def watch(arguments: Sequence[str]) -> None:
    """Begin to act on signals; ``arguments`` are those of the process, the command first."""
    global _signals  # noqa: PLW0603 - signals are of the process
    command = arguments[0] if arguments else ""
    watched = set(_STOPPING)
    if command == "serve":
        watched.add(signal.SIGHUP)
    else:
        # The image's entry point blocks SIGHUP. Only `serve` waits for it, so the other commands
        # unblock it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    ends_well = command in _SERVERS
    _signals = Signals(lambda number: 0 if ends_well else _SIGNALLED + number)
    _start(threading.Thread(target=_wait, args=(watched,), name="signals"))


def received() -> str:
    """Return the name of the signal that stops the process, ``""`` if none came."""
    return _signals.received


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` in another thread if a signal to stop comes during the block.

    Outside of such a block it ends the process. ``stop`` has `STOP_TIMEOUT` seconds until that
    happens anyway; a second signal does not wait for it either.
    """
    with _signals.stopping(stop):
        yield


@contextmanager
def reloading(reload: Callable[[], object]) -> Iterator[None]:
    """Call ``reload`` if SIGHUP comes during the block, or came before; it must return at once."""
    with _signals.reloading(reload):
        yield


def _wait(watched: set[signal.Signals]) -> None:
    while True:
        _signals.receive(signal.sigwait(watched))


def _start(thread: threading.Thread) -> None:
    thread.daemon = True
    thread.start()
