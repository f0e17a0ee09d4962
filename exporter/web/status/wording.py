"""Numbers, times, durations and questions as the status page writes them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from exporter.config import Query
from exporter.moments import in_two_units
from exporter.sentry.question import QUANTITY

_NAMES: Final = MappingProxyType({"m": "min"})
_PREFIXES: Final = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_TOO_FAR: Final = "an unknown time"
_MAX_VALUES: Final = 5
"""Values of a filter that a row of the list names."""


@lru_cache(4096)
def utc(moment: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a moment in UTC, without naming the time zone."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return _TOO_FAR


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``2 h 5 min``."""
    parts = in_two_units(abs(seconds))
    return " ".join(f"{count} {_NAMES.get(unit, unit)}" for count, unit in parts) or "0 s"


def short_duration(seconds: float) -> str:
    """Return how long something short took, such as ``0.42 s``."""
    return f"{seconds:.2f} s" if seconds < 10 else duration(seconds)  # noqa: PLR2004


def ago(moment: float, now: float) -> str:
    """Return how long ago a moment was, or in how long it will be."""
    return f"{duration(now - moment)} ago" if now - moment >= 1 else until(moment, now)


def until(moment: float, now: float) -> str:
    """Return in how long something will happen; what is late happens now."""
    return f"in {duration(moment - now)}" if moment - now >= 1 else "now"


def count(number: float) -> str:
    """Return a number with separators; of a fraction three digits."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.3f}".rstrip("0").rstrip(".")


def short_count(number: float) -> str:
    """Return a number in few characters, such as ``1.2 M``."""
    for size, prefix in _PREFIXES:
        if abs(number) >= size:
            return f"{number / size:.3g} {prefix}"
    return f"{number:.3g}"


def several(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, such as ``3 queries``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def filter_of(query: Query) -> Sequence[tuple[str, Sequence[str]]]:
    """Return the keys of a query's filter with their values."""
    chosen = query.filter
    keys = {
        "category": chosen.category,
        "outcome": chosen.outcome,
        "reason": (chosen.reason,) if chosen.reason else (),
        "project": chosen.project,
    }
    return [(key, values) for key, values in keys.items() if values]


def alternatives(values: Sequence[str], limit: int | None = None) -> str:
    """Return values of which each matches, such as ``a, b or c``; of many, ``limit`` are named."""
    if limit is not None and len(values) > limit:
        return f"{', '.join(values[:limit])} or {len(values) - limit} more"
    *some, last = values
    return f"{', '.join(some)} or {last}" if some else last


def narrowed(query: Query) -> str:
    """Return in few words what a query asks for other than all quantities, ``""`` if nothing."""
    parts = [f"{key} {alternatives(values, _MAX_VALUES)}" for key, values in filter_of(query)]
    if query.fields != (QUANTITY,):
        parts.append(", ".join(query.fields))
    return " · ".join(parts)
