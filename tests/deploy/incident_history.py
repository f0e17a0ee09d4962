"""A Prometheus database with the same hours of last week.

Simulator and exporter run through a day of last week on a clock that the test sets. promtool
imports the scraped pages, then evaluates the recording rules over that time, each after the rules
that it reads.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter
from exporter.simulator import DAY, HOUR, Simulator, World
from tests.deploy.incident_world import configuration
from tests.deploy.overlay import LOOKBACK_DELTA, shortened
from tests.support.clock import Clock
from tests.support.exporters import scraped
from tests.support.prometheus import import_pages, prometheus, promtool

EARLIEST: Final = 7 * DAY + 4 * HOUR
"""How long before the present the history begins: the longest range of the alerts."""

STEP: Final = 240
"""Seconds between scrapes and between evaluations: less than the default lookback of ``5m``."""

Rule = Mapping[str, Any]


def scrape_last_week(world: World, present: float) -> list[tuple[float, str]]:
    """Return the pages of a day of last week with their times, `EARLIEST` before ``present`` on."""
    clock = Clock(present - EARLIEST)
    moments = [clock.now + passed for passed in range(0, DAY, STEP)]
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        exporter = Exporter(configuration(sentry.url), clock=clock)
        pages = list(scraped(exporter, clock, moments))

    assert all(query.report.up for query in exporter.queries)
    return pages


def import_history(
    pages: Sequence[tuple[float, str]], rules: Mapping[str, Any], clock: Clock, folder: Path
) -> None:
    """Fill the database of a Prometheus with ``pages`` and what ``rules`` record of them."""
    at_host = [(clock.host_time(moment), page) for moment, page in pages]
    import_pages(folder, at_host)
    for layer in _layers(_recording(rules)):
        _record(layer, at_host[0][0], at_host[-1][0], folder)


def _recording(files: Mapping[str, Any]) -> list[Rule]:
    """Return the recording rules of all files."""
    groups = [group for document in files.values() for group in document["groups"]]
    return [rule for group in groups for rule in group["rules"] if "record" in rule]


def _layers(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Yield rules in layers: each layer reads only what earlier layers record."""
    left = list(rules)
    while left:
        pending = {rule["record"] for rule in left}
        layer = [rule for rule in left if pending.isdisjoint(_read_by(rule))]

        assert layer, f"circular rules: {pending}"
        yield layer
        left = [rule for rule in left if rule not in layer]


def _read_by(rule: Rule) -> set[str]:
    """Return all names in the expression of ``rule``, but for its own previous value."""
    return set(re.findall(r"[\w:]+", rule["expr"])) - {rule["record"]}


def _record(layer: Sequence[Rule], start: float, end: float, folder: Path) -> None:
    """Evaluate a layer from ``start`` to ``end``, and add the recorded series."""
    path = folder / "layer.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "layer", "rules": list(layer)}]}))
    with prometheus(folder, f"--query.lookback-delta={shortened(LOOKBACK_DELTA)}") as started:
        promtool(
            *("tsdb", "create-blocks-from", "rules", f"--url={started.url}"),
            *(f"--start={start}", f"--end={end}", f"--eval-interval={shortened(f'{STEP}s')}"),
            *(f"--output-dir={folder / 'data'}", path),
        )
