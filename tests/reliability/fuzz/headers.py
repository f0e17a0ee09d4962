"""Headers of a request, as bytes of which anything may be wrong: fuzz targets."""

from typing import Final

from exporter.web.login import MAX_PASSWORD, parse_login
from exporter.web.negotiate import MAX_LENGTH, Exposition, choose, gzip_accepted

_SEPARATOR: Final = b"\n"


def negotiation(data: bytes) -> None:
    """Choose format and compression; the input is ``Accept`` and ``Accept-Encoding`` by lines."""
    accept, _, encoding = data.partition(_SEPARATOR)
    _check_accept(accept.decode("latin-1"))
    _check_encoding(encoding.decode("latin-1"))


def login(data: bytes) -> None:
    """Read a header ``Authorization``."""
    read = parse_login(data)
    assert read is None or (b":" not in read.name and len(read.password) <= MAX_PASSWORD)
    assert read is None or data[:6].lower() == b"basic "


def _check_accept(header: str) -> None:
    chosen = choose(header)
    assert chosen in Exposition
    if len(header) > MAX_LENGTH - 10:
        return
    # Empty elements mean nothing, nor does the case of a letter.
    assert chosen is choose(f" , ,{header}")
    if header.isascii():
        assert chosen is choose(header.swapcase())


def _check_encoding(header: str) -> None:
    accepted = gzip_accepted(header)
    if len(header) > MAX_LENGTH - 10:
        return
    assert accepted is gzip_accepted(f",, {header}")
    if header.isascii():
        assert accepted is gzip_accepted(header.swapcase())
    assert not gzip_accepted(f"gzip;q=0,{header}") or "gzip" in header.lower()
