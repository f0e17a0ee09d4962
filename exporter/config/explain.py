"""Pydantic's errors in the words of the file's reader."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.models import (
    FileEntry,
    FilterEntry,
    OrganizationEntry,
    QueryEntry,
    SettingsEntry,
)
from exporter.config.problems import KeyPath, Problem, found, near
from exporter.config.source import Document

_MODELS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "": FileEntry,
        "defaults": SettingsEntry,
        "organizations": OrganizationEntry,
        "queries": QueryEntry,
        "filter": FilterEntry,
    }
)
"""The model of what stands under a key, or of each entry of the list there."""


_SHAPES: Final = MappingProxyType(
    {"dict_type": "a mapping of teams to their projects", "tuple_type": "a list"}
)
_KEY_ITSELF: Final = ("[key]",)
"""What pydantic puts at the end of a path that leads to a key, and not to what is under it."""


def explained(document: Document, error: ValidationError) -> Iterator[Problem]:
    """Yield a problem for each thing that is wrong with the document's value."""
    for details in error.errors(include_url=False):
        if not _already_told(details):
            path = details["loc"]
            place = path[:-1] if details["type"] == "missing" or path[-1:] == _KEY_ITSELF else path
            yield document.problem(place, _message(details))


def _already_told(details: ErrorDetails) -> bool:
    """Tell whether another problem says it.

    The document itself complains of a key without a value; and pydantic calls a list too short
    whose entries are wrong.
    """
    value: object = details["input"]
    match details["type"]:
        case "too_short":
            return bool(value)
        case "extra_forbidden":
            return False
        case _:
            return value is None and isinstance(details["loc"][-1], str)


def _message(details: ErrorDetails) -> str:
    path, value = details["loc"], details["input"]
    match details["type"]:
        case "missing":
            return f"the key {path[-1]} is missing"
        case "extra_forbidden":
            keys = _keys(path[:-1])
            return f"found an unknown key{near(str(path[-1]), keys)}; allowed: {', '.join(keys)}"
        case "model_type":
            return f"found {found(value)}; allowed: a mapping of {', '.join(_keys(path))}"
        case "dict_type" | "tuple_type" as shape:
            return f"found {found(value)}; allowed: {_SHAPES[shape]}"
        case "too_short":
            return "found an empty list; allowed: at least one entry"
        case _:
            return details["msg"]


def _keys(path: KeyPath) -> list[str]:
    """Return the keys that the mapping at ``path`` may have."""
    names = [part for part in path if isinstance(part, str)]
    return list(_MODELS[names[-1] if names else ""].model_fields)
