"""The dashboards as documents, and what Grafana would ask Prometheus for them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.grafana.generator import FOLDER
from tests.deploy.dashboard_world import DAY, JOB, SCRAPE_INTERVAL, Prometheus

Document = Mapping[str, Any]

NAMES: Final = ("overview", "organization", "project", "health")
DASHBOARDS: Final[Mapping[str, Document]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in NAMES
}

PREFERRED: Final = {"organization": "acme", "query": "outcomes", "category": "error", "job": JOB}


@dataclass(frozen=True, slots=True)
class Shown:
    """An expression of a panel, as the dashboard has it."""

    dashboard: str
    panel: Document
    target: Document

    @property
    def expression(self) -> str:
        """What is asked."""
        return str(self.target["expr"])

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the expression from all others."""
        return self.dashboard, self.panel["title"], self.target["legendFormat"]

    def step(self) -> int:
        """Return the step of a chart of a day, in seconds."""
        return {"1h": 3600, None: SCRAPE_INTERVAL}[self.panel.get("interval")]


def panels(name: str) -> Iterator[Document]:
    """Yield the panels of a dashboard, without its rows."""
    yield from (panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row")


SHOWN: Final = [
    Shown(name, panel, target)
    for name in NAMES
    for panel in panels(name)
    for target in panel["targets"]
]


def substituted(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with every variable replaced; one without a value is an error."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], text)


def built_in(step: int) -> dict[str, str]:
    """Return Grafana's own variables for a chart of a day."""
    return {
        "__range": f"{DAY}s",
        "__interval_ms": str(step * 1000),
        "__rate_interval": f"{max(step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)}s",
    }


def chosen(prometheus: Prometheus, name: str) -> dict[str, str]:
    """Return a value for each variable of a dashboard, chosen in turn from what is offered."""
    values: dict[str, str] = {}
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            offered = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert offered is not None
            options = prometheus.label_values(substituted(offered[1], values), offered[2])
            assert options, variable["name"]
            wanted = PREFERRED.get(variable["name"])
            value = wanted if wanted in options else options[0]
            values[variable["name"]] = variable.get("allValue", value)
    return values


def asked(prometheus: Prometheus, shown: Shown, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what Prometheus answers when the panel is shown at the end of the day."""
    expression = substituted(shown.expression, {**values, **built_in(shown.step())})
    if shown.target["instant"]:
        return prometheus.instant(expression)
    return prometheus.matrix(expression, shown.step())


def numbers(series: Mapping[str, Any]) -> list[float]:
    """Return the values of a series, be it one or many."""
    pairs = series.get("values") or [series["value"]]
    return [float(value) for _, value in pairs]
