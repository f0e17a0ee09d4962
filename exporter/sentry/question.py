"""Questions to ``stats_v2``: plain values. `exporter.sentry.answer` has what comes back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exporter.buckets import Window

QUANTITY: Final = "sum(quantity)"
TIMES_SEEN: Final = "sum(times_seen)"

ROW_LIMIT: Final = 10_000
"""Sentry's store cuts every answer at this many rows, in no order and without a word."""


ALL_READABLE: Final = (-1,)
"""As a filter by project, with ``project`` last in ``groupBy``: all that the token can read."""

ATTRIBUTABLE: Final = (-1, 0)
"""The same without ``project`` in ``groupBy``, where -1 alone stands for the whole organization.

Beside -1 no id is looked at. Servers of before 2023 may answer 403.
"""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to ``stats_v2``: totals, and a series per group unless grouped by project.

    ``group_by`` is in the order in which it is sent, which matters: with ``project`` last, or with
    a ``project`` filter, Sentry counts only projects the token may read; without either it counts
    every project of the organization, deleted ones too (``_is_org_total_query`` in Sentry's
    ``organization_stats_v2.py``).
    """

    fields: tuple[str, ...]
    group_by: tuple[str, ...]
    window: Window
    category: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    reason: str | None = None
    project: tuple[int, ...] = ()

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query string's pairs.

        The end is sent as the last second inside the last bucket: old servers take it as
        inclusive, new ones round it up, and both read the same buckets.
        """
        pairs = [("field", field) for field in self.fields]
        pairs += [("groupBy", group) for group in self.group_by]
        pairs += [("category", category) for category in self.category]
        pairs += [("outcome", outcome) for outcome in self.outcome]
        if self.reason is not None:
            pairs.append(("reason", self.reason))
        pairs += [("project", str(project)) for project in self.project]
        pairs.append(("start", iso(self.window.start)))
        pairs.append(("end", iso(self.window.end - 1)))
        pairs.append(("interval", _duration(self.window.interval)))
        return pairs


def iso(moment: int) -> str:
    """Return ``moment`` as Sentry writes times, ``2026-11-23T14:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: int) -> str:
    """Return an interval of whole hours in the endpoint's own notation, ``6h`` or ``1d``."""
    days, rest = divmod(seconds, 86400)
    return f"{seconds // 3600}h" if rest else f"{days}d"
