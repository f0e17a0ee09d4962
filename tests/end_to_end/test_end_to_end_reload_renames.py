"""Queries and organizations are renamed by a reload: with a state file, no event is lost."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.app import Exporter
from exporter.simulator import Simulator
from exporter.state import State
from tests.end_to_end.stage import page
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, Entry, configuration, organization
from tests.support.exporters import poll_due

pytestmark = pytest.mark.slow

MINUTE = 60
QUERIES = {
    "outcomes": {**OUTCOMES, "lookback": "2h", "poll_interval": "5m"},
    "projects": {**PROJECTS, "lookback": "2h", "poll_interval": "5m"},
}


def named(organization_name: str, **names: str) -> Entry:
    """Return the organization with other names of itself and of its queries."""
    queries: list[dict[str, Any]] = [
        {**query, "name": names.get(name, name)} for name, query in QUERIES.items()
    ]
    return organization(*queries, name=organization_name)


def totals(exporter: Exporter, names: dict[tuple[str, str], str]) -> Counter[tuple[str, str]]:
    """Return the sums of the counters of some names, by original name and category."""
    sums: Counter[tuple[str, str]] = Counter()
    for (name, labels), value in page(exporter).items():
        if name == "sentry_stats_events_total":
            of = dict(labels)
            query = names.get((of["organization"], of["query"]))
            if query is not None:
                sums[query, of["category"]] += int(value)
    return sums


def pass_quarter(clock: Clock, *exporters: Exporter) -> None:
    """Let a quarter of an hour pass, polling what is due each minute."""
    for _ in range(15):
        clock.now += MINUTE
        for exporter in exporters:
            poll_due(exporter, clock.now)


@pytest.mark.parametrize(
    ("organization_name", "names"),
    [
        ("acme", {"outcomes": "results"}),
        ("europe", {}),
        ("europe", {"outcomes": "results", "projects": "by-project"}),
        ("acme", {"outcomes": "projects", "projects": "outcomes"}),
    ],
    ids=["query", "organization", "both", "swapped"],
)
def test_nothing_is_lost(
    sentry: Simulator,
    clock: Clock,
    tmp_path: Path,
    organization_name: str,
    names: dict[str, str],
) -> None:
    """What counters gain under the old and the new names is what one gains that is not renamed."""
    before = configuration(sentry.url, named("acme"))
    after = configuration(sentry.url, named(organization_name, **names))
    old = {("acme", name): name for name in QUERIES}
    new = {(organization_name, names.get(name, name)): name for name in QUERIES}
    untouched = Exporter(before, clock=clock)
    with closing(State(tmp_path / "state")) as state:
        renamed = Exporter(before, clock=clock, state=state)
        for exporter in (untouched, renamed):
            poll_due(exporter, clock.now)
        pass_quarter(clock, untouched, renamed)
        # A name that was another query's goes on from that one's counters.
        first, began = totals(renamed, old), totals(renamed, new)
        renamed.apply(after)
        pass_quarter(clock, untouched, renamed)

        gained = totals(renamed, new)
        gained.subtract(began)
        gained.update(first)
        assert totals(untouched, old) == gained
        assert all(first[name, "error"] > 0 for name in QUERIES)
