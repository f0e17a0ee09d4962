"""Who publishes reports and projects, and for how long."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition
from typing import Protocol

from exporter.collect.snapshot import ProjectInfo, Report


class Publisher(Protocol):
    """What publishes reports."""

    def publish(self, report: Report) -> None:
        """Publish ``report`` in place of the previous one of the same query."""
        ...


class ProjectsPublisher(Protocol):
    """What publishes the projects of organizations."""

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Publish ``projects`` in place of the previous ones of ``organization``."""
        ...


class PagePublisher(Publisher, ProjectsPublisher, Protocol):
    """What publishes both."""


class RevocablePublisher:
    """Passes reports on to ``page`` between `enable` and `revoke`, and drops them otherwise.

    Polls that are still out when their configuration is replaced cannot publish anything then. Of
    the projects, those of ``organizations`` are passed on. ``published`` is called after each
    report that the page has taken.
    """

    def __init__(
        self,
        page: PagePublisher,
        organizations: frozenset[str],
        published: Callable[[], None] = lambda: None,
    ) -> None:
        self._page = page
        self._organizations = organizations
        self._published = published
        self._changed = Condition()
        self._enabled = False
        self._passing = 0

    def publish(self, report: Report) -> None:
        """Publish ``report`` if enabled."""
        with self._pass() as enabled:
            if enabled:
                self._page.publish(report)
                self._published()

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Publish ``projects`` if enabled, and if they are to be published here."""
        with self._pass() as enabled:
            if enabled and self.publishes_projects(organization):
                self._page.publish_projects(organization, projects)

    def publishes_projects(self, organization: str) -> bool:
        """Return whether the projects of ``organization`` are to be published here."""
        return organization in self._organizations

    def enable(self) -> None:
        """Pass on what comes from now on."""
        with self._changed:
            self._enabled = True

    def revoke(self) -> None:
        """Pass on nothing from now on; returns once what is being published is published."""
        with self._changed:
            self._enabled = False
            # The caller publishes these queries next; the page takes each from one thread only.
            self._changed.wait_for(lambda: not self._passing)

    @contextmanager
    def _pass(self) -> Iterator[bool]:
        # Not the lock itself is held meanwhile: large pages of several queries are rendered side by
        # side.
        with self._changed:
            enabled = self._enabled
            self._passing += enabled
        try:
            yield enabled
        finally:
            with self._changed:
                self._passing -= enabled
                self._changed.notify_all()
