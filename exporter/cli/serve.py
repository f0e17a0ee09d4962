"""``serve``: the daemon."""

import socket
from collections.abc import Sequence
from pathlib import Path

import click
import structlog

from exporter import __version__, log
from exporter.cli.exit import end, end_on_signals
from exporter.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_PORT,
    config_file,
    duration_of,
    listen_address,
    logging_options,
    option,
)
from exporter.cli.run import serve_until_stopped
from exporter.config import ConfigError, parsed, read
from exporter.reload import Reloader
from exporter.shard import ShardError, chosen_shard
from exporter.state import State, StateError
from exporter.web.address import Address

MAX_SHARDS = 1000

_log = structlog.get_logger(__package__)


@click.command
@config_file
@option(
    "--web.listen-address",
    type=listen_address(DEFAULT_PORT),
    multiple=True,
    default=(DEFAULT_ADDRESS,),
    show_default=True,
    help="Address to serve on; can be given several times.",
)
@option(
    "--state.path",
    type=click.Path(path_type=Path, readable=False),
    help="SQLite file that lets counters continue after a restart.",
)
@option(
    "--shard",
    metavar="N|auto",
    help="Number of this shard, from 0, or auto: the ordinal in the host name of a StatefulSet's "
    "pod.",
)
@option(
    "--total-shards",
    metavar="M",
    type=click.IntRange(1, MAX_SHARDS),
    help="Number of exporters that share the queries.",
)
@option(
    "--config.auto-reload-interval",
    metavar="DURATION",
    type=duration_of("1s", "1d"),
    help="How often to look whether the configuration file has changed, and reload it if it has; "
    "a duration such as 30s. By default only SIGHUP and /-/reload reload it.",
)
@logging_options
def serve(
    config_file: Path,
    web_listen_address: Sequence[Address],
    state_path: Path | None,
    shard: str | None,
    total_shards: int | None,
    config_auto_reload_interval: int | None,
    log_level: str,
    log_format: str,
) -> None:
    """Poll Sentry and serve the metrics, until SIGTERM or SIGINT."""
    end_on_signals()
    log.configure(log_level, log_format)
    try:
        own = chosen_shard(shard, total_shards, socket.gethostname())
        content = read(config_file)
        config = parsed(content, config_file)
        state = None if state_path is None else State(state_path)
    except (ShardError, ConfigError, StateError) as error:
        end(str(error), 2)
    for warning in config.warnings:
        _log.warning("configuration warning", warning=str(warning))
    serve_until_stopped(
        config,
        web_listen_address,
        state,
        own,
        _log_addresses,
        lambda exporter: Reloader(exporter, config_file, content, config_auto_reload_interval),
    )
    if state is not None:
        state.close()


def _log_addresses(addresses: Sequence[Address]) -> None:
    for address in addresses:
        _log.info("listening", address=str(address), version=__version__)
