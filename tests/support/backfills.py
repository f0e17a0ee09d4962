"""Backfills in the process of a test, on a clock that the test sets, and what comes of them."""

import shlex
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from structlog.testing import capture_logs

from exporter.backfill.backfill import Backfill, Request
from exporter.backfill.progress_file import ProgressFile
from exporter.cli.backfill import import_command
from exporter.clients import clients_for
from exporter.config import Config
from exporter.publish.self_metrics import SelfMetrics
from tests.support.prometheus import TARGET, Prometheus, promtool

LABELS: Final = dict(pair.replace('"', "").split("=") for pair in TARGET.split(","))
"""The target labels of the series that tests import."""

Series = tuple[tuple[str, str], ...]


def backfilled(
    config: Config, folder: Path, clock: Callable[[], float], start: str, **asked: Any
) -> Path:
    """Return the file of a complete backfill in ``folder``."""
    output = folder / str(asked.pop("name", "history.om"))
    request = Request(start, asked.pop("end", ""), output, target=LABELS, **asked)
    with capture_logs(), closing(ProgressFile(request.progress)) as file:
        clients = clients_for(config, SelfMetrics().meter, clock)
        work = Backfill(config, request, clients, file, clock, lambda _: None)
        work.plan()
        work.read()
        work.join(lambda: None)
        work.write()
        work.finish()
    return output


def import_history(folder: Path, *files: Path) -> None:
    """Import files as the command says, into the database of `prometheus` in ``folder``."""
    for file in files:
        _, *arguments = shlex.split(import_command(file, folder / "data"))
        promtool(*arguments)


def timelines(server: Prometheus, selector: str, end: float) -> Mapping[Series, list[float]]:
    """Return the values of each series in Prometheus up to ``end``, in the order of time."""
    return {
        tuple(sorted(one["metric"].items())): [float(value) for _, value in one["values"]]
        for one in server.instant(f"{selector}[120d]", end)
    }


def increase(values: list[float]) -> float:
    """Return what a counter has gained, resets included, as ``increase()`` without extrapolation.

    The first value does not count.
    """
    return sum(after - before if after >= before else after for before, after in pairwise(values))
