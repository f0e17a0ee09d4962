"""Scrapes while the same process parses and renders a poll, against scrapes after it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import upstream
from bench.distribution import Distribution
from bench.processes import timed
from bench.scraper import Scraper
from bench.served import LOOK, Served, by_project, hours_later, started
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most, beside
from bench.trees import Tree
from bench.upstream import Upstream


@dataclass(frozen=True, slots=True)
class _Scraped:
    """A process that is scraped: the seconds of scrapes during polls, and after them."""

    served: Served
    scraper: Scraper
    during: list[float] = field(default_factory=list)
    afterwards: list[float] = field(default_factory=list)

    def row(self, work: str) -> Row:
        """Return how much later the slowest scrapes come during polls."""
        during, afterwards = Distribution(tuple(self.during)), Distribution(tuple(self.afterwards))
        figure = during.p99 - afterwards.p99
        return Row(work, during, afterwards, MILLISECONDS, figure, at_most(0.05, " s"))


def measure(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield how much later the slowest scrapes come, in text and in gzip."""
    for compressed in (False, True):
        form = "gzip" if compressed else "text"
        work = f"a scrape during a poll, minus after it; p99, {sizes.disturbed:,} series, {form}"
        scraped = _scraped(sizes, trees, compressed=compressed)
        yield beside([one.row(work) for one in scraped])


def _scraped(sizes: Sizes, trees: Sequence[Tree], *, compressed: bool) -> Sequence[_Scraped]:
    with (
        upstream.serving(sizes.disturbed, sizes.disturbances) as sentry,
        TemporaryDirectory() as name,
        ExitStack() as stack,
    ):
        scraped = []
        for number, tree in enumerate(trees):
            folder, state = Path(name) / str(number), Path(name) / f"state-{number}"
            start = started(tree, folder, by_project(sentry), state=state)
            served = stack.enter_context(start)
            scraper = stack.enter_context(closing(Scraper(served.port, compressed=compressed)))
            scraped.append(_Scraped(served, scraper))
        for number in range(sizes.disturbances):
            for one in scraped:
                _scrape(one, sentry, hours_later(number + 1))
        return scraped


def _scrape(scraped: _Scraped, sentry: Upstream, moment: float) -> None:
    """Scrape during the poll of ``moment``, and for as long afterwards."""
    before = sentry.requests()
    scraped.served.set_clock(moment)
    while sentry.requests() == before:
        time.sleep(LOOK)
    began = time.perf_counter()
    polled = partial(scraped.served.polled, moment, compressed=False)
    scraped.during.extend(_timed_until(scraped.scraper, polled))
    end = 2 * time.perf_counter() - began

    def passed() -> bool:
        # Between scrapes the page is looked at, as it is during a poll.
        return polled() and time.perf_counter() > end

    scraped.afterwards.extend(_timed_until(scraped.scraper, passed))


def _timed_until(scraper: Scraper, ended: Callable[[], bool]) -> Iterator[float]:
    """Yield the seconds of at least one scrape, and of each that begins before it has ended."""
    yield timed(scraper.scrape)
    while not ended():
        yield timed(scraper.scrape)
