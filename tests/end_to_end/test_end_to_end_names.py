"""Organizations with the same slug on two servers, distinguished by their names."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.simulator import Organization, Row, Simulator, Token, World
from exporter.state import State
from tests.end_to_end.exposition import Samples, data, data_sample
from tests.end_to_end.stage import page
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, configuration
from tests.support.exporters import poll_due

SIZES = {"acme": 5, "acme-eu": 700}


@pytest.fixture
def servers(clock: Clock) -> Iterator[dict[str, Simulator]]:
    """Serve the organization acme twice, with very different numbers."""
    with ExitStack() as stack:
        simulators = {}
        for name, size in SIZES.items():
            world = World([Organization(1, "acme")], [], [], [Token(name, organization=1)])
            world.add_rows(Row(1, 11, "error", "accepted", None, clock.now - 3600, quantity=size))
            simulators[name] = stack.enter_context(Simulator(world, clock=clock, rate_limit=None))
        yield simulators


def entry(servers: dict[str, Simulator], name: str) -> dict[str, object]:
    """Return one of the organizations as a configuration has it."""
    query = {**OUTCOMES, "poll_interval": "5m"}
    server = servers[name].url
    return {"slug": "acme", "name": name, "url": server, "token": name, "queries": [query]}


def gauge(name: str) -> object:
    """Return the key of the gauge of one of the organizations."""
    labels = (name, "outcomes", "error", "accepted", "none", "")
    return data_sample("sentry_stats_bucket_events", *labels)


def counted(samples: Samples) -> dict[str, float]:
    """Return the counters of errors by organization."""
    counters = data(samples, prefix="sentry_stats_events_total")
    return {dict(labels)["organization"]: value for (_, labels), value in counters.items()}


def test_both_are_shown(servers: dict[str, Simulator], clock: Clock) -> None:
    """Each organization has its own values, with its name as the label."""
    entries = [entry(servers, name) for name in SIZES]
    exporter = Exporter(configuration("http://unused.test", *entries), clock=clock)
    poll_due(exporter, clock.now)
    gauges = data(page(exporter), prefix="sentry_stats_bucket_")

    assert {gauge(name): size for name, size in SIZES.items()} == gauges


def test_their_order_in_the_file_does_not_matter(
    servers: dict[str, Simulator], clock: Clock, tmp_path: Path
) -> None:
    """After a restart with the reverse order, each counter continues from its own value."""
    shown = []
    for names in (list(SIZES), list(reversed(SIZES))):
        with closing(State(tmp_path / "state")) as state:
            entries = [entry(servers, name) for name in names]
            config = configuration("http://unused.test", *entries)
            exporter = Exporter(config, clock=clock, state=state)
            for _ in range(2):
                poll_due(exporter, clock.now)
                for name, size in SIZES.items():
                    row = Row(1, 11, "error", "accepted", None, clock.now, quantity=size)
                    servers[name].world.add_rows(row)
                clock.now += 300
            poll_due(exporter, clock.now)
            shown.append(counted(page(exporter)))

    assert {name: 2 * size for name, size in SIZES.items()} == shown[0]
    assert {name: 4 * size for name, size in SIZES.items()} == shown[1]
