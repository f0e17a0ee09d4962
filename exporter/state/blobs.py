"""Blobs: MessagePack in a zlib stream, whose checksum shows damage."""

import sys
import zlib
from array import array
from typing import Any, Final, Literal, TypeVar

from isal import isal_zlib
from msgspec import msgpack

_T = TypeVar("_T")

# Measured on 100,000 cells: level 1 takes 1.5 ms and 163 kB. Level 3 takes 2.7 ms for 3 % less, and
# zlib's own level 1 takes 8.6 ms for 5 % more. Bytes sorted by their place in a number save 5 %.
_LEVEL: Final = 1

Numbers = tuple[Literal["I", "Q"], bytes]
"""An array in a blob: unsigned numbers of 32 (``I``) or 64 (``Q``) bits, little-endian."""


def pack(value: object) -> bytes:
    """Return ``value`` as a blob."""
    return isal_zlib.compress(msgpack.encode(value), _LEVEL)


def unpack(blob: Any, decoder: msgpack.Decoder[_T]) -> _T:
    """Return the value in ``blob``; raises ValueError where there is none of the type."""
    try:
        content = zlib.decompress(blob)
    except (TypeError, zlib.error) as error:
        raise ValueError(str(error)) from error
    return decoder.decode(content)


def as_numbers(cells: "array[int]") -> Numbers:
    """Return ``cells`` for a blob."""
    if sys.byteorder == "big":
        cells = cells[:]
        cells.byteswap()
    return "I" if cells.typecode == "I" else "Q", cells.tobytes()


def from_numbers(numbers: Numbers) -> "array[int]":
    """Return the array in a blob; raises ValueError if the last number is cut off."""
    code, content = numbers
    cells = array(code)
    cells.frombytes(content)
    if sys.byteorder == "big":
        cells.byteswap()
    return cells
