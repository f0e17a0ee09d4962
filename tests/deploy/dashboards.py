"""The dashboards as documents, and the queries that Grafana sends to Prometheus for them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.grafana.generator import FOLDER
from tests.support.prometheus import Prometheus

Document = Mapping[str, Any]
Choices = Mapping[str, str]

NAMES: Final = ("overview", "organization", "project", "quotas", "health")
DASHBOARDS: Final[Mapping[str, Document]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in NAMES
}

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
HIDDEN: Final = 2
"""Of a variable that the page does not show; all of its options are chosen."""

POINTS: Final = 900
"""Points of a chart that is as wide as the page; narrower ones have fewer."""


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
    def title(self) -> str:
        """The title of the panel."""
        return str(self.panel["title"])

    @property
    def key(self) -> tuple[str, str, str]:
        """The dashboard, panel and letter, which identify the expression."""
        return self.dashboard, self.title, self.target["refId"]


@dataclass(frozen=True, slots=True)
class Times:
    """The time range of a page, and the scrape interval of the data source, in seconds."""

    end: int
    length: int
    scrape_interval: int

    def of(self, panel: Document) -> "Times":
        """Return the time range of a panel, which can have one of its own."""
        own = panel.get("timeFrom")
        return Times(self.end, seconds(own), self.scrape_interval) if own else self

    def step(self, panel: Document) -> int:
        """Return the step that Grafana chooses for a chart."""
        shortest = seconds(panel.get("interval") or f"{self.scrape_interval}s")
        points = panel.get("maxDataPoints") or POINTS * panel["gridPos"]["w"] // 24
        wanted = max(shortest, self.length / points)
        return next((each for each in _STEPS if each >= wanted), _STEPS[-1])


_STEPS: Final = tuple(
    count * SECONDS[unit]
    for unit, counts in (
        ("s", (1, 2, 5, 10, 15, 20, 30)),
        ("m", (1, 2, 4, 5, 10, 15, 20, 30)),
        ("h", (1, 2, 3, 6, 12)),
        ("d", (1, 7, 30)),
    )
    for count in counts
)
"""Grafana's steps, and the scrape interval of the tests."""


def seconds(duration: str) -> int:
    """Return the length of a duration such as ``1h``."""
    return int(duration[:-1]) * SECONDS[duration[-1]]


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
    return re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda match: values[match[1] or match[2]], text)


def duration(length: int) -> str:
    """Return Grafana's text for a length: in its largest unit that divides it."""
    unit = next(each for each in "dhms" if length % SECONDS[each] == 0)
    return f"{length // SECONDS[unit]}{unit}"


def built_in(times: Times, step: int) -> dict[str, str]:
    """Return Grafana's own variables."""
    scrape = times.scrape_interval
    return {
        "__range": f"{times.length}s",
        "__interval": duration(step),
        "__interval_ms": str(step * 1000),
        "__rate_interval": f"{max(step + scrape, 4 * scrape)}s",
    }


def options(prometheus: Prometheus, query: str, times: Times) -> list[str]:
    """Return the options of a variable, as Grafana's ``label_values`` or ``query_result`` does."""
    if query.startswith("query_result("):
        vector = prometheus.instant(
            query.removeprefix("query_result(").removesuffix(")"), times.end
        )
        return sorted(filter(None, (each["metric"].get("project") for each in vector)))
    parsed = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert parsed is not None, query
    window = {"start": times.end - times.length, "end": times.end}
    return list(prometheus.ask(f"label/{parsed[2]}/values", **{"match[]": parsed[1]}, **window))


def chosen(
    prometheus: Prometheus, name: str, times: Times, wanted: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return a value for each variable of a dashboard, chosen in order from its options.

    A variable has the value that is ``wanted``, its default, or its first option, as in Grafana.
    """
    values: dict[str, str] = {}
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] != "query":
            continue
        query = substituted(
            variable["query"]["query"], {**values, **built_in(times, times.scrape_interval)}
        )
        offered = options(prometheus, query, times)
        if variable.get("hide") == HIDDEN:
            values[variable["name"]] = f"({'|'.join(offered)})"
            continue
        assert offered, variable["name"]
        default = (variable.get("current") or {}).get("value")
        preferred = (wanted or {}).get(variable["name"], default)
        values[variable["name"]] = (
            preferred if preferred in offered else variable.get("allValue") or offered[0]
        )
    return values


def answer(
    prometheus: Prometheus, shown: Shown, values: Choices, times: Times
) -> list[dict[str, Any]]:
    """Return Prometheus's answer for a target, to the request that Grafana sends."""
    own = times.of(shown.panel)
    step = own.step(shown.panel)
    expression = substituted(shown.expression, {**values, **built_in(own, step)})
    end = own.end // step * step
    if shown.target["instant"]:
        return prometheus.instant(expression, end)
    window = {"start": (own.end - own.length) // step * step, "end": end, "step": step}
    return list(prometheus.ask("query_range", query=expression, **window)["result"])


def numbers(series: Mapping[str, Any]) -> list[float]:
    """Return the values of a series of an instant or range query."""
    pairs = series.get("values") or [series["value"]]
    return [float(value) for _, value in pairs]


def targets(name: str, *titles: str) -> Sequence[Shown]:
    """Return the expressions of the panels of a dashboard with these titles, by default all."""
    return [one for one in SHOWN if one.dashboard == name and (not titles or one.title in titles)]
