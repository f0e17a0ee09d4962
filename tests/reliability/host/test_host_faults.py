"""A host that fails for a while: the page lives, and afterwards the counters equal the truth."""

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.reliability.host.hosts import Host, hosted
from tests.support.programs import TIMEOUT, wait_until

MAX_LOG: Final = 30_000
"""Characters of the log of a short life, whatever fails in it."""

STEPS: Final = 4
"""Polls that are due while something fails."""


Actions = tuple[Callable[[Host], object], Callable[[Host], object]]
"""What lets something fail, and what mends it."""


@dataclass(frozen=True)
class Fault:
    """What fails, and how that shows: ``shown`` is looked at once a poll is due.

    The page ``lives`` meanwhile, unless there is no descriptor for its connection.
    """

    actions: Actions
    shown: Callable[[Host], bool]
    lives: bool = True


def _failed(reason: str) -> Callable[[Host], bool]:
    return lambda host: host.value("sentry_stats_poll_failures_total", reason=reason) > 0


def _logged(text: str) -> Callable[[Host], bool]:
    return lambda host: text in host.log()


def _limit(what: int, soft: Callable[[Host], int]) -> Actions:
    return lambda host: host.limit(what, soft(host)), lambda host: host.limit(what, None)


def _flag(name: str) -> Actions:
    return lambda host: (host.folder / name).touch(), lambda host: (host.folder / name).unlink()


def _moved(suffix: str) -> Actions:
    def move(host: Host, *, back: bool) -> None:
        path = host.state.with_name(f"{host.state.name}{suffix}")
        pair = path, path.with_name("moved")
        source, target = reversed(pair) if back else pair
        source.rename(target)

    return partial(move, back=False), partial(move, back=True)


def _replaced(host: Host) -> None:
    host.state.rename(host.folder / "moved")
    host.state.touch()


def _refuses(host: Host) -> bool:
    """Return whether a connection that the daemon cannot accept is in the log."""
    port = int(host.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), TIMEOUT):
        return "cannot accept connections" in host.log()


def _is_alive(host: Host) -> bool:
    return host.program.process.poll() is None


def _descriptors(host: Host) -> int:
    return len(list(Path(f"/proc/{host.pid}/fd").iterdir()))


def _address_space(host: Host) -> int:
    pages = int(Path(f"/proc/{host.pid}/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


FAULTS: Final = {
    "a disk without space": Fault(
        _limit(resource.RLIMIT_FSIZE, lambda _: 8192), shown=_failed("state")
    ),
    "a slow disk": Fault(
        _flag("slow-disk"), shown=lambda host: (host.folder / "slow-disk").exists()
    ),
    "a state file that is moved": Fault(_moved(""), shown=_failed("state")),
    "a log of the state file that is moved": Fault(_moved("-wal"), shown=_failed("state")),
    "a state file that is replaced": Fault(
        (_replaced, lambda host: (host.folder / "moved").replace(host.state)),
        shown=_failed("state"),
    ),
    "no thread": Fault(_flag("no-threads"), shown=_logged("cannot start polls")),
    "no descriptor": Fault(
        _limit(resource.RLIMIT_NOFILE, _descriptors),
        shown=_refuses,
        lives=False,
    ),
    "no memory": Fault(_limit(resource.RLIMIT_AS, _address_space), shown=_is_alive),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a host with a daemon, on which one thing fails after the other."""
    with hosted(tmp_path_factory.mktemp("host")) as host:
        host.go_on()
        yield host


@pytest.mark.parametrize("name", FAULTS)
def test_faults(host: Host, tried: Callable[[str, int], None], name: str) -> None:
    """Pages go on, the log stays short, and in the end nothing is lost or counted twice."""
    fault = FAULTS[name]
    before = len(host.log())
    with _failing(host, fault):
        host.pass_time(300)
        if fault.lives:
            for _ in range(STEPS):
                host.page()
                host.pass_time(300)
        wait_until(lambda: fault.shown(host), host.log)

    assert "" == host.differences()
    assert len(host.log()) - before < MAX_LOG
    tried("faults of the host", 1)


@contextmanager
def _failing(host: Host, fault: Fault) -> Iterator[None]:
    fail, mend = fault.actions
    fail(host)
    try:
        yield
    finally:
        mend(host)
