"""The messages to systemd, received on a socket as systemd does."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from exporter.cli import run
from exporter.cli.systemd import STATUS_INTERVAL, Notifier
from exporter.config import Config
from exporter.shard import UNSHARDED
from exporter.web.address import bind
from tests.support.serving import ANY_PORT

SECOND: Final = 1_000_000


class Manager:
    """A service manager's socket, and a clock in microseconds."""

    def __init__(self, receiver: socket.socket, address: str) -> None:
        self.now = 5 * SECOND
        self._receiver = receiver
        self._address = address

    def notifier(self, **environment: str) -> Notifier:
        """Return a notifier for this manager."""
        return Notifier({"NOTIFY_SOCKET": self._address, **environment}, lambda: self.now)

    def received(self) -> list[str]:
        """Return the messages since the last call."""
        messages = []
        try:
            while True:
                messages.append(self._receiver.recv(4096).decode())
        except BlockingIOError:
            return messages


def listening(name: str) -> socket.socket:
    """Return a socket that receives datagrams, without waiting for them."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(name)
    receiver.settimeout(0)
    return receiver


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Return a manager with each kind of socket that systemd has."""
    address = (
        str(tmp_path / "notify") if request.param == "file" else f"@sentry-stats-{os.getpid()}"
    )
    with closing(listening(address.replace("@", "\0"))) as receiver:
        yield Manager(receiver, address)


def test_ready(manager: Manager) -> None:
    """Readiness comes with a status line."""
    manager.notifier().ready("all is well")

    assert ["READY=1\nSTATUS=all is well"] == manager.received()


def test_reloading(manager: Manager) -> None:
    """A reload begins with the time, which systemd requires, and ends with readiness."""
    notifier = manager.notifier()
    with notifier.reloading():
        assert [f"RELOADING=1\nMONOTONIC_USEC={5 * SECOND}"] == manager.received()

    assert ["READY=1"] == manager.received()


def test_a_failed_reload_ends_too(manager: Manager) -> None:
    """After a reload that raises, systemd does not wait for its end."""
    with pytest.raises(ValueError, match="bad"), manager.notifier().reloading():
        raise ValueError("bad")

    assert "READY=1" == manager.received()[-1]


def test_stopping(manager: Manager) -> None:
    """The beginning of the end is reported."""
    manager.notifier().stopping()

    assert ["STOPPING=1"] == manager.received()


def test_watchdog(manager: Manager) -> None:
    """While alive, a message is sent whenever half of the watchdog's time is over."""
    notifier = manager.notifier(WATCHDOG_USEC=str(2 * SECOND), WATCHDOG_PID=str(os.getpid()))
    sent = []
    for tick in range(9):
        manager.now = 5 * SECOND + tick * SECOND // 4
        notifier.tick(lambda: True, str)
        sent.append(len(manager.received()))

    assert [0, 0, 0, 0, 1, 0, 0, 0, 1] == sent


def test_watchdog_of_a_dead_loop(manager: Manager) -> None:
    """Nothing is sent while the exporter is not alive, and at once when it is again."""
    notifier = manager.notifier(WATCHDOG_USEC=str(2 * SECOND))
    manager.now += 2 * SECOND
    notifier.tick(lambda: False, str)
    dead = manager.received()
    notifier.tick(lambda: True, str)

    assert ([], ["WATCHDOG=1"]) == (dead, manager.received())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9" * 400},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "0"},
    ],
    ids=str,
)
def test_no_watchdog(manager: Manager, environment: dict[str, str]) -> None:
    """Without a watchdog for this process, nothing is sent for it."""
    notifier = manager.notifier(**environment)
    manager.now += 3600 * SECOND
    notifier.tick(lambda: True, str)

    assert [] == manager.received()


def test_status_is_sent_when_it_changes(manager: Manager) -> None:
    """The status is looked at every few seconds, and sent if it is another one."""
    notifier = manager.notifier()
    notifier.ready("0 of 1")
    manager.received()
    sent = []
    for status in ("0 of 1", "1 of 1", "1 of 1"):
        manager.now += STATUS_INTERVAL
        notifier.tick(lambda: True, lambda status=status: status)  # type: ignore[misc]
        # Too early for another look.
        notifier.tick(lambda: True, lambda: "never")
        sent += manager.received()

    assert ["STATUS=1 of 1"] == sent


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "vsock:2:1234", "@", "x" * 200])
def test_no_socket_never_hurts(address: str | None) -> None:
    """Without a socket that can be written to, nothing is sent and nothing fails."""
    environment = {} if address is None else {"NOTIFY_SOCKET": address}
    notifier = Notifier(environment)
    with notifier.reloading():
        notifier.ready("ready")
        notifier.stopping()


def test_a_manager_that_does_not_read_never_hurts(manager: Manager) -> None:
    """Once the manager's queue is full, messages are dropped instead of waiting."""
    notifier = manager.notifier()
    for _ in range(10_000):
        notifier.stopping()

    assert 0 < len(manager.received()) < 10_000


def test_the_end_is_reported_when_it_begins(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal to stop is reported at once, and not when the server has stopped."""

    @contextmanager
    def stopping(stop: Callable[[], object]) -> Iterator[None]:
        """Stop before the server has begun to serve."""
        stop()
        yield

    monkeypatch.setattr(run, "tune_interpreter", lambda: None)
    monkeypatch.setattr(run, "Notifier", manager.notifier)
    monkeypatch.setattr("exporter.signals.stopping", stopping)
    sockets = [bind(ANY_PORT)]
    run.serve_until_stopped(Config((), ()), sockets, None, UNSHARDED, lambda _addresses: None)

    assert ["STOPPING=1", "READY=1"] == [text.split("\n")[0] for text in manager.received()]
