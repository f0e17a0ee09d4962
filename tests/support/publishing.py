"""Stand-ins for the page and the state file, to which pollers hand their results."""

from collections.abc import Sequence

from exporter.collect.ledger import Change
from exporter.collect.persistence import PersistError
from exporter.collect.snapshot import ProjectInfo, Report


class RecordingPublisher:
    """Records what is published."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.projects: dict[str, Sequence[ProjectInfo]] = {}

    def publish(self, report: Report) -> None:
        """Record a report."""
        self.reports.append(report)

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Record the projects."""
        self.projects[organization] = projects


class FakePersistence:
    """Records changes, or fails as on a full disk."""

    def __init__(self) -> None:
        self.persisted: list[tuple[Change, float, bool]] = []
        self.full = False

    def persist(self, change: Change, polled_at: float, *, succeeded: bool) -> None:
        """Record ``change``."""
        if self.full:
            raise PersistError("no space left")
        self.persisted.append((change, polled_at, succeeded))
