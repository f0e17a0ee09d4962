"""A real Prometheus over a file of known data."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.programs import PATIENCE, find_program, running

Labels = frozenset[tuple[str, str]]
Answer = dict[Labels, float]
"""Values by labels, the metric's name left out."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus, by its address."""

    url: str

    def ask(self, expression: str, at: float) -> Answer:
        """Return what ``expression`` is at a moment."""
        parameters = {"query": expression, "time": f"{at:.0f}"}
        reply = requests.get(f"{self.url}/api/v1/query", parameters, timeout=PATIENCE).json()
        assert reply["status"] == "success", reply
        return {
            _labels(each["metric"]): float(each["value"][1]) for each in reply["data"]["result"]
        }


@contextmanager
def prometheus_over(openmetrics: str, directory: Path) -> Iterator[Prometheus]:
    """Run Debian's Prometheus in ``directory``, with that OpenMetrics text in its database."""
    promtool = find_program("promtool", "prometheus")
    prometheus = find_program("prometheus", "prometheus")
    source, data = directory / "history.om", directory / "data"
    source.write_text(openmetrics, "utf-8")
    (directory / "prometheus.yml").touch()
    blocks = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(source), str(data)]
    with running(blocks, directory / "promtool.log") as importing:
        assert importing.process.wait(PATIENCE) == 0, importing.output()
    command = [
        prometheus,
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command, directory / "prometheus.log") as program:
        address = program.wait_for(r'"Listening on" address=(\S+)')
        program.wait_ready(f"http://{address}/-/ready")
        yield Prometheus(f"http://{address}")


def _labels(metric: dict[str, str]) -> Labels:
    return frozenset((name, value) for name, value in metric.items() if name != "__name__")
