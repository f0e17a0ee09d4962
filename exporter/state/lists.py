"""The projects list of one organization in a state file.

After a restart the last one serves, so that projects keep their slugs where Sentry cannot be asked.
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from exporter.config import Organization
from exporter.sentry.projects import Project, ProjectList


class ListState:
    """Reads and writes the projects list of one organization."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
        organization: Organization,
    ) -> None:
        self._transaction = transaction
        self._key = [organization.name, organization.slug, organization.url]

    def load(self) -> ProjectList | None:
        """Return the list that was kept last, None if there is none that can be read."""
        with self._transaction() as database:
            found = database.execute(
                "SELECT listed FROM projects WHERE organization = ? AND slug = ? AND url = ?",
                self._key,
            ).fetchone()
        if found is None:
            return None
        try:
            return ProjectList.of(_project(*one) for one in json.loads(found[0]))
        except (TypeError, ValueError):
            # It is read anew from Sentry soon; nothing that was counted is in it.
            return None

    def save(self, projects: ProjectList) -> None:
        """Keep ``projects``; raises `KeepError`."""
        listed = [
            [one.id, one.slug, one.platform, one.id in projects.accessible, one.teams]
            for one in projects.by_id.values()
        ]
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO projects (organization, slug, url, listed)"
                " VALUES (?, ?, ?, ?)",
                [*self._key, json.dumps(listed)],
            )


def _project(number: Any, slug: Any, platform: Any, accessible: Any, teams: Any) -> Project:
    return Project(int(number), str(slug), str(platform), bool(accessible), tuple(teams))
