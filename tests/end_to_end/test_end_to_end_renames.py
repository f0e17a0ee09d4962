"""Renamed, swapped, replaced, deleted and recreated projects: no event is lost."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.simulator import Organization, Project, Row, Simulator, Token, World
from exporter.state import State
from tests.end_to_end.exposition import Sample, lines_of, read_text
from tests.support.clock import Clock
from tests.support.configuration import Entry, configuration
from tests.support.exporters import page_text, poll_due

ACME, WEB, API = 1, 11, 12
HOUR = 3600
BY_PROJECT = {"name": "projects", "groupBy": ["project", "category", "outcome"], "lookback": "6h"}
TOTAL = "sentry_stats_events_total"


@pytest.fixture
def sentry(clock: Clock) -> Iterator[Simulator]:
    """Serve two projects of very different size, with errors of a day and of the next hours."""
    world = World(
        [Organization(ACME, "acme")],
        [Project(WEB, ACME, "web"), Project(API, ACME, "Web")],
        [],
        [Token("token", organization=ACME)],
    )
    began = clock.now // HOUR * HOUR - 6 * HOUR
    for minute in range(30 * 60):
        at = began + minute * 60
        world.add_rows(
            Row(ACME, WEB, "error", "accepted", None, at, quantity=10),
            Row(ACME, API, "error", "accepted", None, at, quantity=1000),
        )
    with Simulator(world, clock=clock, rate_limit=None) as simulator:
        yield simulator


@dataclass
class Scraper:
    """Sums the increases of each counter as Prometheus does, and checks that none decreases."""

    seen: dict[Sample, float] = field(default_factory=dict)
    gained: Counter[str] = field(default_factory=Counter)

    def scrape(self, exporter: Exporter) -> None:
        """Scrape once."""
        for each, value in read_text(lines_of(page_text(exporter), TOTAL)).items():
            step = value - self.seen.get(each, 0)
            assert step >= 0, f"{each} fell by {-step}"
            assert step <= 61_000 * 2, f"{each} jumped by {step}"

            self.gained[dict(each[1])["project"]] += int(step)
            self.seen[each] = value


def entry(**settings: object) -> Entry:
    """Return the organization as a configuration has it."""
    return {"slug": "acme", "token": "token", "queries": [BY_PROJECT], **settings}


def watch(exporter: Exporter, scraper: Scraper, clock: Clock, until: float) -> None:
    """Poll and scrape once a minute until ``until``."""
    while clock.now < until:
        clock.now += 60
        poll_due(exporter, clock.now)
        scraper.scrape(exporter)


def organization_increase(sentry: Simulator, since: float, until: float) -> int:
    """Return the increase of the hours that are finished at ``until``."""
    start, end = since - 6 * HOUR, until // HOUR * HOUR
    now, then = (
        sentry.store.totals(ACME, start, end, at=at, group_by=("category",))
        for at in (until, since)
    )
    return sum(now.values()) - sum(then.values())


EVENTS: dict[str, Callable[[World], object]] = {
    "rename": lambda world: world.rename_project(API, "shop"),
    "swap": lambda world: world.swap_slugs(WEB, API),
    "take-over": lambda world: world.rename_projects({WEB: "old", API: "web"}),
    "same slug": lambda world: world.rename_project(API, "web"),
    "slug of digits": lambda world: world.rename_project(API, "4505"),
    "deletion": lambda world: world.delete_project(API),
}


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_is_lost(sentry: Simulator, clock: Clock, event: str) -> None:
    """With any change of projects, the increases of all labels add up to the organization total."""
    began = clock.now
    exporter = Exporter(configuration(sentry.url, entry()), clock=clock)
    scraper = Scraper()
    poll_due(exporter, clock.now)
    scraper.scrape(exporter)
    watch(exporter, scraper, clock, began + 2.5 * HOUR)
    EVENTS[event](sentry.world)
    watch(exporter, scraper, clock, began + 6 * HOUR)

    assert organization_increase(sentry, began, clock.now) == scraper.gained.total()


def test_a_new_slug_counts_from_0(sentry: Simulator, clock: Clock) -> None:
    """The counter of the old slug stops, and the counter of the new slug starts at 0."""
    began = clock.now
    exporter = Exporter(configuration(sentry.url, entry()), clock=clock)
    scraper = Scraper()
    poll_due(exporter, clock.now)
    watch(exporter, scraper, clock, began + 2.5 * HOUR)
    before = scraper.gained["Web"]
    sentry.world.rename_project(API, "shop")
    watch(exporter, scraper, clock, began + 5.5 * HOUR)

    assert 60_000 < before <= scraper.gained["Web"]
    assert scraper.gained["shop"] % 1000 == 0
    assert scraper.gained["shop"] >= 2 * 60_000


def test_deleted_and_recreated(sentry: Simulator, clock: Clock) -> None:
    """A project that is recreated with its slug continues the counter."""
    began = clock.now
    exporter = Exporter(configuration(sentry.url, entry()), clock=clock)
    scraper = Scraper()
    poll_due(exporter, clock.now)
    watch(exporter, scraper, clock, began + 1.5 * HOUR)
    sentry.world.delete_project(WEB)
    watch(exporter, scraper, clock, began + 2.5 * HOUR)
    sentry.world.add_project(Project(13, ACME, "web"))
    sentry.world.add_rows(Row(ACME, 13, "error", "accepted", None, clock.now + 60, quantity=7))
    watch(exporter, scraper, clock, began + 5.5 * HOUR)

    assert organization_increase(sentry, began, clock.now) == scraper.gained.total()


RESTARTS: dict[str, Entry] = {
    "label": entry(project_label="id"),
    "organization": entry(name="acme-eu"),
    "query": entry(queries=[{**BY_PROJECT, "name": "renamed"}]),
    "nothing": entry(),
}


@pytest.mark.parametrize("change", RESTARTS)
def test_a_restart_with_other_labels(
    sentry: Simulator, clock: Clock, tmp_path: Path, change: str
) -> None:
    """With a state file, a restart with other labels loses no event."""
    began = clock.now
    scraper = Scraper()
    for configured, hours in ((entry(), 2.5), (RESTARTS[change], 6)):
        with closing(State(tmp_path / "state")) as state:
            config = configuration(sentry.url, configured)
            exporter = Exporter(config, clock=clock, state=state)
            poll_due(exporter, clock.now)
            scraper.scrape(exporter)
            watch(exporter, scraper, clock, began + hours * HOUR)

    assert organization_increase(sentry, began, clock.now) == scraper.gained.total()
