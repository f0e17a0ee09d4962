"""Series, what a bucket holds of them, and the sums of that. Pure.

There is one representation of rows: for each series of the organization, the values of its
projects. A query that is not grouped by project has one value for each series, under `NO_PROJECT`
or under the only project that its filter names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

NO_PROJECT: Final = 0
"""Stands for no project: the query is not grouped by it, or the value is part of the remainder."""


class Series(NamedTuple):
    """One series of the organization: a field, and the labels it is published with."""

    field: str
    category: str
    outcome: str
    reason: str


class ProjectSeries(NamedTuple):
    """The part of a series that belongs to one project, or that is counted for one label.

    ``project`` is the project's id, or the number of a label in the ledger's list of labels.
    """

    series: Series
    project: int


Values = Mapping[int, int]
"""Values by project id, or by the number of a label, in Sentry's own units."""

Rows = Mapping[Series, Values]
"""What one bucket holds."""

Totals = Mapping[Series, int]
"""What one bucket holds of each series of the organization, projects added together."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one bucket, until it is posted to the ledger.

    ``proven`` says that the rows are known not to be cut, ``finished`` that the bucket was finished
    when it was read. ``total`` is the organization total, for queries by project. ``refused`` are
    projects that the filter names and that Sentry does not let the token read. ``bound`` is how
    many rows of Sentry's store can stand behind it at most, where that has been worked out.
    """

    rows: Rows
    proven: bool = True
    total: Totals = field(default_factory=dict)
    finished: bool = False
    refused: frozenset[int] = frozenset()
    bound: int = 0


def refused_projects(readings: Iterable[Reading]) -> frozenset[int]:
    """Return the projects that Sentry refused in any of ``readings``."""
    return frozenset[int]().union(*(one.refused for one in readings))


def added_readings(readings: Iterable[Reading]) -> Reading:
    """Return the reading of several buckets as one: a question by project may be about several."""
    every = list(readings)
    return Reading(joined(*(one.rows for one in every)), all(one.proven for one in every))


def joined(*several: Rows) -> dict[Series, dict[int, int]]:
    """Return the sum of ``several`` rows, value by value."""
    total: dict[Series, dict[int, int]] = {}
    for rows in several:
        for series, values in rows.items():
            before = total.get(series)
            if before is None:
                total[series] = dict(values)
                continue
            both = before.keys() & values.keys()
            sums = {project: before[project] + values[project] for project in both}
            before |= {**values, **sums}
    return total


def added(*several: Totals) -> dict[Series, int]:
    """Return the sum of ``several``, series by series."""
    total: dict[Series, int] = {}
    for sums in several:
        for series, value in sums.items():
            total[series] = total.get(series, 0) + value
    return total


def totals(rows: Rows) -> dict[Series, int]:
    """Return the sum over the projects of each series, zeros left out."""
    return nonzero({series: sum(values.values()) for series, values in rows.items()})


def nonzero(sums: Totals) -> dict[Series, int]:
    """Return ``sums`` with the zeros left out."""
    return {series: value for series, value in sums.items() if value}


def without_reason(sums: Totals) -> dict[Series, int]:
    """Return ``sums`` with the values of all reasons added together."""
    total: dict[Series, int] = {}
    for series, value in sums.items():
        key = series._replace(reason="")
        total[key] = total.get(key, 0) + value
    return total


def difference(larger: Totals, smaller: Totals) -> dict[Series, int]:
    """Return what ``larger`` has more than ``smaller``, series by series; never negative."""
    return {
        series: value - smaller.get(series, 0)
        for series, value in larger.items()
        if value > smaller.get(series, 0)
    }


def lesser(one: Totals, other: Totals) -> dict[Series, int]:
    """Return the smaller of two values, for each series of ``one``."""
    return {series: min(value, other.get(series, 0)) for series, value in one.items()}


def labelled(values: Values, labels: Mapping[int, str] | None) -> Values:
    """Return the values of projects, with those that have no label under `NO_PROJECT`.

    Without ``labels`` every id stands for itself.
    """
    if labels is None or values.keys() - labels.keys() <= {NO_PROJECT}:
        return values
    shown = {project: value for project, value in values.items() if project in labels}
    return {**shown, NO_PROJECT: sum(values.values()) - sum(shown.values())}
