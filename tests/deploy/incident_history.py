"""A Prometheus database with the same hours of last week.

Simulator and exporter run through these hours on a clock that the test sets. promtool imports the
scraped pages, then evaluates the recording rules over that time, each after the rules that it
reads: those rules that others read most of a day later.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter
from exporter.simulator import DAY, HOUR, Simulator, World
from tests.deploy.incident_world import configuration
from tests.deploy.overlay import lengthened, shortened
from tests.support.clock import Clock
from tests.support.exporters import scraped
from tests.support.prometheus import import_pages, prometheus, promtool

EARLIEST: Final = 7 * DAY
LENGTH: Final = 9 * HOUR
"""When the history begins, before the present, and how long it is: longer than the tests."""

STEP: Final = 600
"""Seconds between scrapes and between evaluations."""

_LOOKBACK_DELTA: Final = "15m"
"""Longer than `STEP`. Only the evaluation of the history has it."""

_NAME: Final = re.compile(r"[\w:]+")
_OLD: Final = re.compile(
    r"(?P<name>[\w:]+)(?:\{[^}]*\})?(?:\[(?P<range>\w+)[^]]*\])?(?: offset (?P<offset>\w+))?"
)
"""A series in an expression, with the durations that say how old the values are."""

_LATER: Final = 20 * HOUR
"""Rules that are read as they were so long ago need a history."""

Rule = Mapping[str, Any]


def scrape_last_week(world: World, present: float) -> list[tuple[float, str]]:
    """Return the pages of last week with their times, from `EARLIEST` before ``present`` on."""
    clock = Clock(present - EARLIEST)
    moments = [clock.now + passed for passed in range(0, LENGTH, STEP)]
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
    for layer in _layers(_needed(_rules(rules))):
        _record(layer, at_host[0][0], at_host[-1][0], folder)


def _rules(files: Mapping[str, Any]) -> list[Rule]:
    """Return the rules of all files."""
    groups = [group for document in files.values() for group in document["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def _needed(rules: Sequence[Rule]) -> list[Rule]:
    """Return the recording rules that others read much later, and what these read."""
    recording = [rule for rule in rules if "record" in rule]
    needed = {name for rule in rules for name in _read_later(rule)}
    before = set[str]()
    while needed != before:
        before = set(needed)
        needed |= {
            name for rule in recording if rule["record"] in needed for name in _read_by(rule)
        }
    return [rule for rule in recording if rule["record"] in needed]


def _read_later(rule: Rule) -> Iterator[str]:
    """Yield the names that the expression of ``rule`` reads as they were long ago."""
    for match in _OLD.finditer(rule["expr"]):
        lengths = (match[name] for name in ("range", "offset"))
        if any(length and lengthened(length) > _LATER for length in lengths):
            yield match["name"]


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
    return set(_NAME.findall(rule["expr"])) - {rule["record"]}


def _record(layer: Sequence[Rule], start: float, end: float, folder: Path) -> None:
    """Evaluate a layer from ``start`` to ``end``, and add the recorded series."""
    path = folder / "layer.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "layer", "rules": list(layer)}]}))
    with prometheus(folder, f"--query.lookback-delta={shortened(_LOOKBACK_DELTA)}") as started:
        promtool(
            *("tsdb", "create-blocks-from", "rules", f"--url={started.url}"),
            *(f"--start={start}", f"--end={end}", f"--eval-interval={shortened(f'{STEP}s')}"),
            *(f"--output-dir={folder / 'data'}", path),
        )
