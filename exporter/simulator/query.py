"""The query of a stats_v2 request: parsing, validation and the errors of both.

Parameters are checked in the order of ``build_outcomes_query`` and ``QueryDefinition``
(``src/sentry/snuba/outcomes.py``), because the order decides which error is returned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.buckets import Window
from exporter.categories import OUTCOMES
from exporter.simulator.access import counted_projects
from exporter.simulator.columns import Selection, Table, table_for
from exporter.simulator.messages import Parameters, Refused
from exporter.simulator.periods import parse_window
from exporter.simulator.release import CURRENT, Release
from exporter.simulator.store import DIMENSIONS
from exporter.simulator.world import Organization, Token, World

FIELDS: Final = {"sum(quantity)": "quantity", "sum(times_seen)": "times_seen"}
ERROR_CATEGORIES: Final = frozenset({"default", "error", "security"})
STORED_REASONS: Final = {"spike_protection": "smart_rate_limit"}

_CATEGORY_ALIASES: Final = {"user_report_v2": "feedback"}


@dataclass(frozen=True, slots=True)
class Query:
    """A valid query. ``fields`` have the names of the request."""

    fields: tuple[str, ...]
    window: Window
    selection: Selection


def parse_query(
    parameters: Parameters,
    token: Token,
    organization: Organization,
    world: World,
    *,
    now: float,
    release: Release = CURRENT,
) -> Query:
    """Return the query of a request, or refuse it with the first error in Sentry's order."""
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
        absent_reason=None if table_for(window, now) is Table.RAW else "none",
        outcomes=_parse_outcomes(parameters.all("outcome")),
        categories=_parse_categories(parameters.all("category"), world.categories),
        reason=_parse_reason(parameters.last("reason")),
        projects=projects,
    )
    _refuse_key(parameters.last("key_id"))
    return Query(fields, window, selection)


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
    _refuse_unknown("category", values, known | _CATEGORY_ALIASES.keys())
    stored = {_CATEGORY_ALIASES.get(value, value) for value in values}
    if "error" in stored:
        stored |= ERROR_CATEGORIES
    # Sentry refuses the mix only for this one of the categories that are not counted in events.
    if "attachment" in stored and len(stored) > 1:
        raise Refused(400, "if filtering by attachment no other category may be present")
    return frozenset(stored) or None


def _parse_reason(value: str | None) -> str | None:
    return STORED_REASONS.get(value, value) if value else None


def _refuse_key(value: str | None) -> None:
    if value is not None and not value.isdecimal():
        raise Refused(400, f'Invalid key: "{value}"')
