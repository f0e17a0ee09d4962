"""The expected values of the page, computed from the simulator's store and the documentation."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from exporter.config import Organization, Query
from exporter.simulator import ProjectStatus, World
from tests.end_to_end.exposition import Sample, Samples, data_sample

Rows = Mapping[tuple[str | int, ...], int]
"""Sums by project, category, outcome and reason."""

_FIELDS: Final[Mapping[str, Literal["quantity", "times_seen"]]] = {
    "sum(quantity)": "quantity",
    "sum(times_seen)": "times_seen",
}
_BYTES: Final = frozenset({"attachment", "log_byte", "trace_metric_byte"})
_MILLISECONDS: Final = frozenset({"profile_duration", "profile_duration_ui"})


@dataclass(frozen=True, slots=True)
class Truth:
    """The expected values of one query."""

    world: World
    organization: Organization
    query: Query

    def bucket(self, now: float, *, at: float | None = None) -> Samples:
        """Return the newest bucket finished at ``now``, with the rows visible at ``at``.

        A series that is only in another bucket of the lookback has the value 0.
        """
        interval = self.query.interval
        start = _floor(now - self.organization.settle, interval) - interval
        return self._shown("sentry_stats_bucket_", start, now, now if at is None else at)

    def running(self, now: float) -> Samples:
        """Return the bucket that is running at ``now``, with zeros as in `bucket`."""
        start = _floor(now, self.query.interval)
        return self._shown("sentry_stats_running_bucket_", start, now, now)

    def gains(
        self, start: float, *, since: float, until: float, end: float | None = None
    ) -> Samples:
        """Return the increases of the counters between two moments, for data from ``start`` on.

        Without an ``end`` of the data, all of the running bucket is among them.
        """
        last = until if end is None else end
        samples: Samples = {}
        for field in self.query.fields:
            before = self._rows(field, start, last, since)
            after = self._rows(field, start, last, until)
            rows = {key: value - before.get(key, 0) for key, value in after.items()}
            samples |= self.labelled("sentry_stats_", rows, field)
        return {(f"{name}_total", labels): value for (name, labels), value in samples.items()}

    def stored(self, prefix: str, start: float, *, at: float) -> Samples:
        """Return the bucket that starts at ``start``, with the rows visible at ``at``."""
        return self._sums(prefix, start, start + self.query.interval, at)

    def labelled(self, prefix: str, rows: Rows, field: str = "sum(quantity)") -> Samples:
        """Return ``rows`` with the labels and in the units in which they are published."""
        sums: Counter[Sample] = Counter()
        milliseconds: set[Sample] = set()
        for (project, category, outcome, reason), value in rows.items():
            measure = _measure(field, str(category))
            labels = self._labels(int(project), str(category), str(outcome), str(reason))
            each = data_sample(prefix + measure, self.organization.slug, self.query.name, *labels)
            sums[each] += value
            if measure == "seconds":
                milliseconds.add(each)
        return {
            each: value / 1000 if each in milliseconds else value for each, value in sums.items()
        }

    def _shown(self, prefix: str, start: int, now: float, at: float) -> Samples:
        interval = self.query.interval
        seen = self._sums(prefix, self._first(now), _floor(now, interval) + interval, at)
        return dict.fromkeys(seen, 0.0) | self.stored(prefix, start, at=at)

    def _sums(self, prefix: str, start: float, end: float, at: float) -> Samples:
        samples: Samples = {}
        for field in self.query.fields:
            samples |= self.labelled(prefix, self._rows(field, start, end, at), field)
        return samples

    def _first(self, now: float) -> int:
        """Return the start of the lookback."""
        end = _floor(now - self.organization.settle, self.query.interval)
        return end - self.query.lookback

    def _rows(self, field: str, start: float, end: float, at: float) -> Rows:
        chosen = self.query.filter
        organization = self.world.organization(self.organization.slug)
        assert organization is not None
        return self.world.store.totals(
            organization.id,
            start,
            end,
            at=at,
            field=_FIELDS[field],
            category=chosen.category or None,
            outcome=chosen.outcome or None,
            reason=[chosen.reason] if chosen.reason else None,
            project=[self._id(name) for name in chosen.project] or None,
        )

    def _labels(self, project: int, category: str, outcome: str, reason: str) -> tuple[str, ...]:
        chosen, grouped = self.query.filter, self.query.group_by
        slug = self._slugs().get(project, "")
        return (
            category if "category" in grouped else _only(chosen.category),
            outcome if "outcome" in grouped else _only(chosen.outcome),
            reason if "reason" in grouped else chosen.reason or "",
            slug if "project" in grouped or len(chosen.project) == 1 else "",
        )

    def _id(self, name: str) -> int:
        if name.isdecimal():
            return int(name)
        return next(id_ for id_, slug in self._slugs().items() if slug == name)

    def _slugs(self) -> Mapping[int, str]:
        organization = self.world.organization(self.organization.slug)
        assert organization is not None
        return {
            project.id: project.slug
            for project in self.world.projects(organization.id)
            if project.status is ProjectStatus.ACTIVE
        }


def _measure(field: str, category: str) -> str:
    if field == "sum(times_seen)":
        return "times_seen"
    if category in _BYTES:
        return "bytes"
    return "seconds" if category in _MILLISECONDS else "events"


def _floor(moment: float, interval: int) -> int:
    return int(moment // interval) * interval


def _only(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else ""
