"""A day of the demo's data, in a real Prometheus that has scraped an exporter for a day.

Simulator and exporter run through the day on a clock that the test sets; polls and answers are the
real ones. promtool imports the page of each scrape into a Prometheus.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from exporter.app import Exporter
from exporter.cli.demo import demo_configuration
from exporter.config import Config
from exporter.simulator import RateLimit, Simulator, World, demo_world
from tests.support.clock import Clock
from tests.support.exporters import scraped, unpaced
from tests.support.prometheus import Prometheus, import_pages

START: Final = 1_748_908_800
"""Midnight of a Tuesday, UTC."""

DAY: Final = 86400
END: Final = START + DAY
SCRAPE_INTERVAL: Final = 240
FIRST_SCRAPE: Final = START + 37
"""Not on the minute, because Prometheus spreads its scrapes."""

_PROJECTS: Final = 3
_POLL_INTERVAL: Final = 1800
_HIGH_LIMIT: Final = RateLimit(limit=1000)
"""All requests of a poll fall into one second of the clock, so the default limit is too low."""

Vector = Mapping[tuple[str, ...], float]

Kind = Callable[[str, str], bool]
"""Returns whether an outcome and reason belong to the kind."""


@dataclass(frozen=True, slots=True)
class Day:
    """The simulated data, and the times of the first and the last poll of the day."""

    world: World
    first_poll: float
    last_poll: float

    def gained(
        self,
        organization: str,
        by: Sequence[str],
        *,
        category: Sequence[str] | None = None,
        kind: Kind = lambda _outcome, _reason: True,
    ) -> dict[tuple[str, ...], float]:
        """Return the increase between the first and the last poll, from the rows, by labels.

        Project labels are slugs, empty for projects that are not listed.
        """
        known = self.world.organization(organization)
        assert known is not None
        sums: dict[tuple[str, ...], float] = {}
        for at, sign in ((self.last_poll, 1), (self.first_poll, -1)):
            totals = self.world.store.totals(
                known.id,
                START - DAY,
                END,
                at=at,
                group_by=(*by, "outcome", "reason"),
                category=category,
            )
            for (*key, outcome, reason), value in totals.items():
                if not kind(str(outcome), str(reason)):
                    continue
                labels = tuple(map(str, self._labels(known.id, key)))
                sums[labels] = sums.get(labels, 0) + sign * value
        return {key: value for key, value in sums.items() if value}

    def _labels(self, organization: int, key: Sequence[str | int]) -> Iterator[str | int]:
        """Yield the labels of ``key``, with slugs instead of ids."""
        slugs = {one.id: one.slug for one in self.world.active_projects(organization)}
        for label in key:
            yield slugs.get(label, "") if isinstance(label, int) else label


def run_day(folder: Path) -> Day:
    """Run through the day, and import the scraped pages into the database in ``folder``."""
    clock = Clock(FIRST_SCRAPE)
    world = demo_world(START, projects=_PROJECTS)
    with Simulator(world, clock=clock, rate_limit=_HIGH_LIMIT) as sentry:
        config = unpaced(demo_configuration(sentry.url))
        exporter = Exporter(_with_fewer_polls(config), clock=clock)
        import_pages(folder, scraped(exporter, clock, range(FIRST_SCRAPE, END, SCRAPE_INTERVAL)))
    assert all(query.report.up for query in exporter.queries)
    return Day(world, FIRST_SCRAPE, exporter.queries[0].report.last_success)


def _with_fewer_polls(config: Config) -> Config:
    organizations = (
        each.model_copy(
            update={
                "queries": tuple(
                    query.model_copy(update={"poll_interval": _POLL_INTERVAL})
                    for query in each.queries
                )
            }
        )
        for each in config.organizations
    )
    return replace(config, organizations=tuple(organizations))


def label_values(prometheus: Prometheus, selector: str, label: str) -> list[str]:
    """Return the values of Grafana's ``label_values``."""
    path = f"label/{label}/values"
    return list(prometheus.ask(path, **{"match[]": selector}, start=START, end=END))


def matrix(prometheus: Prometheus, expression: str, step: int) -> list[dict[str, Any]]:
    """Return the series of the day, from the end of its first step."""
    times = {"start": START + step, "end": END, "step": step}
    return list(prometheus.ask("query_range", query=expression, **times)["result"])
