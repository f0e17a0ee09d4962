"""The simulator's own endpoints, for those who run it in another process.

``GET /simulator/totals?organization=acme&start=…&end=…[&groupBy=…][&field=quantity|times_seen]``
    the truth as of now, straight from the rows: ``{"groups": [{"by": {…}, "value": 1}]}``
``POST /simulator/faults``
    puts a `Fault`, written as JSON, in force
``DELETE /simulator/faults``
    ends every fault
``POST /simulator/deprecations``
    announces a `Deprecation`, written as JSON, on every answer of its endpoint
``DELETE /simulator/deprecations``
    takes every announcement back
"""

from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from exporter.simulator.deprecation import Deprecation
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.messages import Answer, Parameters, Refused, Request, document, refusal
from exporter.simulator.periods import parse_moment
from exporter.simulator.store import DIMENSIONS, Field
from exporter.simulator.world import World

PREFIX: Final = "/simulator/"

Value = TypeVar("Value")

_FAULT: Final = TypeAdapter(Fault)
_DEPRECATION: Final = TypeAdapter(Deprecation)
_FIELD: Final[TypeAdapter[Field]] = TypeAdapter(Field)


def answer(
    request: Request, world: World, faults: Faults, deprecations: list[Deprecation], *, now: float
) -> Answer:
    """Answer a request to one of the simulator's own endpoints."""
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
    return refusal(404, "The simulator has no such endpoint")


def _totals(parameters: Parameters, world: World, now: float) -> Answer:
    organization = world.organization(parameters.last("organization") or "")
    start, end = parameters.last("start"), parameters.last("end")
    group_by = parameters.all("groupBy") or DIMENSIONS
    if organization is None or not start or not end or not set(group_by) <= set(DIMENSIONS):
        return refusal(400, "organization, start and end are needed; groupBy must be a label")
    try:
        field = _FIELD.validate_python(parameters.last("field") or "quantity")
    except ValidationError as error:
        return refusal(400, str(error))
    sums = world.store.totals(
        organization.id,
        parse_moment(start),
        parse_moment(end),
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
        raise Refused(400, str(error)) from None
