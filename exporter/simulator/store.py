"""What was counted: rows put in by hand and generated traffic, and the truth about both.

`Store.totals` adds rows up one by one and shares nothing with the code that answers requests: it
is what an answer can be held against.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from exporter.buckets import floor
from exporter.simulator.traffic import HOUR, Traffic, hours_between

DIMENSIONS: Final = ("project", "category", "outcome", "reason")
Field = Literal["quantity", "times_seen"]

_API_CATEGORIES: Final = {"default": "error", "security": "error"}
_API_REASONS: Final = {None: "none", "smart_rate_limit": "spike_protection"}


@dataclass(frozen=True, slots=True)
class Row:
    """One stored outcome; ``written_at`` is when it becomes visible, else ``timestamp``.

    ``category`` and ``reason`` are as stored: ``default``, ``error`` and ``security`` apart, and
    spike protection as ``smart_rate_limit``. Times are seconds since the epoch.
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
        """Return whether a query at ``at`` finds the row."""
        return (self.timestamp if self.written_at is None else self.written_at) <= at


class Store:
    """The rows of every organization; ``traffic`` is generated for those it names by id."""

    def __init__(self, traffic: Mapping[int, Traffic] | None = None) -> None:
        self._traffic = dict(traffic or {})
        self._rows: dict[tuple[int, int], list[Row]] = {}
        self._lock = threading.Lock()

    def add(self, *rows: Row) -> None:
        """Put rows in."""
        with self._lock:
            for row in rows:
                key = (row.organization, floor(row.timestamp, HOUR))
                self._rows.setdefault(key, []).append(row)

    def rows(self, organization: int, hour: int) -> Sequence[Row]:
        """Return the rows put in by hand whose timestamps lie in ``hour``."""
        with self._lock:
            return tuple(self._rows.get((organization, hour), ()))

    def traffic(self, organization: int) -> Traffic | None:
        """Return the generator of ``organization``."""
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
        """Return the true sums of ``field`` from ``start`` to ``end``, exclusive, as of ``at``.

        Keys have a value per name of ``group_by``, labelled as the API labels them: the error
        categories are one, spike protection has its name. Filters take the same labels.
        """
        wanted = {"project": project, "category": category, "outcome": outcome, "reason": reason}
        sums: dict[tuple[str | int, ...], int] = {}
        for row in self.visible(organization, start, end, at):
            labels = _labels(row)
            if any(
                allowed is not None and labels[name] not in allowed
                for name, allowed in wanted.items()
            ):
                continue
            key = tuple(labels[name] for name in group_by)
            sums[key] = sums.get(key, 0) + getattr(row, field)
        return sums

    def visible(self, organization: int, start: float, end: float, at: float) -> Iterator[Row]:
        """Yield every row from ``start`` to ``end``, exclusive, that can be seen at ``at``."""
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
