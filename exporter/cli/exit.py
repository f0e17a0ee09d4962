"""How a command ends early."""

import os
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click
import structlog

from exporter import log, signals
from exporter.cli.output import note
from exporter.web.address import Address

_log = structlog.get_logger(__name__)


def end(problems: Iterable[object], status: int, event: str = "cannot start") -> NoReturn:
    """Report ``problems`` on standard error, and exit with ``status``.

    Each is a line of text, or a record of ``event`` if the log is read by programs.
    """
    for problem in problems:
        if log.is_json():
            _log.error(event, error=str(problem))
        else:
            click.echo(problem, err=True)
    sys.exit(status)


def end_without_listening(address: Address, error: OSError, flag: str) -> NoReturn:
    """Say why nothing listens on ``address``, and exit with status 2.

    ``flag`` is the one that another address can be given with, and its environment variable.
    """
    reason = error.strerror
    # `socket.create_server` adds the address to the text; the numbers of gaierror are its own.
    if error.errno is not None and not isinstance(error, socket.gaierror):
        reason = os.strerror(error.errno)
    end([f"cannot listen on {address}: {reason}; set another address with {flag}"], 2)


def stop_now() -> NoReturn:
    """Log which signal has stopped the process, and end it; may be called in any thread."""
    _log.info("stopped", signal=signals.received())
    # Without the interpreter's own end, which crashes (SIGSEGV) now and then while another thread,
    # such as that of a reload, is in an extension module. Nothing is left half done by this: the
    # state file survives a kill at any instant.
    os._exit(0)


def end_interrupted(progress: Path) -> NoReturn:
    """Say that a command goes on if it is repeated, and end the process; for any thread.

    ``progress`` is the file that has what was done, if it is there.
    """
    if progress.exists():
        note("interrupted; repeat the same command to go on")
    # As in `stop_now`. The status is that of a program that a signal has ended.
    os._exit(128 + signal.Signals[signals.received()])
