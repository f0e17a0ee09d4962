"""A Prometheus database with an incident of the last two hours, and what was usual at this time.

Simulator and exporter run through these hours on a clock that the test sets, so nobody waits for
them. promtool imports the scraped pages, then evaluates the recording rules over that time, each
after the rules that it reads: as far as other rules read them as they were long ago.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter
from exporter.simulator import DAY, HOUR
from tests.deploy.incident_world import Incident, configuration
from tests.support.clock import Clock
from tests.support.exporters import scraped
from tests.support.prometheus import import_pages, prometheus, promtool

BEFORE: Final = HOUR
"""How much history there is before the incident."""

STEP: Final = 120
"""Seconds between scrapes, and between evaluations, as by the rules about projects."""

USUAL: Final = (7 * DAY, DAY)
"""How long ago the days are that show what is usual: last week and yesterday."""

USUAL_LENGTH: Final = HOUR * 3 // 2
USUAL_STEP: Final = 600
"""How much history there is on these days until the present time of day, in which steps."""

_LOOKBACK_DELTA: Final = "15m"
"""Longer than the steps. Only the evaluation of the history has it."""

_READ_LATER: Final = re.compile(
    r".*sentry_stats_(?:series:\w+|poll_interval_seconds:\w+|(?:submitted|accepted):increase1h"
    r"|quantity:increase30m|lost:ratio30m)|sentry_stats:threshold:warning_ratio"
)
"""The recorded series that others read as they were an hour, a day or a week ago."""

_ONLY_IN_OUTAGES: Final = re.compile(r".*sentry_stats_unknown:\w+")
"""What is recorded while the exporter knows nothing, which is not part of the history."""

Rule = Mapping[str, Any]
Pages = list[tuple[float, str]]


def scrape_usual(url: str, clock: Clock, incident: Incident) -> Iterator[Pages]:
    """Yield the pages of each of the days of `USUAL`, until the present time of day."""
    for ago in USUAL:
        # A short lookback, because data that comes late hardly matters here.
        exporter = Exporter(configuration(url, lookback="2h"), clock=clock)
        end = int(incident.now) - ago
        yield list(scraped(exporter, clock, range(end - USUAL_LENGTH, end + 1, USUAL_STEP)))


def scrape_incident(exporter: Exporter, clock: Clock, incident: Incident) -> Iterator[str]:
    """Poll until the present; yields the page of each step, whose time ``clock`` shows."""
    moments = range(int(incident.start - BEFORE), int(incident.now) + 1, STEP)
    for _, page in scraped(exporter, clock, moments):
        yield page


def import_history(
    parts: Sequence[tuple[Pages, int]], rules: Iterable[Rule], folder: Path, target: str
) -> None:
    """Fill the database of a Prometheus with pages, and what ``rules`` record of them.

    Each part has its pages and the seconds between them. ``target`` has the labels of the scrapes.
    """
    for pages, _ in parts:
        import_pages(folder, pages, target)
    spans = [(pages[0][0], pages[-1][0], step) for pages, step in parts]
    for layer in _layers(_needed(list(rules))):
        _record(layer, spans, folder)


def _needed(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules whose values are read much later, and the rules that these read."""
    recorded = {rule["record"] for rule in rules}
    needed = {name for name in recorded if _READ_LATER.fullmatch(name)}
    added = needed
    while added:
        read = {name for rule in rules if rule["record"] in added for name in _read_by(rule)}
        added = (read & recorded) - needed
        needed |= added
    return [rule for rule in rules if rule["record"] in needed]


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
    names = set(re.findall(r"[\w:]+", rule["expr"])) - {rule["record"]}
    return {name for name in names if not _ONLY_IN_OUTAGES.fullmatch(name)}


def _record(layer: Sequence[Rule], spans: Iterable[tuple[float, float, int]], folder: Path) -> None:
    """Evaluate a layer over all spans, each of a start, an end and a step."""
    path = folder / "layer.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "layer", "rules": list(layer)}]}))
    with prometheus(folder, f"--query.lookback-delta={_LOOKBACK_DELTA}") as started:
        for start, end, step in spans:
            promtool(
                *("tsdb", "create-blocks-from", "rules", f"--url={started.url}"),
                *(f"--start={start}", f"--end={end}", f"--eval-interval={step}s"),
                *(f"--output-dir={folder / 'data'}", path),
            )
