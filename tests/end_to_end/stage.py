"""The product on its stage: a clock that is turned by hand, configurations, pages, commands."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter
from exporter.config import Config, Organization, loads
from exporter.simulator import DEMO_TOKENS, World
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.landing import Landing
from exporter.web.server import Server
from tests.end_to_end.exposition import Samples, read_text
from tests.end_to_end.truth import Truth
from tests.programs import PATIENCE

COMMAND: Final = (sys.executable, "-m", "exporter")
UNPACED: Final = 10_000.0
OUTCOMES: Final = {"name": "outcomes", "groupBy": ["category", "outcome", "reason"]}
PROJECTS: Final = {"name": "projects", "groupBy": ["project", "category", "outcome", "reason"]}

Entry = Mapping[str, Any]


def moment(text: str) -> float:
    """Return ``2026-03-01T00:07:30Z`` and the like as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


@dataclass
class Clock:
    """A clock that shows ``now`` until it is told otherwise."""

    now: float

    def __call__(self) -> float:
        """Return what it shows."""
        return self.now


def clock_for_commands() -> Clock:
    """Return a clock that stands still a little ahead of the host's.

    A command asks for nothing that lies in the future then, and nothing moves while it asks.
    """
    return Clock(time.time() + 60)


def organization(*queries: Entry, slug: str = "acme", **settings: Any) -> Entry:
    """Return an organization of the demo's world as a configuration file has it."""
    token = {"token": DEMO_TOKENS.get(slug, "unknown")}
    return {"slug": slug, **token, "queries": list(queries or [OUTCOMES]), **settings}


def document(url: str, *organizations: Entry, **defaults: Any) -> str:
    """Return a configuration file."""
    settings = {"url": url, "requests_per_second": 20, **defaults}
    entries = list(organizations or [organization()])
    return yaml.safe_dump({"defaults": settings, "organizations": entries})


def configuration(url: str, *organizations: Entry, **defaults: Any) -> Config:
    """Return a configuration read from `document`, with no pace for requests to keep."""
    config = loads(document(url, *organizations, **defaults))
    return _each(config, lambda organization: replace(organization, requests_per_second=UNPACED))


def impatient(config: Config, timeout: float) -> Config:
    """Return ``config`` with a timeout that may be shorter than a file may ask for."""
    return _each(config, lambda organization: replace(organization, timeout=timeout))


def _each(config: Config, change: Callable[[Organization], Organization]) -> Config:
    return replace(config, organizations=tuple(map(change, config.organizations)))


def polled(exporter: Exporter, now: float) -> Samples:
    """Poll every query until nothing of its lookback is left unread, and return the page."""
    for query in exporter.queries:
        while query.poll(now).next_poll <= now:
            pass
    return page(exporter)


def page(exporter: Exporter) -> Samples:
    """Return the page as it is now."""
    return read_text(page_text(exporter))


def page_text(exporter: Exporter, *, openmetrics: bool = False) -> str:
    """Return the page as it is now, as it is sent."""
    return b"".join(exporter.page.chunks(openmetrics=openmetrics, compressed=False)).decode()


def truths(world: World, config: Config) -> Iterator[Truth]:
    """Yield the truth about each query of ``config``."""
    for entry in config.organizations:
        yield from truths_about(world, entry)


def truths_about(world: World, entry: Organization) -> Iterator[Truth]:
    """Yield the truth about each query of one organization."""
    for query in entry.queries:
        yield Truth(world, entry, query)


@contextmanager
def serving(exporter: Exporter) -> Iterator[str]:
    """Serve ``exporter`` on loopback, and give its address."""
    ready = threading.Event()
    app = make_app(exporter.page, exporter, Landing("exporter", "1", "A page."))
    server = Server(app, [bind(Address("127.0.0.1", 0))], started=ready.set)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield f"http://{server.addresses[0]}"
    finally:
        server.stop()
        thread.join(PATIENCE)


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the product to its end."""
    return subprocess.run(  # noqa: S603 - the product's own command
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )
