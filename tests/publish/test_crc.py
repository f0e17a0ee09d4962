"""Checksums of texts one behind the other."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.publish.crc import behind, shift_of


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_behind(one: bytes, other: bytes) -> None:
    """Two checksums make the one that zlib finds for the whole, whatever the texts."""
    whole = behind(zlib.crc32(one), zlib.crc32(other), shift_of(len(other)))

    assert zlib.crc32(one + other) == whole


def test_long() -> None:
    """So do those of texts that are as long as a large page."""
    one, other = bytes(range(256)) * 70_000, b"sentry " * 1_234_567

    whole = behind(zlib.crc32(one), zlib.crc32(other), shift_of(len(other)))

    assert zlib.crc32(other, zlib.crc32(one)) == whole
