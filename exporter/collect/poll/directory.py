"""The projects of one organization, as last heard."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final, Literal, Protocol

import structlog

from exporter.collect.ledger.ledger import KeepError
from exporter.collect.snapshot import ProjectInfo, ProjectsPublisher
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import Project, ProjectList

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

    def credentials(self) -> object:
        """Return what changes when the token or the CA file does."""
        ...


class KeepsList(Protocol):
    """What keeps the projects list beyond the life of the process."""

    def load(self) -> ProjectList | None:
        """Return the list that was kept last."""
        ...

    def save(self, projects: ProjectList) -> None:
        """Keep ``projects``, or raise `KeepError`."""
        ...


def only_team(project: Project) -> str:
    """Return the team of ``project``, ``""`` where it has several or none."""
    return project.teams[0] if len(project.teams) == 1 else ""


class ProjectDirectory:
    """The projects list of an organization, read hourly and when an unknown id appears.

    If it cannot be read, the last one serves, that of the process before included if ``keeper``
    has it. ``team`` tells who owns a project.
    """

    def __init__(
        self,
        organization: str,
        client: ListsProjects,
        publisher: ProjectsPublisher,
        label_by: Literal["slug", "id"] = "slug",
        team: Callable[[Project], str] = only_team,
        keeper: KeepsList | None = None,
    ) -> None:
        self._organization = organization
        self._client = client
        self._publisher = publisher
        self._label_by = label_by
        self._team = team
        self._lock = Lock()
        self._list: ProjectList | None = None
        self._read_at: float | None = None
        self._nowhere: frozenset[object] = frozenset()
        self._flags_hold = True
        self._read_with: object = None
        self._labels: tuple[ProjectList, dict[int, str]] | None = None
        self._failed_at = 0.0
        self._failure: tuple[SentryError, object] | None = None
        self._keeper = keeper
        kept = keeper.load() if keeper else None
        if kept is not None:
            self._show(kept)

    def projects(self, now: float) -> ProjectList:
        """Return the list, at most an hour old where Sentry gives it.

        Raises what the client raises if there is no list at all.
        """
        with self._lock:
            if self._read_at is None or not 0 <= now - self._read_at < FRESH_FOR:
                self._read(now)
            return self._known()

    def refreshed(self, now: float) -> ProjectList:
        """Return the list, read anew where Sentry gives it; there has to be one already."""
        with self._lock:
            self._read(now)
            return self._known()

    def find(self, names: Iterable[str], now: float) -> ProjectList:
        """Return the list after one more look at Sentry if it lacks a slug or id of ``names``.

        Each name is looked for once. There has to be a list already.
        """
        with self._lock:
            known = self._known()
            numbers = {int(name) for name in names if name.isdigit()} - known.by_id.keys()
            slugs = {name for name in names if not name.isdigit()} - known.by_slug.keys()
            missing = frozenset[object](numbers | slugs) - self._nowhere
            if missing and self._read(now):
                self._nowhere |= missing
            return self._known()

    def learn(self, readable: frozenset[int], now: float) -> ProjectList:
        """Return the list after Sentry has let the token read the projects ``readable``.

        Of one that the list lacks, or says that it cannot be read, the list is read once more. If
        it still says so, it speaks of somebody else than this token, and all projects are taken
        for readable, until there is another token. There has to be a list already.
        """
        with self._lock:
            unknown = readable - self._known().accessible
            if unknown - self._nowhere and self._read(now):
                known = self._known()
                if unknown & known.by_id.keys() - known.accessible:
                    self._flags_hold = False
                    self._show(known.all_readable())
                self._nowhere |= unknown - self._known().accessible
            return self._known()

    def labels(self, projects: ProjectList) -> Mapping[int, str]:
        """Return the labels of the projects that the token can read, each a different one."""
        known = self._labels
        if known is None or known[0] is not projects:
            known = self._labels = projects, self._label(projects)
        return known[1]

    def _label(self, projects: ProjectList) -> dict[int, str]:
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
        credentials = self._client.credentials()
        if self._failure is not None and 0 <= now - self._failed_at < REST_AFTER_FAILURE:
            error, tried_with = self._failure
            # With another token, or another CA file, it may be had at once.
            if tried_with == credentials:
                if self._list is None:
                    # A traceback would grow each time that the same error is raised.
                    raise error.with_traceback(None)
                return False
        try:
            projects = self._client.projects()
        except SentryError as error:
            self._failed_at, self._failure = now, (error, credentials)
            if self._list is None:
                raise
            _log.warning(
                "cannot read the projects list, using the last one",
                organization=self._organization,
                reason=error.reason,
                error=str(error),
            )
            return False
        self._failure = None
        self._read_at = now
        self._flags_hold = self._flags_hold or credentials != self._read_with
        self._read_with = credentials
        before = self._list
        self._show(projects if self._flags_hold else projects.all_readable())
        if self._list != before:
            self._keep()
        return True

    def _keep(self) -> None:
        if self._keeper is None or self._list is None:
            return
        try:
            self._keeper.save(self._list)
        except KeepError as error:
            _log.warning(
                "cannot write the projects list to the state file",
                organization=self._organization,
                error=str(error),
            )

    def _show(self, projects: ProjectList) -> None:
        self._list = projects
        labels = self.labels(projects)
        self._publisher.publish_projects(
            self._organization,
            [
                ProjectInfo(label, one.id, one.platform, self._team(one))
                for label, one in (
                    (label, projects.by_id[project]) for project, label in labels.items()
                )
            ],
        )
