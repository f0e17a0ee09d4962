"""Panels that the dashboards overview, organization and project share, each for a scope.

A scope is the label matchers of a selector. It names one query. Nothing is added across queries,
categories or units.
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

_APART: Final = "Categories are not added up, because some describe the same items."
_COLUMNS: Final = (
    (
        "Submitted",
        "Everything that clients had to send, including what SDKs held back after a 429.",
        SUBMITTED,
    ),
    ("Accepted", "Events that Sentry accepted.", ACCEPTED),
    ("Filtered", "Events dropped by inbound filters and sampling rules of your own.", FILTERED),
    (
        "Dropped",
        "Events that Sentry refused, or that SDKs held back after a 429.",
        DROPPED,
    ),
    (
        "Discarded by clients",
        "Events that SDKs dropped for other reasons. They are not part of submitted.",
        DISCARDED,
    ),
)


def events(scope: str, choice: Choice, *by: str) -> str:
    """Return the events of ``choice`` over the time range."""
    return over_range(chosen(EVENTS, scope, choice), *by)


def columns(scope: str, by: str) -> tuple[Target, ...]:
    """Return the columns of a table of volumes, with a row for each value of ``by``."""
    volumes = (Target(events(scope, choice, by), title) for title, _, choice in _COLUMNS)
    return (*volumes, Target(_share_dropped(scope, by), "Share dropped", "percentunit"))


def numbers(scope: str) -> Sequence[Panel]:
    """Return the volumes of ``scope`` over the time range, one number per panel."""
    volumes = [
        number(Figure(title, what, (Target(events(scope, choice)),), width=4, height=4))
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
    """Return the events of ``scope`` by outcome."""
    increases = each_step(chosen(EVENTS, scope), "outcome")
    what = "Events per hour, by Sentry's outcome."
    return bars(Figure("By outcome", what, (Target(increases, "{{outcome}}"),)))


def by_reason(scope: str) -> Panel:
    """Return the events of ``scope`` that were not accepted, by reason."""
    increases = each_step(chosen(EVENTS, scope, NOT_ACCEPTED), "outcome", "reason")
    what = (
        "Events that were not accepted, per hour, by Sentry's reason. `ratelimit_backoff` is what "
        "SDKs held back after a 429."
    )
    return bars(
        Figure("Not accepted, by reason", what, (Target(increases, "{{outcome}}: {{reason}}"),))
    )


def discarded_by_reason(scope: str) -> Panel:
    """Return the events of ``scope`` that clients discarded, by reason."""
    increases = each_step(chosen(EVENTS, scope, DISCARDED), "reason")
    what = (
        "Events that SDKs dropped, per hour, by the SDK's reason. What they held back after a 429 "
        "is in 'Not accepted, by reason'."
    )
    title = "Discarded by clients, by reason"
    return bars(Figure(title, what, (Target(increases, "{{reason}}"),), width=24))


def by_category(scope: str) -> Sequence[Panel]:
    """Return the volume that each category of ``scope`` submitted, one panel per unit."""
    kinds = (
        ("events", "short", "Submitted events, by category", "Categories counted in items."),
        ("bytes", "bytes", "Submitted bytes, by category", "Categories counted in bytes."),
        ("seconds", "s", "Profiled time, by category", "Categories counted in time."),
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
    return share(events(scope, DROPPED, *by), events(scope, SUBMITTED, *by))
