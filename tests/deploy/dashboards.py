"""The dashboards as documents, and the queries that Grafana sends to Prometheus for them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.grafana.generator import FOLDER
from tests.deploy.dashboard_world import DAY, END, SCRAPE_INTERVAL, label_values, matrix
from tests.support.prometheus import JOB, Prometheus

Document = Mapping[str, Any]

NAMES: Final = ("overview", "organization", "project", "health")
DASHBOARDS: Final[Mapping[str, Document]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in NAMES
}

PREFERRED: Final = {"organization": "acme", "query": "outcomes", "category": "error", "job": JOB}


@dataclass(frozen=True, slots=True)
class Shown:
    """An expression of a panel of a dashboard."""

    dashboard: str
    panel: Document
    target: Document

    @property
    def expression(self) -> str:
        """The PromQL expression."""
        return str(self.target["expr"])

    @property
    def key(self) -> tuple[str, str, str]:
        """The dashboard, panel and legend, which identify the expression."""
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
    """Return ``text`` with every variable replaced; a variable without a value is an error."""
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)


def built_in(step: int) -> dict[str, str]:
    """Return Grafana's own variables for a chart of a day."""
    return {
        "__range": f"{DAY}s",
        "__interval_ms": str(step * 1000),
        "__rate_interval": f"{max(step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)}s",
    }


def chosen(prometheus: Prometheus, name: str) -> dict[str, str]:
    """Return a value for each variable of a dashboard, chosen in order from its options."""
    values: dict[str, str] = {}
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            query = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert query is not None
            options = label_values(prometheus, substituted(query[1], values), query[2])
            assert options, variable["name"]
            preferred = PREFERRED.get(variable["name"])
            value = preferred if preferred in options else options[0]
            values[variable["name"]] = variable.get("allValue", value)
    return values


def answer(prometheus: Prometheus, shown: Shown, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return Prometheus's answer for the panel at the end of the day."""
    expression = substituted(shown.expression, {**values, **built_in(shown.step())})
    if shown.target["instant"]:
        return prometheus.instant(expression, END)
    return matrix(prometheus, expression, shown.step())


def numbers(series: Mapping[str, Any]) -> list[float]:
    """Return the values of a series of an instant or range query."""
    pairs = series.get("values") or [series["value"]]
    return [float(value) for _, value in pairs]
