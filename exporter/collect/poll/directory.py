"""The projects of one organization, as they were last read."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final, Literal, Protocol, Self

import structlog

from exporter.collect.persistence import ListPersistence, PersistError
from exporter.collect.poll.failure import Failure
from exporter.collect.poll.poller_state import ClosedError
from exporter.collect.publisher import ProjectsPublisher
from exporter.collect.snapshot import ProjectInfo
from exporter.config import Teams
from exporter.repetition import Repetition
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import Project, ProjectList

FRESH_FOR: Final = 3600
"""Seconds after which the projects list is read again."""

PAUSE_AFTER_FAILURE: Final = 10
"""Seconds for which a list that could not be read is not asked for again."""

_log = structlog.get_logger(__name__)


class ProjectsClient(Protocol):
    """What can be asked for an organization's projects."""

    def projects(self) -> ProjectList:
        """Return all projects of the organization."""
        ...

    def credentials(self) -> Hashable:
        """Return what changes when the token or the CA file does."""
        ...


def only_team(project: Project) -> str:
    """Return the team of ``project``, ``""`` where it has several or none."""
    return project.teams[0] if len(project.teams) == 1 else ""


def owner_of(teams: Teams, project: Project) -> str:
    """Return who owns a project: the team that the configuration names, else its only one."""
    return teams.owner(project.slug, project.id) or only_team(project)


@dataclass(slots=True, eq=False)
class DirectoryState:
    """What a directory knows; a reload hands it to a successor for the same organization.

    ``unlisted`` are names and ids that the list lacks even after it was read for them.
    ``flags_hold`` is False once the list was seen to be wrong about what the token can read.
    ``failure`` is when and why the list could not be read last, and with which credentials, and
    ``repeated`` how often this was so for the same reason. The ``lock`` is held while the list is
    being read. Of a ``closed`` state, which has a successor with another client, nothing is asked.
    """

    projects: ProjectList | None = None
    read_at: float | None = None
    read_with: Hashable = None
    unlisted: frozenset[object] = frozenset()
    flags_hold: bool = True
    failure: tuple[float, SentryError, Hashable] | None = None
    repeated: tuple[str, Repetition] | None = None
    closed: bool = False
    lock: Lock = field(default_factory=Lock)

    def for_another_client(self) -> Self:
        """Return a copy for another client, which need not wait for a request of this one's."""
        # A request that is out may change this one just now. What it has read is of no interest:
        # it is read again with the other client.
        return replace(self, lock=Lock())


class ProjectDirectory:
    """The projects list of an organization, read hourly and when an unknown id appears.

    If it cannot be read, the last one is used, be it from the state file. ``team`` returns who owns
    a project.
    """

    def __init__(
        self,
        organization: str,
        client: ProjectsClient,
        publisher: ProjectsPublisher,
        label_by: Literal["slug", "id"] = "slug",
        team: Callable[[Project], str] = only_team,
        persistence: ListPersistence | None = None,
        state: DirectoryState | None = None,
    ) -> None:
        self._organization = organization
        self._client = client
        self._publisher = publisher
        self._label_by = label_by
        self._team = team
        self._persistence = persistence
        self._state = state or DirectoryState(persistence.restore() if persistence else None)
        self._labelled: tuple[ProjectList | None, dict[int, str]] = None, {}
        self._published: ProjectList | None = None

    @property
    def state(self) -> DirectoryState:
        """What a successor needs to go on."""
        return self._state

    def projects(self, now: float, max_age: float = FRESH_FOR) -> ProjectList:
        """Return the list, younger than ``max_age`` if Sentry gives it.

        Raises what the client raises if there is no list at all.
        """
        # Held during the request: other queries wait for its answer instead of asking too.
        with self._state.lock:
            read_at = self._state.read_at
            is_old = read_at is None or not 0 <= now - read_at < max_age
            # Another token may have other projects, and a new server other ones altogether.
            if is_old or self._state.read_with != self._credentials():
                self._read(now)
            return self._publish_known()

    def refresh(self, now: float) -> ProjectList:
        """Return the list, read again if Sentry gives it; there has to be one already."""
        with self._state.lock:
            self._read(now)
            return self._publish_known()

    def find(self, names: Iterable[str], now: float) -> ProjectList:
        """Return the list, read again if it lacks a slug or id of ``names``.

        Each name is looked for once. There has to be a list already.
        """
        with self._state.lock:
            known = self._known()
            ids = {int(name) for name in names if name.isdigit()} - known.by_id.keys()
            slugs = {name for name in names if not name.isdigit()} - known.by_slug.keys()
            missing = frozenset[object](ids | slugs) - self._state.unlisted
            if missing and self._read(now):
                self._state.unlisted |= missing
            return self._publish_known()

    def learn(self, readable: frozenset[int], now: float) -> ProjectList:
        """Return the list after Sentry has let the token read the projects ``readable``.

        If the list lacks one of them, or says that it cannot be read, the list is read once more.
        If it still says so, it is about somebody else than this token, and all projects are taken
        for readable until there is another token. There has to be a list already.
        """
        with self._state.lock:
            unknown = readable - self._known().accessible
            if unknown - self._state.unlisted and self._read(now):
                known = self._known()
                if unknown & known.by_id.keys() - known.accessible:
                    # An integration has no teams, and so no `hasAccess` (`get_access_by_project` in
                    # Sentry's src/sentry/api/serializers/models/project.py), yet it can read all.
                    self._state.flags_hold = False
                    self._state.projects = known.all_readable()
                self._state.unlisted |= unknown - self._known().accessible
            return self._publish_known()

    def labels(self, projects: ProjectList) -> Mapping[int, str]:
        """Return the labels of the projects that the token can read, each a different one."""
        labelled, labels = self._labelled
        return labels if labelled is projects else self._label(projects)

    def owned_by(self, team: str) -> frozenset[int]:
        """Return the projects that the token can read and that ``team`` owns."""
        known = self._known()
        readable = (known.by_id[project] for project in known.accessible & known.by_id.keys())
        return frozenset(one.id for one in readable if self._team(one) == team)

    def publish(self) -> None:
        """Publish the list, if there is one that this directory has not published yet."""
        projects = self._state.projects
        if projects is None or projects is self._published:
            return
        self._publisher.publish_projects(self._organization, self._described(projects))
        self._published = projects

    def described(self) -> Sequence[ProjectInfo]:
        """Return what is published of the list; nothing if there is none yet."""
        projects = self._state.projects
        return () if projects is None else self._described(projects)

    def republish(self) -> None:
        """Let the next poll publish the list, as the publisher may have dropped it."""
        self._published = None

    def _described(self, projects: ProjectList) -> Sequence[ProjectInfo]:
        labels = self._label(projects)
        self._labelled = projects, labels
        listed = ((label, projects.by_id[project]) for project, label in labels.items())
        return [ProjectInfo(label, one.id, one.platform, self._team(one)) for label, one in listed]

    def _label(self, projects: ProjectList) -> dict[int, str]:
        readable = [projects.by_id[project] for project in sorted(projects.accessible)]
        slugs = Counter(project.slug for project in readable)
        # A slug of digits could be the id of another project.
        return {
            project.id: project.slug
            if self._label_by == "slug" and slugs[project.slug] == 1 and not project.slug.isdigit()
            else str(project.id)
            for project in readable
        }

    def _known(self) -> ProjectList:
        if self._state.projects is None:
            raise LookupError
        return self._state.projects

    def _publish_known(self) -> ProjectList:
        """Publish the list if need be, and return it.

        A predecessor may have read it after it was replaced, and could not publish it any more.
        """
        self.publish()
        return self._known()

    def _credentials(self) -> Hashable:
        return self._client, self._client.credentials()

    def _read(self, now: float) -> bool:
        state, credentials = self._state, self._credentials()
        _fail_if_closed(state)
        if state.failure is not None:
            failed_at, failure, tried_with = state.failure
            # With another token, or another CA file, the list may be readable at once.
            if 0 <= now - failed_at < PAUSE_AFTER_FAILURE and tried_with == credentials:
                if state.projects is None:
                    raise failure.copied()
                return False
        try:
            projects = self._client.projects()
        except SentryError as error:
            _fail_if_closed(state)
            state.failure = now, error.copied(), credentials
            if state.projects is None:
                raise
            self._log_failure(error, now)
            return False
        _fail_if_closed(state)
        self._log_success()
        state.failure = None
        state.read_at = now
        # What was seen of one token says nothing about another one.
        state.flags_hold = state.flags_hold or credentials != state.read_with
        state.read_with = credentials
        before = state.projects
        state.projects = projects if state.flags_hold else projects.all_readable()
        if state.projects != before:
            self._persist()
        return True

    def _log_failure(self, error: SentryError, now: float) -> None:
        """Log that the last list is used, at growing distances while the reason is the same."""
        reason, repetition = self._state.repeated or ("", Repetition(now))
        if reason != error.reason:
            repetition = Repetition(now)
        self._state.repeated = error.reason, repetition
        if repetition.note(now):
            _log.warning(
                "cannot read the projects list, using the last one",
                organization=self._organization,
                reason=error.reason,
                **Failure.of(error).details(),
                **repetition.about(),
            )

    def _log_success(self) -> None:
        if self._state.repeated is not None:
            _, repetition = self._state.repeated
            self._state.repeated = None
            _log.info(
                "the projects list can be read again",
                organization=self._organization,
                **repetition.about(),
            )

    def _persist(self) -> None:
        if self._persistence is None or self._state.projects is None:
            return
        try:
            self._persistence.persist(self._state.projects)
        except PersistError as error:
            _log.warning(
                "cannot write the projects list to the state file",
                organization=self._organization,
                error=str(error),
            )


def _fail_if_closed(state: DirectoryState) -> None:
    if state.closed:
        raise ClosedError
