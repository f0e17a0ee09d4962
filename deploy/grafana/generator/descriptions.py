"""What is written under each panel's title: what it shows, from which metrics, and how fresh."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.publish import families
from exporter.publish.families import Family

_METRIC: Final = re.compile(r"\b(?:sentry_stats_\w+|process_\w+|python_\w+|up|ALERTS)\b(?=[{ )])")

_POLL: Final = "As of each query's last poll."
_SCRAPE: Final = "As of the last scrape."


def _names(*groups: Iterable[Family]) -> frozenset[str]:
    return frozenset(family.name for group in groups for family in group)


_FRESHNESS: Final = (
    (
        _names(families.COUNTED.values()),
        (
            "Counted at every poll (`poll_interval`, an hour unless configured), late data "
            "included; nothing before the exporter's first poll."
        ),
    ),
    (
        _names(families.BUCKET.values()),
        "The latest finished bucket: new once per `interval`, `settle` after the bucket's end.",
    ),
    (
        _names(families.RUNNING.values()),
        (
            "The bucket that still fills, as of the last poll; shown for queries whose "
            "`poll_interval` is shorter than their `interval`."
        ),
    ),
    (_names(families.QUERY_FAMILIES, families.API_FAMILIES, [families.PROJECT_INFO]), _POLL),
)


def metrics(expression: str) -> Sequence[str]:
    """Return the names of the metrics in ``expression``, in their order."""
    return list(dict.fromkeys(_METRIC.findall(expression)))


def described(what: str, expressions: Sequence[str]) -> str:
    """Return ``what`` with the metrics it comes from and how fresh they are."""
    names = metrics(" ".join(expressions))
    sources = ", ".join(f"`{name}`" for name in names)
    freshness = " ".join(dict.fromkeys(_freshness(name) for name in names))
    return f"{what}\n\nFrom {sources}. {freshness}"


def _freshness(name: str) -> str:
    bare = name.removesuffix("_bucket")
    return next((text for names, text in _FRESHNESS if bare in names), _SCRAPE)
