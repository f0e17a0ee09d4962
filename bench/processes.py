"""Processes to measure in, and what the operating system knows of a process."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


class Channel(Protocol):
    """One end of a pipe between two processes."""

    def send(self, value: Any, /) -> None:
        """Send ``value``."""

    def recv(self) -> Any:
        """Wait for a value and return it; raises EOFError where the other end is gone."""

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Return whether a value arrives within ``timeout`` seconds; ``None`` waits for one."""


@contextmanager
def worker(work: Callable[..., None], *arguments: object) -> Iterator[Channel]:
    """Run ``work(channel, *arguments)`` in a fresh interpreter until the end of the block.

    The block gets the other end of the channel.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def result(work: Callable[..., None], *arguments: object) -> Any:
    """Return the one thing that ``work`` sends, run in a fresh interpreter."""
    with worker(work, *arguments) as channel:
        return channel.recv()


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that ``work`` takes by a clock, without freeing what it returns."""
    began = clock()
    returned = work()
    seconds = clock() - began
    del returned
    return seconds


def processor(pid: int) -> float:
    """Return the seconds of CPU that all threads of a process have used, ended ones included."""
    # The id of the clock is made as clock_getcpuclockid(3) makes it; /proc has only ticks of 10 ms.
    return time.clock_gettime(~pid << 3 | 2)


def resident(pid: int | str = "self") -> int:
    """Return the bytes of memory that a process has now."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.removesuffix("kB")) * 1024
    raise LookupError("VmRSS")
