"""How the file writes a setting, what it is read as, and the message if it cannot be read.

A notation annotates a field, as in ``Annotated[int, duration("1s", "5m")]``: pydantic then reads
the field through it, and describes it by the notation's JSON Schema.
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

from exporter.config.errors import near, refusal, secret_in, shown

_DURATION: Final = r"(0|[1-9][0-9]{0,5})([smhd])"
_SECONDS: Final = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400})
_SIZE: Final = r"(0|[1-9][0-9]{0,11})(B|KiB|MiB|GiB)"
_BYTES: Final = MappingProxyType({"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30})
_EMPTY_LIST: Final = "the list is empty: add a value, or remove the key"


def _as_it_is(setting: object) -> object:
    return setting


@dataclass(frozen=True, slots=True, eq=False)
class Notation:
    """How one value is read and written.

    ``read`` takes the value that YAML gave and returns the setting. It raises a `refusal` for a
    message of its own; TypeError or ValueError become ``got X; expected Y``, where Y is
    ``expected``. A value that contains a secret is refused without being shown, unless
    ``looks_for_secrets`` is off because ``read`` does so itself. ``write`` takes the setting and
    returns the value that the file has for it.
    """

    read: Callable[[Any], object]
    expected: str
    json_schema: Mapping[str, object]
    looks_for_secrets: bool = True
    write: Callable[[Any], object] = _as_it_is

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Plain, so that pydantic converts nothing before: to it, "yes" is a boolean and "5" an int.
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(self.write),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return dict(self.json_schema)

    def validate(self, value: Any) -> object:
        """Return the setting that ``value`` stands for; raises a `refusal`."""
        if self.looks_for_secrets:
            refuse_secret(value, self.expected)
        try:
            return self.read(value)
        except PydanticCustomError:
            # Caught first, as it is itself a ValueError.
            raise
        except (TypeError, ValueError):
            raise refusal(f"got {shown(value)}; expected {self.expected}") from None


class OneOrMore:
    """On a tuple: a single value is read as a list of one, repeated values count once."""

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


def refuse_secret(value: object, expected: str) -> None:
    """Raise a `refusal` that does not show ``value`` if it is a text that contains a secret."""
    secret = secret_in(value) if isinstance(value, str) else None
    if secret is not None:
        raise refusal(f"got {secret}, not shown here; expected {expected}")


def duration(minimum: str, maximum: str | None = None) -> Notation:
    """Return the notation of durations within the bounds, read as seconds."""
    bounds = f"from {minimum} to {maximum}" if maximum else f"of {minimum} or more"
    return Notation(
        _within(seconds, minimum, maximum),
        f"a duration {bounds}: a whole number and its unit, such as {_examples(minimum, maximum)}",
        _text_schema(_DURATION),
        write=in_units,
    )


def _examples(minimum: str, maximum: str | None) -> str:
    """Return some durations within the bounds."""
    low, high = seconds(minimum), seconds(maximum) if maximum else inf
    *first, last = (one for one in ("30s", "5m", "1h", "1d") if low <= seconds(one) <= high)
    return f"{', '.join(first)} or {last}" if first else last


def size(minimum: str, maximum: str) -> Notation:
    """Return the notation of sizes within the bounds, read as bytes."""
    return Notation(
        _within(_octets, minimum, maximum),
        f"a size from {minimum} to {maximum}: a whole number and its unit, B, KiB, MiB or GiB",
        _text_schema(_SIZE),
        write=_in_bytes,
    )


def whole_number(minimum: int, maximum: int) -> Notation:
    """Return the notation of whole numbers within the bounds."""

    def read(value: Any) -> int:
        # A boolean is an int to isinstance.
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError
        return value

    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return Notation(read, f"a whole number from {minimum} to {maximum}", schema)


def number_above_zero(maximum: int) -> Notation:
    """Return the notation of numbers above 0 and up to ``maximum``, fractions included."""

    def read(value: Any) -> float:
        if type(value) not in (int, float) or not 0 < value <= maximum:
            raise ValueError
        return float(value)

    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": maximum}
    expected = f"a number above 0 and up to {maximum}"
    return Notation(read, expected, schema, write=_as_short_as_possible)


def boolean() -> Notation:
    """Return the notation of booleans: true and false, and no other words."""

    def read(value: Any) -> bool:
        if type(value) is not bool:
            raise TypeError
        return value

    return Notation(read, "true or false", {"type": "boolean"})


def one_of(values: Mapping[str, object], *, any_case: bool = False) -> Notation:
    """Return the notation of a closed set: the names in the file, and what each is read as."""
    expected = f"one of {', '.join(values)}"

    def read(value: Any) -> object:
        name = value.lower() if any_case and isinstance(value, str) else value
        if isinstance(name, str) and name in values:
            return values[name]
        hint = near(value, values) if isinstance(value, str) else ""
        raise refusal(f"got {shown(value)}{hint}; expected {expected}")

    written = {setting: name for name, setting in values.items()}
    schema = {"type": "string", "enum": list(values)}
    return Notation(read, expected, schema, write=written.__getitem__)


def text(pattern: str, expected: str, *, digits: bool = False) -> Notation:
    """Return the notation of texts that match ``pattern``; ``digits`` allows unquoted numbers."""

    def read(value: Any) -> str:
        written = str(value) if digits and type(value) is int else value
        # Of what is not text, fullmatch raises the TypeError that `validate` explains.
        if re.fullmatch(pattern, written) is None:
            raise ValueError
        return str(written)

    schema: dict[str, object] = _text_schema(pattern)
    if digits:
        schema = {"anyOf": [schema, {"type": "integer", "minimum": 0}]}
    return Notation(read, expected, schema)


def line(max_length: int, expected: str) -> Notation:
    """Return the notation of one line of visible characters."""
    written = text(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{max_length}}}", expected)
    schema = {"type": "string", "minLength": 1, "maxLength": max_length}
    return replace(written, json_schema=schema)


def in_units(value: int) -> str:
    """Return seconds as the file writes a duration, in the largest unit that needs no fraction."""
    return _with_unit(_SECONDS, value)


def seconds(written: str) -> int:
    """Return the seconds of a duration such as ``5m``; raises TypeError or ValueError."""
    return _measure(_DURATION, _SECONDS, written)


def _in_bytes(value: int) -> str:
    return _with_unit(_BYTES, value)


def _with_unit(units: Mapping[str, int], value: int) -> str:
    unit = max((unit for unit in units if value % units[unit] == 0), key=units.__getitem__)
    return f"{value // units[unit]}{unit}"


def _as_short_as_possible(value: float) -> float:
    return int(value) if value == int(value) else value


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
    if value is None or value == []:
        raise refusal(_EMPTY_LIST)
    return value if isinstance(value, list | tuple) else [value]


def _distinct(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(dict.fromkeys(values))
