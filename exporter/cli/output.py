"""What a command prints for its user."""

import logging
import os
import sys
from errno import EPIPE
from typing import Any

import click
import structlog

from exporter import log
from exporter.sentry.api import WAITS

_log = structlog.get_logger(__name__)


def echo(message: Any, *, nl: bool = True) -> None:
    """Print ``message`` to standard output; end the command with status 1 if that fails."""
    try:
        click.echo(message, nl=nl)
    except OSError as error:
        # Whoever reads a pipe may have enough of it, which click treats as no error.
        if error.errno == EPIPE:
            raise
        # What is still buffered would be written again at the exit, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"cannot write to standard output: {error.strerror}", err=True)
        sys.exit(1)


def note(message: str) -> None:
    """Print ``message`` to standard error, or log it if the log is read by programs."""
    if log.is_json():
        _log.info(message)
    else:
        click.echo(message, err=True)


def log_waits() -> None:
    """Log long waits that Sentry requires, at any level: the command seems to hang otherwise."""
    logging.getLogger(WAITS).setLevel(logging.INFO)
