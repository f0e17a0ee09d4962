"""Listen addresses: from the flag to a listening socket."""

import re
import socket
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final

BACKLOG: Final = 128
"""Connections accepted at one go, and queued meanwhile; so also the files a burst can open."""

_ADDRESS: Final = re.compile(r"(?:\[([^\[\]]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})")
_MOST: Final = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: an empty ``host`` is every interface, ``port`` 0 one the system picks."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that a flag names.

    Raises ValueError, which says what is allowed.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > _MOST or not _is_version6(found[1]):
        allowed = "':10790', '127.0.0.1:10790', 'localhost:10790' or '[::1]:10790'"
        raise ValueError(f"{text!r} is no listen address: write it like {allowed}, port 0 to 65535")
    return Address(found[1] or found[2], int(found[3]))


def bind(address: Address) -> socket.socket:
    """Return a listening socket.

    Every interface means IPv6 and IPv4 where the system has both. A host name stands for its IPv4
    address where it has one. Raises OSError where the address is unknown, taken or not allowed.
    """
    if address.host in {"", "::"} and socket.has_dualstack_ipv6():
        listener = socket.create_server(
            ("", address.port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
        )
    else:
        family, where = _resolve(address)
        listener = socket.create_server(where, family=family, backlog=BACKLOG)
    # Accepted connections inherit it; without it small answers wait for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def bound_address(listener: socket.socket) -> Address:
    """Return where a socket listens, with the port that the system picked."""
    host, port, *_ = listener.getsockname()
    return Address(host, port)


def _resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str | int | bytes, ...]]:
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, where


def _is_version6(host: str | None) -> bool:
    try:
        return host is None or bool(IPv6Address(host))
    except AddressValueError:
        return False
