"""Moments and durations as the log, ``check`` and the requests to Sentry write them. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from math import floor
from typing import Final

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def iso(moment: float) -> str:
    """Return a moment, in seconds since the epoch, in UTC: ``2026-11-23T14:00:00Z``.

    Fractions are cut off. A moment outside of the years that Python has is no error, since some
    come from a server or from a file.
    """
    try:
        second = datetime.fromtimestamp(floor(moment), UTC)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return second.isoformat().replace("+00:00", "Z")


def elapsed(seconds: float) -> str:
    """Return a duration in its two largest adjacent units, as ``3d``, ``1h35m`` or ``0s``."""
    return "".join(f"{count}{unit}" for count, unit in in_two_units(seconds)) or "0s"


def in_two_units(seconds: float) -> Iterator[tuple[int, str]]:
    """Yield how many of its two largest adjacent units a duration has, without those it has not.

    Only the seconds are rounded: what is smaller than the second unit is cut off.
    """
    left = max(round(seconds), 0)
    for (name, size), (smaller_name, smaller) in pairwise((*_UNITS, ("", 1))):
        if left >= size:
            yield left // size, name
            if part := left % size // smaller:
                yield part, smaller_name
            return
