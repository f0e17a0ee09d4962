"""The flags of the web server, and what they mean."""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from exporter.cli.exit import end
from exporter.cli.options import option
from exporter.log import log_warnings
from exporter.web.live import LiveWebConfig
from exporter.web.prefix import ExternalUrl, parse_external_url, parse_prefix
from exporter.web.systemd_sockets import InheritedSocketsError, inherited_sockets

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")

_log = structlog.get_logger(__name__)


def _read_by(parse: Callable[[str], V]) -> Callable[[str], V]:
    """Return the type of a flag whose text ``parse`` reads."""

    def read(text: str) -> V:
        try:
            return parse(text)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is {error}") from error

    return read


web_config_file = option(
    "--web.config.file",
    type=click.Path(path_type=Path, readable=False),
    help="File with the settings of TLS and login, in the format of exporter-toolkit.",
)
_external_url = option(
    "--web.external-url",
    metavar="URL",
    type=_read_by(parse_external_url),
    help="URL at which clients reach the exporter, for example behind a reverse proxy.",
)
_route_prefix = option(
    "--web.route-prefix",
    metavar="PATH",
    type=_read_by(parse_prefix),
    help="Prefix of all paths; by default the path of --web.external-url.",
)
_systemd_socket = option(
    "--web.systemd-socket",
    is_flag=True,
    help="Serve on the sockets that systemd passes, instead of --web.listen-address.",
)


def web_options(command: F) -> F:
    """Add the flags of the web server to ``command``, which must take their values."""
    return web_config_file(_external_url(_route_prefix(_systemd_socket(command))))


def route_prefix(external: ExternalUrl | None, prefix: str | None) -> str:
    """Return the prefix of all paths, with the slash before it; empty if there is none."""
    if prefix is not None:
        return prefix
    return external.path if external else ""


def live_web_config(path: Path | None) -> LiveWebConfig | None:
    """Return the web configuration of the file, None without one; raises `ConfigError`."""
    if path is None:
        return None
    web = LiveWebConfig(path)
    _log.info("web configuration read", file=str(path), **web.config.about())
    log_warnings(web.config.warnings)
    return web


def sockets_of_systemd() -> Sequence[socket.socket]:
    """Return the sockets that systemd passes; ends the process if there are none."""
    try:
        return inherited_sockets(os.environ)
    except InheritedSocketsError as error:
        end([f"--web.systemd-socket: {error}"], 2)
