"""Reading JSON from outside: one pass in native code, and a fault is told by its place."""

from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from exporter.sentry.errors import BadAnswerError

Digits = Annotated[str, Field(coerce_numbers_to_str=True, pattern=r"^[0-9]{1,18}$")]
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
