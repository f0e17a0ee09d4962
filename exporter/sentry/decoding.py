"""JSON from outside: one typed pass in native code, and the place of the first fault."""

import re
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec.json import Decoder

from exporter.sentry.errors import BadAnswerError

Id = (
    Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
    # msgspec searches with Python's re, to which $ also matches before a final line feed.
    | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}\Z")]
)
"""An id, which Sentry writes as a number in one place and as a string in another."""

Name = Annotated[str, msgspec.Meta(max_length=1 << 14)]
"""What becomes a label. Sentry's own are shorter than 100 characters.

A few names of megabytes would make each scrape take seconds.
"""

JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not the JSON that was expected."""

Document = TypeVar("Document")

_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_BYTE: Final = re.compile(r"\(byte ([0-9]+)\)")


def decode(decoder: Decoder[Document], body: bytes | msgspec.Raw) -> Document:
    """Return the document in ``body``; raise `BadAnswerError` with its first fault."""
    try:
        return decoder.decode(body)
    except JSON_ERRORS as error:
        path, message = _fault(decoder, bytes(body), error)
    # Raised outside of the handler, as msgspec's error may refer to the body.
    raise BadAnswerError(path, message)


def _fault(decoder: Decoder[Document], body: bytes, error: Exception) -> tuple[str, str]:
    """Return the path of a fault, such as ``groups[3].by.reason``, and what is wrong there."""
    if isinstance(error, RecursionError):
        return "$", "is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "$", "is not UTF-8"
    text, _, place = str(error).partition(" - at `$")
    path = place.removesuffix("`")
    if missing := _MISSING.fullmatch(text):
        path, text = f"{path}.{missing[1]}", "is missing"
    if not isinstance(error, msgspec.ValidationError):
        path = _path_of_byte(decoder, body, text)
    return path.removeprefix(".") or "$", text.replace("`", "")


def _path_of_byte(decoder: Decoder[Document], body: bytes, text: str) -> str:
    """Return the path of the byte at which ``body`` stops being JSON, ``$`` where it is not known.

    msgspec gives a path only for a value of a wrong type, not for NaN, which is no JSON at all. A
    null in its place is such a value, and decoding ends there again.
    """
    byte = _BYTE.search(text)
    if byte is None:
        return "$"
    try:
        decoder.decode(body[: int(byte[1])] + b"null")
    except msgspec.ValidationError as error:
        return str(error).partition(" - at `$")[2].removesuffix("`")
    except JSON_ERRORS:
        pass
    return "$"
