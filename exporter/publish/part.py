"""Parts of the page, by organization and query. Pure.

The name of a part is that of an organization, ``acme``; of one of its queries, ``acme/projects``;
of its lines that belong to no query, ``acme/``; or ``/``, of the lines of no organization. No name
of an organization or query contains a slash.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from exporter.publish.blocks import Blocks
from exporter.publish.family import Family, Key
from exporter.publish.gzip import Piece, compressed, joined

EXPORTER: Final = "/"
"""The name of the part about the exporter itself."""

_AFTER: Final = "\0"
"""Added to a name, it makes one that comes after it and before any other."""


class Range(NamedTuple):
    """The keys of a part, from ``first`` to before ``end``.

    Of two ranges that overlap, one contains the other.
    """

    first: Key
    end: Key


def range_of(name: str) -> Range:
    """Return the keys of the part that is called ``name``."""
    organization, slash, query = name.partition("/")
    if name == EXPORTER:
        return Range((), ("",))
    if not slash:
        return Range((organization,), (organization + _AFTER,))
    if not query:
        return Range((organization,), (organization, ""))
    return Range((organization, query), (organization, query + _AFTER))


def outermost(ranges: Iterable[Range]) -> Iterator[Range]:
    """Yield ``ranges`` in order, without those that are inside of another one."""
    end: Key = ()
    # Of those that begin at the same key, the longest one first.
    longest_first = sorted(set(ranges), key=lambda one: one.end, reverse=True)
    for one in sorted(longest_first, key=lambda one: one.first):
        if one.first >= end:
            end = one.end
            yield one


def part_of(
    blocks: Mapping[Family, Blocks],
    headers: Sequence[bytes],
    ranges: Collection[Range],
    *,
    to_compress: bool,
) -> Piece:
    """Return the blocks within ``ranges``, which do not overlap, below the headers of their family.

    Chunks that are inside of a part are as they are on the page. What is at its borders is copied,
    and compressed if it is ``to_compress``.
    """
    pieces: list[Piece] = []
    texts: list[bytes] = []
    for header, present in zip(headers, blocks.values(), strict=True):
        chunks = [chunk for one in ranges for chunk in present.within(one.first, one.end)]
        texts += [header] * bool(chunks)
        for chunk in chunks:
            if chunk.is_on_page:
                pieces += [_piece(texts, to_compress=to_compress), chunk.piece]
                texts = []
            else:
                texts.append(chunk.text)
    return joined([*pieces, _piece(texts, to_compress=to_compress)])


def _piece(texts: Sequence[bytes], *, to_compress: bool) -> Piece:
    text = b"".join(texts)
    if not text:
        return Piece()
    return compressed(text) if to_compress else Piece((text,), size=len(text))
