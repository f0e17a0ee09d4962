"""Who is there: organizations, projects, members and tokens. All of it may change at any moment."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

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
    """A project; ``members`` are the users on its teams."""

    id: int
    organization: int
    slug: str
    platform: str | None = None
    status: ProjectStatus = ProjectStatus.ACTIVE
    members: frozenset[str] = frozenset()
    created: str = "2024-01-15T09:30:00Z"


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
    answer keeps and the order of groups.
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
        with self._lock:
            self._projects[project] = replace(self._projects[project], status=status)

    def add_rows(self, *rows: Row) -> None:
        """Store outcomes."""
        self.store.add(*rows)
