"""The organizations, projects, members and tokens of a simulated Sentry."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from exporter.categories import KNOWN_CATEGORIES
from exporter.simulator.plans import Subscription
from exporter.simulator.store import Row, Store

READ_SCOPES: Final = frozenset({"org:read", "org:write", "org:admin"})
ORGANIZATION_TOKEN_PREFIX: Final = "sntrys_"  # noqa: S105 - a public prefix, no secret
GLOBAL_ROLES: Final = frozenset({"owner", "manager"})


class ProjectStatus(StrEnum):
    """The status of a project. Only active ones are listed, but the events of all are counted."""

    ACTIVE = "active"
    PENDING_DELETION = "pending_deletion"
    DELETED = "deleted"


class TokenKind(StrEnum):
    """The owner of a token: a user, an internal integration, or an organization."""

    USER = "user"
    INTEGRATION = "integration"
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization. With ``open_membership``, every member may read every project."""

    id: int
    slug: str
    open_membership: bool = True

    def details(self) -> dict[str, object]:
        """Return what Sentry answers about it, as far as anybody here reads it."""
        return {
            "id": str(self.id),
            "slug": self.slug,
            "name": self.slug.title(),
            "openMembership": self.open_membership,
        }


@dataclass(frozen=True, slots=True)
class Project:
    """A project. ``teams`` are the slugs of its teams, ``members`` the users on them."""

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
    """A token. ``user`` is its owner, ``organization`` is where an integration is installed."""

    value: str = field(repr=False)
    kind: TokenKind = TokenKind.INTEGRATION
    organization: int | None = None
    user: str | None = None
    scopes: frozenset[str] = frozenset({"org:read"})


class World:
    """The data of a simulated Sentry. Any thread may change it while it is served.

    ``categories`` are the names that the simulated release supports. ``seed`` decides which rows
    are cut off beyond the row limit, and the order of groups. ``subscriptions`` has what an
    organization, by id, has bought; without one it has no plan. Methods that change a project or an
    organization raise KeyError for an unknown id.
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
        subscriptions: Mapping[int, Subscription] = MappingProxyType({}),
    ) -> None:
        self.store = store or Store()
        self.categories = frozenset(categories)
        self.seed = seed
        self._organizations = {organization.id: organization for organization in organizations}
        self._projects = {project.id: project for project in projects}
        self._roles = {(member.organization, member.user): member.role for member in members}
        self._tokens = {token.value: token for token in tokens}
        self._subscriptions = dict(subscriptions)
        self._lock = threading.Lock()

    def organizations(self) -> tuple[Organization, ...]:
        """Return every organization."""
        with self._lock:
            return tuple(self._organizations.values())

    def organization(self, id_or_slug: str) -> Organization | None:
        """Return the organization with that id, if it is all digits, or else with that slug."""
        # As Sentry's convert_args (src/sentry/api/bases/organization.py): digits are never a slug.
        if id_or_slug.isdecimal():
            return self._organizations.get(int(id_or_slug))
        return next((each for each in self.organizations() if each.slug == id_or_slug), None)

    def projects(self, organization: int) -> tuple[Project, ...]:
        """Return every project of ``organization``, including deleted ones."""
        with self._lock:
            projects = tuple(self._projects.values())
        return tuple(project for project in projects if project.organization == organization)

    def active_projects(self, organization: int) -> tuple[Project, ...]:
        """Return the active projects of ``organization``: those of the projects list."""
        return tuple(
            project
            for project in self.projects(organization)
            if project.status is ProjectStatus.ACTIVE
        )

    def role(self, organization: int, user: str | None) -> str | None:
        """Return the role of ``user`` in ``organization``, ``None`` if the user is not a member."""
        return self._roles.get((organization, user or ""))

    def token(self, value: str) -> Token | None:
        """Return the token with that value, if it is valid."""
        # No lock: a single operation on a dictionary is atomic.
        return self._tokens.get(value)

    def add_token(self, token: Token) -> None:
        """Add a valid token."""
        self._tokens[token.value] = token

    def revoke_token(self, value: str) -> None:
        """Remove the token with that value; requests with it are refused from now on."""
        self._tokens.pop(value, None)

    def add_project(self, project: Project) -> None:
        """Add ``project``, or replace the project with the same id."""
        with self._lock:
            self._projects[project.id] = project

    def delete_project(self, project: int, status: ProjectStatus = ProjectStatus.DELETED) -> None:
        """Remove a project from the projects list. Its events are still counted."""
        self._change_project(project, status=status)

    def restore_project(self, project: int) -> None:
        """Make a deleted project active again."""
        self._change_project(project, status=ProjectStatus.ACTIVE)

    def rename_project(self, project: int, slug: str) -> None:
        """Change the slug of a project."""
        self.rename_projects({project: slug})

    def rename_projects(self, slugs: Mapping[int, str]) -> None:
        """Change the slugs of several projects, given by id, in one atomic step.

        A project may take the slug of another project that gets a new one. Duplicate slugs are
        possible, although Sentry does not allow them.
        """
        with self._lock:
            renamed = {
                project: replace(self._projects[project], slug=slug)
                for project, slug in slugs.items()
            }
            self._projects.update(renamed)

    def swap_slugs(self, first: int, second: int) -> None:
        """Exchange the slugs of two projects."""
        with self._lock:
            one, other = self._projects[first], self._projects[second]
            self._projects[first] = replace(one, slug=other.slug)
            self._projects[second] = replace(other, slug=one.slug)

    def set_teams(self, project: int, teams: Iterable[str]) -> None:
        """Set the teams of a project, by slug. The first is the ``team`` of the projects list."""
        self._change_project(project, teams=tuple(teams))

    def set_members(self, project: int, members: Iterable[str]) -> None:
        """Set the users who are on the teams of a project."""
        self._change_project(project, members=frozenset(members))

    def set_open_membership(self, organization: int, *, is_open: bool) -> None:
        """Turn an organization's Open Membership on or off."""
        with self._lock:
            before = self._organizations[organization]
            self._organizations[organization] = replace(before, open_membership=is_open)

    def rename_organization(self, organization: int, slug: str) -> None:
        """Change the slug of an organization."""
        with self._lock:
            before = self._organizations[organization]
            self._organizations[organization] = replace(before, slug=slug)

    def subscription(self, organization: int) -> Subscription | None:
        """Return what ``organization`` has bought, ``None`` if it has no plan."""
        return self._subscriptions.get(organization)

    def subscribe(self, organization: int, subscription: Subscription) -> None:
        """Change what ``organization`` has bought. This limits no generated traffic."""
        self._subscriptions[organization] = subscription

    def add_rows(self, *rows: Row) -> None:
        """Add rows to the store."""
        self.store.add(*rows)

    def _change_project(self, project: int, **changes: Any) -> None:
        with self._lock:
            self._projects[project] = replace(self._projects[project], **changes)
