"""Reports to publish, and pages parsed by prometheus_client's parsers."""

from typing import Any

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.collect.series import ProjectSeries, Series
from exporter.collect.snapshot import Report, View
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.question import QUANTITY
from tests.support.rows import rows

START = 492_222 * 3600
WEB, GONE = 4505, 9


def series(
    category: str = "error",
    outcome: str = "accepted",
    reason: str = "none",
    project: int = 0,
    field: str = QUANTITY,
) -> ProjectSeries:
    """Return a series, of accepted errors unless ``settings`` say otherwise."""
    return ProjectSeries(Series(field, category, outcome, reason), project)


def view(**settings: Any) -> View:
    """Return a view of one series, without running bucket and counters unless given.

    What it holds is given with a key for each value.
    """
    values: dict[str, Any] = {
        "start": START,
        "interval": 3600,
        "complete": True,
        "bucket": {series(): 5},
        "running": None,
        "counters": None,
    }
    values |= settings
    for part in ("bucket", "running", "counters"):
        values[part] = values[part] and rows(values[part])
    return View(**values)


def report(query: str = "outcomes", organization: str = "acme", **settings: Any) -> Report:
    """Return a report of a poll that succeeded, with data unless ``settings`` say otherwise."""
    values: dict[str, Any] = {"up": True, "last_success": START + 3900.5, "polls": 3}
    return Report(organization, query, **{"view": view()} | values | settings)


def page(*reports: Report) -> Page:
    """Return a page that shows ``reports``."""
    shown = Page(SelfMetrics())
    for one in reports:
        shown.publish(one)
    return shown


def text_of(shown: Page, *, openmetrics: bool = False) -> str:
    """Return ``shown`` as a scraper gets it."""
    return b"".join(shown.chunks(openmetrics=openmetrics, compressed=False)).decode()


def families_of(shown: Page, *, openmetrics: bool = False) -> dict[str, Metric]:
    """Return ``shown`` as parsed, by family."""
    parse = parse_openmetrics if openmetrics else parse_text
    return {family.name: family for family in parse(text_of(shown, openmetrics=openmetrics))}


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(shown: Page, *, openmetrics: bool = False) -> Samples:
    """Return the samples of ``shown`` except those of the process, which change by themselves."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families_of(shown, openmetrics=openmetrics).values()
        for sample in family.samples
        if sample.name.startswith("sentry_")
    }


def values_of(shown: Page, name: str) -> dict[str, float]:
    """Return the values of one family on ``shown``, by query."""
    return {
        dict(labels)["query"]: value
        for (sample, labels), value in samples_of(shown).items()
        if sample == name
    }
