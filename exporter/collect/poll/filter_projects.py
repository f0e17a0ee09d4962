"""The projects that a query's filter names: which are read, and which cannot be. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from exporter.collect.plan.resolved import ChosenProjects, choose_projects, missing_project
from exporter.sentry.errors import UnknownProjectError
from exporter.sentry.projects import ProjectList

RETRY_REFUSED_AFTER: Final = 3600
"""Seconds for which a project that Sentry refused is left out."""


@dataclass(frozen=True, slots=True)
class FilterProjects:
    """The names in a filter, and the projects that Sentry refused, each with the time of that."""

    names: tuple[str, ...] = ()
    refused: Mapping[int, float] = field(default_factory=dict)

    def at(self, now: float) -> Self:
        """Return the same without the refusals after which a project is tried again."""
        # A negative time means that the clock was set back: then the project is tried again.
        current = {p: at for p, at in self.refused.items() if 0 <= now - at < RETRY_REFUSED_AFTER}
        return replace(self, refused=current)

    def refusing(self, projects: Iterable[int], now: float) -> Self:
        """Return the same after Sentry refused ``projects`` at ``now``."""
        return replace(self, refused={**self.refused, **dict.fromkeys(projects, now)})

    def retrying(self) -> Self:
        """Return the same with every project to be tried again."""
        return replace(self, refused={})

    def choose(self, projects: ProjectList | None) -> ChosenProjects:
        """Return the ids to read, and the names that cannot be read."""
        return choose_projects(self.names, projects, frozenset(self.refused))

    def unknown(self, projects: ProjectList | None) -> UnknownProjectError:
        """Return the error for a filter of which no project can be read."""
        flaws = "; ".join(missing_project(one, projects) for one in self.names)
        return UnknownProjectError(f"filter.project: {flaws}")
