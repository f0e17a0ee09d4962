"""Scrapes while a poll is parsed and rendered in the same process, against scrapes at rest."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from bench import our_server
from bench.distribution import Distribution
from bench.processes import Channel, timed, worker
from bench.scraper import Scraper
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield how much later the slowest scrapes come, in text and in gzip."""
    for compressed in (False, True):
        yield _measured(sizes, compressed=compressed)


def _measured(sizes: Sizes, *, compressed: bool) -> Row:
    with worker(our_server.serve_and_poll, sizes.disturbed, sizes.disturbances) as server:
        port = server.recv()
        with closing(Scraper(port, compressed=compressed)) as scraper:
            scraper.scrape()
            during, rest = _scraped(server, scraper, sizes.disturbances)
    form = "gzip" if compressed else "text"
    return Row(
        f"a scrape during a poll, minus at rest; p99, {sizes.disturbed:,} series, {form}",
        during,
        rest,
        MILLISECONDS,
        during.p99 - rest.p99,
        at_most(0.05, " s"),
    )


def _scraped(server: Channel, scraper: Scraper, polls: int) -> tuple[Distribution, Distribution]:
    """Return the seconds of scrapes during ``polls``, and of those in as long a rest after each."""
    during: list[float] = []
    rest: list[float] = []
    for _ in range(polls):
        server.send("poll")
        during += _timed_until(scraper, server.poll)
        rest += _timed_until(scraper, _after(server.recv()))
    return Distribution(tuple(during)), Distribution(tuple(rest))


def _timed_until(scraper: Scraper, ended: Callable[[], bool]) -> Iterator[float]:
    """Yield the seconds of one scrape at least, and of each that begins before it has ended."""
    yield timed(scraper.scrape)
    while not ended():
        yield timed(scraper.scrape)


def _after(seconds: float) -> Callable[[], bool]:
    """Return what tells whether so many seconds have passed."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end
