"""A list of 100,000 projects: it is taken, and holds up nobody."""

import json
import resource
from collections.abc import Callable
from typing import Final

import pytest

from exporter.simulator import World
from tests.reliability.upstream.stage import staged
from tests.reliability.upstream.world import HOUR, START
from tests.support.exporters import page_text
from tests.support.fault_proxy import Exchange

MANY: Final = 100_000
MEMORY: Final = 256 * 1024
"""In KiB: what the list may take, rendered and compressed."""


def send_many(exchange: Exchange) -> None:
    """Send all projects that there are, and many more, on one page."""
    few = [{"id": str(300 + number), "slug": f"lists-{number}"} for number in range(12)]
    more = ({"id": str(10_000 + number), "slug": f"more-{number}"} for number in range(MANY - 12))
    exchange.answer = type(exchange.answer)(200, json.dumps([*few, *more]).encode())
    exchange.send(exchange.bytes())


def test_many(
    world: World, monkeypatch: pytest.MonkeyPatch, tried: Callable[[str, int], None]
) -> None:
    """All of them are shown, what was counted is right, and the next list takes their place."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with staged(monkeypatch, world) as stage:
        stage.proxies["lists"].break_(send_many, "projects", times=1)
        stage.poll(START)
        lines = page_text(stage.exporter).count('sentry_stats_project_info{organization="lists"')
        right = stage.is_up("lists"), stage.wrong("lists"), stage.wrong("healthy")
        stage.poll(START + HOUR)
        later = page_text(stage.exporter).count('sentry_stats_project_info{organization="lists"')
        right_later = stage.is_up("lists"), stage.wrong("lists"), stage.wrong("healthy")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    tried("faults of Sentry and the network", 1)

    assert (MANY, 12) == (lines, later)
    assert (True, {}, {}) == right == right_later
    assert memory < MEMORY
