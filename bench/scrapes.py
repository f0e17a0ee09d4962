"""Scrapes of our page and of prometheus_client's, with the same series."""

import gzip
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from bench import client_library, our_server
from bench.distribution import Distribution, in_turns
from bench.processes import timed, worker
from bench.samples import FAMILY
from bench.scraper import Scraper
from bench.sizes import Sizes
from bench.table import MILLISECONDS, PER_SECOND, Row, at_least, at_most

SCRAPERS: Final = 8

_TEXT: Final[Mapping[int, float]] = {1_000: 5, 10_000: 50, 100_000: 100, 1_000_000: 100}
_GZIP: Final[Mapping[int, float]] = {1_000: 10, 10_000: 60, 100_000: 300, 1_000_000: 300}


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Our scrapes of one page: their seconds, and the bytes of each."""

    seconds: Distribution
    size: int


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each size in text and in gzip, and how the time grows with the size."""
    ours: dict[bool, dict[int, Scrapes]] = {False: {}, True: {}}
    for series, count in sizes.scrapes.items():
        with _servers(series) as ports:
            for compressed, by_size in ours.items():
                row, by_size[series] = _compared(ports, series, count, compressed=compressed)
                yield row
    for compressed, by_size in ours.items():
        yield from _growth(by_size, compressed=compressed)


def measure_crowd(sizes: Sizes) -> Iterator[Row]:
    """Yield the requests per second of several scrapers at once, in text and in gzip."""
    with _servers(sizes.crowd) as (ours, against):
        for compressed in (False, True):
            rates = in_turns(
                partial(_rate, ours, sizes.seconds, compressed=compressed),
                partial(_rate, against, sizes.seconds, compressed=compressed),
                sizes.rounds,
            )
            our_rates, their_rates = map(Distribution, rates)
            yield Row(
                f"{SCRAPERS} scrapers at once, {sizes.crowd:,} series, {_form(compressed)}",
                our_rates,
                their_rates,
                PER_SECOND,
                our_rates.median / their_rates.median,
                at_least(100),
            )


@contextmanager
def _servers(series: int) -> Iterator[tuple[int, int]]:
    """Serve so many series from either side, and give the ports."""
    with worker(our_server.serve, series) as ours, worker(client_library.serve, series) as against:
        ports = ours.recv(), against.recv()
        for port in ports:
            _verify(port, series)
        yield ports


def _verify(port: int, series: int) -> None:
    """Make sure that what is compared is the same; raises ValueError if it is not."""
    for compressed in (False, True):
        with closing(Scraper(port, compressed=compressed)) as scraper:
            page = scraper.page()
        served = served_series(gzip.decompress(page) if compressed else page)
        if served != series:
            raise ValueError(f"{served} series are served in place of {series}")


def served_series(page: bytes) -> int:
    """Return how many samples a page has of the family that is compared."""
    return page.count(f"\n{FAMILY}{{".encode())


def _compared(
    ports: tuple[int, int], series: int, count: int, *, compressed: bool
) -> tuple[Row, Scrapes]:
    with ExitStack() as stack:
        ours, against = (
            stack.enter_context(closing(Scraper(port, compressed=compressed))) for port in ports
        )
        size = ours.scrape()
        seconds = in_turns(partial(timed, ours.scrape), partial(timed, against.scrape), count)
    our_seconds, their_seconds = map(Distribution, seconds)
    figure = their_seconds.median / our_seconds.median
    target = at_least((_GZIP if compressed else _TEXT)[series])
    work = f"one scrape, {series:,} series, {_form(compressed)}"
    row = Row(work, our_seconds, their_seconds, MILLISECONDS, figure, target)
    return row, Scrapes(our_seconds, size)


def _growth(by_size: Mapping[int, Scrapes], *, compressed: bool) -> Iterator[Row]:
    for (smaller, before), (larger, after) in pairwise(by_size.items()):
        slower = after.seconds.median / before.seconds.median
        yield Row(
            f"scrape time over bytes, {larger:,} / {smaller:,} series, {_form(compressed)}",
            after.seconds,
            before.seconds,
            MILLISECONDS,
            slower / (after.size / before.size),
            at_most(1),
        )


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
