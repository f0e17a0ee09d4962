"""What makes ledgers and projects lists outlive the process. `exporter.state` implements it."""

from dataclasses import dataclass
from typing import Protocol

from exporter.collect.ledger import Change, Ledger
from exporter.sentry.projects import ProjectList


class PersistError(Exception):
    """A change could not be persisted, and so must not be published either."""


class Persistence(Protocol):
    """What makes the changes of one ledger outlive the process."""

    def persist(self, change: Change, polled_at: float, *, succeeded: bool) -> None:
        """Write ``change`` and when its poll began; raises `PersistError`.

        A poll that did not succeed can have read data nevertheless.
        """
        ...


class ListPersistence(Protocol):
    """What writes the projects list to the state file, and reads it from there."""

    def restore(self) -> ProjectList | None:
        """Return the list that was persisted last."""
        ...

    def persist(self, projects: ProjectList) -> None:
        """Write ``projects``; raises `PersistError`."""
        ...


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger, when the last poll in it that succeeded began, and how its changes persist."""

    ledger: Ledger
    last_success: float = 0
    persistence: Persistence | None = None
