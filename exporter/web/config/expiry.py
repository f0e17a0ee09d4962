"""Until when the certificate of the server is valid, and when to warn that it ends."""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exporter.config.errors import Place, Problem
from exporter.moments import elapsed, iso
from exporter.web.config.pem import Source

WARN_BEFORE: Final = 14 * 86400
"""Seconds before its end from which a certificate gives a warning."""

_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_LONG: Final = 0x80
"""In a length of DER: the other bits are how many bytes the length has."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """The end of a certificate, in seconds since the epoch, and the place that names it."""

    not_after: float
    source: Source
    place: Place

    def has_passed(self, now: float) -> bool:
        """Return whether the certificate has expired."""
        return now > self.not_after

    def problem(self, now: float) -> Problem | None:
        """Return that the certificate has expired, or soon will; None if neither is so."""
        until, left = iso(self.not_after), self.not_after - now
        if self.has_passed(now):
            text = f"holds a certificate that has expired: it was valid until {until}"
        elif left < WARN_BEFORE:
            text = f"holds a certificate that expires in {elapsed(left)}: it is valid until {until}"
        else:
            return None
        return self.place.problem(self.source.flaw(text))


def not_after(pem: str) -> float | None:
    """Return until when the first certificate in ``pem`` is valid, in seconds since the epoch.

    None if it does not say so in the form of RFC 5280.
    """
    # Python's ssl has the fields of a peer's certificate and of authorities, not of its own.
    base64 = pem.partition("-----END")[0].partition("\n")[2]
    try:
        _, certificate = next(_elements(b64decode(base64)))
        _, signed = next(_elements(certificate))
        sequences = [content for tag, content in _elements(signed) if tag == _SEQUENCE]
        # The first ones are the algorithm of the signature and the issuer.
        _, (tag, written) = _elements(sequences[2])
        return _moment(tag, written.decode("ascii"))
    except (ValueError, IndexError, StopIteration):
        return None


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each element."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & _LONG:
            size = length & ~_LONG
            length = int.from_bytes(der[at : at + size])
            at += size
        yield tag, der[at : at + length]
        at += length


def _moment(tag: int, written: str) -> float:
    # A UTCTime has two digits of the year, and stands for 1950 to 2049.
    century = ("19" if written >= "50" else "20") if tag == _UTC_TIME else ""
    return datetime.strptime(f"{century}{written}", "%Y%m%d%H%M%S%z").timestamp()
