"""Reading JSON from outside: one pass in native code, and a fault is told by its place."""

from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import core_schema

from exporter.sentry.errors import BadAnswerError

Id = Annotated[
    int | str,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.union_schema(
            [
                core_schema.int_schema(strict=True, ge=0, lt=10**18),
                core_schema.str_schema(strict=True, pattern=r"^[0-9]{1,18}$"),
            ],
            mode="left_to_right",
            custom_error_type="id",
            custom_error_message="Input should be a number, or a string of at most 18 digits",
        )
    ),
]
"""An id, which Sentry writes as a number in one place and as a string in another."""

Document = TypeVar("Document")


def read(adapter: TypeAdapter[Document], body: bytes) -> Document:
    """Return ``body`` as the adapter's document; raises `BadAnswerError` with the first fault."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    raise BadAnswerError(_path(fault["loc"]), fault["msg"])


def _path(location: Iterable[int | str]) -> str:
    """Return a place as ``groups[3].by.reason``, and the whole document as ``$``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".") or "$"
