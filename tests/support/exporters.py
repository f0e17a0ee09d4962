"""Exporters in the process of a test, on a clock that the test sets."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from exporter.app import Exporter
from exporter.config import Config
from tests.support.clock import Clock

_UNPACED: Final = 10_000.0


def with_settings(config: Config, **settings: Any) -> Config:
    """Return ``config`` with settings of every organization that a file may not allow."""
    organizations = (each.model_copy(update=settings) for each in config.organizations)
    return replace(config, organizations=tuple(organizations))


def unpaced(config: Config) -> Config:
    """Return ``config`` without pacing of requests: a clock may stand still during a poll."""
    return with_settings(config, requests_per_second=_UNPACED)


def poll_due(exporter: Exporter, now: float) -> None:
    """Run all polls that are due at ``now``, as the poll loop does."""
    for query in exporter.queries:
        query.refresh(now)
        while query.due(now):
            query.poll(now)


def poll_all(exporter: Exporter, now: float) -> None:
    """Poll every query, due or not, until its lookback has been read."""
    for query in exporter.queries:
        while query.poll(now).next_poll <= now:
            pass


def page_text(exporter: Exporter, *, openmetrics: bool = False) -> str:
    """Return the current text of the page."""
    return b"".join(exporter.page.chunks(openmetrics=openmetrics, compressed=False)).decode()


def scraped(
    exporter: Exporter, clock: Clock, moments: Iterable[float]
) -> Iterator[tuple[float, str]]:
    """Set ``clock`` to each of ``moments``, poll what is due, and yield the OpenMetrics page."""
    for moment in moments:
        clock.now = moment
        poll_due(exporter, moment)
        yield moment, page_text(exporter, openmetrics=True)
