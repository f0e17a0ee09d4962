"""How values are written: the same on every machine."""

import sys
import zlib
from array import array

import pytest
from msgspec.msgpack import Decoder

from exporter.state.blobs import Numbers, as_numbers, from_numbers, pack, unpack


@pytest.mark.parametrize(
    ("numbers", "content"),
    [
        (array("I", [1, 2**32 - 1]), b"\x92\xa1I\xc4\x08\x01\0\0\0\xff\xff\xff\xff"),
        (array("Q", [2**40]), b"\x92\xa1Q\xc4\x08\0\0\0\0\0\x01\0\0"),
    ],
)
def test_numbers(numbers: "array[int]", content: bytes) -> None:
    """The width is written with the numbers, which are little-endian."""
    blob = pack(as_numbers(numbers))

    assert content == zlib.decompress(blob)
    assert numbers == from_numbers(unpack(blob, Decoder(Numbers)))


def test_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the other byte order swaps what it writes and reads, and nothing else."""
    numbers = array("I", [1])
    monkeypatch.setattr(sys, "byteorder", "big")

    written = as_numbers(numbers)

    assert ("I", b"\0\0\0\x01") == written
    assert array("I", [1]) == numbers == from_numbers(written)
