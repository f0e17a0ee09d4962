"""Questions to ``stats_v2``: plain values. Their answers are in `exporter.sentry.answer`."""

from dataclasses import dataclass
from typing import Final

from exporter.buckets import Window
from exporter.moments import iso

QUANTITY: Final = "sum(quantity)"
TIMES_SEEN: Final = "sum(times_seen)"

ROW_LIMIT: Final = 10_000
"""Sentry's store cuts every answer at this many rows, in no order and without saying so."""


ALL_READABLE: Final = (-1,)
"""A filter by project: all that the token can read, with ``project`` last in ``groupBy``."""

ATTRIBUTABLE: Final = (-1, 0)
"""The same without ``project`` in ``groupBy``, where -1 alone means every project.

Sentry ignores the ids beside -1. Servers from before 2023 may answer 403.
"""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to ``stats_v2``: totals, and a series per group unless grouped by project.

    ``group_by`` is in the order in which it is sent, which matters: with ``project`` last, or with
    a ``project`` filter, Sentry counts only projects that the token may read; without either it
    counts every project of the organization, including deleted ones (``_is_org_total_query`` in
    Sentry's ``organization_stats_v2.py``).
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

        The end is sent as the last second of the last bucket: old servers include it, new ones
        round it up, and both read the same buckets.
        """
        pairs = [("field", field) for field in self.fields]
        pairs += [("groupBy", group) for group in self.group_by]
        pairs += [("category", category) for category in self.category]
        pairs += [("outcome", outcome) for outcome in self.outcome]
        # Only one: of several reasons, Sentry reads the last.
        if self.reason is not None:
            pairs.append(("reason", self.reason))
        pairs += [("project", str(project)) for project in self.project]
        pairs.append(("start", iso(self.window.start)))
        pairs.append(("end", iso(self.window.end - 1)))
        # An interval that Sentry cannot parse is no error, but read as 1h
        # (get_constrained_date_range in its src/sentry/snuba/sessions_v2.py).
        pairs.append(("interval", _duration(self.window.interval)))
        return pairs


def _duration(seconds: int) -> str:
    """Return an interval of full hours in the endpoint's own notation, ``6h`` or ``1d``."""
    days, remainder = divmod(seconds, 86400)
    return f"{seconds // 3600}h" if remainder else f"{days}d"
