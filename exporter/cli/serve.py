"""``serve``: the daemon."""

import socket
from collections.abc import Sequence
from pathlib import Path

import click
import structlog

from exporter import __version__, log, signals
from exporter.cli.exit import end, stop_now
from exporter.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_PORT,
    LISTEN_FLAG,
    config_file,
    duration_of,
    flag_or_variable,
    listen_address,
    logging_options,
    option,
)
from exporter.cli.run import listen, serve_until_stopped
from exporter.cli.web import live_web_config, route_prefix, sockets_of_systemd, web_options
from exporter.config import Config, ConfigError, parsed, read
from exporter.log import log_warnings
from exporter.queries import queries_of
from exporter.reload import ConfigFile
from exporter.shard import UNSHARDED, Shard, ShardError, chosen_shard
from exporter.state import State, StateError
from exporter.web.address import Address
from exporter.web.prefix import ExternalUrl

MAX_SHARDS = 1000

_log = structlog.get_logger(__name__)


@click.command
@config_file
@option(
    LISTEN_FLAG,
    type=listen_address(DEFAULT_PORT),
    multiple=True,
    default=(DEFAULT_ADDRESS,),
    show_default=True,
    help="Address to serve on; can be given several times.",
)
@web_options
@option(
    "--state.path",
    type=click.Path(path_type=Path, readable=False),
    help="SQLite file that lets counters continue after a restart.",
)
@option(
    "--shard",
    metavar="N|auto",
    help="Number of this shard, counted from 0; or auto, for the ordinal in the host name of a "
    "StatefulSet's pod.",
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
    help="Interval at which to check the configuration file, and reload it if it has changed; "
    "a duration such as 30s. By default, only SIGHUP and /-/reload reload it.",
)
@logging_options()
def serve(
    *,
    config_file: Path,
    web_listen_address: Sequence[Address],
    web_config_file: Path | None,
    web_external_url: ExternalUrl | None,
    web_route_prefix: str | None,
    web_systemd_socket: bool,
    state_path: Path | None,
    shard: str | None,
    total_shards: int | None,
    config_auto_reload_interval: int | None,
    log_level: str,
    log_format: str,
) -> None:
    """Poll Sentry and serve the metrics, until SIGTERM or SIGINT."""
    log.configure(log_level, log_format)
    with signals.stopping(stop_now):
        try:
            own = chosen_shard(shard, total_shards, socket.gethostname())
            content = read(config_file)
            config = parsed(content, config_file)
            _log.info("starting", version=__version__)
            web = live_web_config(web_config_file)
            state = None if state_path is None else State(state_path)
        except ConfigError as error:
            end(error.problems, 2)
        except (ShardError, StateError) as error:
            end([error], 2)
        _log_configuration(config_file, config, own)
        if state is None and any(query.counters for _, query in queries_of(own.share(config))):
            _log.warning(
                "counters begin at 0 with every start: there is no state file",
                remedy=f"set {flag_or_variable('--state.path')}",
            )
        serve_until_stopped(
            config,
            sockets_of_systemd() if web_systemd_socket else listen(web_listen_address),
            state,
            own,
            _log_addresses,
            web=web,
            prefix=route_prefix(web_external_url, web_route_prefix),
            external=web_external_url,
            file=ConfigFile(config_file, content, config_auto_reload_interval),
        )
        if state is not None:
            state.close()
    stop_now()


def _log_configuration(path: Path, config: Config, own: Shard) -> None:
    """Log what was read, and of it this shard's share."""
    share = own.share(config)
    shard = {} if own == UNSHARDED else {"shard": own.ordinal, "total_shards": own.total}
    _log.info(
        "configuration read",
        file=str(path),
        organizations=len(share.organizations),
        queries=sum(1 for _ in queries_of(share)),
        **shard,
    )
    log_warnings(config.warnings)


def _log_addresses(addresses: Sequence[Address]) -> None:
    for address in addresses:
        _log.info("listening", address=str(address))
