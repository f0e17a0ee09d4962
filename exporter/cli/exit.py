"""How a command ends early."""

import os
import signal
import socket
import sys
from typing import NoReturn

import click

from exporter.web.address import Address


def end(message: str, status: int) -> NoReturn:
    """Print ``message`` to standard error, and exit with ``status``."""
    click.echo(message, err=True)
    sys.exit(status)


def end_without_listening(address: Address, error: OSError) -> NoReturn:
    """Say why nothing listens on ``address``, and exit with status 2."""
    reason = error.strerror
    # `socket.create_server` adds the address to the text; the numbers of gaierror are its own.
    if error.errno is not None and not isinstance(error, socket.gaierror):
        reason = os.strerror(error.errno)
    end(f"cannot listen on {address}: {reason}", 2)


def end_on_signals() -> None:
    """Make SIGINT and SIGTERM end the process with status 0."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
