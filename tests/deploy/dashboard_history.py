"""Eight days of an organization with 200 projects, in a real Prometheus.

The numbers are those of the simulated Sentry. An exporter that polls it would take a quarter of an
hour, so the samples are written as an exporter publishes them, with a poll every half hour.
`tests.deploy.dashboard_world` has a day of a real exporter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from exporter.buckets import floor
from exporter.categories import MILLISECONDS_PER_SECOND, Unit, unit_of
from exporter.publish import families
from exporter.publish.family import Family
from exporter.simulator import World, demo_world
from exporter.simulator.demo_projects import QUIET, size_of
from exporter.simulator.episodes import Episode
from exporter.simulator.scenarios import episodes_of_hour
from exporter.simulator.series import Series
from exporter.simulator.store import Store
from exporter.simulator.traffic import Traffic
from tests.deploy.dashboard_quotas import kinds, quota_page
from tests.support.prometheus import import_pages

HOUR: Final = 3600
DAY: Final = 86400
START: Final = 1_748_908_800
"""Midnight of a Tuesday, UTC."""

END: Final = START + 8 * DAY + 10 * HOUR + 40 * 60
"""In the running hour; all organizations have more than a week of history."""

TURN: Final = START + 4 * DAY
"""When a billing period begins."""

PROJECTS: Final = 200
ORGANIZATION: Final = "globex"
SILENT: Final = "orders-api"
SPIKING: Final = ("media-web", "fraud-gateway", "catalog-ios")

_SEED: Final = 1
_SCRAPE_INTERVAL: Final = 300
_OFFSET: Final = 37
"""Not on the minute, because Prometheus spreads its scrapes."""

_POLL_INTERVAL: Final = 1800
_SETTLE: Final = 300
_QUERIES: Final = ("outcomes", "projects")
_ORGANIZATIONS: Final = {"acme": 1, "globex": 2}
_ENDING: Final = 50 * 60
"""From this second of an hour on, the samples by project are read; expressions read no others."""

_LOOKED_BACK: Final = 2 * DAY
"""How old the last event of a project may be; the exporter has no such limit."""

_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True, slots=True)
class _Polled:
    """What the polls before a moment have brought."""

    poll: float
    bucket: int

    @classmethod
    def before(cls, moment: float) -> "_Polled":
        """Return the state at ``moment``."""
        poll = floor(moment - _SETTLE, _POLL_INTERVAL) + _SETTLE
        return cls(poll, floor(poll - _SETTLE, HOUR) - HOUR)


def write_history(folder: Path) -> World:
    """Import the eight days into the database in ``folder``, and return the simulated world."""
    world = _world()
    organizations = [Organization(world, slug) for slug in _ORGANIZATIONS]
    moments = range(START + _OFFSET, END + 1, _SCRAPE_INTERVAL)
    import_pages(folder, ((moment, "\n".join(_page(organizations, moment))) for moment in moments))
    return world


def _world() -> World:
    """Return the demo with a project that fell silent, and spikes in others."""
    world = demo_world(END, projects=PROJECTS)
    organization = _ORGANIZATIONS[ORGANIZATION]
    projects = {one.slug: one for one in world.active_projects(organization)}
    busy = [one.id for one in projects.values() if size_of(_SEED, one) > QUIET]
    additional = [Episode(END - 9 * HOUR, END, 0.0, projects[SILENT].id)]
    for number, slug in enumerate(SPIKING):
        for start, hours in ((END - 3 * HOUR, 3), (START + (2 + number) * DAY, 5)):
            times = (start, start + hours * HOUR)
            additional.append(
                Episode(
                    *times,
                    scale=1.0 + number,
                    project=projects[slug].id,
                    categories=frozenset({"error"}),
                    outcome="rate_limited",
                    reason="smart_rate_limit",
                )
            )
    generated = world.store.traffic(organization)
    assert generated is not None
    episodes = episodes_of_hour(_SEED, busy, additional)
    traffic = Traffic(_SEED, organization, generated.series, episodes)
    others = {
        number: each
        for number in _ORGANIZATIONS.values()
        if (each := world.store.traffic(number)) is not None
    }
    world.store = Store({**others, organization: traffic})
    return world


class Organization:
    """The data of an organization. Sums of series are those of `Store.totals`, but faster."""

    def __init__(self, world: World, slug: str) -> None:
        self.slug = slug
        number = _ORGANIZATIONS[slug]
        traffic = world.store.traffic(number)
        assert traffic is not None
        self._traffic = traffic
        self._projects = world.active_projects(number)
        slugs = {one.id: one.slug for one in self._projects}
        self._labels = {
            query: [_labels(slug, query, each, slugs) for each in traffic.series]
            for query in _QUERIES
        }

    @lru_cache(8)  # noqa: B019 - lives as long as the test
    def data(self, query: str, name: str, start: int, at: float) -> Sequence[str]:
        """Return the samples of a bucket, as of a poll at ``at``."""
        family = {"bucket": families.BUCKET, "running": families.RUNNING}[name]
        sums: dict[tuple[str, str], int] = {}
        visible = self._traffic.visible(start, at)
        for key, quantity in zip(self._labels[query], visible, strict=True):
            sums[key] = sums.get(key, 0) + quantity
        return [
            f"{family[unit].name}{{{labels}}} "
            f"{quantity / (MILLISECONDS_PER_SECOND if unit == Unit.SECONDS else 1)}"
            for (unit, labels), quantity in sums.items()
        ]

    @lru_cache(8)  # noqa: B019 - lives as long as the test
    def last_events(self, running: int, at: float) -> Sequence[str]:
        """Return the newest bucket of each project in which Sentry received an event."""
        slugs = {one.id: one.slug for one in self._projects}
        newest: dict[str, int] = {}
        for start in range(running, running - _LOOKED_BACK, -HOUR):
            for each, quantity in zip(
                self._traffic.series, self._traffic.visible(start, at), strict=True
            ):
                slug = slugs.get(each.project or 0)
                if slug and quantity and each.outcome != "client_discard":
                    newest.setdefault(slug, start)
            if len(newest) == len(slugs):
                break
        identity = {"organization": self.slug, "query": "projects"}
        return [
            _sample(families.PROJECT_LAST_EVENT, {**identity, "project": slug}, start)
            for slug, start in newest.items()
        ]

    def quotas(self, moment: int, *, by_project: bool) -> str:
        """Return the samples of quotas; a period ends at `TURN`, and the next one a week later."""
        slugs = [one.slug for one in self._projects] if by_project else ()
        first = self._projects[0]
        account = kinds(first.teams[0] if first.teams else "", first.slug)
        return quota_page(self.slug, account, slugs, moment, TURN)

    def projects(self) -> Iterator[str]:
        """Yield the list of projects."""
        for project in self._projects:
            labels = {
                "organization": self.slug,
                "project": project.slug,
                "id": str(project.id),
                "platform": project.platform or "",
                "team": project.teams[0] if len(project.teams) == 1 else "",
            }
            yield _sample(families.PROJECT_INFO, labels, 1)


def _labels(slug: str, query: str, each: Series, slugs: Mapping[int, str]) -> tuple[str, str]:
    """Return the unit of a series, and its labels under their names of the API."""
    category = {"default": "error", "security": "error"}.get(each.category, each.category)
    reason = {None: "none", "smart_rate_limit": "spike_protection"}.get(each.reason, each.reason)
    labels = {
        "organization": slug,
        "query": query,
        "category": category,
        "outcome": each.outcome,
        "reason": reason or "none",
        "project": slugs.get(each.project, "") if query == "projects" else "",
    }
    return unit_of(category).value, _written(labels)


def _page(organizations: Sequence[Organization], moment: int) -> Iterator[str]:
    """Yield the samples of a scrape."""
    polled = _Polled.before(moment)
    ending = moment > END - 2 * HOUR
    for organization in organizations:
        for query in _QUERIES:
            identity = {"organization": organization.slug, "query": query}
            yield from state(identity, moment, polled.poll, polled.bucket)
            if query == "outcomes" or moment % HOUR >= _ENDING or ending:
                yield from organization.data(query, "bucket", polled.bucket, polled.poll)
            if ending:
                running = polled.bucket + HOUR
                yield from organization.data(query, "running", running, polled.poll)
        yield from _requests(organization.slug, moment)
        by_project = ending or DAY < END - moment < DAY + _SCRAPE_INTERVAL * 2
        yield organization.quotas(moment, by_project=by_project)
        if ending:
            yield from organization.projects()
            if moment > END - _POLL_INTERVAL:
                yield from organization.last_events(polled.bucket + HOUR, polled.poll)
    yield from process(moment)


def state(identity: Mapping[str, str], moment: int, poll: float, bucket: int) -> Iterator[str]:
    """Yield the state of a query, which shows ``bucket`` since ``poll``.

    One poll of a day fails, and on every other day the bucket is incomplete then.
    """
    dimensions = "category,outcome,project,reason" if identity["query"] == "projects" else ""
    failing = identity["query"] == "projects" and moment % DAY // _POLL_INTERVAL == 30
    polls = (poll - START) // _POLL_INTERVAL + 1
    info = {
        **identity,
        "interval": "1h",
        "field": "sum(quantity)",
        "group_by": dimensions or "category,outcome,reason",
        "filter": "",
    }
    yield _sample(families.QUERY_INFO, info, 1)
    for family, value in (
        (families.UP, 1 - failing),
        (families.COMPLETE, int(not failing or moment % (2 * DAY) < DAY)),
        (families.LAST_SUCCESS, poll - failing * _POLL_INTERVAL),
        (families.NEXT_POLL, poll + _POLL_INTERVAL),
        (families.BUCKET_START, bucket),
        (families.BUCKET_END, bucket + HOUR),
        (families.SERIES, 2700 if identity["query"] == "projects" else 90),
        (families.FILTER_PROJECTS_MISSING, 0),
        (families.POLLS, polls),
        (families.POLL_DURATION, 0.2 + polls % 7 / 10),
        (families.POLL_REQUESTS, 3 + polls % 9 if identity["query"] == "projects" else 1),
        (families.REVISIONS, polls * 40),
        (families.REGRESSIONS, polls // 40),
    ):
        yield _sample(family, identity, value)
    failures = (moment - START) // DAY
    yield _sample(families.POLL_FAILURES, {**identity, "reason": "timeout"}, failures)


def _requests(slug: str, moment: int) -> Iterator[str]:
    """Yield the numbers of requests, of which a few were throttled."""
    polls = (moment - START) // _POLL_INTERVAL
    organization = {"organization": slug}
    for api, code, value in (("stats_v2", "200", polls * 7), ("stats_v2", "429", polls // 12)):
        labels = {**organization, "api": api, "code": code}
        yield _sample(families.API_REQUESTS, labels, value)
    labels = {**organization, "api": "stats_v2", "reason": "timeout"}
    yield _sample(families.API_FAILURES, labels, (moment - START) // DAY)
    for position, bound in enumerate((*_BOUNDS, "+Inf"), 1):
        name = f"{families.API_DURATION.name}_bucket"
        yield f'{name}{{organization="{slug}",le="{bound}"}} {polls * position}'
    yield _sample(families.API_RATE_LIMIT, organization, 20)
    yield _sample(families.API_RATE_LIMIT_REMAINING, organization, 18 - polls % 5)
    yield _sample(families.API_THROTTLED, organization, polls // 12 * 1.5)


def process(moment: int) -> Iterator[str]:
    """Yield what the process publishes about itself."""
    yield _sample(families.BUILD_INFO, {"version": "0.1.0", "python": "3.11"}, 1)
    yield _sample(families.RELOAD_SUCCESSFUL, {}, 1)
    yield _sample(families.RELOAD_TIME, {}, START)
    age = moment - START
    for name, value in (
        ("process_cpu_seconds_total", age * 0.01),
        ("process_resident_memory_bytes", 90e6 + age % HOUR * 1000),
        ("process_open_fds", 24),
        ("process_max_fds", 1024),
        ('python_gc_objects_collected_total{generation="0"}', age * 3),
    ):
        yield f"{name} {value}"


def _sample(family: Family, labels: Mapping[str, str], value: float) -> str:
    return f"{family.name}{{{_written(labels)}}} {value}" if labels else f"{family.name} {value}"


def _written(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{text}"' for name, text in labels.items())
