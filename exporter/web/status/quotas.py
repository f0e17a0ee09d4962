"""Amounts, shares and money as the status page writes them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from exporter.categories import Unit
from exporter.quota.model import base_units
from exporter.quota.view import QuotaView, Source
from exporter.web.status.wording import count, short_count

_HOUR: Final = 3600


def amount(number: float, unit: Unit) -> str:
    """Return an amount in the unit of the bill: events, bytes with a prefix, or hours."""
    if unit is Unit.SECONDS:
        return f"{number / _HOUR:,.1f} h"
    if unit is Unit.BYTES:
        text = short_count(number)
        return f"{text}B" if " " in text else f"{text} B"
    return count(round(number))


def used(view: QuotaView) -> str:
    """Return what was used of a quota."""
    return amount(base_units(view.used, view.quota.unit), view.quota.unit)


def lost(view: QuotaView) -> str:
    """Return what was not accepted because of a limit."""
    return amount(base_units(view.submitted - view.used, view.quota.unit), view.quota.unit)


def share(view: QuotaView) -> float | None:
    """Return which share of its limit was used."""
    limit = view.quota.limit
    return base_units(view.used, view.quota.unit) / limit if limit else None


def percent(view: QuotaView) -> str:
    """Return which share of its limit was used, in percent, rounded down: 100 % is the limit."""
    limit = view.quota.limit
    return f"{100 * base_units(view.used, view.quota.unit) // limit}%" if limit else ""


def money(value: Decimal, currency: str) -> str:
    """Return an amount of money with its currency."""
    return f"{value:,.2f} {currency}"


def from_file(views: Iterable[QuotaView]) -> bool:
    """Return whether any quota comes from the file."""
    return any(view.source is Source.FILE for view in views)
