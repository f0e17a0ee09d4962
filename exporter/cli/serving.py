"""The exporter behind its web server: what ``serve`` and ``demo`` have in common."""

import threading
from collections.abc import Callable, Sequence

import structlog

from exporter import __version__
from exporter.app import Exporter, tune_interpreter
from exporter.cli.ending import end
from exporter.config import Config
from exporter.shard import Shard
from exporter.state import State, StateError
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.landing import Landing
from exporter.web.server import Server

_PATIENCE = 0.5
"""Seconds that polls are given to end once the server has stopped."""

_LANDING = Landing(
    "sentry-stats-exporter",
    __version__,
    "Event counts of Sentry organizations, polled from stats_v2 and published for Prometheus.",
)

_log = structlog.get_logger(__package__)


def serve_until_stopped(
    config: Config,
    addresses: Sequence[Address],
    state: State | None,
    shard: Shard,
    announce: Callable[[Sequence[Address]], None],
) -> None:
    """Serve until told to stop; ``announce`` is called with the addresses that are served."""
    sockets = []
    for address in addresses:
        try:
            sockets.append(bind(address))
        except OSError as error:
            end(f"cannot listen on {address}: {error.strerror}", 2)
    tune_interpreter()
    try:
        exporter = Exporter(config, state=state, shard=shard)
    except StateError as error:
        end(str(error), 2)
    server = Server(make_app(exporter.page, exporter, _LANDING), sockets)
    threading.Thread(target=exporter.poller.run, name="poller", daemon=True).start()
    announce(server.addresses)
    server.run()
    exporter.poller.stop(patience=_PATIENCE)
    _log.info("stopped")
