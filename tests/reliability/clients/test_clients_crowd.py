"""A thousand clients that take their time, beside a Prometheus that does not."""

from collections.abc import Callable
from contextlib import closing
from typing import Final

from tests.reliability.clients.publications import published
from tests.reliability.clients.wire import Prometheus
from tests.support.crowd import running_crowd

CROWD: Final = 1_000
SERIES: Final = 1_000
SCRAPES: Final = 30


def test_crowd(tried: Callable[[str, int], None]) -> None:
    """No scrape fails beside a thousand that say nothing, send or read slowly, or half close.

    Those that are closed come again. Each page is one publication, and none is older than the last.
    """
    with published(SERIES) as (publisher, server):
        port = server.addresses[0].port
        with running_crowd("mixed", port, CROWD) as connected, closing(Prometheus(port)) as scraper:
            numbers: list[int] = []
            while not connected() or len(numbers) < SCRAPES:
                numbers.append(publisher.number_in(scraper.scrape()))

    assert sorted(numbers) == numbers
    assert numbers[0] < numbers[-1]
    tried("connections of clients", CROWD)
