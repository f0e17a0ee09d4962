"""Descriptions of panels: what each shows, from which metrics, and how fresh it is."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from deploy.grafana.generator.expressions import (
    RECORDED,
    RECORDED_HOURS,
    RECORDED_TOTALS,
    RECORDED_VOLUMES,
)
from exporter.publish import families
from exporter.publish.family import Family
from exporter.publish.quota_families import QUOTA_FAMILIES

_METRIC: Final = re.compile(
    r"(?<![\w:])(?:\w+:sentry_stats_\w+:\w+|sentry_stats_\w+|process_\w+|python_\w+|up|ALERTS)"
    r"(?=[{ )])"
)

_POLL: Final = "Updated at each poll."
_SCRAPE: Final = "Updated at each scrape."


def _names(*groups: Iterable[Family]) -> frozenset[str]:
    return frozenset(family.name for group in groups for family in group)


_FRESHNESS: Final = (
    (
        _names(families.BUCKET.values()),
        "The latest finished bucket changes once per `interval`, `settle` after the bucket's end.",
    ),
    (
        frozenset({RECORDED, RECORDED_HOURS, RECORDED_TOTALS, RECORDED_VOLUMES}),
        "Recorded at the end of the hour that follows each bucket.",
    ),
    (
        _names(families.RUNNING.values()),
        (
            "The bucket that is still filling, as of the last poll. Queries publish it if their "
            "`poll_interval` is shorter than their `interval`."
        ),
    ),
    (_names(QUOTA_FAMILIES), "Quotas are polled every 15 minutes."),
    (_names(families.QUERY_FAMILIES, families.API_FAMILIES, [families.PROJECT_INFO]), _POLL),
)


def metrics(expression: str) -> Sequence[str]:
    """Return the names of the metrics in ``expression``, in order of appearance."""
    return list(dict.fromkeys(_METRIC.findall(expression)))


def described(what: str, expressions: Sequence[str]) -> str:
    """Return ``what``, followed by the metrics that it comes from and how fresh they are."""
    names = metrics(" ".join(expressions))
    sources = ", ".join(f"`{name}`" for name in names)
    freshness = " ".join(dict.fromkeys(_freshness(name) for name in names))
    return f"{what}\n\nFrom {sources}. {freshness}"


def _freshness(name: str) -> str:
    bare = name.removesuffix("_bucket")
    return next((text for names, text in _FRESHNESS if bare in names), _SCRAPE)
