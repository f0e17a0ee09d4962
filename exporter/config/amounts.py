"""How the file writes amounts, prices and dates of quotas, and what they are read as."""

import re
from calendar import timegm
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic_core import PydanticCustomError

from exporter.categories import Unit
from exporter.config.errors import refusal, shown
from exporter.config.notation import Notation, text

_FACTORS: Final[Mapping[str, tuple[Unit, int]]] = MappingProxyType(
    {
        "kB": (Unit.BYTES, 10**3),
        "MB": (Unit.BYTES, 10**6),
        "GB": (Unit.BYTES, 10**9),
        "TB": (Unit.BYTES, 10**12),
        "h": (Unit.SECONDS, 3600),
    }
)
_IN_UNIT: Final = MappingProxyType({Unit.EVENTS: "500000", Unit.BYTES: "5GB", Unit.SECONDS: "10h"})
"""An amount in each unit, as the file writes it."""
_RATE_IN_UNIT: Final = MappingProxyType(
    {Unit.EVENTS: "0.0002", Unit.BYTES: "0.50/GB", Unit.SECONDS: "0.0315/h"}
)

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,12})?"
_GROUPED: Final = r"[1-9][0-9]{0,2}(?:_[0-9]{3}){1,5}"
"""Thousands grouped by underscores, which YAML 1.2 reads as text."""
_HUGE: Final = r"[1-9][0-9]{18,}"
"""A number of so many digits is read as text."""
_AMOUNT: Final = rf"({_NUMBER})(kB|MB|GB|TB|h)"
_RATE: Final = rf"({_NUMBER})/(kB|MB|GB|TB|h)"
_BINARY: Final = re.compile(rf"({_NUMBER}) ?/?([KkMGT])i[Bb]?")
_MAX_AMOUNT: Final = 10**18
_MAX_MONEY: Final = 10**9
_UNLIMITED: Final = "unlimited"
_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"

_AMOUNT_EXPECTED: Final = (
    "a whole number of events such as 500000, a size in kB, MB, GB or TB such as 5GB, "
    "hours such as 10h"
)
_RATE_EXPECTED: Final = (
    "a price for each event such as 0.0002188, or for a size or an hour such as 0.50/GB or 0.0315/h"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in the base unit; None if there is no limit. 0 fits every unit."""

    value: int | None
    unit: Unit

    def fits(self, unit: Unit) -> bool:
        """Return whether it can be an amount of something that is counted in ``unit``."""
        return not self.value or self.unit is unit


@dataclass(frozen=True, slots=True)
class Rate:
    """A price for each base unit; 0 fits every unit."""

    each: Decimal
    unit: Unit

    def fits(self, unit: Unit) -> bool:
        """Return whether it can be a price of something that is counted in ``unit``."""
        return not self.each or self.unit is unit


def wrong_unit(what: str, got: Unit, unit: Unit, category: str) -> str:
    """Return the message for ``what``, an amount or a price, that is not in the category's unit."""
    example = (_RATE_IN_UNIT if what == "price" else _IN_UNIT)[unit]
    counted = f"got a {what} in {got}, but {category} is counted in {unit}"
    return f"{counted}; expected a {what} such as {example}"


def _read_amount(value: Any) -> Amount:
    if type(value) is int and value >= 0:
        return Amount(_bounded(value, value), Unit.EVENTS)
    if not isinstance(value, str):
        raise TypeError
    if re.fullmatch(_GROUPED, value):
        return Amount(_bounded(int(value.replace("_", "")), value), Unit.EVENTS)
    if re.fullmatch(_HUGE, value):
        raise _too_large(value)
    _refuse_binary(value)
    match = re.fullmatch(_AMOUNT, value)
    if match is None:
        _refuse_other_spelling(value)
        raise ValueError
    unit, factor = _FACTORS[match[2]]
    amount = Decimal(match[1]) * factor
    if amount != int(amount):
        raise ValueError
    return Amount(_bounded(int(amount), value), unit)


def _bounded(amount: int, written: object) -> int:
    if amount > _MAX_AMOUNT:
        raise _too_large(written)
    return amount


def _too_large(written: object) -> PydanticCustomError:
    most = f"{_MAX_AMOUNT} events, bytes or seconds"
    return refusal(f"got {shown(written)}; expected at most {most}")


def _refuse_other_spelling(value: str) -> None:
    """Raise a `refusal` for an amount with a space, or in the wrong case, with the right one."""
    match = re.fullmatch(rf"({_NUMBER}) ?(kB|MB|GB|TB|h)", value, re.IGNORECASE)
    if match is not None:
        unit = next(unit for unit in _FACTORS if unit.lower() == match[2].lower())
        raise refusal(
            f"got {shown(value)} (did you mean {match[1]}{unit}?); expected {_AMOUNT_EXPECTED}"
        )


def _read_limit(value: Any) -> Amount:
    return Amount(None, Unit.EVENTS) if value == _UNLIMITED else _read_amount(value)


def write_amount(amount: Amount) -> object:
    """Return an amount as the file writes it."""
    if amount.value is None:
        return _UNLIMITED
    if amount.unit is Unit.EVENTS or not amount.value:
        return amount.value
    factors = {name: factor for name, (unit, factor) in _FACTORS.items() if unit is amount.unit}
    fitting = [name for name, factor in factors.items() if factor <= amount.value]
    name = fitting[-1] if fitting else next(iter(factors))
    return f"{_plain(Decimal(amount.value) / factors[name])}{name}"


def _read_rate(value: Any) -> Rate:
    if type(value) in (int, float):
        return Rate(_money(value), Unit.EVENTS)
    _refuse_binary(value)
    match = re.fullmatch(_RATE, value)
    if match is None:
        raise ValueError
    unit, factor = _FACTORS[match[2]]
    return Rate(Decimal(match[1]) / factor, unit)


def _write_rate(rate: Rate) -> object:
    if rate.unit is Unit.EVENTS or not rate.each:
        return _as_number(rate.each)
    name = "GB" if rate.unit is Unit.BYTES else "h"
    return f"{_plain(rate.each * _FACTORS[name][1])}/{name}"


def _money(value: Any) -> Decimal:
    if type(value) not in (int, float) or not 0 <= value <= _MAX_MONEY:
        raise ValueError
    # From the text of a float, which is what the file has: Decimal(0.1) has 55 digits.
    return Decimal(str(value))


def _plain(value: Decimal) -> str:
    # As many digits as a rate can have that came from the file: seconds are thirds of hours.
    return f"{round(value, 15).normalize():f}"


def _as_number(value: Decimal) -> float:
    return int(value) if value == int(value) else float(value)


def _refuse_binary(value: str) -> None:
    """Raise a `refusal` for a size in powers of two, and say what it is in powers of ten."""
    match = _BINARY.fullmatch(value)
    if match is not None:
        prefix = match[2].upper()
        power = "KMGT".index(prefix) + 1
        unit = f"{'k' if prefix == 'K' else prefix}B"
        ratio = Decimal(1024**power) / Decimal(1000**power)
        raise refusal(
            f"got {shown(value)}, a size in powers of two, but Sentry bills in powers of ten; "
            f"use kB, MB, GB or TB: 1{prefix}iB is {_plain(ratio)}{unit}"
        )


def _read_day(value: Any) -> int:
    if not re.fullmatch(_DATE, value):
        raise ValueError
    return timegm(date.fromisoformat(value).timetuple())


def _write_day(day: int) -> str:
    return datetime.fromtimestamp(day, UTC).date().isoformat()


def _notation(
    read: Callable[[Any], object],
    expected: str,
    pattern: str,
    kind: str | None = None,
    write: Callable[[Any], object] = str,
) -> Notation:
    """Return the notation of texts of ``pattern``, or of numbers of the JSON type ``kind``."""
    written = {"type": "string", "pattern": f"^(?:{pattern})$"}
    number = {"type": kind, "minimum": 0}
    schema: Mapping[str, object] = {"anyOf": [number, written]} if kind else written
    return Notation(read, expected, schema, write=write)


RATE: Final = _notation(_read_rate, _RATE_EXPECTED, _RATE, "number", _write_rate)

Limit = Annotated[
    Amount,
    _notation(
        _read_limit,
        f"{_AMOUNT_EXPECTED}, or {_UNLIMITED}",
        f"{_AMOUNT}|{_GROUPED}|{_UNLIMITED}",
        "integer",
        write_amount,
    ),
]
Bound = Annotated[
    Amount,
    _notation(_read_amount, _AMOUNT_EXPECTED, f"{_AMOUNT}|{_GROUPED}", "integer", write_amount),
]
PriceOfUnit = Annotated[Rate, RATE]
Money = Annotated[
    Decimal,
    Notation(
        _money,
        f"an amount of money from 0 to {_MAX_MONEY}",
        {"type": "number", "minimum": 0, "maximum": _MAX_MONEY},
        write=_as_number,
    ),
]
Currency = Annotated[str, text("[A-Z]{3}", "the code of a currency, such as USD or EUR")]
Day = Annotated[int, _notation(_read_day, "a date such as 2026-01-05", _DATE, write=_write_day)]
