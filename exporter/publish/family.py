"""What a metric family is."""

from dataclasses import dataclass
from enum import StrEnum


class Stability(StrEnum):
    """What a release promises about a family; docs/upgrading.md explains it to users."""

    EXPERIMENTAL = "EXPERIMENTAL"
    """Any release may change or remove it."""

    STABLE = "STABLE"
    """Name, type and labels stay as they are until a release has deprecated the family."""

    DEPRECATED = "DEPRECATED"
    """The next minor version may remove it."""


class Type(StrEnum):
    """The metric types in use, as written in the exposition formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


# Compared by identity: there is one of each, and publications look many of them up.
@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A metric family. ``name`` is the name of its samples, so counters end in ``_total``."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    stability: Stability = Stability.STABLE


Key = tuple[str, ...]
"""Whose lines they are: an organization and its query, an organization, or the exporter's: ()."""
