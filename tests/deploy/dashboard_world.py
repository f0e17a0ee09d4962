"""A day of the demo's data, in a real Prometheus that has scraped two replicas of an exporter.

Simulator and exporter run through the day on a clock that the test sets; polls and answers are the
real ones. promtool imports the page of each scrape into a Prometheus, and records the rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exporter.app import Exporter
from exporter.cli.demo import demo_configuration
from exporter.config import Config
from exporter.simulator import RateLimit, Simulator, World, demo_world
from tests.deploy.dashboard_kinds import Kind
from tests.support.clock import Clock
from tests.support.exporters import scraped, unpaced
from tests.support.prometheus import TARGET, import_pages

START: Final = 1_748_908_800
"""Midnight of a Tuesday, UTC."""

DAY: Final = 86400
END: Final = START + DAY
SCRAPE_INTERVAL: Final = 240
FIRST_SCRAPE: Final = START + 37
"""Not on the minute, because Prometheus spreads its scrapes."""

HOURS: Final = range(START, START + 23 * 3600, 3600)
"""The buckets that have been shown, and recorded, by the end of the day."""

REPLICA: Final = TARGET.replace("exporter:", "exporter-2:")

HOUR: Final = 3600
_PROJECTS: Final = 3
_POLL_INTERVAL: Final = 1800
_LAST_POLL: Final = 5797
"""Seconds from the start of a bucket to the last poll that shows it: the first scrape from 95
minutes on."""

_HIGH_LIMIT: Final = RateLimit(limit=1000)
"""All requests of a poll fall into one second of the clock, so the default limit is too low."""


@dataclass(frozen=True, slots=True)
class Day:
    """The simulated data. Buckets are those that the gauges have shown, by their starts.

    ``at`` is when they were read, by default in the last poll that showed them.
    """

    world: World
    at: float = 0

    def finished(
        self,
        organization: str,
        by: Sequence[str],
        hours: Iterable[int],
        *,
        category: Sequence[str] | None = None,
        kind: Kind = lambda _outcome, _reason: True,
    ) -> dict[tuple[str, ...], float]:
        """Return the sum of buckets as they were read, by labels.

        Project labels are slugs, empty for projects that are not listed.
        """
        known = self.world.organization(organization)
        assert known is not None
        slugs = {one.id: one.slug for one in self.world.active_projects(known.id)}
        sums: dict[tuple[str, ...], float] = {}
        for hour in hours:
            totals = self.world.store.totals(
                known.id,
                hour,
                hour + HOUR,
                at=self.at or hour + _LAST_POLL,
                group_by=(*by, "outcome", "reason"),
                category=category,
            )
            for (*key, outcome, reason), value in totals.items():
                if kind(str(outcome), str(reason)):
                    labels = tuple(
                        slugs.get(each, "") if isinstance(each, int) else each for each in key
                    )
                    sums[labels] = sums.get(labels, 0) + value
        return {key: value for key, value in sums.items() if value}


def run_day(folder: Path) -> Day:
    """Run through the day, and import the scraped pages into the database in ``folder``."""
    clock = Clock(FIRST_SCRAPE)
    world = demo_world(START, projects=_PROJECTS)
    with Simulator(world, clock=clock, rate_limit=_HIGH_LIMIT) as sentry:
        config = unpaced(demo_configuration(sentry.url))
        exporter = Exporter(_with_fewer_polls(config), clock=clock)
        pages = list(scraped(exporter, clock, range(FIRST_SCRAPE, END, SCRAPE_INTERVAL)))
    assert all(query.report.up for query in exporter.queries)
    for target in (TARGET, REPLICA):
        import_pages(folder, pages, target)
    return Day(world)


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
