"""What a metric family is."""

from dataclasses import dataclass
from enum import StrEnum


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


Key = tuple[str, ...]
"""Whose lines they are: an organization and its query, an organization, or the exporter's: ()."""
