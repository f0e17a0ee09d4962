"""Who is there: organizations, projects, members and tokens. All of it may change at any moment."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from exporter.categories import KNOWN_CATEGORIES
from exporter.simulator.store import Row, Store

READ_SCOPES: Final = frozenset({"org:read", "org:write", "org:admin"})
ORGANIZATION_TOKEN_PREFIX: Final = "sntrys_"  # noqa: S105 - a public prefix, no secret
GLOBAL_ROLES: Final = frozenset({"owner", "manager"})


class ProjectStatus(StrEnum):
    """Only active projects are listed; every project's events count for its organization."""

    ACTIVE = "active"
    PENDING_DELETION = "pending_deletion"
    DELETED = "deleted"


class TokenKind(StrEnum):
    """Whose token it is: a person's, an internal integration's, or an organization's."""

    USER = "user"
    INTEGRATION = "integration"
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization; ``open_membership`` lets every member see every project."""

    id: int
    slug: str
    open_membership: bool = True


@dataclass(frozen=True, slots=True)
class Project:
    """A project; ``members`` are the users on its teams, ``teams`` the slugs of those."""

    id: int
    organization: int
    slug: str
    platform: str | None = None
    status: ProjectStatus = ProjectStatus.ACTIVE
    members: frozenset[str] = frozenset()
    created: str = "2024-01-15T09:30:00Z"
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A user's role in an organization."""

    organization: int
    user: str
    role: str = "member"


@dataclass(frozen=True, slots=True)
class Token:
    """A token: ``user`` is whose it is, ``organization`` where an integration is installed."""

    value: str = field(repr=False)
    kind: TokenKind = TokenKind.INTEGRATION
    organization: int | None = None
    user: str | None = None
    scopes: frozenset[str] = frozenset({"org:read"})


class World:
    """Everything the simulated Sentry knows; safe to change from any thread while it serves.

    ``categories`` are the names this server's release knows. ``seed`` decides which rows a cut
    answer keeps and the order of groups. Methods that change a project or an organization raise
    KeyError for an id that is not there.
    """

    def __init__(
        self,
        organizations: Iterable[Organization] = (),
        projects: Iterable[Project] = (),
        members: Iterable[Member] = (),
        tokens: Iterable[Token] = (),
        *,
        store: Store | None = None,
        categories: Iterable[str] = KNOWN_CATEGORIES,
        seed: int = 1,
    ) -> None:
        self.store = store or Store()
        self.categories = frozenset(categories)
        self.seed = seed
        self._organizations = {organization.id: organization for organization in organizations}
        self._projects = {project.id: project for project in projects}
        self._roles = {(member.organization, member.user): member.role for member in members}
        self._tokens = {token.value: token for token in tokens}
        self._lock = threading.Lock()

    def organizations(self) -> tuple[Organization, ...]:
        """Return every organization."""
        with self._lock:
            return tuple(self._organizations.values())

    def organization(self, id_or_slug: str) -> Organization | None:
        """Return the organization a path names; all digits is an id."""
        if id_or_slug.isdecimal():
            return self._organizations.get(int(id_or_slug))
        return next((each for each in self.organizations() if each.slug == id_or_slug), None)

    def projects(self, organization: int) -> tuple[Project, ...]:
        """Return every project of ``organization``, those deleted included."""
        with self._lock:
            projects = tuple(self._projects.values())
        return tuple(project for project in projects if project.organization == organization)

    def active_projects(self, organization: int) -> tuple[Project, ...]:
        """Return the projects of ``organization`` that the projects list has."""
        return tuple(
            project
            for project in self.projects(organization)
            if project.status is ProjectStatus.ACTIVE
        )

    def role(self, organization: int, user: str | None) -> str | None:
        """Return the role of ``user``, ``None`` for a stranger."""
        return self._roles.get((organization, user or ""))

    def token(self, value: str) -> Token | None:
        """Return the token that reads ``value``."""
        return self._tokens.get(value)

    def add_token(self, token: Token) -> None:
        """Let ``token`` in."""
        self._tokens[token.value] = token

    def revoke_token(self, value: str) -> None:
        """Refuse the token that reads ``value`` from now on."""
        self._tokens.pop(value, None)

    def add_project(self, project: Project) -> None:
        """Add ``project``, or put it in the place of the one with its id."""
        with self._lock:
            self._projects[project.id] = project

    def delete_project(self, project: int, status: ProjectStatus = ProjectStatus.DELETED) -> None:
        """Take a project off the list; its events go on counting."""
        self._change_project(project, status=status)

    def restore_project(self, project: int) -> None:
        """Put a deleted project back on the list, as it was."""
        self._change_project(project, status=ProjectStatus.ACTIVE)

    def rename_project(self, project: int, slug: str) -> None:
        """Give a project another slug."""
        self.rename_projects({project: slug})

    def rename_projects(self, slugs: Mapping[int, str]) -> None:
        """Give several projects their new slugs, by id, in one step.

        No answer shows a state in between, so one project can take the slug of another that gets
        a new one. Slugs may end up equal, which Sentry itself does not allow.
        """
        with self._lock:
            renamed = {
                project: replace(self._projects[project], slug=slug)
                for project, slug in slugs.items()
            }
            self._projects.update(renamed)

    def swap_slugs(self, first: int, second: int) -> None:
        """Give each of two projects the slug of the other."""
        with self._lock:
            one, other = self._projects[first], self._projects[second]
            self._projects[first] = replace(one, slug=other.slug)
            self._projects[second] = replace(other, slug=one.slug)

    def set_teams(self, project: int, teams: Iterable[str]) -> None:
        """Give a project to other teams, by their slugs; the first is the list's ``team``."""
        self._change_project(project, teams=tuple(teams))

    def set_members(self, project: int, members: Iterable[str]) -> None:
        """Say which users are on the teams of a project."""
        self._change_project(project, members=frozenset(members))

    def set_open_membership(self, organization: int, *, is_open: bool) -> None:
        """Open or close an organization's projects to all its members."""
        with self._lock:
            before = self._organizations[organization]
            self._organizations[organization] = replace(before, open_membership=is_open)

    def rename_organization(self, organization: int, slug: str) -> None:
        """Give an organization another slug."""
        with self._lock:
            before = self._organizations[organization]
            self._organizations[organization] = replace(before, slug=slug)

    def add_rows(self, *rows: Row) -> None:
        """Store outcomes."""
        self.store.add(*rows)

    def _change_project(self, project: int, **changes: Any) -> None:
        with self._lock:
            self._projects[project] = replace(self._projects[project], **changes)
