"""The projects list of one organization in a state file.

After a restart it serves until Sentry has answered, so that projects have their slugs even where
Sentry cannot be asked.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from msgspec.msgpack import Decoder

from exporter.config import Organization
from exporter.sentry.projects import Project, ProjectList
from exporter.state.blobs import pack, unpack

_LIST: Final = Decoder(list[tuple[int, str, str, bool, tuple[str, ...]]])


class ProjectListState:
    """Reads and writes the projects list of one organization."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
        organization: Organization,
    ) -> None:
        self._transaction = transaction
        self._key = [organization.name, organization.slug, organization.url]

    def restore(self) -> ProjectList | None:
        """Return the list that was written last, ``None`` if there is none that can be read."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT list FROM projects WHERE organization = ? AND slug = ? AND url = ?",
                self._key,
            ).fetchone()
        if row is None:
            return None
        try:
            return ProjectList.of(Project(*one) for one in unpack(row[0], _LIST))
        except ValueError:
            # It is read from Sentry soon; nothing that was counted is in it.
            return None

    def persist(self, projects: ProjectList) -> None:
        """Write ``projects``; raises `StateError`."""
        listed = [
            (one.id, one.slug, one.platform, one.id in projects.accessible, one.teams)
            for one in projects.by_id.values()
        ]
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO projects (organization, slug, url, list)"
                " VALUES (?, ?, ?, ?)",
                [*self._key, pack(listed)],
            )
