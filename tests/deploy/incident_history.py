"""What a Prometheus remembers of the same hours of last week.

Simulator and exporter live through a day of last week on a clock that is turned by hand; what each
scrape would have read becomes a block. The recording rules are then evaluated over that time by
promtool, those that read others after these.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter
from exporter.collect.poll.loop import Poller
from exporter.simulator import Simulator, World
from exporter.simulator.traffic import DAY, HOUR
from tests.deploy.incident_world import configuration
from tests.deploy.kit import output_of
from tests.deploy.overlay import FastTime, shortened
from tests.programs import find_program, running

EARLIEST: Final = 7 * DAY + 4 * HOUR
"""How long before the present the history begins: the alerts look back by that at the most."""

STEP: Final = 240
"""Seconds between two scrapes, and two evaluations: the default ``5m`` of looking back spans it."""

_TARGET: Final = 'job="sentry-stats-exporter",instance="exporter:10790"'
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LISTENING: Final = r"Listening on.*address=(127\S+)"

Rule = Mapping[str, Any]


def lived(world: World, present: float) -> list[tuple[float, str]]:
    """Return the pages of a day of last week, from `EARLIEST` before ``present``, by moment."""
    moment = present - EARLIEST
    pages = []
    with Simulator(world, clock=lambda: moment, rate_limit=None) as sentry:
        exporter = Exporter(configuration(sentry.url), clock=lambda: moment)
        poller = Poller(exporter.queries, start=lambda work: work())
        for _ in range(DAY // STEP):
            poller.tick(moment)
            page = b"".join(exporter.page.chunks(openmetrics=True, compressed=False))
            pages.append((moment, page.decode()))
            moment += STEP

    assert all(query.report.up for query in exporter.queries)
    return pages


def remember(
    pages: Sequence[tuple[float, str]], rules: Mapping[str, Any], clock: FastTime, data: Path
) -> None:
    """Fill the folder ``data`` of a Prometheus with ``pages``, and what ``rules`` make of them."""
    text = data.with_name("history")
    text.write_text("".join([*_stamped(pages, clock), "# EOF\n"]), "utf-8")
    output_of(_promtool(), "tsdb", "create-blocks-from", "openmetrics", text, data)
    start, end = (str(clock.on_the_host(moment)) for moment, _ in (pages[0], pages[-1]))
    for layer in _layers(_recording(rules)):
        _record(layer, start, end, data)


def _stamped(pages: Sequence[tuple[float, str]], clock: FastTime) -> Iterator[str]:
    for moment, page in pages:
        at = f"{clock.on_the_host(moment):.3f}"
        yield f"up{{{_TARGET}}} 1 {at}\n"
        for name, labels, value in _SAMPLE.findall(page):
            yield f"{name}{{{_TARGET}{',' * bool(labels)}{labels}}} {value} {at}\n"


def _recording(files: Mapping[str, Any]) -> list[Rule]:
    """Return the recording rules of all files."""
    groups = [group for document in files.values() for group in document["groups"]]
    return [rule for group in groups for rule in group["rules"] if "record" in rule]


def _layers(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Yield rules in layers: each reads what earlier layers record, and nothing of its own."""
    left = list(rules)
    while left:
        pending = {rule["record"] for rule in left}
        layer = [rule for rule in left if pending.isdisjoint(_read_by(rule))]

        assert layer, f"they read each other: {pending}"
        yield layer
        left = [rule for rule in left if rule not in layer]


def _read_by(rule: Rule) -> set[str]:
    """Return the names in the expression of ``rule``."""
    return set(re.findall(r"[\w:]+", rule["expr"]))


def _record(layer: Sequence[Rule], start: str, end: str, data: Path) -> None:
    """Evaluate a layer from ``start`` to ``end``, and add what it records."""
    path = data.with_name("layer.yml")
    path.write_text(yaml.safe_dump({"groups": [{"name": "layer", "rules": list(layer)}]}))
    with _prometheus_of(data) as url:
        output_of(
            _promtool(),
            *("tsdb", "create-blocks-from", "rules", f"--url={url}"),
            *(f"--start={start}", f"--end={end}", f"--eval-interval={shortened(f'{STEP}s')}"),
            *(f"--output-dir={data}", path),
        )


@contextmanager
def _prometheus_of(data: Path) -> Iterator[str]:
    """Run a Prometheus that holds ``data`` and scrapes nothing; yields its URL."""
    empty = data.with_name("empty.yml")
    empty.write_text("{}")
    command = [
        find_program("prometheus", "prometheus"),
        f"--config.file={empty}",
        f"--storage.tsdb.path={data}",
        f"--query.lookback-delta={shortened('5m')}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command, data.with_name("log")) as program:
        url = f"http://{program.wait_for(_LISTENING)}"
        program.wait_ready(f"{url}/-/ready")
        yield url


def _promtool() -> str:
    return find_program("promtool", "prometheus")
