"""What a metric family is."""

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """The metric types in use, as written in the exposition formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. ``name`` is the name of its samples, so counters end in ``_total``."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    unit: str = ""


Key = tuple[str, ...]
"""Whose lines they are: an organization and its query, an organization, or the exporter's: ()."""
