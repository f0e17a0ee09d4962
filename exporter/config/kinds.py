"""The kinds of values a configuration has: how each is read, and what is said where it cannot be.

A kind is put on a field as ``Annotated[int, duration("1s", "5m")]``; pydantic then reads the field
through it, and describes it by the kind's own JSON Schema.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from exporter.config.problems import found, near

_DURATION: Final = r"(0|[1-9][0-9]{0,5})([smhd])"
_SECONDS: Final = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400})
_SIZE: Final = r"(0|[1-9][0-9]{0,11})(B|KiB|MiB|GiB)"
_BYTES: Final = MappingProxyType({"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30})


def refusal(message: str) -> PydanticCustomError:
    """Return the error that says ``message`` and nothing else."""
    return PydanticCustomError("refusal", "{message}", {"message": message})


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """How one value is read.

    ``read`` takes what YAML gave and returns the value, or raises: `refusal` to say something of
    its own, TypeError or ValueError for the usual ``found X; allowed: Y``.
    """

    read: Callable[[Any], object]
    allowed: str
    json_schema: Mapping[str, object]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return dict(self.json_schema)

    def validate(self, value: Any) -> object:
        """Return what ``value`` is read as; raises a `refusal`."""
        try:
            return self.read(value)
        except PydanticCustomError:
            raise
        except (TypeError, ValueError):
            raise refusal(f"found {found(value)}; allowed: {self.allowed}") from None


class OneOrMore:
    """On a tuple: one value stands for a list of one; repeated values count once."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        listed = core_schema.no_info_before_validator_function(_as_list, handler(source))
        return core_schema.no_info_after_validator_function(_distinct, listed)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        several = handler(schema)
        return {"anyOf": [several["items"], {**several, "minItems": 1}]}


def duration(minimum: str, maximum: str | None = None) -> Kind:
    """Return the kind of durations within the bounds, read as seconds."""
    reach = f"from {minimum} to {maximum}" if maximum else f"of {minimum} or more"
    return Kind(
        _within(seconds, minimum, maximum),
        f"a duration {reach}: a whole number and its unit, such as 30s, 5m, 1h or 1d",
        _text_schema(_DURATION),
    )


def size(minimum: str, maximum: str) -> Kind:
    """Return the kind of sizes within the bounds, read as bytes."""
    return Kind(
        _within(_octets, minimum, maximum),
        f"a size from {minimum} to {maximum}: a whole number and its unit, B, KiB, MiB or GiB",
        _text_schema(_SIZE),
    )


def whole_number(minimum: int, maximum: int) -> Kind:
    """Return the kind of whole numbers within the bounds."""

    def read(value: Any) -> int:
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError
        return value

    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return Kind(read, f"a whole number from {minimum} to {maximum}", schema)


def number_above_zero(maximum: int) -> Kind:
    """Return the kind of numbers above 0 and up to ``maximum``, with or without a fraction."""

    def read(value: Any) -> float:
        if type(value) not in (int, float) or not 0 < value <= maximum:
            raise ValueError
        return float(value)

    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": maximum}
    return Kind(read, f"a number above 0, up to {maximum}", schema)


def boolean() -> Kind:
    """Return the kind of booleans, which are written in one way only."""

    def read(value: Any) -> bool:
        if type(value) is not bool:
            raise TypeError
        return value

    return Kind(read, "true or false", {"type": "boolean"})


def one_of(values: Mapping[str, object], *, any_case: bool = False) -> Kind:
    """Return the kind of a closed set: names as they are written, and what each is read as."""
    allowed = ", ".join(values)

    def read(value: Any) -> object:
        name = value.lower() if any_case and isinstance(value, str) else value
        if isinstance(name, str) and name in values:
            return values[name]
        hint = near(value, values) if isinstance(value, str) else ""
        raise refusal(f"found {found(value)}{hint}; allowed: {allowed}")

    return Kind(read, allowed, {"type": "string", "enum": list(values)})


def text(pattern: str, allowed: str, *, digits: bool = False) -> Kind:
    """Return the kind of texts that are all ``pattern``; ``digits`` takes bare numbers as well."""

    def read(value: Any) -> str:
        written = str(value) if digits and type(value) is int else value
        if re.fullmatch(pattern, written) is None:
            raise ValueError
        return str(written)

    schema: dict[str, object] = _text_schema(pattern)
    if digits:
        schema = {"anyOf": [schema, {"type": "integer", "minimum": 0}]}
    return Kind(read, allowed, schema)


def line(longest: int, allowed: str) -> Kind:
    """Return the kind of texts that are one line of characters that can be seen."""
    written = text(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{longest}}}", allowed)
    return replace(written, json_schema={"type": "string", "minLength": 1, "maxLength": longest})


def in_units(value: int) -> str:
    """Return seconds as a duration is written, in the largest unit that holds it whole."""
    unit = max((unit for unit in _SECONDS if value % _SECONDS[unit] == 0), key=_SECONDS.__getitem__)
    return f"{value // _SECONDS[unit]}{unit}"


def seconds(written: str) -> int:
    """Return the seconds of a duration such as ``5m``; raises TypeError or ValueError."""
    return _measure(_DURATION, _SECONDS, written)


def _octets(written: str) -> int:
    return _measure(_SIZE, _BYTES, written)


def _measure(pattern: str, units: Mapping[str, int], written: str) -> int:
    match = re.fullmatch(pattern, written)
    if match is None:
        raise ValueError
    return int(match[1]) * units[match[2]]


def _within(
    measure: Callable[[str], int], minimum: str, maximum: str | None
) -> Callable[[Any], int]:
    low, high = measure(minimum), measure(maximum) if maximum else inf

    def read(value: Any) -> int:
        amount = measure(value)
        if not low <= amount <= high:
            raise ValueError
        return amount

    return read


def _text_schema(pattern: str) -> dict[str, object]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _as_list(value: object) -> object:
    if value is None:
        raise refusal("found nothing; allowed: at least one value, or no such key at all")
    if value == []:
        raise refusal("found an empty list; allowed: at least one value, or no such key at all")
    return value if isinstance(value, list | tuple) else [value]


def _distinct(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(dict.fromkeys(values))
