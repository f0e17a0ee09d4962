"""Listening sockets that the service manager opened (systemd.socket, sd_listen_fds)."""

import os
import re
import socket
from collections.abc import MutableMapping, Sequence
from typing import Final

_FIRST: Final = 3
"""The number of the first descriptor that is passed."""

_COUNT: Final = r"[1-9][0-9]{0,9}"

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class InheritedSocketsError(Exception):
    """Sockets that were not passed, or that cannot be used."""


def inherited_sockets(
    environment: MutableMapping[str, str], first: int = _FIRST
) -> Sequence[socket.socket]:
    """Return the sockets that ``environment`` announces, and remove the announcement.

    Raises `InheritedSocketsError` if there are none, or one is not a listening TCP socket.
    """
    pid, count, _ = (environment.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or re.fullmatch(_COUNT, count) is None:
        raise InheritedSocketsError(
            "the service manager has passed no sockets to this process: start it by its .socket "
            "unit, which needs ListenStream= and the same name as the service"
        )
    return [_listener(number) for number in range(first, first + int(count))]


def _listener(number: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
    except OSError as error:
        raise InheritedSocketsError(f"descriptor {number} is not a socket: {error}") from None
    if not _is_usable(listener):
        listener.close()
        raise InheritedSocketsError(
            f"descriptor {number} is not a listening TCP socket: "
            "its .socket unit needs ListenStream= with a port, and Accept=no"
        )
    listener.set_inheritable(False)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _is_usable(listener: socket.socket) -> bool:
    is_tcp = listener.family in {socket.AF_INET, socket.AF_INET6}
    is_stream = listener.type == socket.SOCK_STREAM
    accepts = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return is_tcp and is_stream and bool(accepts)
