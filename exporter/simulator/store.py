"""The stored outcomes: added rows and generated traffic, and the true sums of both.

`Store.totals` sums the rows one by one and shares no code with what answers requests, so that
tests can compare an answer with it.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from exporter.buckets import floor
from exporter.simulator.series import HOUR
from exporter.simulator.traffic import Traffic, hours_between

DIMENSIONS: Final = ("project", "category", "outcome", "reason")
Field = Literal["quantity", "times_seen"]

_API_CATEGORIES: Final = {"default": "error", "security": "error"}
_API_REASONS: Final = {None: "none", "smart_rate_limit": "spike_protection"}


@dataclass(frozen=True, slots=True)
class Row:
    """One stored outcome. It becomes visible at ``written_at``, by default at its ``timestamp``.

    ``category`` and ``reason`` have the stored names: ``default``, ``error`` and ``security`` are
    separate categories, and the reason of spike protection is ``smart_rate_limit``. Times are
    epoch seconds.
    """

    organization: int
    project: int
    category: str
    outcome: str
    reason: str | None
    timestamp: float
    quantity: int = 1
    times_seen: int = 1
    written_at: float | None = None

    def is_visible(self, at: float) -> bool:
        """Return whether a query at ``at`` returns the row."""
        return (self.timestamp if self.written_at is None else self.written_at) <= at


class Store:
    """The rows of all organizations. ``traffic`` has a generator per organization id."""

    def __init__(self, traffic: Mapping[int, Traffic] | None = None) -> None:
        self._traffic = dict(traffic or {})
        self._rows: dict[tuple[int, int], list[Row]] = {}
        self._lock = threading.Lock()

    def add(self, *rows: Row) -> None:
        """Add rows."""
        with self._lock:
            for row in rows:
                key = (row.organization, floor(row.timestamp, HOUR))
                self._rows.setdefault(key, []).append(row)

    def rows(self, organization: int, hour: int) -> Sequence[Row]:
        """Return the added rows whose timestamps are in ``hour``."""
        with self._lock:
            return tuple(self._rows.get((organization, hour), ()))

    def traffic(self, organization: int) -> Traffic | None:
        """Return the traffic generator of ``organization``, if it has one."""
        return self._traffic.get(organization)

    def totals(
        self,
        organization: int,
        start: float,
        end: float,
        *,
        at: float,
        group_by: Sequence[str] = DIMENSIONS,
        field: Field = "quantity",
        category: Collection[str] | None = None,
        outcome: Collection[str] | None = None,
        reason: Collection[str] | None = None,
        project: Collection[int] | None = None,
    ) -> dict[tuple[str | int, ...], int]:
        """Return the true sums of ``field`` from ``start`` to ``end`` (exclusive), as of ``at``.

        A key has one value per name in ``group_by``. Keys and filters use the names of the API: the
        three error categories are ``error``, and spike protection is ``spike_protection``.
        """
        filters = {"project": project, "category": category, "outcome": outcome, "reason": reason}
        sums: dict[tuple[str | int, ...], int] = {}
        for row in self.visible(organization, start, end, at):
            labels = _labels(row)
            if any(
                allowed is not None and labels[name] not in allowed
                for name, allowed in filters.items()
            ):
                continue
            key = tuple(labels[name] for name in group_by)
            sums[key] = sums.get(key, 0) + getattr(row, field)
        return sums

    def visible(self, organization: int, start: float, end: float, at: float) -> Iterator[Row]:
        """Yield every row from ``start`` to ``end`` (exclusive) that is visible at ``at``."""
        for hour in hours_between(start, end):
            for row in self.rows(organization, hour):
                if start <= row.timestamp < end and row.is_visible(at):
                    yield row
            yield from self._generated(organization, hour, start, end, at)

    def _generated(
        self, organization: int, hour: int, start: float, end: float, at: float
    ) -> Iterator[Row]:
        traffic = self._traffic.get(organization)
        if traffic is None:
            return
        first, last = max(int(start - hour), 0), min(int(end - hour), HOUR)
        quantities = traffic.visible(hour, at, first, last)
        for series, quantity in zip(traffic.series, quantities, strict=True):
            if quantity:
                yield Row(
                    organization,
                    series.project,
                    series.category,
                    series.outcome,
                    series.reason,
                    timestamp=hour + first,
                    quantity=quantity,
                    times_seen=-(-quantity // series.batch),
                )


def _labels(row: Row) -> dict[str, str | int]:
    return {
        "project": row.project,
        "category": _API_CATEGORIES.get(row.category, row.category),
        "outcome": row.outcome,
        "reason": _API_REASONS.get(row.reason) or str(row.reason),
    }
