"""The simulator's own endpoints, which control it from another process.

``GET /simulator/totals?organization=acme&start=…&end=…[&groupBy=…][&field=quantity|times_seen]``
    Return the true sums as of now, read from the rows: ``{"groups": [{"by": {…}, "value": 1}]}``.
``POST /simulator/faults``
    Activate a `Fault`, given as JSON.
``DELETE /simulator/faults``
    Remove all faults.
``POST /simulator/deprecations``
    Announce a `Deprecation`, given as JSON, in every answer of its endpoint.
``DELETE /simulator/deprecations``
    Withdraw all announcements.
"""

import json
import re
from types import MappingProxyType
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from exporter.simulator.deprecation import Deprecation
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.messages import Answer, Parameters, Refused, Request, document, refusal
from exporter.simulator.periods import parse_moment
from exporter.simulator.store import DIMENSIONS, Field
from exporter.simulator.world import Organization, World

PREFIX: Final = "/simulator/"

Value = TypeVar("Value")

_FAULT: Final = TypeAdapter(Fault)
_DEPRECATION: Final = TypeAdapter(Deprecation)
_FIELD: Final[TypeAdapter[Field]] = TypeAdapter(Field)

_EXPECTED: Final = MappingProxyType(
    {
        "missing": "is missing",
        "unexpected_keyword_argument": "there is no such key",
        "dataclass_type": "expected a JSON object",
    }
)
"""What pydantic says of Python's values, in the words of JSON."""

_MOMENT: Final = "a time such as 2026-03-05T09:00:00 or seconds since 1970"


def answer(
    request: Request, world: World, faults: Faults, deprecations: list[Deprecation], *, now: float
) -> Answer:
    """Return the answer to a request to one of the simulator's own endpoints."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET" | "HEAD", "totals":
            return _totals(request.parameters(), world, now)
        case "POST", "faults":
            faults.add(_read(_FAULT, request.body))
            return Answer(201)
        case "DELETE", "faults":
            faults.clear()
            return Answer(204)
        case "POST", "deprecations":
            deprecations.append(_read(_DEPRECATION, request.body))
            return Answer(201)
        case "DELETE", "deprecations":
            deprecations.clear()
            return Answer(204)
    return refusal(404, "the simulator has no such endpoint")


def _totals(parameters: Parameters, world: World, now: float) -> Answer:
    organization = _organization(parameters, world)
    start, end = _moment(parameters, "start"), _moment(parameters, "end")
    group_by = parameters.all("groupBy") or DIMENSIONS
    if not set(group_by) <= set(DIMENSIONS):
        return refusal(400, f"groupBy must be one of {', '.join(DIMENSIONS)}")
    try:
        field = _FIELD.validate_python(parameters.last("field") or "quantity")
    except ValidationError as error:
        raise _invalid(error, "field") from None
    sums = world.store.totals(
        organization.id,
        start,
        end,
        at=now,
        group_by=group_by,
        field=field,
    )
    groups = [
        {"by": dict(zip(group_by, key, strict=True)), "value": value} for key, value in sums.items()
    ]
    return document(200, {"groups": groups})


def _read(adapter: TypeAdapter[Value], body: bytes) -> Value:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None


def _organization(parameters: Parameters, world: World) -> Organization:
    slug = parameters.last("organization")
    organization = world.organization(slug or "")
    if organization is None:
        slugs = ", ".join(each.slug for each in world.organizations())
        raise _unusable("organization", slug, f"one of {slugs}")
    return organization


def _moment(parameters: Parameters, name: str) -> float:
    text = parameters.last(name)
    try:
        return parse_moment(text or "")
    except Refused:
        raise _unusable(name, text, _MOMENT) from None


def _unusable(name: str, text: str | None, expected: str) -> Refused:
    got = f"got {json.dumps(text, ensure_ascii=False)}" if text else "is missing"
    return Refused(400, f"{name}: {got}; expected {expected}")


def _invalid(error: ValidationError, name: str = "") -> Refused:
    """Return the refusal of a value that pydantic refuses; ``name`` is the value's."""
    return Refused(400, "; and ".join(_problem(each, name) for each in error.errors()))


def _problem(error: ErrorDetails, name: str) -> str:
    place = ".".join(str(part) for part in error["loc"]) or name
    text = _EXPECTED.get(error["type"], error["msg"])
    if error["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        got = json.dumps(error["input"], ensure_ascii=False)
        text = f"got {got}; expected one of {', '.join(choices)}"
    return f"{place}: {text}" if place else text
