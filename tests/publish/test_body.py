"""Bodies: what was compressed in pieces is one valid gzip member."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.publish.gzip import body, piece

texts = st.lists(st.binary(max_size=200), max_size=6)


@given(texts, st.binary(max_size=200))
def test_plain(parts: list[bytes], last: bytes) -> None:
    """The plain body is its pieces one behind the other, and its last lines."""
    whole = body([piece(part) for part in parts])

    assert b"".join(parts) + last == b"".join(whole.plain(last))


@given(texts, st.binary(max_size=200))
def test_gzipped(parts: list[bytes], last: bytes) -> None:
    """The compressed body is exactly one gzip member, and holds the plain one."""
    whole = body([piece(part) for part in parts])
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)

    unpacked = reader.decompress(b"".join(whole.gzipped(last)))

    assert b"".join(whole.plain(last)) == unpacked
    assert reader.eof
    assert b"" == reader.unused_data


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.data())
def test_pieces_are_independent(parts: list[bytes], data: st.DataObject) -> None:
    """A piece can stand in any body, at any place, as often as one likes."""
    pieces = [piece(part) for part in parts]
    order = data.draw(st.lists(st.sampled_from(range(len(parts))), max_size=8))

    unpacked = gzip.decompress(b"".join(body([pieces[one] for one in order]).gzipped(b"")))

    assert b"".join(parts[one] for one in order) == unpacked


def test_reads_on() -> None:
    """A body may be closed with other last lines each time, and is not changed by it."""
    whole = body([piece(b"some lines\n" * 1000)])

    sizes = [len(gzip.decompress(b"".join(whole.gzipped(b"x" * size)))) for size in (0, 7, 0)]

    assert [11_000, 11_007, 11_000] == sizes


def test_copies_nothing() -> None:
    """The chunks of a body are the pieces themselves, however often it is read."""
    one = piece(b"some lines\n")

    whole = body([one])

    assert one.text is whole.plain(b"")[0]
    assert one.deflated is whole.gzipped(b"")[1]


def test_compresses() -> None:
    """Lines that resemble each other take little room."""
    lines = (f'sentry_stats_bucket_events{{project="{n}"}} 1\n' for n in range(1000))
    one = piece("".join(lines).encode())

    assert len(one.deflated) < len(one.text) / 8


def test_size_wraps() -> None:
    """The size in the trailer is that modulo 2**32, as gzip has it."""
    huge = body([piece(b"")])
    grown = type(huge)(huge.pieces, huge.crc, 2**32 + 5)

    assert (7).to_bytes(4, "little") == b"".join(grown.gzipped(b"xx"))[-4:]
