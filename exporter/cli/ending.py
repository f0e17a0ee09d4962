"""How a command ends before it has done what it is for."""

import signal
import sys
from typing import NoReturn

import click


def end(message: str, status: int) -> NoReturn:
    """Say on standard error what is wrong, and exit."""
    click.echo(message, err=True)
    sys.exit(status)


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM end the process with exit 0 from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
