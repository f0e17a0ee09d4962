"""Pieces: what was compressed separately is one valid gzip member when joined."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.publish.gzip import Piece, compressed, joined

texts = st.lists(st.binary(max_size=200), max_size=6)


@given(texts, st.binary(max_size=200))
def test_plain(parts: list[bytes], last: bytes) -> None:
    """The plain body is the texts of its pieces in order, then the last lines."""
    body = joined(compressed(part) for part in parts)

    assert b"".join(parts) + last == b"".join(body.plain(last))


@given(texts, st.binary(max_size=200))
def test_gzipped(parts: list[bytes], last: bytes) -> None:
    """The compressed body is exactly one gzip member, and unpacks to the plain one."""
    body = joined(compressed(part) for part in parts)
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)

    unpacked = reader.decompress(b"".join(body.gzipped(last)))

    assert b"".join(body.plain(last)) == unpacked
    assert reader.eof
    assert b"" == reader.unused_data


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.data())
def test_pieces_are_independent(parts: list[bytes], data: st.DataObject) -> None:
    """A piece can be part of any body, at any place, any number of times."""
    pieces = [compressed(part) for part in parts]
    order = data.draw(st.lists(st.sampled_from(range(len(parts))), max_size=8))

    unpacked = gzip.decompress(b"".join(joined(pieces[one] for one in order).gzipped(b"")))

    assert b"".join(parts[one] for one in order) == unpacked


def test_other_last_lines() -> None:
    """A body can be closed with other last lines each time, and does not change."""
    body = compressed(b"some lines\n" * 1000)

    sizes = [len(gzip.decompress(b"".join(body.gzipped(b"x" * size)))) for size in (0, 7, 0)]

    assert [11_000, 11_007, 11_000] == sizes


@given(st.lists(texts, max_size=4), st.binary(max_size=50))
def test_joined_again(groups: list[list[bytes]], last: bytes) -> None:
    """Pieces may be joined in steps: the result is the same as in one step."""
    pieces = [[compressed(part) for part in parts] for parts in groups]
    text = b"".join(part for parts in groups for part in parts)

    stepwise = joined(joined(group) for group in pieces)

    assert joined(one for group in pieces for one in group) == stepwise
    assert text + last == gzip.decompress(b"".join(stepwise.gzipped(last)))


def test_checksum_of_large_pieces() -> None:
    """The checksum is right where pieces are as long as those of a large page."""
    one, other = bytes(range(256)) * 70_000, b"sentry " * 1_234_567

    body = joined([compressed(one), compressed(other)])

    assert zlib.crc32(one + other) == body.crc


def test_copies_nothing() -> None:
    """The chunks of a body are those of its pieces, however often it is read."""
    one = compressed(b"some lines\n")

    body = joined([one])

    assert one.texts[0] is body.plain(b"")[0]
    assert one.deflated[0] is body.gzipped(b"")[1]


def test_compresses() -> None:
    """Similar lines compress well."""
    lines = (f'sentry_stats_bucket_events{{project="{n}"}} 1\n' for n in range(1000))
    piece = compressed("".join(lines).encode())

    assert len(piece.deflated[0]) < piece.size / 8


def test_size_wraps() -> None:
    """The size in the trailer is modulo 2**32, as RFC 1952 wants it."""
    huge = Piece(size=2**32 + 5)

    assert (7).to_bytes(4, "little") == b"".join(huge.gzipped(b"xx"))[-4:]
