"""The stats_v2 endpoint: runs a query and builds the response body.

It follows ``src/sentry/snuba/outcomes.py`` and ``massage_sessions_result`` of
``src/sentry/snuba/sessions_v2.py``.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, permutations
from operator import attrgetter
from random import Random
from typing import Any, Final, TypeVar

from exporter.moments import iso
from exporter.simulator.columns import ColumnStore, Key, Sums, pieces, table_for
from exporter.simulator.messages import Answer, Parameters, document
from exporter.simulator.query import ERROR_CATEGORIES, FIELDS, STORED_REASONS, Query, parse_query
from exporter.simulator.release import CURRENT, Release
from exporter.simulator.world import Organization, Token, World

_SHOWN: Final[Mapping[str, Mapping[str | int | None, str]]] = {
    "category": dict.fromkeys(ERROR_CATEGORIES, "error"),
    "reason": {stored: shown for shown, stored in STORED_REASONS.items()},
}
"""What Sentry shows for a stored value, by dimension; other values are shown as they are."""

Item = TypeVar("Item")
Totals = Mapping[Key, Sums]
Points = Mapping[tuple[Key, int], Sums]


def answer(
    parameters: Parameters,
    token: Token,
    organization: Organization,
    world: World,
    columns: ColumnStore,
    *,
    now: float,
    row_limit: int,
    release: Release = CURRENT,
) -> Answer:
    """Return the answer to a request. Each store query returns at most ``row_limit`` rows."""
    random = Random(f"{world.seed}:{organization.id}:{parameters.pairs}")  # noqa: S311 - repeatable
    query = parse_query(parameters, token, organization, world, now=now, release=release)
    totals, points = _run(columns, organization.id, query, now)
    # Sentry fails on a stored category that its release does not know, instead of skipping it.
    if any(_category_of(query, key) not in {*world.categories, None} for key in totals):
        return _internal_error(random)
    # Two store queries, each with its own limit and without ORDER BY: not the same rows are cut.
    totals = dict(_cut(totals.items(), row_limit, random))
    points = dict(_cut(points.items(), row_limit, random))
    return document(200, response_body(query, totals, points, random))


def response_body(query: Query, totals: Totals, points: Points, random: Random) -> dict[str, Any]:
    """Return the response body, made from the rows of the two store queries.

    A group appears if either of them has a row of it. Grouped by project, there is no query for
    the time series.
    """
    window = query.window
    labels = _labels(query, dict.fromkeys([*totals, *(key for key, _ in points)]))
    # Without groupBy there is always one group, even if there are no rows.
    shown = dict.fromkeys(labels.values()) if query.selection.group_by else {(): None}
    orders = tuple(permutations(range(len(query.selection.group_by))))
    groups = {label: _empty_group(query, label, random.choice(orders)) for label in shown}
    for key, sums in totals.items():
        group = groups[labels[key]]
        for field in query.fields:
            # Added: default, error and security are stored separately, and share the label error.
            group["totals"][field] += getattr(sums, FIELDS[field])
    for (key, bucket), sums in points.items():
        group = groups[labels[key]]
        for field in query.fields:
            position = (bucket - window.start) // window.interval
            group["series"][field][position] += getattr(sums, FIELDS[field])
    body: dict[str, Any] = {"start": iso(window.start), "end": iso(window.end)}
    if _has_series(query):
        body["intervals"] = [iso(bucket) for bucket in window.buckets()]
    # Sentry iterates over sets, so that the order differs from process to process.
    body["groups"] = _shuffled(groups.values(), random)
    return body


def _run(
    columns: ColumnStore, organization: int, query: Query, now: float
) -> tuple[dict[Key, Sums], dict[tuple[Key, int], Sums]]:
    read = pieces(query.window, table_for(query.window, now), now)
    if not _has_series(query):
        return columns.sums(organization, query.selection, read, now), {}
    totals: dict[Key, Sums] = {}
    points: dict[tuple[Key, int], Sums] = {}
    for bucket, parts in groupby(read, key=attrgetter("bucket")):
        for key, sums in columns.sums(organization, query.selection, parts, now).items():
            totals[key] = sums.plus(totals.get(key))
            points[key, bucket] = sums
    return totals, points


def _cut(rows: Iterable[Item], row_limit: int, random: Random) -> list[Item]:
    all_rows = list(rows)
    return random.sample(all_rows, row_limit) if len(all_rows) > row_limit else all_rows


def _shuffled(items: Iterable[Item], random: Random) -> list[Item]:
    shuffled = list(items)
    random.shuffle(shuffled)
    return shuffled


def _has_series(query: Query) -> bool:
    return "project" not in query.selection.group_by


def _labels(query: Query, keys: Iterable[Key]) -> dict[Key, Key]:
    """Return the values that are shown for each of ``keys``."""
    shown = [_SHOWN.get(name, {}) for name in query.selection.group_by]
    return {
        key: tuple(known.get(value, value) for known, value in zip(shown, key, strict=True))
        for key in keys
    }


def _empty_group(query: Query, label: Key, order: Sequence[int]) -> dict[str, Any]:
    names = query.selection.group_by
    group: dict[str, Any] = {
        "by": {names[at]: label[at] for at in order},
        "totals": dict.fromkeys(query.fields, 0),
    }
    if _has_series(query):
        group["series"] = {field: [0] * len(query.window) for field in query.fields}
    return group


def _category_of(query: Query, key: Key) -> str | int | None:
    names = query.selection.group_by
    return key[names.index("category")] if "category" in names else None


def _internal_error(random: Random) -> Answer:
    error_id = f"{random.getrandbits(128):032x}"
    return document(500, {"detail": "Internal Error", "errorId": error_id})
