"""A process of ``serve`` under a simulated clock, measured from the outside.

Only stable surfaces are used, so that an earlier revision is measured in the same way: the command
line, the page, and what the operating system knows of the process.
"""

import gzip
import math
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from bench.processes import processor, resident
from bench.samples import FAMILY, FIRST_HOUR, HOUR, ORGANIZATION, QUERY
from bench.scraper import Scraper
from bench.trees import Tree
from bench.upstream import Upstream

BEFORE: Final = FIRST_HOUR - HOUR + 600
"""A moment at which no hour with data has begun."""

LOOK: Final = 0.02
"""Seconds between two looks at a process."""

_TIMEOUT: Final = 600.0
_STOPPED_WITHIN: Final = 30.0
_IDLE: Final = 0.1
_IDLE_SHARE: Final = 0.05
"""A process is idle if it has used less than this share of a processor for `_IDLE` seconds."""

_TICKS: Final = 1.2
"""Seconds within which the poll loop has looked at the clock."""

_SOME_WORK: Final = 0.005
_LOOK_ANYWAY: Final = 2.0
"""The page is only read after so many seconds of CPU, or after so many seconds: reading costs."""

_SECONDS: Final = struct.Struct("d")
_HEAD: Final = """
  - slug: {organization}
    url: {url}
    token: {token}
    requests_per_second: 20
    queries:
"""
_QUERY: Final = "      - {{name: {name}, groupBy: [{dimensions}], counters: {counters}}}\n"
_DIMENSIONS: Final = "category, outcome, reason"


def by_project(upstream: Upstream, *, counters: bool = True) -> str:
    """Return a configuration with one query by project."""
    dimensions = f"project, {_DIMENSIONS}"
    queries = _queries([QUERY], dimensions, counters=counters)
    return "organizations:" + _organization(upstream, ORGANIZATION, queries)


def without_project(upstream: Upstream, queries: int) -> str:
    """Return a configuration with so many queries, each of one request a poll."""
    names = [f"query-{number:04d}" for number in range(queries)]
    text = _queries(names, _DIMENSIONS, counters=True)
    return "organizations:" + _organization(upstream, ORGANIZATION, text)


def of_organizations(upstream: Upstream, organizations: int) -> str:
    """Return a configuration with so many organizations of one query, each with its own token."""
    query = _queries([QUERY], _DIMENSIONS, counters=True)
    names = [f"{ORGANIZATION}-{number:04d}" for number in range(organizations)]
    return "organizations:" + "".join(_organization(upstream, name, query) for name in names)


def _organization(upstream: Upstream, name: str, queries: str) -> str:
    return _HEAD.format(organization=name, url=upstream.url, token=f"unused-{name}") + queries


def _queries(names: Iterable[str], dimensions: str, *, counters: bool) -> str:
    shown = str(counters).lower()
    return "".join(
        _QUERY.format(name=name, dimensions=dimensions, counters=shown) for name in names
    )


def samples_of(page: bytes, family: str) -> list[float]:
    """Return the values of a family's samples, in a page where it is followed by other families."""
    # Searched from the end: these families stand behind the data, which are long.
    start = page.rfind(f"\n# TYPE {family} ".encode())
    lines = page[start + 1 : page.find(b"\n# ", start + 1)] if start >= 0 else b""
    return [float(line.rpartition(b" ")[2]) for line in lines.splitlines()[1:]]


def served_series(page: bytes) -> int:
    """Return how many series of the compared family a page has."""
    return page.count(f"\n{FAMILY}{{".encode())


class Served:
    """A process of ``serve``; ``port`` is where its page is."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, clock: Path, log: Path) -> None:
        self._process = process
        self._clock = clock
        self._log = log
        self.port = port

    def processor(self) -> float:
        """Return the seconds of CPU that the process has used."""
        return processor(self._process.pid)

    def resident(self) -> int:
        """Return the bytes of memory that the process has."""
        return resident(self._process.pid)

    def set_clock(self, now: float) -> None:
        """Set the clock of the process."""
        set_clock(self._clock, now)

    def page(self, *, compressed: bool = True) -> bytes:
        """Return the page as text, an empty one while nothing listens.

        Reading it compressed takes less of the process, and more of the caller.
        """
        try:
            with closing(Scraper(self.port, compressed=compressed)) as scraper:
                page = scraper.page()
        except ConnectionRefusedError:
            return b""
        return gzip.decompress(page) if compressed else page

    def poll(self, now: float) -> float:
        """Set the clock, and wait for the poll of that moment; return the CPU that it took.

        Raises RuntimeError where that fails, or what was read is not proven complete.
        """
        before = self.processor()
        self.set_clock(now)
        self.wait_until(lambda: self.polled(now))
        return self.processor() - before

    def polled(self, now: float, *, compressed: bool = True) -> bool:
        """Return whether every query has been polled at ``now``, and nothing is left to be read.

        Raises RuntimeError where what was read is not proven complete.
        """
        page = self.page(compressed=compressed)
        if 0 in samples_of(page, "sentry_stats_complete"):
            raise RuntimeError("a poll did not read everything")
        succeeded = samples_of(page, "sentry_stats_last_success_timestamp_seconds")
        due = samples_of(page, "sentry_stats_next_poll_timestamp_seconds")
        return set(succeeded) == {now} and min(due, default=0) > now

    def polls(self) -> float:
        """Return how many polls there have been."""
        return sum(samples_of(self.page(), "sentry_stats_polls_total"))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until the process is idle and ``condition`` is true; raises RuntimeError."""
        deadline = time.monotonic() + _TIMEOUT
        used, looked = -math.inf, -math.inf
        while self._process.poll() is None and time.monotonic() < deadline:
            idle, now = self._idle(_IDLE), time.monotonic()
            if idle and (self.processor() - used > _SOME_WORK or now - looked > _LOOK_ANYWAY):
                if condition():
                    return
                used, looked = self.processor(), now
        raise RuntimeError(f"serve failed: {self._log.read_text('utf-8')[-2000:]}")

    def settle(self) -> None:
        """Wait until everything that was due has been polled."""
        while not self._idle(_TICKS):
            pass

    def stop(self) -> None:
        """End the process as a service manager does, and wait for it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOPPED_WITHIN)

    def _idle(self, seconds: float) -> bool:
        """Return whether the process is idle for so many seconds from now."""
        end, before = time.monotonic() + seconds, self.processor()
        while time.monotonic() < end:
            time.sleep(LOOK)
            if self.processor() - before > _IDLE_SHARE * seconds:
                return False
        return True


def set_clock(clock: Path, now: float) -> None:
    """Write the time into the file that a process reads it from."""
    # In place: the process has the file mapped into its memory.
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(_SECONDS.pack(now))


@contextmanager
def serving(
    tree: Tree, folder: Path, configuration: str, *, state: Path | None = None, now: float = BEFORE
) -> Iterator[Served]:
    """Start ``serve`` of ``tree`` at the moment ``now``, with its files in ``folder``."""
    folder.mkdir()
    config, clock, log = (folder / name for name in ("config.yaml", "clock", "log"))
    config.write_text(configuration, "utf-8")
    set_clock(clock, now)
    port = free_port()
    arguments = ["serve", "--config.file", str(config)]
    arguments += ["--web.listen-address", f"127.0.0.1:{port}"]
    arguments += [] if state is None else ["--state.path", str(state)]
    with (
        log.open("wb") as lines,
        subprocess.Popen(  # noqa: S603 - the exporter's own command
            tree.command(*arguments, clock=clock),
            stdout=lines,
            stderr=lines,
            env=tree.environment(),
        ) as process,
    ):
        try:
            yield Served(process, port, clock, log)
        finally:
            process.kill()


@contextmanager
def started(
    tree: Tree, folder: Path, configuration: str, *, state: Path | None = None
) -> Iterator[Served]:
    """Start ``serve``, and wait for its first poll, which finds no data."""
    with serving(tree, folder, configuration, state=state) as served:
        served.wait_until(lambda: served.polled(BEFORE))
        yield served


def hours_later(number: int) -> float:
    """Return the moment at which so many hours with data are finished."""
    return BEFORE + (number + 1) * HOUR


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
