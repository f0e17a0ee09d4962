"""Where a file has the settings in effect; what it does not have has no place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config.errors import Place


@dataclass(frozen=True, slots=True)
class QueryPlaces:
    """Where a query is, and what its filter names: its projects, and each category."""

    query: Place
    projects: Place | None = None
    category: Place | None = None
    categories: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a configuration.

    ``settings`` are by the organization's name and the key, and may be under ``defaults``.
    ``queries`` are by the organization's name and their own.
    """

    settings: Mapping[tuple[str, str], Place] = field(default_factory=dict)
    queries: Mapping[tuple[str, str], QueryPlaces] = field(default_factory=dict)
