"""What to ask about the use of quotas, and what the answers hold. Pure: plans.

All quotas of an organization share two questions: by day from the period's start, with what was
not accepted, and by hour for `HISTORY`. By the hour, a month of all categories would be more rows
than Sentry answers at once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.buckets import Window, floor
from exporter.collect.plan.core import Plan, together
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import read_series
from exporter.collect.series import Reading, joined
from exporter.quota.model import DAY, HOUR, Period
from exporter.sentry.question import QUANTITY

HISTORY: Final = 15 * DAY
"""How far back use is read by the hour, at least: from the beginning of a day on."""

ACCEPTED: Final = "accepted"
_LOST: Final = (("rate_limited", None), ("client_discard", "ratelimit_backoff"))
"""What would have been used without a limit: outcomes, each with its only reason, if it has one."""

ALONE: Final = "attachment"
"""Sentry refuses this category beside others in a filter."""

ByHour = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class UsageReading:
    """What was used by category, in Sentry's units.

    ``days`` have the period until now, ``hours`` what came in from ``since`` on. ``lost`` is what
    was not accepted because of a limit.
    """

    days: Mapping[str, ByHour] = field(default_factory=dict)
    hours: Mapping[str, ByHour] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    since: int = 0
    proven: bool = True

    def used(self, categories: Collection[str]) -> int:
        """Return what was used of ``categories`` in the period."""
        return sum(sum(self.days.get(name, {}).values()) for name in categories)

    def lost_of(self, categories: Collection[str]) -> int:
        """Return what was not accepted of ``categories`` because of a limit."""
        return sum(self.lost.get(name, 0) for name in categories)

    def history(self, categories: Collection[str]) -> Mapping[int, int]:
        """Return the use of ``categories`` by hour; an earlier day is at its first hour."""
        history: dict[int, int] = {}
        for name in categories:
            days = self.days.get(name, {}).items()
            older = {day: used for day, used in days if day < self.since}
            for start, used in (*older.items(), *self.hours.get(name, {}).items()):
                history[start] = history.get(start, 0) + used
        return history


def read_usage(
    categories: Collection[str], period: Period, now: float, projects: tuple[int, ...] = ()
) -> Plan[UsageReading]:
    """Read what was used of ``categories``, by ``projects`` only if given."""
    category = filter_of(categories)
    daily = ResolvedQuery(
        (QUANTITY,),
        ("category", "outcome", "reason"),
        DAY,
        category,
        (ACCEPTED, *(outcome for outcome, _ in _LOST)),
        project=projects,
    )
    hourly = ResolvedQuery(
        (QUANTITY,), ("category",), HOUR, category, (ACCEPTED,), project=projects
    )
    end = floor(now, HOUR) + HOUR
    # Where a day begins: none is read both by the day and by the hour.
    since = floor(end - HISTORY, DAY)
    days, hours = yield from together(
        [
            read_series(daily, daily.question(days_of(period, now))),
            read_series(hourly, hourly.question(Window(since, end, HOUR))),
        ]
    )
    return UsageReading(
        _by_category(days, ACCEPTED),
        _by_category(hours, ACCEPTED),
        _lost(days.values()),
        since,
        all(one.proven for one in (*days.values(), *hours.values())),
    )


def days_of(period: Period, now: float) -> Window:
    """Return the days of ``period`` until now, the running one included."""
    return Window(period.start, floor(now, DAY) + DAY, DAY)


def filter_of(categories: Collection[str]) -> tuple[str, ...]:
    """Return the filter by which ``categories`` are asked for; without it, all are."""
    alone = ALONE in categories and len(categories) > 1
    return () if alone else tuple(sorted(categories))


def _by_category(readings: Mapping[int, Reading], outcome: str) -> dict[str, dict[int, int]]:
    used: dict[str, dict[int, int]] = {}
    for start, reading in readings.items():
        for series, values in reading.rows.items():
            if series.outcome == outcome:
                by_start = used.setdefault(series.category, {})
                by_start[start] = by_start.get(start, 0) + sum(values.values())
    return used


def _lost(readings: Iterable[Reading]) -> dict[str, int]:
    lost: dict[str, int] = {}
    for series, values in joined(*(one.rows for one in readings)).items():
        if any(
            series.outcome == outcome and reason in {None, series.reason}
            for outcome, reason in _LOST
        ):
            lost[series.category] = lost.get(series.category, 0) + sum(values.values())
    return lost
