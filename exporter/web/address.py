"""Listen addresses: from the flag to the listening socket."""

import re
import socket
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final

BACKLOG: Final = 1024
"""Connections that the kernel queues until they are accepted.

When a thousand clients connect at once and the queue is full, the kernel drops the next one's
first packet, and that client tries again after a second.
"""

_ADDRESS: Final = re.compile(r"(?:\[([^\[\]]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})")
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; an empty ``host`` means every interface, ``port`` 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, example_port: int = 10790) -> Address:
    """Return the address that ``text`` names.

    Raises ValueError, which says what is allowed, with examples of ``example_port``.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > _MAX_PORT or not _is_version6(match[1]):
        hosts = ("", "127.0.0.1", "localhost", "[::1]")
        *first, last = (f"'{host}:{example_port}'" for host in hosts)
        raise ValueError(
            f"{text!r} is not a listen address: use {', '.join(first)} or {last},"
            " with port 0 to 65535"
        )
    return Address(match[1] or match[2], int(match[3]))


def bind(address: Address) -> socket.socket:
    """Return a listening socket.

    Every interface means IPv6 and IPv4, where the system has both. Of a host name, the IPv4
    address is preferred. Raises OSError if the address is unknown, in use or not allowed.
    """
    if address.host in {"", "::"} and socket.has_dualstack_ipv6():
        listener = socket.create_server(
            ("", address.port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
        )
    else:
        family, where = _resolve(address)
        listener = socket.create_server(where, family=family, backlog=BACKLOG)
    # Inherited by accepted connections; without it small answers wait for a delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def bound_address(listener: socket.socket) -> Address:
    """Return where a socket listens, with the actual port."""
    host, port, *_ = listener.getsockname()
    return Address(host, port)


def _resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str | int | bytes, ...]]:
    try:
        resolved = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:
        # What Python cannot encode for the resolver, such as an empty or a very long label.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    # min returns the first of equals: within a family, the resolver's order holds.
    family, _, _, _, where = min(resolved, key=lambda entry: entry[0] != socket.AF_INET)
    return family, where


def _is_version6(host: str | None) -> bool:
    try:
        return host is None or bool(IPv6Address(host))
    except AddressValueError:
        return False
