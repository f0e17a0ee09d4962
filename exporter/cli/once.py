"""``once``: polls every query once, and prints the metrics."""

import sys
import threading
import time
from pathlib import Path

import click

from exporter import log
from exporter.app import Exporter
from exporter.cli.exit import end
from exporter.cli.options import config_file, logging_options
from exporter.cli.output import echo, log_waits
from exporter.config import ConfigError, load
from exporter.wiring import Poller


@click.command
@config_file
# cron sends mail about what is on standard error, so a success writes nothing but long waits.
@logging_options("warn")
def once(config_file: Path, log_level: str, log_format: str) -> None:
    """Poll every query once, and print the metrics."""
    log.configure(log_level, log_format)
    if log_level == "warn":
        log_waits()
    try:
        config = load(config_file)
    except ConfigError as error:
        end(error.problems, 1)
    exporter = Exporter(config, repeats=False)
    # A thread per query, however many: the token's limits decide how many requests are in flight.
    polls = [
        threading.Thread(target=_poll_out, args=(query,), daemon=True) for query in exporter.queries
    ]
    for poll in polls:
        poll.start()
    for poll in polls:
        poll.join()
    page = b"".join(exporter.page.chunks(openmetrics=False, compressed=False))
    echo(page, nl=False)
    if not all(query.report.up for query in exporter.queries):
        sys.exit(1)


def _poll_out(query: Poller) -> None:
    """Poll until nothing of the lookback is left to read."""
    while True:
        now = time.time()
        # A poll that leaves a backlog makes the next one due at once.
        if not query.poll(now).up or not query.due(now):
            return
