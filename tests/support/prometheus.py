"""A real Prometheus on loopback, and the import of pages into its database."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeVar

import requests
import yaml

from tests.support.programs import REPOSITORY, TIMEOUT, Program, find_program, output_of, running

JOB: Final = "sentry-stats-exporter"
TARGET: Final = f'job="{JOB}",instance="exporter:10790"'

_SAMPLE: Final = re.compile(r"^([\w:]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LISTENING: Final = r"Listening on.*address=(127\S+)"
_RETENTION: Final = "100y"
"""Imported pages may be years old."""

_BLOCK: Final = 54 * 3600
"""Seconds in a block: two hours times a power of three. promtool reads its input once per block, so
each block has its own file."""

_CREATE_BLOCKS: Final = (
    "tsdb",
    "create-blocks-from",
    f"--max-block-duration={_BLOCK}s",
)

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    program: Program

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the data of an answer of the API, which must be successful."""
        answer = requests.get(f"{self.url}/api/v1/{path}", parameters, timeout=TIMEOUT)

        assert answer.ok, f"{parameters}\n{answer.text}"
        return answer.json()["data"]

    def instant(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the vector of ``expression`` at a time, now by default."""
        return list(self.ask("query", query=expression, time=at)["result"])

    def values(
        self, expression: str, key: Callable[[dict[str, str]], Key], at: float | None = None
    ) -> dict[Key, float]:
        """Return the values of `instant`, by the ``key`` of their labels."""
        vector = self.instant(expression, at)
        values = {key(each["metric"]): float(each["value"][1]) for each in vector}

        assert len(vector) == len(values), "series with the same key"
        return values


@contextmanager
def prometheus(
    folder: Path, *flags: str, port: int = 0, configuration: Mapping[str, Any] | None = None
) -> Iterator[Prometheus]:
    """Run a Prometheus during the block; its files are in ``folder``, its database in ``data``.

    It scrapes nothing unless ``configuration`` says so.
    """
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration or {}), "utf-8")
    command = [
        find_program("prometheus", "prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={_RETENTION}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with running(command, folder / "prometheus.log") as program:
        url = f"http://{program.wait_for(_LISTENING)}"
        program.wait_ready(f"{url}/-/ready")
        yield Prometheus(url, program)


def scraping(*targets: str) -> Mapping[str, Any]:
    """Return a configuration that scrapes ``targets`` every second."""
    job = {"job_name": JOB, "static_configs": [{"targets": targets}]}
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}


def import_pages(folder: Path, pages: Iterable[tuple[float, str]], target: str = TARGET) -> None:
    """Import pages, each with the time of its scrape, into the database of `prometheus`."""
    for block, some in groupby(pages, lambda page: page[0] // _BLOCK):
        path = folder / f"block-{block:.0f}"
        text = "".join(_stamped(page, moment, target) for moment, page in some)
        path.write_text(f"{text}# EOF\n", "utf-8")
        promtool(*_CREATE_BLOCKS, "openmetrics", path, folder / "data")
        path.unlink()


def record(server: Prometheus, folder: Path, rules: Path, start: int, end: int) -> None:
    """Evaluate the recording rules of a file from ``start`` to ``end``.

    The server finds the recorded series when it is started again in ``folder``.
    """
    limits = (f"--start={start}", f"--end={end}", f"--output-dir={folder / 'data'}")
    promtool(*_CREATE_BLOCKS, "rules", f"--url={server.url}", *limits, rules)


def promtool(*arguments: str | Path, folder: Path = REPOSITORY) -> str:
    """Return the output of promtool in ``folder``; promtool must succeed."""
    return output_of(find_program("promtool", "prometheus"), *arguments, folder=folder)


def _stamped(page: str, moment: float, target: str) -> str:
    """Return the samples of ``page`` and of its target with a time and the target's labels."""
    samples = (
        f"{name}{{{target}{',' * bool(target and labels)}{labels}}} {value} {moment:.3f}\n"
        for name, labels, value in _SAMPLE.findall(page)
    )
    return "".join([f"up{{{target}}} 1 {moment:.3f}\n", *samples])
