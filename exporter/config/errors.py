"""Problems of a configuration: where they are, and in which words they are reported."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeGuard, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from exporter.sentry.token import holds_token, redact

KeyPath = tuple[str | int, ...]
"""The path of a value: keys and, within lists, positions from 0."""

MAX_SHOWN: Final = 40
"""Characters of a value that are repeated in a message."""

_HIDDEN_BELOW: Final = frozenset({"token", "basic_auth_users"})
_DSN: Final = re.compile(r"https?://[^/\s]*@[^\s]+/[0-9]+/?")
_DSN_KEY: Final = re.compile(r"\b[0-9a-fA-F]{32}\b")
"""The public keys of DSNs; the keys of Sentry's first API look the same."""
_BCRYPT: Final = re.compile(r"\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]*")
_PLAIN_KEY: Final = re.compile(r"[\w-]+")
_EXPECTED: Final = MappingProxyType(
    {"dict_type": "a mapping of teams to their projects", "tuple_type": "a list"}
)
_LOC_OF_KEY: Final = ("[key]",)
"""What pydantic appends to a path to refer to the key itself, not to its value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning; ``str()`` of it is the line ``FILE:LINE: path: message``.

    ``path`` is written as in ``organizations[0].queries[1].interval``, and is empty if the problem
    concerns all of the file. ``line`` and ``column`` count from 1; None if there is no place in
    the file. ``remedy`` is ``""`` where the message says what to do.
    """

    path: str
    line: int | None
    message: str
    file: str
    column: int | None = None
    remedy: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = with_remedy(self.message, self.remedy)
        return ": ".join(part for part in (place, self.path, text) if part)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the file: the parts of a `Problem` that do not depend on the message."""

    path: str
    line: int | None
    file: str
    column: int | None = None

    def problem(self, message: str, remedy: str = "") -> Problem:
        """Return the problem at this place."""
        return Problem(self.path, self.line, message, self.file, self.column, remedy)


class ConfigError(Exception):
    """A configuration that cannot be used; ``problems`` are all of its errors in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def with_remedy(message: str, remedy: str) -> str:
    """Return a message and what to do about it as one text."""
    if not remedy:
        return message
    return f"{message}; {remedy}" if message.endswith(")") else f"{message} ({remedy})"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems in file order; a mistake that an alias repeats is reported once."""
    ordered = sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))
    # In a dictionary the last of equal keys wins: backwards, that is the first in the file.
    once = {(problem.line, problem.column, problem.message): problem for problem in ordered[::-1]}
    return tuple(once.values())[::-1]


def refusal(message: str) -> PydanticCustomError:
    """Return the error by which a validator reports ``message``."""
    # The message is a parameter, because pydantic would read braces in it as placeholders.
    return PydanticCustomError("refusal", "{message}", {"message": message})


def explained(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path and the message of each error that pydantic found in a value of ``model``."""
    for details in error.errors(include_url=False):
        if not _is_repeated(details):
            yield _path(details, model), _message(details, model)


def dotted(path: KeyPath) -> str:
    """Return ``path`` as text, as in ``organizations[0].slug``.

    Nothing below the key of a token or of passwords is named, as it may be one of them.
    """
    hidden = next((at for at, part in enumerate(path) if part in _HIDDEN_BELOW), len(path))
    path = path[: hidden + 1]
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return masked("".join(parts)).removeprefix(".")


def shown(value: object) -> str:
    """Return ``value`` as messages show it: with its type, shortened, secrets masked."""
    match value:
        case None:
            return "no value"
        case bool():
            return f"the boolean {json.dumps(value)}"
        case int() | float():
            return f"the number {value}"
        case list():
            return f"the list {_shortened(_listed(value))}"
        case dict():
            return "a mapping"
        case _:
            return _quoted(str(value))


def near(name: str, names: Iterable[str]) -> str:
    """Return `` (did you mean ...?)`` with the names that resemble ``name``, or an empty string."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=2)
    return f" (did you mean {' or '.join(by_lower[match] for match in close)}?)" if close else ""


def masked(text: str) -> str:
    """Return ``text`` without tokens, keys, user names, passwords and their hashes."""
    return _BCRYPT.sub("<secret>", _DSN_KEY.sub("<secret>", redact(text)))


def secret_in(text: str) -> str | None:
    """Return a description of the secret that ``text`` contains, None if it contains none."""
    if _DSN.fullmatch(text):
        return "a DSN"
    if holds_token(text):
        return "what looks like a token"
    if _DSN_KEY.fullmatch(text):
        return "what looks like the key of a DSN"
    # No pattern for it: a password may contain anything, also @ and /.
    if any(0 <= line.find("//") < line.rfind("@") for line in text.split("\n")):
        return "a URL with a user name or password"
    return None


def _is_repeated(details: ErrorDetails) -> bool:
    """Return whether another problem reports the same mistake.

    The YAML reader reports a key without a value. Pydantic adds that a list is too short if its
    entries are invalid, and that a default could not be taken from a key that is invalid itself.
    """
    value: object = details["input"]
    match details["type"]:
        case "too_short":
            return bool(value)
        case "extra_forbidden":
            return False
        case "default_factory_not_called":
            return True
        case _:
            return value is None and isinstance(details["loc"][-1], str)


def _path(details: ErrorDetails, model: type[BaseModel]) -> KeyPath:
    path, kind = details["loc"], details["type"]
    if kind == "missing" or path[-1:] == _LOC_OF_KEY:
        return path[:-1]
    if kind == "extra_forbidden" or not path or isinstance(path[-1], int):
        return path
    # Of an invalid default, pydantic reports the name of the field, not its key.
    return (*path[:-1], _keys(model, path[:-1]).get(path[-1], path[-1]))


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    path, value = details["loc"], details["input"]
    match details["type"]:
        case "missing":
            return f"the key {path[-1]} is missing"
        case "extra_forbidden":
            keys = list(_keys(model, path[:-1]).values())
            return f"unknown key{near(str(path[-1]), keys)}; known keys: {', '.join(keys)}"
        case "too_short":
            return "the list is empty; expected at least one entry"
        case "model_type":
            keys = list(_keys(model, path).values())
            return f"got {shown(value)}; expected a mapping of {', '.join(keys)}"
        case "dict_type" | "tuple_type" as kind:
            return f"got {shown(value)}; expected {_EXPECTED[kind]}"
        case _:
            return details["msg"]


def _keys(model: type[BaseModel], path: KeyPath) -> dict[str, str]:
    """Return the keys that the mapping at ``path`` within a ``model`` may have, by field name.

    A mapping of teams has none: its keys are names.
    """
    for part in path:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            models = (each for each in (annotation, *get_args(annotation)) if _is_model(each))
            nested = next(models, None)
            if nested is None:
                return {}
            model = nested
    return {name: field.alias or name for name, field in model.model_fields.items()}


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return hasattr(annotation, "model_fields")


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    # YAML's \u escapes can make half a surrogate pair, which UTF-8 cannot encode.
    quoted = json.dumps(_shortened(masked(text)), ensure_ascii=False)
    return quoted.encode("utf-8", "backslashreplace").decode()


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _listed(values: Sequence[object]) -> str:
    """Return a list as YAML writes it, without nested values: a token may be among them."""
    return f"[{', '.join(_element(value) for value in values)}]"


def _element(value: object) -> str:
    match value:
        case list():
            return "[…]"
        case dict():
            return "{…}"
        case str():
            return _quoted(value)
        case _:
            return json.dumps(value)
