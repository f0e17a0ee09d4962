"""The names in a client's certificate."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

_KINDS = frozenset({"DNS", "email", "IP Address", "URI"})


def names_of(certificate: Mapping[str, Any]) -> Iterable[str]:
    """Return the subject alternative names of a certificate, as ``getpeercert`` returns it."""
    return {
        canonical(value) for kind, value in certificate.get("subjectAltName", ()) if kind in _KINDS
    }


def canonical(name: str) -> str:
    """Return a name in the form in which names are compared: addresses can be written in many."""
    try:
        return str(ip_address(name.strip()))
    except ValueError:
        return name
