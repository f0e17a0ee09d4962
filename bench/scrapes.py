"""Scrapes of our page and of prometheus_client's, with the same series."""

import gzip
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import client_library, upstream
from bench.distribution import Distribution, in_turns
from bench.processes import timed, worker
from bench.scraper import Scraper
from bench.served import by_project, hours_later, served_series, started
from bench.sizes import Sizes
from bench.table import MILLISECONDS, PER_SECOND, Row, at_least, at_most, beside
from bench.trees import Tree

SCRAPERS: Final = 8

_VERIFIED_IN_TEXT: Final = 100_000
"""More series take the other side half a minute for each scrape."""

_TEXT: Final[Mapping[int, float]] = {1_000: 5, 10_000: 50, 100_000: 100, 1_000_000: 100}
_GZIP: Final[Mapping[int, float]] = {1_000: 10, 10_000: 60, 100_000: 300, 1_000_000: 300}


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Scrapes of one page of ours: their seconds, and the bytes of each."""

    seconds: Distribution
    size: int


def measure(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield a row for each size in text and in gzip, and how the time grows with the size."""
    ours: dict[bool, dict[int, list[Scrapes]]] = {False: {}, True: {}}
    for series, count in sizes.scrapes.items():
        with _servers(series, trees) as ports:
            for compressed, by_size in ours.items():
                row, by_size[series] = _compared(ports, series, count, compressed=compressed)
                yield row
    for compressed, by_size in ours.items():
        yield from _growth(by_size, compressed=compressed)


def measure_crowd(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield the requests per second of several scrapers at once, in text and in gzip."""
    with _servers(sizes.crowd, trees) as ports:
        for compressed in (False, True):
            rate = partial(_rate, seconds=sizes.seconds, compressed=compressed)
            *ours, against = map(
                Distribution, in_turns([partial(rate, port) for port in ports], sizes.rounds)
            )
            work = f"{SCRAPERS} scrapers at once, {sizes.crowd:,} series, {_form(compressed)}"
            target = at_least(100)
            yield beside(
                [
                    Row(work, one, against, PER_SECOND, one.median / against.median, target)
                    for one in ours
                ]
            )


@contextmanager
def _servers(series: int, trees: Sequence[Tree]) -> Iterator[Sequence[int]]:
    """Serve so many series from each tree and from the other side, and give the ports in order."""
    with ExitStack() as stack:
        against = stack.enter_context(worker(client_library.serve, series))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sentry = stack.enter_context(upstream.serving(series, hours=1))
        configuration = by_project(sentry, counters=False)
        ports = []
        for number, tree in enumerate(trees):
            served = stack.enter_context(started(tree, folder / str(number), configuration))
            served.poll(hours_later(1))
            ports.append(served.port)
            _verify(served.port, series, compressed=True)
        ports.append(against.recv())
        if series <= _VERIFIED_IN_TEXT:
            for port in ports:
                _verify(port, series, compressed=False)
        yield ports


def _verify(port: int, series: int, *, compressed: bool) -> None:
    """Check that what is compared is the same; raises ValueError if it is not."""
    with closing(Scraper(port, compressed=compressed)) as scraper:
        page = scraper.page()
    served = served_series(gzip.decompress(page) if compressed else page)
    if served != series:
        raise ValueError(f"{served} series are served instead of {series}")


def _compared(
    ports: Sequence[int], series: int, count: int, *, compressed: bool
) -> tuple[Row, list[Scrapes]]:
    with ExitStack() as stack:
        scrapers = [
            stack.enter_context(closing(Scraper(port, compressed=compressed))) for port in ports
        ]
        bytes_each = [scraper.scrape() for scraper in scrapers[:-1]]
        works = [partial(timed, scraper.scrape) for scraper in scrapers]
        *ours, against = map(Distribution, in_turns(works, count))
    target = at_least((_GZIP if compressed else _TEXT)[series])
    work = f"one scrape, {series:,} series, {_form(compressed)}"
    rows = [
        Row(work, one, against, MILLISECONDS, against.median / one.median, target) for one in ours
    ]
    return beside(rows), list(map(Scrapes, ours, bytes_each))


def _growth(by_size: Mapping[int, Sequence[Scrapes]], *, compressed: bool) -> Iterator[Row]:
    for (smaller, before), (larger, after) in pairwise(by_size.items()):
        work = f"scrape time over bytes, {larger:,} / {smaller:,} series, {_form(compressed)}"
        yield beside(
            [_grown(work, small, large) for small, large in zip(before, after, strict=True)]
        )


def _grown(work: str, before: Scrapes, after: Scrapes) -> Row:
    slower = after.seconds.median / before.seconds.median
    figure = slower / (after.size / before.size)
    return Row(work, after.seconds, before.seconds, MILLISECONDS, figure, at_most(1))


def _rate(port: int, seconds: float, *, compressed: bool) -> float:
    """Return the scrapes per second of several scrapers, each on a connection of its own."""
    counts: list[int] = []
    began = time.perf_counter()

    def scrape_on() -> None:
        count = 0
        with closing(Scraper(port, compressed=compressed)) as scraper:
            while time.perf_counter() < began + seconds:
                scraper.scrape()
                count += 1
        counts.append(count)

    threads = [threading.Thread(target=scrape_on) for _ in range(SCRAPERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def _form(compressed: bool) -> str:  # noqa: FBT001
    return "gzip" if compressed else "text"
