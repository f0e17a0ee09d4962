"""Bodies of answers, put together from pieces that were rendered and compressed when data changed.

A piece is compressed once, into a deflate stream that ends on a byte and refers to nothing before
it (RFC 1951 leaves that open; zlib calls it a full flush). Compressed pieces can therefore stand
one behind the other in any body, and a few lines written for one scrape can close the stream: the
whole is a single valid gzip member (RFC 1952).
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.publish.crc import behind, shift_of

_LEVEL: Final = 3
_CHUNK: Final = 1 << 18
_RAW: Final = -zlib.MAX_WBITS
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a body, the same as part of a deflate stream, and what stands for both.

    ``text`` is in chunks, since joining a large page costs as much as filling it. ``crc`` and
    ``shift`` are what the checksum of a body is made of.
    """

    text: Sequence[bytes]
    deflated: bytes
    size: int
    crc: int
    shift: int


def piece(text: Iterable[bytes]) -> Piece:
    """Return ``text``, in any number of parts, as a piece."""
    chunks = tuple(_chunks(text))
    size, crc = sum(map(len, chunks)), 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return Piece(chunks, _deflate(chunks, zlib.Z_FULL_FLUSH), size, crc, shift_of(size))


def _chunks(text: Iterable[bytes]) -> Iterator[bytes]:
    """Put what is small together."""
    pending: list[bytes] = []
    size = 0
    for part in text:
        pending.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield b"".join(pending)
            pending, size = [], 0
    if size:
        yield b"".join(pending)


@dataclass(frozen=True, slots=True)
class Body:
    """A body but for its last lines; ``crc`` and ``size`` are those of its text."""

    pieces: Sequence[Piece]
    crc: int
    size: int

    def plain(self, last: bytes) -> list[bytes]:
        """Return the chunks of the body, closed with ``last``."""
        return [*(chunk for one in self.pieces for chunk in one.text), last]

    def gzipped(self, last: bytes) -> list[bytes]:
        """Return the chunks of the body as one gzip member, closed with ``last``."""
        size = (self.size + len(last)) & 0xFFFFFFFF
        trailer = struct.pack("<LL", zlib.crc32(last, self.crc), size)
        end = _deflate([last], zlib.Z_FINISH) + trailer
        return [_GZIP_HEADER, *(one.deflated for one in self.pieces), end]


def body(pieces: Sequence[Piece]) -> Body:
    """Return ``pieces`` as a body."""
    crc = 0
    for one in pieces:
        crc = behind(crc, one.crc, one.shift)
    return Body(tuple(pieces), crc, sum(one.size for one in pieces))


def _deflate(chunks: Sequence[bytes], ending: int) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return b"".join([*map(packer.compress, chunks), packer.flush(ending)])
