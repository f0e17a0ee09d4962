"""Organizations of a simulated Sentry: one for each cause of silence, and one without an incident.

All of them have the same projects, with steady traffic until the incident begins.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import yaml

from exporter.buckets import floor
from exporter.config import Config, loads
from exporter.simulator import (
    HOUR,
    RHYTHMS,
    SCENARIOS,
    Episode,
    Fault,
    Organization,
    Project,
    Scenario,
    Series,
    Store,
    Token,
    TokenKind,
    Traffic,
    World,
    scenario_episodes,
    scenario_faults,
)
from exporter.simulator.demo_series import limit_series, series_of
from exporter.simulator.traffic import LAG, MAX_DELAY
from tests.support.exporters import unpaced
from tests.support.programs import REPOSITORY

CAUSES: Final[tuple[Scenario, ...]] = tuple(each for each in SCENARIOS if each != "incident")
SLUGS: Final = {"key-limit": "acme"}
"""The organization of a cause, if its slug is not the name of the cause."""

ORGANIZATIONS: Final = {
    cause: Organization(number, SLUGS.get(cause, cause))
    for number, cause in enumerate(CAUSES, start=1)
}
ACME: Final = ORGANIZATIONS["key-limit"]

_SIZES: Final = {"checkout": 4.0, "ios": 20.0, "web": 120.0}
"""The sizes of the projects: checkout is so small that it hardly matters to its organization."""

_PLATFORM: Final = "python"
_CATEGORIES: Final = frozenset({"error", "default", "transaction"})
_STEADY: Final = len(RHYTHMS) - 1
_TOKEN: Final = "the-token-of-{}"
_DELAY: Final = 180
"""Seconds after its start in which a scenario changes nothing."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What has been happening in all organizations for `LENGTH` seconds, until ``now``."""

    now: float

    LENGTH: ClassVar[int] = 2 * HOUR

    @property
    def start(self) -> float:
        """When it began: at a full minute."""
        return floor(self.now, 60) - self.LENGTH

    def episodes(self, cause: Scenario) -> Callable[[int], Sequence[Episode]]:
        """Return a function that returns the episodes of an hour in the organization of a cause."""
        projects = {project.slug: project.id for project in projects_of(ORGANIZATIONS[cause])}
        episodes = scenario_episodes(cause, self.start - _DELAY, projects)

        def of_hour(hour: int) -> Sequence[Episode]:
            return [each for each in episodes if each.start < hour + HOUR and each.end > hour]

        return of_hour

    def faults(self) -> Iterator[Fault]:
        """Yield the faults of Sentry's API, each for the organization of its cause."""
        for cause, organization in ORGANIZATIONS.items():
            for fault in scenario_faults(cause, self.start - _DELAY):
                yield replace(fault, organization=organization.slug)


class Punctual(Traffic):
    """Traffic of which nothing arrives late.

    Late events of the hours before the incident would count as accepted during it, in a part of
    the test's runs: which are late depends on the hour.
    """

    def visible(self, hour: int, at: float, first: int = 0, last: int = HOUR) -> Sequence[int]:
        """Return what is visible at ``at`` of the seconds ``first`` to ``last`` of ``hour``."""
        seen = min(max(int(at - hour - LAG), 0), HOUR)
        return super().visible(hour, hour + HOUR + MAX_DELAY, min(first, seen), min(last, seen))


def projects_of(organization: Organization) -> list[Project]:
    """Return the projects of an organization."""
    return [
        Project(10 * organization.id + number, organization.id, slug, _PLATFORM)
        for number, slug in enumerate(_SIZES)
    ]


def world_of(incident: Incident) -> World:
    """Return the data of the simulated Sentry."""
    traffic = {
        organization.id: Punctual(
            1, organization.id, _series(organization), incident.episodes(cause)
        )
        for cause, organization in ORGANIZATIONS.items()
    }
    projects = [each for one in ORGANIZATIONS.values() for each in projects_of(one)]
    tokens = [
        Token(_TOKEN.format(each.slug), TokenKind.INTEGRATION, each.id)
        for each in ORGANIZATIONS.values()
    ]
    return World(ORGANIZATIONS.values(), projects, (), tokens, store=Store(traffic))


def configuration(url: str, **settings: Any) -> Config:
    """Return the shipped example for the simulated Sentry at ``url``, without pacing of requests.

    ``settings`` are added to its queries.
    """
    document = yaml.safe_load((REPOSITORY / "config.example.yaml").read_text("utf-8"))
    (example,) = document["organizations"]
    example["queries"] = [query | settings for query in example["queries"]]
    document["defaults"] = {"url": url}
    document["organizations"] = [
        {**example, "slug": each.slug, "token": _TOKEN.format(each.slug)}
        for each in ORGANIZATIONS.values()
    ]
    return unpaced(loads(yaml.safe_dump(document)))


def _series(organization: Organization) -> Iterator[Series]:
    sized = [(project, _SIZES[project.slug]) for project in projects_of(organization)]
    all_series: list[Any] = [each for one in sized for each in series_of(*one)]
    for series in (*all_series, *limit_series(sized)):
        if series.category in _CATEGORIES:
            yield series._replace(rhythm=_STEADY)
