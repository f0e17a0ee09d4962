"""Panels that the overview, the organization and the project have in common, for a scope each.

A scope is what stands between the braces of a selector; it names a query, and nothing is ever
added up across queries, categories or units.
"""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.expressions import (
    ACCEPTED,
    DISCARDED,
    DROPPED,
    FILTERED,
    NOT_ACCEPTED,
    SUBMITTED,
    Choice,
    chosen,
    each_step,
    over_range,
    share,
)
from deploy.grafana.generator.panels import Figure, Target, bars, number, ranking
from exporter.publish.families import COUNTED

EVENTS: Final = COUNTED["events"]

_APART: Final = "Categories are never added up: some describe the same items."
_COLUMNS: Final = (
    (
        "Submitted",
        "What clients had for Sentry, taken or not, or held back after a 429.",
        SUBMITTED,
    ),
    ("Accepted", "What Sentry took.", ACCEPTED),
    ("Filtered", "What inbound filters and sampling rules, set by users, caught.", FILTERED),
    (
        "Dropped",
        "What Sentry refused: rate limited, invalid, abuse, or held back by SDKs after a 429.",
        DROPPED,
    ),
    (
        "Discarded by clients",
        "What SDKs dropped for reasons of their own; not part of submitted.",
        DISCARDED,
    ),
)


def gained(scope: str, choice: Choice, *by: str) -> str:
    """Return the events of ``choice`` over the range."""
    return over_range(chosen(EVENTS, scope, choice), *by)


def columns(scope: str, by: str) -> tuple[Target, ...]:
    """Return the columns of a table of volumes, with a row for each value of ``by``."""
    volumes = (Target(gained(scope, choice, by), title) for title, _, choice in _COLUMNS)
    return (*volumes, Target(_share_dropped(scope, by), "Share dropped", "percentunit"))


def numbers(scope: str) -> Sequence[Panel]:
    """Return the volumes of ``scope`` over the range, a number each."""
    volumes = [
        number(Figure(title, what, (Target(gained(scope, choice)),), width=4, height=4))
        for title, what, choice in _COLUMNS
    ]
    dropped = Figure(
        "Share dropped",
        "Dropped as a share of submitted.",
        (Target(_share_dropped(scope)),),
        "percentunit",
        width=4,
        height=4,
    )
    return [*volumes, number(dropped)]


def by_outcome(scope: str) -> Panel:
    """Return what became of the events of ``scope``."""
    course = each_step(chosen(EVENTS, scope), "outcome")
    what = "What became of the events, hour by hour; the outcomes as Sentry has them."
    return bars(Figure("By outcome", what, (Target(course, "{{outcome}}"),)))


def by_reason(scope: str) -> Panel:
    """Return why events of ``scope`` were not taken."""
    course = each_step(chosen(EVENTS, scope, NOT_ACCEPTED), "outcome", "reason")
    what = (
        "Why events were not taken, hour by hour; Sentry's own words. `ratelimit_backoff` is what "
        "SDKs held back after a 429."
    )
    return bars(
        Figure("Not accepted, by reason", what, (Target(course, "{{outcome}}: {{reason}}"),))
    )


def discarded_by_reason(scope: str) -> Panel:
    """Return why clients discarded events of ``scope``."""
    course = each_step(chosen(EVENTS, scope, DISCARDED), "reason")
    what = (
        "Why SDKs dropped events, hour by hour; their own words. What they held back after a 429 "
        "is not here but among the events not accepted."
    )
    return bars(
        Figure("Discarded by clients, by reason", what, (Target(course, "{{reason}}"),), width=24)
    )


def by_category(scope: str) -> Sequence[Panel]:
    """Return what each category of ``scope`` submitted, a panel for each unit."""
    kinds = (
        ("events", "short", "Submitted events, by category", "What clients had for Sentry."),
        ("bytes", "bytes", "Submitted bytes, by category", "What Sentry counts in bytes."),
        ("seconds", "s", "Profiled time, by category", "What Sentry counts in time."),
    )
    return [
        ranking(
            Figure(title, f"{what} {_APART}", (_submitted_by_category(scope, measure),), unit, 8)
        )
        for measure, unit, title, what in kinds
    ]


def _submitted_by_category(scope: str, measure: str) -> Target:
    counters = chosen(COUNTED[measure], scope, SUBMITTED)
    return Target(over_range(counters, "category"), "{{category}}")


def _share_dropped(scope: str, *by: str) -> str:
    return share(gained(scope, DROPPED, *by), gained(scope, SUBMITTED, *by))
