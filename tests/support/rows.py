"""Rows as tests write them: a value for each series of each project, side by side."""

from collections.abc import Mapping, Sequence

from exporter.collect.ledger import Bucket, Column, Ledger, SeriesTable
from exporter.collect.series import ProjectSeries, Reading, Rows, Series, Totals
from exporter.sentry.question import QUANTITY
from tests.support.store import Row

HOUR = 3600
NOON = 1_700_000_000 // HOUR * HOUR
WEB, API, OLD = 1, 2, 9

Flat = Mapping[ProjectSeries, int]
"""Rows with a key for each value."""


def row(quantity: int = 1, *, bucket: int = NOON - HOUR, project: int = WEB, **labels: str) -> Row:
    """Return an outcome row, of accepted transactions unless ``labels`` say otherwise."""
    named = {"category": "transaction", "outcome": "accepted", "reason": "none"} | labels
    return Row(project=project, bucket=bucket, quantity=quantity, **named)


def series(
    project: int = 0, category: str = "transaction", outcome: str = "accepted", reason: str = ""
) -> ProjectSeries:
    """Return the part that ``project`` has of a series by category and outcome."""
    return ProjectSeries(Series(QUANTITY, category, outcome, reason), project)


def rows(flat: Flat) -> dict[Series, dict[int, int]]:
    """Return ``flat`` as rows."""
    nested: dict[Series, dict[int, int]] = {}
    for one, value in flat.items():
        nested.setdefault(one.series, {})[one.project] = value
    return nested


def flat(rows: Rows | None) -> dict[ProjectSeries, int]:
    """Return ``rows`` with a key for each value, nothing for none."""
    return {
        ProjectSeries(one, project): value
        for one, values in (rows or {}).items()
        for project, value in values.items()
    }


def totals(flat: Flat) -> Totals:
    """Return ``flat``, which has no projects, as the totals of its series."""
    return {one.series: value for one, value in flat.items()}


def reading(
    flat: Flat, total: Flat | None = None, *, finished: bool = False, proven: bool = True
) -> Reading:
    """Return a reading of a bucket that holds ``flat``."""
    return Reading(rows(flat), proven, totals(total or {}), finished)


def column(flat: Flat) -> Column:
    """Return ``flat`` as a column of a table of its own."""
    return Column.of(SeriesTable().extended(rows(flat)), rows(flat))


def bucket(one: Reading) -> Bucket:
    """Return what a ledger has of a bucket after its first reading."""
    table = SeriesTable().extended(one.rows)
    return Bucket(Column.of(table, one.rows), one.total, one.finished, one.proven)


def by_label(ledger: Ledger) -> dict[str, int]:
    """Return the counters by label, of a ledger that has nothing else to tell apart."""
    return {ledger.labels[one.project]: value for one, value in flat(ledger.counters).items()}


def by_project(counters: Rows, labels: Sequence[str]) -> dict[ProjectSeries, int]:
    """Return counters whose labels are ids, or slugs that end in them, by project."""
    return {
        one._replace(project=int(labels[one.project].rpartition("-")[2] or 0)): value
        for one, value in flat(counters).items()
    }
