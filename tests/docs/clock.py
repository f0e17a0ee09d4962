"""The exporter on a clock that is turned by hand."""

from dataclasses import dataclass, replace
from typing import Final

from exporter.app import Exporter
from exporter.config import Config

_UNPACED: Final = 10_000.0


@dataclass
class Clock:
    """A clock that shows ``now`` until it is told otherwise."""

    now: float

    def __call__(self) -> float:
        """Return what it shows."""
        return self.now


def unpaced(config: Config) -> Config:
    """Return ``config`` with no pace for requests to keep: a simulated hour has no seconds."""
    organizations = (replace(each, requests_per_second=_UNPACED) for each in config.organizations)
    return replace(config, organizations=tuple(organizations))


def poll_due(exporter: Exporter, now: float) -> None:
    """Do what the poll loop does at ``now``, until nothing more is due."""
    for query in exporter.queries:
        query.heed(now)
        while query.due(now):
            query.poll(now)


def page(exporter: Exporter, *, openmetrics: bool = False) -> str:
    """Return the page as it is now."""
    return b"".join(exporter.page.chunks(openmetrics=openmetrics, compressed=False)).decode()
