"""Scrapes beside a thousand clients that take their time, against scrapes alone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import upstream
from bench.distribution import Distribution, in_turns
from bench.processes import timed
from bench.scraper import Scraper
from bench.served import by_project, hours_later, started
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most, beside
from bench.trees import Tree
from tests.support.crowd import running_crowd


def measure(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield the slowest scrape beside them, and how much longer scrapes take in the middle."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sentry = stack.enter_context(upstream.serving(sizes.crowd, hours=1))
        scrapers = []
        for number, tree in enumerate(trees):
            start = started(tree, folder / str(number), by_project(sentry, counters=False))
            served = stack.enter_context(start)
            served.poll(hours_later(1))
            scrapers.append(stack.enter_context(closing(Scraper(served.port, compressed=True))))
        alone = _scraped(scrapers, sizes.beside_clients)
        for scraper in scrapers:
            connected = stack.enter_context(running_crowd("mixed", scraper.port, sizes.clients))
            while not connected():
                pass
        crowded = _scraped(scrapers, sizes.beside_clients)
    work = f"a scrape beside {sizes.clients:,} slow clients, {sizes.crowd:,} series, gzip"
    pairs = list(zip(crowded, alone, strict=True))
    yield beside(
        [
            Row(
                f"{work}; slowest",
                one,
                by_itself,
                MILLISECONDS,
                max(one.values),
                at_most(0.1, " s"),
            )
            for one, by_itself in pairs
        ]
    )
    yield beside(
        [
            Row(work, one, by_itself, MILLISECONDS, one.median / by_itself.median, at_most(5))
            for one, by_itself in pairs
        ]
    )


def _scraped(scrapers: Sequence[Scraper], count: int) -> Sequence[Distribution]:
    works = [partial(timed, partial(_scrape, scraper)) for scraper in scrapers]
    return list(map(Distribution, in_turns(works, count)))


def _scrape(scraper: Scraper) -> int:
    """Scrape, over another connection where the idle one was closed, as Prometheus does."""
    try:
        return scraper.scrape()
    except ConnectionError:
        scraper.close()
        return scraper.scrape()
