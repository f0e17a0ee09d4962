"""Series, what buckets hold of them, and arithmetic on that. Pure.

Rows are mappings from series to values, in Sentry's own units. Where a bucket holds very many of
them, they differ in nothing but their project for the most part: `ProjectRows` come in parts, one
for each series of the whole organization.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Series(NamedTuple):
    """One series of a query: a field and the labels it is published with.

    ``project`` is the id, and 0 where the query does not group by project or where the value
    belongs to no project that the token can read.
    """

    field: str
    category: str
    outcome: str
    reason: str
    project: int

    def of(self, project: int) -> "Series":
        """Return the same series of ``project``."""
        return Series(self.field, self.category, self.outcome, self.reason, project)

    def without_project(self) -> "Series":
        """Return the series of the whole organization that this one is a part of."""
        return self.of(0) if self.project else self


Rows = Mapping[Series, int]
"""What one bucket holds, in Sentry's own units."""


Parts = Mapping[Series, Mapping[int, int]]
"""For series of the whole organization the values of their projects, by id.

What belongs to no project is under 0; a part may be empty.
"""


class ProjectRows(Mapping[Series, int], ABC):
    """Rows of very many projects."""

    __slots__ = ()

    @property
    @abstractmethod
    def parts(self) -> Parts:
        """Return the same rows in parts."""

    def __getitem__(self, series: Series) -> int:
        return self.parts[series.without_project()][series.project]

    def __iter__(self) -> Iterator[Series]:
        for whole, values in self.parts.items():
            yield from map(whole.of, values)

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return _filled(self) == _filled(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"


class PartedRows(ProjectRows):
    """Rows that are kept in parts."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def parts(self) -> Parts:
        """Return the parts."""
        return self._parts


def parts_of(rows: Rows) -> Parts:
    """Return any rows in parts."""
    if isinstance(rows, ProjectRows):
        return rows.parts
    parts: dict[Series, dict[int, int]] = {}
    for series, value in rows.items():
        parts.setdefault(series.without_project(), {})[series.project] = value
    return parts


def _filled(rows: Rows) -> dict[Series, Mapping[int, int]]:
    return {whole: values for whole, values in parts_of(rows).items() if values}


def added(*several: Rows) -> dict[Series, int]:
    """Return the sum of ``several``, series by series."""
    total: dict[Series, int] = {}
    for rows in several:
        for series, value in rows.items():
            total[series] = total.get(series, 0) + value
    return total


def joined(*several: Rows) -> PartedRows:
    """Return the same sum of rows of very many projects."""
    total: dict[Series, dict[int, int]] = {}
    for rows in several:
        for whole, values in parts_of(rows).items():
            there = total.setdefault(whole, {})
            both = there.keys() & values.keys()
            sums = {project: there[project] + values[project] for project in both}
            there |= {**values, **sums} if sums else values
    return PartedRows(total)


def sums(rows: Rows) -> dict[Series, int]:
    """Return ``rows`` without project, zeros left out."""
    totals = {whole: sum(values.values()) for whole, values in parts_of(rows).items()}
    return nonzero(totals)


def nonzero(rows: Rows) -> dict[Series, int]:
    """Return ``rows`` with the zeros left out."""
    return {series: value for series, value in rows.items() if value}


def without_reason(rows: Rows) -> dict[Series, int]:
    """Return ``rows`` with the values of all reasons added together."""
    total: dict[Series, int] = {}
    for series, value in rows.items():
        key = series._replace(reason="")
        total[key] = total.get(key, 0) + value
    return total


def difference(told: Rows, found: Rows) -> dict[Series, int]:
    """Return what of ``told`` is not in ``found``, both without project; never negative."""
    rest = {series: value - found.get(series, 0) for series, value in told.items()}
    return {series: value for series, value in rest.items() if value > 0}


def lesser(one: Rows, other: Rows) -> dict[Series, int]:
    """Return the smaller of two values, series by series."""
    return {series: min(value, other.get(series, 0)) for series, value in one.items()}


def labelled(values: Mapping[int, int], labels: Mapping[int, str] | None) -> Mapping[int, int]:
    """Return the values of projects with those that have no label under 0.

    Without ``labels`` every id stands for itself.
    """
    if labels is None or values.keys() - labels.keys() <= {0}:
        return values
    shown = {project: value for project, value in values.items() if project in labels}
    return {**shown, 0: sum(values.values()) - sum(shown.values())}
