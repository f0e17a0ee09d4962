"""Starts threads, and never waits for one."""

import _thread
from collections.abc import Callable


def start_thread(work: Callable[[], object]) -> None:
    """Run ``work`` in a daemon thread; raises RuntimeError where the host gives none.

    `threading.Thread.start` waits until the thread runs. That is for ever where there is no memory
    for its first steps: such a thread ends before it does anything, without an exception here.
    """
    _thread.start_new_thread(work, ())
