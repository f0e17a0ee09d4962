"""Blocks of lines by key: one text in the order of the keys, in chunks of a useful size."""

import tracemalloc
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.publish.blocks import Blocks
from exporter.publish.family import Key
from exporter.publish.gzip import Piece

CHUNK = 100


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """Let chunks be so small that a few blocks fill them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.publish.blocks._CHUNK", CHUNK)
        yield


def key(number: int) -> Key:
    """Return one of many keys, in the order of their numbers."""
    return "acme", f"{number:04d}"


def line(number: int, size: int = 20) -> bytes:
    """Return a block that tells of which key it is."""
    return f"{number:04d}".encode().ljust(size - 1) + b"\n" if size else b""


steps = st.lists(
    st.dictionaries(st.integers(0, 40), st.sampled_from([0, 0, 5, 20, 90, 250]), max_size=30),
    max_size=10,
)


@settings(deadline=None)
@given(steps)
def test_changes(steps: list[dict[int, int]]) -> None:
    """The text is that of the last blocks, and no two neighbouring chunks would fit into one."""
    blocks = Blocks()
    last: dict[int, bytes] = {}
    for sizes in steps:
        lines = {number: line(number, size) for number, size in sizes.items()}
        blocks = blocks.changed({key(number): block for number, block in lines.items()})
        last |= lines

        assert b"".join(last[number] for number in sorted(last)) == text_of(blocks.piece)
        assert all(len(one) + len(other) > CHUNK for one, other in pairwise(blocks.piece.texts))
        assert all(blocks.piece.texts)


def text_of(piece: Piece) -> bytes:
    """Return the text of ``piece``, after a comparison with what was compressed."""
    text = b"".join(piece.texts)

    assert zlib.crc32(text) == piece.crc
    assert len(text) == piece.size
    return text


def test_immutable() -> None:
    """A change leaves the blocks before it as they were."""
    before = Blocks().changed({key(number): line(number) for number in range(50)})
    text = text_of(before.piece)

    after = before.changed({key(number): b"" for number in range(40)})

    assert text == text_of(before.piece)
    assert b"".join(line(number) for number in range(40, 50)) == text_of(after.piece)


def test_same_blocks() -> None:
    """Blocks that are there already change nothing."""
    blocks = Blocks().changed({key(1): line(1)})

    assert blocks is blocks.changed({key(1): line(1), key(2): b""})


def test_merged_one_by_one() -> None:
    """What is left after many drops is in as few chunks as if nothing else had been there."""
    blocks = Blocks().changed({key(number): line(number) for number in range(500)})
    for number in range(500):
        if number % 100:
            blocks = blocks.changed({key(number): b""})

    assert (b"".join(line(number) for number in range(0, 500, 100)),) == blocks.piece.texts


def test_large_chunks_are_split() -> None:
    """Chunks that grow are split, so that a change never costs more than two of them."""
    blocks = Blocks()
    for number in range(500):
        blocks = blocks.changed({key(number): line(number)})

    assert max(map(len, blocks.piece.texts)) <= 2 * CHUNK
    assert len(blocks.piece.texts) >= 500 * 20 / (2 * CHUNK)


def test_change_costs_its_chunk() -> None:
    """All chunks but that of the change stay the same objects."""
    before = Blocks().changed({key(number): line(number) for number in range(500)})

    after = before.changed({key(250): line(999)})

    changed = [one for one in after.piece.texts if all(one is not it for it in before.piece.texts)]
    assert 1 == len(changed)


def test_large_block_is_not_copied() -> None:
    """The block of a query with many series is on the page as it was made."""
    large = line(2, 10_000)

    blocks = Blocks().changed({key(1): line(1, 90), key(2): large, key(3): line(3, 90)})

    assert any(large is one for one in blocks.piece.texts)


def test_small_blocks_are_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small blocks take little more memory than their text in the page does."""
    monkeypatch.setattr("exporter.publish.blocks._CHUNK", 1 << 16)

    tracemalloc.start()
    blocks = Blocks().changed({key(number): line(number, 1000) for number in range(1000)})
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 1_000_000 == blocks.piece.size
    assert size < 1.4 * blocks.piece.size
