"""What a query has to say: the values that are handed to whoever publishes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from exporter.categories import Unit
from exporter.collect.series import Rows
from exporter.sentry.errors import reasons

REASONS: Final = tuple(sorted({*reasons(), "state"}))
"""Why a poll can fail: whatever Sentry may do, and a state file that cannot be written."""


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """Who a project is; ``label`` is what its series bear, ``team`` is ``""`` if it has none."""

    label: str
    id: int
    platform: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The data of a query as it is to be shown.

    ``start`` and ``interval`` tell the finished bucket, whose rows are ``bucket``; ``running`` and
    ``counters`` are ``None`` where the query does not show them. ``projects`` has a label for each
    project that has one, what others hold is shown without; ``None``: ids stand in for labels.
    The projects of ``counters`` are numbers of labels, in ``counter_labels``. ``unit`` is that of
    series without category.
    """

    start: int
    interval: int
    complete: bool
    bucket: Rows
    running: Rows | None
    counters: Rows | None
    projects: Mapping[int, str] | None = None
    counter_labels: Sequence[str] = ("",)
    unit: Unit = Unit.EVENTS


@dataclass(frozen=True, slots=True)
class Report:
    """How a query fares. ``view`` is ``None`` before its first data and after ``max_age``.

    ``about`` tells what it asks: its interval, fields and dimensions. ``missing`` are the projects
    that its filter names and that cannot be read.
    """

    organization: str
    query: str
    about: tuple[str, str, str] = ("", "", "")
    up: bool = False
    last_success: float = 0
    next_poll: float = 0
    polls: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    duration: float = 0
    requests: int = 0
    revisions: int = 0
    regressions: int = 0
    missing: tuple[str, ...] = ()
    view: View | None = None


class Publisher(Protocol):
    """Whoever shows reports to the world."""

    def publish(self, report: Report) -> None:
        """Show ``report`` in place of the one before of the same query."""
        ...


class ProjectsPublisher(Protocol):
    """Whoever shows the world which projects there are."""

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Show ``projects`` in place of those before of ``organization``."""
        ...
