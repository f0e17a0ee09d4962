"""Arithmetic on rows: what buckets and parts of buckets hold, series by series. Pure."""

from collections.abc import Mapping

from exporter.collect.subject import Rows, Series


def added(*parts: Mapping[Series, int]) -> Rows:
    """Return the sum of ``parts``, series by series."""
    total: Rows = {}
    for part in parts:
        for series, value in part.items():
            total[series] = total.get(series, 0) + value
    return total


def sums(rows: Mapping[Series, int]) -> Rows:
    """Return ``rows`` without project, zeros left out."""
    total: Rows = {}
    for series, value in rows.items():
        key = series.without_project()
        total[key] = total.get(key, 0) + value
    return nonzero(total)


def nonzero(rows: Mapping[Series, int]) -> Rows:
    """Return ``rows`` with the zeros left out."""
    return {series: value for series, value in rows.items() if value}


def without_reason(rows: Mapping[Series, int]) -> Rows:
    """Return ``rows`` with the values of all reasons added together."""
    total: Rows = {}
    for series, value in rows.items():
        key = series._replace(reason="")
        total[key] = total.get(key, 0) + value
    return total


def difference(told: Mapping[Series, int], rows: Mapping[Series, int]) -> Rows:
    """Return what of ``told`` is not in ``rows``, as series without project; never negative."""
    found = sums(rows)
    rest = {series: value - found.get(series, 0) for series, value in told.items()}
    return {series: value for series, value in rest.items() if value > 0}


def between(
    low: Mapping[Series, int], before: Mapping[Series, int], high: Mapping[Series, int]
) -> Rows:
    """Return the remainder nearest to the one before that the two reconciliations allow.

    ``low`` was taken before the parts were read and ``high`` after: what arrived meanwhile lies
    between them, and is no reason for the remainder to move.
    """
    return nonzero(
        {
            series: max(low.get(series, 0), min(before.get(series, 0), high.get(series, 0)))
            for series in {*low, *high}
        }
    )
