"""Threads for work that would stop the event loop."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class NoThreadError(RuntimeError):
    """The host gives no thread for the call, which is not made."""


class Worker(Executor):
    """Makes calls in daemon threads, in the order in which they were submitted.

    At most ``threads`` calls run at the same time; each of the first ones starts a thread.

    The executors of the standard library make the process wait for their threads when it ends. A
    file system that hangs, or an expensive hash, would delay that.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name = name
        self._threads = threads
        self._started = 0
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], object]]] = SimpleQueue()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return the future result of a call; only the thread of the event loop may submit.

        Raises `NoThreadError` if there is no thread yet, and the host gives none.
        """
        future: Future[T] = Future()
        if self._started < self._threads:
            self._start()
        self._queue.put((future, partial(function, *args, **kwargs)))
        return future

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError as error:
            # With fewer threads, calls wait; the next one tries again to start another.
            if not self._started:
                raise NoThreadError(str(error)) from None
        else:
            self._started += 1

    def _run(self) -> None:
        while True:
            future, call = self._queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 - the future raises it again
                    future.set_exception(error)
            # An error's traceback holds this frame, which must not hold the error in turn.
            del future, call
