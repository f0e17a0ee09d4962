"""What is published of a query: the values that a publisher takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from exporter.categories import Unit
from exporter.collect.series import Rows, Totals
from exporter.quota.view import AccountView
from exporter.sentry.errors import reasons

REASONS: Final = tuple(sorted({*reasons(), "state"}))
"""Why a poll can fail: a reason of a `SentryError`, or a state file that cannot be written."""


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """One project; ``label`` is that of its series, ``team`` is ``""`` where it has none."""

    label: str
    id: int
    platform: str
    team: str = ""


class Timing(NamedTuple):
    """How often a query is polled, and how old its data may be, in seconds."""

    interval: int
    poll_interval: int
    settle: int
    max_age: int


_UNKNOWN: Final = Timing(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class View:
    """The data of a query as they are published.

    ``bucket`` holds the rows of the finished bucket that begins at ``start`` and is ``interval``
    long. ``running`` and ``counters`` are ``None`` where the query does not publish them.
    ``projects`` has a label for each project that has one; the values of others are published
    without a label. ``None``: ids are the labels. In ``counters``, a series' project is the
    position of its label in ``counter_labels``. ``unit`` is that of series without category.
    ``last_events`` has, by label, the start of the newest bucket with an event of a project.
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
    last_events: Mapping[str, int] = field(default_factory=dict)


class BucketData(Protocol):
    """What is known of one bucket of the lookback; it does not change."""

    @property
    def rows(self) -> Rows:
        """What it holds."""
        ...

    @property
    def total(self) -> Totals:
        """The organization total, for queries by project."""
        ...

    @property
    def finished(self) -> bool:
        """Whether it was finished when it was read."""
        ...

    @property
    def proven(self) -> bool:
        """Whether the reading is known not to be cut."""
        ...


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll that is over; ``reason`` is ``""`` if it succeeded.

    ``error`` says what went wrong, without secrets, and ``remedy`` what can be done about it.
    """

    began: float
    duration: float
    requests: int
    reason: str = ""
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a query. ``view`` is ``None`` before its first data and after ``max_age``.

    ``about`` has its interval, fields, dimensions, and the dimensions that its filter restricts.
    ``missing`` are the projects that its filter names and that cannot be read. ``last_polls`` are
    in the order of time, and have failures that are older than the oldest success among them.
    ``failed_polls`` have failed in a row, the first of them at ``failing_since``. ``history`` has
    the buckets of the lookback, by their starts. ``quotas`` are what the polls of quotas have read,
    whose reports have no ``view`` and no ``about``.
    """

    organization: str
    query: str
    about: tuple[str, str, str, str] = ("", "", "", "")
    timing: Timing = _UNKNOWN
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
    last_polls: tuple[Poll, ...] = ()
    failed_polls: int = 0
    failing_since: float = 0
    history: Mapping[int, BucketData] = field(default_factory=dict, compare=False, repr=False)
    quotas: AccountView | None = None
