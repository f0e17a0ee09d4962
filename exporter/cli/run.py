"""The exporter with its web server, as ``serve`` and ``demo`` run it."""

import gc
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from exporter import signals
from exporter.app import Exporter
from exporter.cli.exit import end, end_without_listening
from exporter.cli.options import LISTEN_FLAG, flag_or_variable
from exporter.cli.systemd import Notifier
from exporter.config import Config
from exporter.log import log_warnings
from exporter.moments import iso
from exporter.reload import ConfigFile, Reloader
from exporter.shard import Shard
from exporter.state import State, StateError
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.live import LiveWebConfig
from exporter.web.prefix import ExternalUrl
from exporter.web.server import Server

_STOP_TIMEOUT = 0.3
"""Seconds for a reload and for polls to end once the server has stopped.

The server takes up to a second, and `signals.STOP_TIMEOUT` is from the signal on.
"""

MAX_DESCRIPTORS: Final = 65_536
"""More than anything here uses; some hosts allow a billion."""

_log = structlog.get_logger(__name__)


def listen(addresses: Iterable[Address]) -> Sequence[socket.socket]:
    """Return a listening socket for each address; ends the process if one is not available."""
    sockets = []
    for address in addresses:
        try:
            sockets.append(bind(address))
        except OSError as error:
            end_without_listening(address, error, flag_or_variable(LISTEN_FLAG))
    return sockets


def serve_until_stopped(
    config: Config,
    sockets: Sequence[socket.socket],
    state: State | None,
    shard: Shard,
    announce: Callable[[Sequence[Address]], None],
    *,
    web: LiveWebConfig | None = None,
    prefix: str = "",
    external: ExternalUrl | None = None,
    file: ConfigFile | None = None,
) -> None:
    """Serve on ``sockets`` until a signal comes; ``announce`` is called with their addresses.

    ``web`` has the settings of TLS and login; ``prefix`` begins every path. Clients are pointed to
    the ``external`` URL. Without the ``file`` of the configuration, it cannot be reloaded.
    """
    tune_interpreter()
    allow_descriptors()
    try:
        exporter = Exporter(config, state=state, shard=shard)
    except StateError as error:
        end([error], 2)
    log_warnings(exporter.host_problems())
    if state is not None:
        _log_state(state, exporter)
    if web is not None:
        web.report_to(exporter.web_configuration)
    systemd = Notifier()
    reloader = Reloader(exporter, file, systemd.reloading) if file else None
    application = make_app(
        exporter.page,
        exporter,
        exporter.status,
        prefix,
        external=external,
        parts=exporter.page,
        config=lambda: exporter.config,
        reload=reloader.request if reloader else None,
    )
    server = Server(
        application,
        sockets,
        web=web,
        # Not only once the exporter is ready: that can take longer than systemd waits, and then it
        # would restart the exporter because Sentry does not answer.
        started=lambda: systemd.ready(_status(exporter)),
        ticked=lambda: systemd.tick(
            lambda: not exporter.why_not_healthy(), lambda: _status(exporter)
        ),
    )
    # A daemon: the process must be able to end while a poll waits for Sentry.
    threading.Thread(target=exporter.loop.run, name="poll loop", daemon=True).start()
    threading.Thread(target=exporter.loop.run_watch, name="poll watch", daemon=True).start()

    def stop() -> None:
        systemd.stopping()
        server.stop()

    with signals.stopping(stop), _reloading(reloader):
        announce(server.addresses)
        server.run()
    _wait_for_work(exporter, reloader)


@contextmanager
def _reloading(reloader: Reloader | None) -> Iterator[None]:
    """Reload on SIGHUP and on request during the block, if there is a ``reloader``."""
    if reloader is None:
        yield
        return
    reloader.start()
    with signals.reloading(reloader.request):
        yield


def _wait_for_work(exporter: Exporter, reloader: Reloader | None) -> None:
    """Begin no other reload or poll, and wait for those that run; both have the same deadline."""
    deadline = time.monotonic() + _STOP_TIMEOUT
    if reloader is not None:
        reloader.stop(_STOP_TIMEOUT)
    exporter.loop.stop(max(deadline - time.monotonic(), 0))


def _log_state(state: State, exporter: Exporter) -> None:
    """Log which queries go on where an earlier process was, and since when."""
    resumed = [query.report.last_success for query in exporter.queries if query.report.last_success]
    since = {"since": iso(min(resumed))} if resumed else {}
    new = len(exporter.queries) - len(resumed)
    _log.info("state opened", file=str(state.path), resumed=len(resumed), new=new, **since)


def _status(exporter: Exporter) -> str:
    """Return what ``systemctl status`` shows."""
    up = sum(query.report.up for query in exporter.queries)
    return f"{up} of {len(exporter.queries)} queries succeeded in their last poll"


def allow_descriptors() -> None:
    """Let the process open as many files as the host allows, up to `MAX_DESCRIPTORS`.

    The usual limit of 1,024 is there for programs that use select(2). A thousand organizations with
    tokens of their own reach it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def tune_interpreter() -> None:
    """Prepare the process for scrapes while a large poll is being processed."""
    # Measured with 30,000 series on two busy cores, p99 of scrapes during a poll: 78 to 98 ms with
    # both settings; 159 to 259 ms with the collector's defaults, which walk through all ledgers
    # again and again, though they hold no cycles; 174 to 205 ms with the default switch interval
    # of 5 ms, for which a poll that computes holds the interpreter.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    sys.setswitchinterval(0.0002)
