"""Sentry's data categories and their units.

Names and units are those of Relay's ``DataCategory`` and ``CategoryUnit``. The set is open: newer
servers add categories. A category that is not listed here is counted in events.
"""

from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Unit(StrEnum):
    """The unit in which ``sum(quantity)`` is published."""

    EVENTS = "events"
    BYTES = "bytes"
    SECONDS = "seconds"


MILLISECONDS_PER_SECOND: Final = 1000
"""Sentry counts durations in milliseconds; they are published in seconds."""

_NOT_EVENTS: Final = MappingProxyType(
    {
        "attachment": Unit.BYTES,
        "log_byte": Unit.BYTES,
        "trace_metric_byte": Unit.BYTES,
        "profile_duration": Unit.SECONDS,
        "profile_duration_ui": Unit.SECONDS,
    }
)

KNOWN_CATEGORIES: Final = (
    "default",
    "error",
    "transaction",
    "security",
    "attachment",
    "session",
    "profile",
    "replay",
    "transaction_processed",
    "transaction_indexed",
    "monitor",
    "profile_indexed",
    "span",
    "monitor_seat",
    "feedback",
    "metric_bucket",
    "span_indexed",
    "profile_duration",
    "profile_chunk",
    "metric_second",
    "replay_video",
    "uptime",
    "attachment_item",
    "log_item",
    "log_byte",
    "profile_duration_ui",
    "profile_chunk_ui",
    "seer_autofix",
    "seer_scanner",
    "prevent_user",
    "prevent_review",
    "size_analysis",
    "installable_build",
    "trace_metric",
    "seer_user",
    "profile_backend",
    "profile_ui",
    "trace_metric_byte",
    "snapshot_image",
)
"""In the order of Relay's numeric ids. ``user_report_v2`` is another name of ``feedback``."""

ALSO_SELECTED_BY: Final = MappingProxyType(
    {"default": "error", "security": "error", "user_report_v2": "feedback"}
)
"""Categories, each with the other category whose filter selects it too."""

SAME_ITEMS: Final = (
    ("span", "span_indexed"),
    ("transaction", "transaction_processed", "transaction_indexed"),
    ("profile_chunk", "profile_duration"),
    ("log_item", "log_byte"),
)
"""Categories of which Sentry counts each item several times, once in each category of a group.

A sum over a group counts them several times: of each group only the first category is added.
"""

OUTCOMES: Final = (
    "accepted",
    "filtered",
    "rate_limited",
    "invalid",
    "abuse",
    "client_discard",
    "cardinality_limited",
)
"""All outcomes, in the order of Sentry's numeric ids; the set is closed."""


def unit_of(category: str) -> Unit:
    """Return the unit in which ``category`` is published; events if it is not listed here."""
    return _NOT_EVENTS.get(category, Unit.EVENTS)


def repeated(categories: Iterable[str]) -> set[str]:
    """Return those of ``categories`` whose items are counted in another one of them already."""
    present = set(categories)
    return {name for group in SAME_ITEMS for name in [one for one in group if one in present][1:]}
