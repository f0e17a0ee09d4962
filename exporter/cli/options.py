"""The flags that several commands have, and how a flag is made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter import log
from exporter.web.address import Address, parse_address

DEFAULT_ADDRESS = ":10790"

_ENVIRONMENT = "SENTRY_STATS_EXPORTER_"

F = TypeVar("F", bound=Callable[..., Any])


def option(flag: str, parameter: str = "", **settings: Any) -> Callable[[F], F]:
    """Return a click option whose environment variable is named as the flag is."""
    name = flag.removeprefix("--").replace(".", "_").replace("-", "_")
    return click.option(
        flag, parameter or name, envvar=_ENVIRONMENT + name.upper(), show_envvar=True, **settings
    )


def listen_address(text: str) -> Address:
    """Return the address that a flag names."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


config_file = option(
    "--config.file",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="The configuration, in YAML.",
)


def _spelled_as_logged(_context: click.Context, _parameter: click.Parameter, level: str) -> str:
    return "warn" if level == "warning" else level


_log_format = option(
    "--log.format",
    type=click.Choice(tuple(log.FORMATS)),
    default="logfmt",
    show_default=True,
    help="The format of log lines.",
)
_log_level = option(
    "--log.level",
    type=click.Choice((*log.LEVELS, "warning")),
    callback=_spelled_as_logged,
    metavar=f"[{'|'.join(log.LEVELS)}]",
    default="info",
    show_default=True,
    help="Log this level and above; warning is accepted for warn.",
)


def logging_options(command: F) -> F:
    """Add the flags about logging to ``command``, which then takes log_level and log_format."""
    return _log_level(_log_format(command))
