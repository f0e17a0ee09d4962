"""The page in gzip, as it is served, against zstd, which was not built for it.

The targets are the figures from which on zstd would be worth its dependency and its CPU.
"""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import zstandard

from bench.distribution import Distribution, in_turns
from bench.pipeline import FINISHED, Feed, Pipeline, as_served, configuration, gzipped
from bench.processes import Channel, result, timed
from bench.samples import hour
from bench.sizes import Sizes
from bench.table import MEGABYTES, MILLISECONDS, Row, Unit, at_most

LEVELS: Final = (1, 3, 9)

_MAX_WINDOW: Final = 23
"""The logarithm of 8 MiB, the largest window that RFC 9659 lets a server use."""

_POLLS: Final = 3
"""At the first poll all counters are 0, which any compression likes."""

_MAX_SERIES: Final = 100_000
_GZIP: Final = zlib.MAX_WBITS | 16


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield three rows for each size of page and each level: size, unpacking, and compressing."""
    for series in [one for one in sizes.scrapes if one <= _MAX_SERIES][-2:]:
        text = result(send_page, series)
        for level in LEVELS:
            yield from _rows(f"{series:,} series, zstd {level}", text, level, sizes.answers)


def send_page(parent: Channel, series: int) -> None:
    """Send the page of a query with so many series, whose counters have increased for a while."""
    as_served()
    feed = Feed(series, {}, max_rows=series)
    pipeline = Pipeline(feed, configuration())
    for turn in range(_POLLS):
        feed.hours[FINISHED] = hour(series, FINISHED, turn)
        pipeline.poll()
    parent.send(b"".join(pipeline.page.chunks(openmetrics=False, compressed=False)))


def _rows(work: str, text: bytes, level: int, rounds: int) -> Iterator[Row]:
    compressor = zstandard.ZstdCompressor(compression_params=_parameters(level, len(text)))
    unpacker = zstandard.ZstdDecompressor()
    ours, theirs = gzipped(text), compressor.compress(text)
    yield _row(f"size, {work}", [(float(len(ours)),), (float(len(theirs)),)], MEGABYTES, 1.47)
    unpacking = [lambda: zlib.decompress(ours, _GZIP), lambda: unpacker.decompress(theirs)]
    yield _row(f"to unpack, {work}", _timed(unpacking, rounds), MILLISECONDS, 4.9)
    compressing = [lambda: gzipped(text), lambda: compressor.compress(text)]
    yield _row(f"to compress, {work}", _timed(compressing, rounds), MILLISECONDS)


def _parameters(level: int, size: int) -> zstandard.ZstdCompressionParameters:
    usual = zstandard.ZstdCompressionParameters.from_level(level, source_size=size)
    return zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size, window_log=min(usual.window_log, _MAX_WINDOW)
    )


def _timed(works: Sequence[Callable[[], bytes]], rounds: int) -> Sequence[tuple[float, ...]]:
    """Return the seconds of CPU of each of ``works``, in turns."""
    return in_turns([partial(timed, work, time.process_time) for work in works], rounds)


def _row(
    work: str, sides: Sequence[tuple[float, ...]], unit: Unit, worthwhile: float | None = None
) -> Row:
    """Return how many times gzip's size or time is zstd's."""
    ours, against = map(Distribution, sides)
    target = None if worthwhile is None else at_most(worthwhile)
    return Row(work, ours, against, unit, ours.median / against.median, target)
