"""The flags that several commands have, and how a flag is made."""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter import log
from exporter.config.notation import duration
from exporter.web.address import Address, parse_address

DEFAULT_PORT = 10790
DEFAULT_ADDRESS = f":{DEFAULT_PORT}"

_ENVIRONMENT = "SENTRY_STATS_EXPORTER_"

LISTEN_FLAG = "--web.listen-address"

F = TypeVar("F", bound=Callable[..., Any])


def option(flag: str, parameter: str = "", **settings: Any) -> Callable[[F], F]:
    """Return a click option that can also be set by an environment variable of the same name."""
    name = parameter or _name(flag)
    return click.option(flag, name, envvar=_variable(flag), show_envvar=True, **settings)


def _variable(flag: str) -> str:
    """Return the environment variable that stands for ``flag``."""
    return _ENVIRONMENT + _name(flag).upper()


def flag_or_variable(flag: str) -> str:
    """Return what a remedy calls ``flag``."""
    return f"{flag} or {_variable(flag)}"


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace(".", "_").replace("-", "_")


def listen_address(example_port: int) -> Callable[[str], Address]:
    """Return the type of a flag that names an address; its errors have examples of that port."""

    def address(text: str) -> Address:
        try:
            return parse_address(text, example_port)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return address


def duration_of(minimum: str, maximum: str) -> Callable[[str], int]:
    """Return the type of a flag that is a duration within the bounds, read as seconds."""
    notation = duration(minimum, maximum)

    def seconds(text: str) -> int:
        try:
            read: Any = notation.read(text)
        except ValueError as error:
            message = f"{text!r} is not {notation.expected}"
            raise click.BadParameter(message) from error
        return int(read)

    return seconds


config_file = option(
    "--config.file",
    # Click would check only a file that exists: `load` reports both cases in the same form.
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="Configuration file, in YAML.",
)


def _as_logged(_context: click.Context, _parameter: click.Parameter, level: str) -> str:
    return "warn" if level == "warning" else level


_FORMAT_FLAG = "--log.format"

_log_format = option(
    _FORMAT_FLAG,
    type=click.Choice(tuple(log.FORMATS)),
    default="logfmt",
    show_default=True,
    help="Format of log lines.",
)


def json_asked(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether the log is to be JSON, for errors that come before the flags are read."""
    chosen = environment.get(_variable(_FORMAT_FLAG), "")
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        flag, equals, value = argument.partition("=")
        if flag == _FORMAT_FLAG:
            chosen = value if equals else following
    return chosen == "json"


def logging_options(level: str = "info") -> Callable[[F], F]:
    """Return what adds the logging flags to a command, which must take log_level and log_format.

    ``level`` is the default of the minimum level.
    """
    log_level = option(
        "--log.level",
        type=click.Choice((*log.LEVELS, "warning")),
        callback=_as_logged,
        metavar=f"[{'|'.join(log.LEVELS)}]",
        default=level,
        show_default=True,
        help="Minimum level to log; warning means the same as warn.",
    )
    return lambda command: log_level(_log_format(command))
