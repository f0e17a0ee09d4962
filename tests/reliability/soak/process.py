"""The process of the exporter: all of ``serve``, ticking on the shared clock."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Channel, resident, worker
from exporter import log
from exporter.app import Exporter
from exporter.cli.run import tune_interpreter
from exporter.config import parsed, read
from exporter.reload import ConfigFile, Reloader
from exporter.state import State
from exporter.web.address import bind
from exporter.web.app import make_app
from exporter.web.server import Server
from tests.reliability.soak.clocks import SharedClock, use
from tests.support.programs import TIMEOUT
from tests.support.serving import ANY_PORT

STEP: Final = 30
"""Seconds between two ticks, which are every second in reality: the first retry is after ten."""

_LOOK: Final = 0.003

CLOCK: Final = "clock"
CONFIGURATION: Final = "config.yaml"
STATE: Final = "state"
LOG: Final = "log"
"""The files of an exporter, in its folder."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has at a moment: bytes of memory, threads and open files."""

    resident: int
    threads: int
    descriptors: int


class Life:
    """A process of the exporter, from its start to its end; ``url`` is where it is served."""

    def __init__(self, channel: Channel, folder: Path, began: float) -> None:
        self._channel = channel
        self._log = folder / LOG
        self.began = began
        self.url = f"http://127.0.0.1:{self._received()}"

    def run_until(self, moment: float) -> None:
        """Let the time pass until ``moment``, with everything that is due."""
        self.begin_to_run(moment)
        self._received()

    def begin_to_run(self, moment: float) -> None:
        """Begin to let the time pass until ``moment``."""
        self._channel.send(moment)

    def is_running(self) -> bool:
        """Return whether it has not yet got to the moment that was sent."""
        return not self._channel.poll()

    def usage(self) -> Usage:
        """Return what the process has now."""
        self._channel.send("usage")
        usage = self._received()
        assert isinstance(usage, Usage)
        return usage

    def stop(self) -> None:
        """End as after SIGTERM, and wait for that."""
        self._channel.send("stop")
        self._received()

    def _received(self) -> object:
        try:
            return self._channel.recv()
        except EOFError:
            raise AssertionError(f"the exporter ended\n{self._log.read_text('utf-8')}") from None


@contextmanager
def living(folder: Path, now: float) -> Iterator[Life]:
    """Run an exporter with the files in ``folder`` until the end of the block, which kills it."""
    with worker(_live, folder) as channel:
        yield Life(channel, folder, now)


def _live(parent: Channel, folder: Path) -> None:
    """Be the exporter: send the port, then do what is received, as long as there is a parent."""
    _log_to(folder / LOG)
    clock = SharedClock(folder / CLOCK)
    use(clock)
    tune_interpreter()
    path = folder / CONFIGURATION
    content = read(path)
    state = State(folder / STATE)
    exporter = Exporter(parsed(content, path), clock=clock.host, state=state)
    reloader = Reloader(exporter, ConfigFile(path, content))
    reloader.start()
    application = make_app(
        exporter.page,
        exporter,
        exporter.status,
        config=lambda: exporter.config,
        reload=reloader.request,
    )
    ready = threading.Event()
    server = Server(application, [bind(ANY_PORT)], started=ready.set)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(TIMEOUT)
    parent.send(server.addresses[0].port)
    while (request := parent.recv()) != "stop":
        if request == "usage":
            parent.send(_usage())
        else:
            _run_until(exporter, clock, request)
            parent.send(None)
    server.stop()
    thread.join(TIMEOUT)
    reloader.stop(TIMEOUT)
    exporter.loop.stop(TIMEOUT)
    state.close()
    parent.send(None)


def _log_to(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    log.configure("info", "logfmt")


def _run_until(exporter: Exporter, clock: SharedClock, moment: float) -> None:
    while clock.now < moment:
        clock.now = min(clock.now + STEP, moment)
        _tick(exporter, clock)
        # What a poll has left over is read a second later, as of the same time.
        while any(each.due(clock.host()) for each in exporter.queries):
            _tick(exporter, clock)


def _tick(exporter: Exporter, clock: SharedClock) -> None:
    exporter.loop.tick(clock.host())
    watched = 0.0
    while not exporter.loop.idle():
        # A poll that waits lets the time go on.
        if clock.now > watched:
            watched = clock.now
            exporter.loop.watch(clock.host())
        time.sleep(_LOOK)


def _usage() -> Usage:
    return Usage(
        resident(),
        _number_of("task"),
        _number_of("fd"),
    )


def _number_of(what: str) -> int:
    return sum(1 for _ in Path(f"/proc/self/{what}").iterdir())
