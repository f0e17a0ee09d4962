"""``backfill``: writes history for Prometheus."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from shlex import quote
from typing import NoReturn

import click

from exporter import log, signals
from exporter.backfill.backfill import Backfill, Request, RequestError
from exporter.backfill.join import JoinError
from exporter.backfill.outlook import Outlook
from exporter.backfill.progress_file import ProgressError, ProgressFile
from exporter.backfill.times import DAY, HOUR, RangeError
from exporter.cli.exit import end, end_interrupted
from exporter.cli.options import config_file, logging_options, option
from exporter.cli.output import echo, log_waits, note
from exporter.cli.progress import progress
from exporter.clients import clients_for
from exporter.config import Config, ConfigError, load
from exporter.publish.families import FAMILIES
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.errors import SentryError

_BLOCK = "162h"
"""Two hours times a power of three, as Prometheus makes its blocks. promtool reads its input once
for each block, and holds one block in memory."""


def _labels(
    _context: click.Context, _parameter: click.Parameter, written: Sequence[str]
) -> Mapping[str, str]:
    """Return the labels in ``NAME=VALUE``."""
    labels = {}
    for one in written:
        name, equals, value = one.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            raise click.BadParameter(f"{one!r} is not NAME=VALUE, such as job=sentry")
        if any(name in family.labels for family in FAMILIES):
            raise click.BadParameter(f"{name} is a label of the exporter's own")
        labels[name] = value
    return labels


@click.command
@config_file
@option(
    "--start",
    metavar="TIME",
    required=True,
    help="Where history begins: a date such as 2026-08-01 or "
    "2026-08-01T12:00:00Z, seconds since the epoch, or a duration before now such as 90d.",
)
@option(
    "--end",
    metavar="TIME",
    default="",
    help="Where history ends; by default, three hours before now.",
)
@option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, in OpenMetrics format. Unfinished work is in files beside it.",
)
@option(
    "--query",
    "queries",
    multiple=True,
    metavar="NAME",
    help="Name of a query to read; can be given several times. By default, all queries are read.",
)
@option(
    "--resolution",
    type=click.Choice(("1h", "1d")),
    default="1h",
    show_default=True,
    help="Length of the shortest buckets to read. With 1d, queries with shorter buckets have "
    "counters only.",
)
@option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_labels,
    help="Label that Prometheus adds when it scrapes the exporter, such as job and instance; can "
    "be given several times.",
)
@option(
    "--join",
    metavar="URL",
    default="",
    help="Address of a running exporter: history ends where its counters begin. Without --end, "
    "that is taken to be the start of its process.",
)
@option(
    "--dry-run",
    is_flag=True,
    help="Only print how many requests and how much time and space the backfill takes.",
)
@logging_options("warn")
def backfill(
    *,
    config_file: Path,
    start: str,
    end: str,
    output: Path,
    queries: tuple[str, ...],
    resolution: str,
    labels: Mapping[str, str],
    join: str,
    dry_run: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Write the history of finished buckets, for promtool to import into Prometheus.

    If it is interrupted, repeat the same command: it goes on where it was.
    """
    log.configure(log_level, log_format)
    if log_level == "warn":
        log_waits()
    request = Request(
        start, end, output, queries, DAY if resolution == "1d" else HOUR, labels, join
    )
    with _failures(request), signals.stopping(lambda: end_interrupted(request.progress)):
        _run(load(config_file), request, dry_run=dry_run)


def _run(config: Config, request: Request, *, dry_run: bool) -> None:
    if request.output.exists() and not request.progress.exists():
        raise RequestError(f"{request.output} exists already: delete it, or write another file")
    with closing(ProgressFile(None if dry_run else request.progress)) as file:
        try:
            clients = clients_for(config, SelfMetrics().meter)
            work = Backfill(config, request, clients, file, time.time, time.sleep)
            outlook = work.plan()
        except Exception:
            if file.is_empty():
                file.delete()
            raise
        for line in outlook.lines():
            echo(line)
        if missing := [name for name in ("job", "instance") if name not in request.target]:
            echo(
                f"Without {' and '.join(f'--label {name}=...' for name in missing)}: dashboards "
                "and increase() need the labels that Prometheus adds when it scrapes"
            )
        if not dry_run:
            _carry_out(work, outlook, request)


def _carry_out(work: Backfill, outlook: Outlook, request: Request) -> None:
    """Read and write what was planned."""
    before = outlook.requests - work.left() - work.counted.requests
    with progress("Reading", outlook.requests, before + work.counted.requests) as update:
        work.counted.noted = lambda: update(before + work.counted.requests)
        work.read()
    work.join(lambda: note("Waiting for the next poll of the exporter"))
    note(f"Writing {request.output}")
    with progress("Writing", outlook.samples) as update:
        size = work.write(update)
    work.finish()
    echo(f"{request.output} is complete: {size:,} bytes. Import it where Prometheus has its data:")
    echo(import_command(request.output, "/prometheus"))


def import_command(history: Path, data: Path | str) -> str:
    """Return the command that imports a file into the folder where Prometheus has its data."""
    return (
        f"promtool tsdb create-blocks-from --max-block-duration={_BLOCK} openmetrics "
        f"{quote(str(history))} {quote(str(data))}"
    )


@contextmanager
def _failures(request: Request) -> Iterator[None]:
    """End the process with status 1 and a message for what can go wrong."""
    try:
        yield
    except ConfigError as error:
        end(error.problems, 1)
    except (RequestError, RangeError) as error:
        end([error], 1)
    except (ProgressError, JoinError) as error:
        _interrupted(str(error), request)
    except SentryError as error:
        _interrupted(f"{error}{f'; {error.remedy}' if error.remedy else ''}", request)
    except OSError as error:
        where = error.filename or request.output
        _interrupted(f"{where} cannot be written: {error.strerror}", request)


def _interrupted(message: str, request: Request) -> NoReturn:
    going_on = "repeat the same command to go on" if request.progress.exists() else ""
    end([message, *filter(None, [going_on])], 1, "backfill not completed")
