"""The stats_v2 endpoint: a query string, a world and a moment in, an answer out.

The order in which things are checked is Sentry's, since it decides which error is seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from random import Random
from typing import Any, Final, TypeVar

from exporter.buckets import Window
from exporter.categories import OUTCOMES
from exporter.sentry.question import iso
from exporter.simulator.access import counted_projects
from exporter.simulator.columns import (
    ColumnStore,
    Key,
    Selection,
    Sums,
    Table,
    pieces,
    table_for,
)
from exporter.simulator.messages import Answer, Parameters, Refused, document
from exporter.simulator.periods import parse_window
from exporter.simulator.release import CURRENT, Release
from exporter.simulator.store import DIMENSIONS
from exporter.simulator.world import Organization, Token, World

FIELDS: Final = {"sum(quantity)": "quantity", "sum(times_seen)": "times_seen"}

_ERROR_CATEGORIES: Final = frozenset({"default", "error", "security"})
_SECOND_NAMES: Final = {"user_report_v2": "feedback"}
_STORED_REASONS: Final = {"spike_protection": "smart_rate_limit"}
_API_REASONS: Final = {stored: shown for shown, stored in _STORED_REASONS.items()}

Item = TypeVar("Item")
Totals = Mapping[Key, Sums]
Points = Mapping[tuple[Key, int], Sums]


@dataclass(frozen=True, slots=True)
class Query:
    """A request that passed every check; ``fields`` as they were sent."""

    fields: tuple[str, ...]
    window: Window
    selection: Selection


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
    """Return what Sentry answers; ``row_limit`` rows at most come out of each store query."""
    random = Random(f"{world.seed}:{organization.id}:{parameters.pairs}")  # noqa: S311 - repeatable
    query = parse(parameters, token, organization, world, now=now, release=release)
    totals, points = _run(columns, organization.id, query, now)
    if any(_category_of(query, key) not in {*world.categories, None} for key in totals):
        return _uncaught(random)
    totals = dict(_cut(totals.items(), row_limit, random))
    points = dict(_cut(points.items(), row_limit, random))
    return document(200, massage(query, totals, points, random))


def parse(
    parameters: Parameters,
    token: Token,
    organization: Organization,
    world: World,
    *,
    now: float,
    release: Release = CURRENT,
) -> Query:
    """Return the query that ``parameters`` ask for, or refuse with the first thing wrong."""
    projects = counted_projects(world, token, organization, parameters, release)
    fields = tuple(dict.fromkeys(parameters.all("field")))
    if not fields:
        raise Refused(400, 'At least one "field" is required.')
    window = parse_window(parameters, now, release)
    _refuse_unknown("field", fields, FIELDS)
    group_by = tuple(dict.fromkeys(parameters.all("groupBy")))
    _refuse_unknown("groupBy", group_by, DIMENSIONS)
    if "category" not in group_by and not parameters.all("category"):
        raise Refused(400, "Query must have category as groupby or filter")
    selection = Selection(
        group_by=group_by,
        absent=None if table_for(window, now) is Table.RAW else "none",
        outcomes=_parse_outcomes(parameters.all("outcome")),
        categories=_parse_categories(parameters.all("category"), world.categories),
        reason=_parse_reason(parameters.last("reason")),
        projects=projects,
    )
    _refuse_key(parameters.last("key_id"))
    return Query(fields, window, selection)


def massage(query: Query, totals: Totals, points: Points, random: Random) -> dict[str, Any]:
    """Return the body made of what the two store queries found.

    A group appears when either of them knows it. Grouped by project there was one query only.
    """
    window = query.window
    shown = {_label(query, key): key for key in [*totals, *(key for key, _ in points)]}
    if not query.selection.group_by:
        shown = {(): ()}
    groups = {label: _empty_group(query, label, random) for label in shown}
    for key, sums in totals.items():
        group = groups[_label(query, key)]
        for field in query.fields:
            group["totals"][field] += getattr(sums, FIELDS[field])
    for (key, bucket), sums in points.items():
        group = groups[_label(query, key)]
        for field in query.fields:
            position = (bucket - window.start) // window.interval
            group["series"][field][position] += getattr(sums, FIELDS[field])
    body: dict[str, Any] = {"start": iso(window.start), "end": iso(window.end)}
    if _has_series(query):
        body["intervals"] = [iso(bucket) for bucket in window.buckets()]
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
        for key, found in columns.sums(organization, query.selection, parts, now).items():
            totals[key] = found.plus(totals.get(key))
            points[key, bucket] = found
    return totals, points


def _cut(rows: Iterable[Item], row_limit: int, random: Random) -> list[Item]:
    found = list(rows)
    return random.sample(found, row_limit) if len(found) > row_limit else found


def _shuffled(items: Iterable[Item], random: Random) -> list[Item]:
    found = list(items)
    random.shuffle(found)
    return found


def _has_series(query: Query) -> bool:
    return "project" not in query.selection.group_by


def _label(query: Query, key: Key) -> Key:
    names = query.selection.group_by
    return tuple(_shown(name, value) for name, value in zip(names, key, strict=True))


def _shown(name: str, value: str | int | None) -> str | int | None:
    if name == "category" and value in _ERROR_CATEGORIES:
        return "error"
    if name == "reason" and value in _API_REASONS:
        return _API_REASONS[str(value)]
    return value


def _empty_group(query: Query, label: Key, random: Random) -> dict[str, Any]:
    by = zip(query.selection.group_by, label, strict=True)
    group: dict[str, Any] = {
        "by": dict(_shuffled(by, random)),
        "totals": dict.fromkeys(query.fields, 0),
    }
    if _has_series(query):
        group["series"] = {field: [0] * len(query.window) for field in query.fields}
    return group


def _category_of(query: Query, key: Key) -> str | int | None:
    names = query.selection.group_by
    return key[names.index("category")] if "category" in names else None


def _uncaught(random: Random) -> Answer:
    error_id = f"{random.getrandbits(128):032x}"
    return document(500, {"detail": "Internal Error", "errorId": error_id})


def _refuse_unknown(name: str, values: Sequence[str], known: Iterable[str]) -> None:
    allowed = frozenset(known)
    for value in values:
        if value not in allowed:
            raise Refused(400, f'Invalid {name}: "{value}"')


def _parse_outcomes(values: Sequence[str]) -> frozenset[str] | None:
    for value in values:
        if value.lower() not in OUTCOMES:
            raise Refused(400, f'Invalid outcome: "{value}"')
    return frozenset(value.lower() for value in values) or None


def _parse_categories(values: Sequence[str], known: frozenset[str]) -> frozenset[str] | None:
    _refuse_unknown("category", values, known | _SECOND_NAMES.keys())
    stored = {_SECOND_NAMES.get(value, value) for value in values}
    if "error" in stored:
        stored |= _ERROR_CATEGORIES
    if "attachment" in stored and len(stored) > 1:
        raise Refused(400, "if filtering by attachment no other category may be present")
    return frozenset(stored) or None


def _parse_reason(value: str | None) -> str | None:
    return _STORED_REASONS.get(value, value) if value else None


def _refuse_key(value: str | None) -> None:
    if value is not None and not value.isdecimal():
        raise Refused(400, f'Invalid key: "{value}"')
