"""The projects of one organization, as last heard."""

from collections import Counter
from threading import Lock
from typing import Final, Literal, Protocol

import structlog

from exporter.collect.report import ProjectInfo, ProjectsPublisher
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import ProjectList

FRESH_FOR: Final = 3600
"""Seconds after which the projects list is read again."""

REST_AFTER_FAILURE: Final = 10
"""Seconds for which a list that could not be read is not asked for again."""

_log = structlog.get_logger(__name__)


class ListsProjects(Protocol):
    """What can be asked for an organization's projects."""

    def projects(self) -> ProjectList:
        """Return all projects of the organization."""
        ...


class ProjectDirectory:
    """The projects list of an organization, read hourly and when an unknown id appears.

    If it cannot be read, the last one serves.
    """

    def __init__(
        self,
        organization: str,
        client: ListsProjects,
        publisher: ProjectsPublisher,
        label_by: Literal["slug", "id"] = "slug",
    ) -> None:
        self._organization = organization
        self._client = client
        self._publisher = publisher
        self._label_by = label_by
        self._lock = Lock()
        self._list: ProjectList | None = None
        self._read_at = 0.0
        self._nowhere: frozenset[int] = frozenset()
        self._failed_at = 0.0
        self._failure: SentryError | None = None

    def projects(self, now: float) -> ProjectList:
        """Return the list, at most an hour old where Sentry gives it.

        Raises what the client raises if there is no list at all.
        """
        with self._lock:
            if self._list is None or not 0 <= now - self._read_at < FRESH_FOR:
                self._read(now)
            return self._known()

    def refreshed(self, now: float) -> ProjectList:
        """Return the list, read anew where Sentry gives it."""
        with self._lock:
            self._read(now)
            return self._known()

    def resolve(self, ids: frozenset[int], now: float) -> ProjectList:
        """Return the list after one more look at Sentry if ``ids`` has one never looked for."""
        with self._lock:
            unknown = ids - self._known().by_id.keys()
            if unknown - self._nowhere and self._read(now):
                self._nowhere |= unknown - self._known().by_id.keys()
            return self._known()

    def labels(self, projects: ProjectList) -> dict[int, str]:
        """Return the labels of the projects that the token can read, each a different one."""
        readable = [projects.by_id[project] for project in sorted(projects.accessible)]
        slugs = Counter(project.slug for project in readable)
        return {
            project.id: project.slug
            if self._label_by == "slug" and slugs[project.slug] == 1 and not project.slug.isdigit()
            else str(project.id)
            for project in readable
        }

    def _known(self) -> ProjectList:
        if self._list is None:
            raise LookupError
        return self._list

    def _read(self, now: float) -> bool:
        if self._failure is not None and 0 <= now - self._failed_at < REST_AFTER_FAILURE:
            if self._list is None:
                raise self._failure
            return False
        try:
            self._list = self._client.projects()
        except SentryError as error:
            self._failed_at, self._failure = now, error
            if self._list is None:
                raise
            _log.warning(
                "the projects list cannot be read, the last one serves",
                organization=self._organization,
                reason=error.reason,
                error=str(error),
            )
            return False
        self._read_at = now
        labels = self.labels(self._list)
        self._publisher.publish_projects(
            self._organization,
            [
                ProjectInfo(label, project, self._list.by_id[project].platform)
                for project, label in labels.items()
            ],
        )
        return True
