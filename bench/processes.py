"""Processes to measure in, and what the system says of the one that asks."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from exporter import log


class Channel(Protocol):
    """One end of a pipe between two processes."""

    def send(self, value: Any, /) -> None:
        """Send ``value``."""

    def recv(self) -> Any:
        """Wait for a value and return it; raises EOFError where the other end is gone."""

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Tell whether a value is there, within ``timeout`` seconds; ``None`` waits for one."""


@contextmanager
def worker(work: Callable[..., None], *arguments: object) -> Iterator[Channel]:
    """Run ``work(channel, *arguments)`` in a fresh interpreter until the end of the block.

    The block gets the other end of the channel.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_quietly, args=(work, there, *arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _quietly(work: Callable[..., None], *arguments: object) -> None:
    log.configure("error", "logfmt")
    work(*arguments)


def result(work: Callable[..., None], *arguments: object) -> Any:
    """Return the one thing that ``work`` sends, run in a fresh interpreter."""
    with worker(work, *arguments) as channel:
        return channel.recv()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes; what it returns is let go after the clock."""
    began = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - began
    del kept
    return seconds


def resident() -> int:
    """Return the bytes of memory that this process has now."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.removesuffix("kB")) * 1024
    raise LookupError("VmRSS")
