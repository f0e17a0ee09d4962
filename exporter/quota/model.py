"""Quotas, their prices and periods, and what was used of them: immutable values. Pure.

Amounts are in the base unit of a quota: events, bytes or seconds. Sentry counts durations in
milliseconds: whoever reads them converts, with `base_units`. Money is in units of the currency.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from exporter.categories import MILLISECONDS_PER_SECOND, Unit

HOUR = 3600
DAY = 86400


@dataclass(frozen=True, slots=True)
class Tier:
    """What ``each`` unit above ``above`` costs, up to the next tier."""

    above: int
    each: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """Marginal prices of a base unit; the tiers are ordered, the first is above 0."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A billing period, in seconds since the epoch; ``end`` is exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota: what counts against it, how much there is, and what more of it costs.

    The units of all ``categories`` are the same. ``limit`` is None where there is none; ``price``
    is None where it is not known, and then nothing above the limit is accepted. A ``soft`` limit
    can be exceeded. ``projects`` are slugs or ids, None for all projects; ``team`` is the team
    whose projects count, ``""`` for none.
    """

    name: str
    categories: tuple[str, ...]
    unit: Unit
    limit: int | None = None
    price: Price | None = None
    soft: bool = False
    projects: tuple[str, ...] | None = None
    team: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was accepted in each hour, by its start.

    It has the hours of the last 14 days, or from the start of the period if that is earlier, as
    far as Sentry tells them; an hour that is missing had none.
    """

    hours: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))


def base_units(quantity: int, unit: Unit) -> int:
    """Return a quantity of Sentry's in the base unit; durations are rounded to seconds."""
    return round(quantity / MILLISECONDS_PER_SECOND) if unit is Unit.SECONDS else quantity
