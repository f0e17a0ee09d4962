"""``once``: polls every query once, and prints the metrics."""

import logging
import sys
import threading
import time
from pathlib import Path

import click

from exporter import log
from exporter.app import Exporter
from exporter.cli.exit import end
from exporter.cli.options import config_file, logging_options
from exporter.cli.output import echo
from exporter.collect.poll import QueryPoller
from exporter.config import ConfigError, load
from exporter.sentry.api import WAITS


@click.command
@config_file
# Standard error of a command that succeeds is empty: cron would send mail about it.
@logging_options("warn")
def once(config_file: Path, log_level: str, log_format: str) -> None:
    """Poll every query once, and print the metrics."""
    log.configure(log_level, log_format)
    if log_level == "warn":
        # The command seems to hang otherwise.
        logging.getLogger(WAITS).setLevel(logging.INFO)
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


def _poll_out(query: QueryPoller) -> None:
    """Poll until nothing of the lookback is left to read."""
    while True:
        now = time.time()
        report = query.poll(now)
        # A poll that leaves a backlog makes the next one due at once.
        if not report.up or report.next_poll > now:
            return
