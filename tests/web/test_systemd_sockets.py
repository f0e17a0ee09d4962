"""Sockets that the service manager passes."""

import os
import socket
from contextlib import closing

import pytest

from exporter.web.systemd_sockets import InheritedSocketsError, inherited_sockets


def announced(count: int | str, pid: int | None = None) -> dict[str, str]:
    """Return the environment that announces sockets to a process, this one by default."""
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "a"}


def passed(listener: socket.socket) -> socket.socket:
    """Return a socket as it is inherited: the number of a copy of its descriptor."""
    with closing(listener):
        copy = listener.dup()
    copy.set_inheritable(True)
    return copy


def test_listening_socket() -> None:
    """A listening socket is taken, and the announcement removed, so that no child reads it."""
    copy = passed(socket.create_server(("127.0.0.1", 0)))
    environment = announced(1)
    (listener,) = inherited_sockets(environment, copy.detach())
    with closing(listener):
        assert socket.AF_INET == listener.family
        assert not listener.get_inheritable()
        assert {} == environment


@pytest.mark.parametrize(
    "environment",
    [
        {},
        announced(0),
        announced(1, pid=1),
        announced("one"),
        announced(-1),
        announced(5000 * "9"),
        announced("٣"),
        {"LISTEN_FDS": "1"},
    ],
)
def test_none(environment: dict[str, str]) -> None:
    """Sockets that are not announced to this process are not there."""
    with pytest.raises(InheritedSocketsError, match="has passed no sockets to this process"):
        inherited_sockets(environment)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
    ],
)
def test_unusable_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> None:
    """Only TCP sockets that listen can be served."""
    copy = passed(socket.socket(family, kind))
    with pytest.raises(InheritedSocketsError, match="is not a listening TCP socket"):
        inherited_sockets(announced(1), copy.detach())


def test_no_socket() -> None:
    """A descriptor of something else is refused."""
    with open(os.devnull) as file:  # noqa: PTH123
        number = os.dup(file.fileno())
    try:
        with pytest.raises(InheritedSocketsError, match=f"descriptor {number} is not a socket"):
            inherited_sockets(announced(1), number)
    finally:
        os.close(number)
