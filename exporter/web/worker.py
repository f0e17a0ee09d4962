"""Threads for work that would stop the event loop."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker(Executor):
    """Makes calls in daemon threads, in the order in which they were submitted.

    At most ``threads`` calls run at the same time; each of the first ones starts a thread.

    The executors of the standard library make the process wait for their threads when it ends. A
    file system that hangs, or an expensive hash, would delay that.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name = name
        self._missing = threads
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], object]]] = SimpleQueue()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return the future result of a call; only the thread of the event loop may submit."""
        future: Future[T] = Future()
        self._queue.put((future, partial(function, *args, **kwargs)))
        if self._missing:
            self._missing -= 1
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return future

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
