"""Bodies of answers, put together from pieces that were rendered and compressed when data changed.

A piece is compressed once, into a deflate stream that ends on a byte and refers to nothing before
it (RFC 1951 leaves that open; zlib calls it a full flush). Compressed pieces can therefore stand
one behind the other in any body, and a few lines written for one scrape can close the stream: the
whole is a single valid gzip member (RFC 1952).
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.publish.crc import behind, shift_of

_LEVEL: Final = 3
_RAW: Final = -zlib.MAX_WBITS
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a body, the same as part of a deflate stream, and what stands for both.

    ``crc`` and ``shift`` are what the checksum of a body is made of.
    """

    text: bytes
    deflated: bytes
    crc: int
    shift: int


def piece(text: bytes) -> Piece:
    """Return ``text`` as a piece."""
    deflated = _deflate(text, zlib.Z_FULL_FLUSH)
    return Piece(text, deflated, zlib.crc32(text), shift_of(len(text)))


@dataclass(frozen=True, slots=True)
class Body:
    """A body but for its last lines; ``crc`` and ``size`` are those of its text."""

    pieces: Sequence[Piece]
    crc: int
    size: int

    def plain(self, last: bytes) -> list[bytes]:
        """Return the chunks of the body, closed with ``last``."""
        return [*(one.text for one in self.pieces), last]

    def gzipped(self, last: bytes) -> list[bytes]:
        """Return the chunks of the body as one gzip member, closed with ``last``."""
        size = (self.size + len(last)) & 0xFFFFFFFF
        trailer = struct.pack("<LL", zlib.crc32(last, self.crc), size)
        end = _deflate(last, zlib.Z_FINISH) + trailer
        return [_GZIP_HEADER, *(one.deflated for one in self.pieces), end]


def body(pieces: Sequence[Piece]) -> Body:
    """Return ``pieces`` as a body."""
    crc = 0
    for one in pieces:
        crc = behind(crc, one.crc, one.shift)
    return Body(tuple(pieces), crc, sum(len(one.text) for one in pieces))


def _deflate(raw: bytes, ending: int) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return packer.compress(raw) + packer.flush(ending)
