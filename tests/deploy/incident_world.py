"""Organizations of a simulated Sentry: one for each cause of silence, and one without an incident.

All of them have the same projects, with steady traffic until the incident begins.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import yaml

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

_SIZES: Final = {"checkout": 1.0, "ios": 5.0, "web": 30.0}
"""The sizes of the projects: checkout is so small that it hardly matters to its organization."""

_PLATFORM: Final = "python"
_CATEGORIES: Final = frozenset({"error", "default", "transaction"})
_STEADY: Final = len(RHYTHMS) - 1
_TOKEN: Final = "the-token-of-{}"
_DELAY: Final = 180
"""Seconds after its start in which a scenario changes nothing."""


@dataclass(slots=True)
class Incident:
    """What happens in all organizations at the same time.

    ``start`` is a full hour, and can be set until that hour begins. The incident lasts `LENGTH`.
    """

    start: float = float("inf")

    LENGTH: ClassVar[int] = 3 * HOUR

    @property
    def end(self) -> float:
        """When it ends."""
        return self.start + self.LENGTH

    def episodes(self, cause: Scenario) -> Callable[[int], Sequence[Episode]]:
        """Return a function that returns the episodes of an hour in the organization of a cause."""
        projects = {project.slug: project.id for project in projects_of(ORGANIZATIONS[cause])}

        def of_hour(hour: int) -> Sequence[Episode]:
            if not self.start <= hour < self.end:
                return ()
            return [
                replace(each, end=min(each.end, self.end))
                for each in scenario_episodes(cause, self.start - _DELAY, projects)
            ]

        return of_hour

    def faults(self) -> Iterator[Fault]:
        """Yield the faults of Sentry's API, each for the organization of its cause."""
        for cause, organization in ORGANIZATIONS.items():
            for fault in scenario_faults(cause, self.start - _DELAY):
                yield replace(fault, organization=organization.slug, end=self.end)


def projects_of(organization: Organization) -> list[Project]:
    """Return the projects of an organization."""
    return [
        Project(10 * organization.id + number, organization.id, slug, _PLATFORM)
        for number, slug in enumerate(_SIZES)
    ]


def world_of(incident: Incident) -> World:
    """Return the data of the simulated Sentry."""
    traffic = {
        organization.id: Traffic(
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


def configuration(url: str) -> Config:
    """Return the shipped example for the simulated Sentry at ``url``, without pacing of requests."""
    document = yaml.safe_load((REPOSITORY / "config.example.yaml").read_text("utf-8"))
    (example,) = document["organizations"]
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
