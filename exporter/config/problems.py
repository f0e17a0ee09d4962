"""What is wrong with a configuration, in words: where, what was found, what is allowed."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.sentry.token import redact

KeyPath = tuple[str | int, ...]
"""The way to a value: keys and, within lists, positions from 0."""

HIDING_KEY: Final = "token"
KEY: Final = re.compile(r"\b[0-9a-fA-F]{32}\b")
"""The keys of DSNs, and the keys of Sentry's first API."""
_LONGEST: Final = 40
_PLAIN_KEY: Final = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning; ``str()`` of it is the line ``FILE:LINE: path: message``.

    ``path`` is as in ``organizations[0].queries[1].interval``, empty where the file as a whole is
    meant; ``line`` and ``column`` count from 1, None where there is no place in the file.
    """

    path: str
    line: int | None
    message: str
    file: str
    column: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the parts of a `Problem` that do not depend on what is wrong."""

    path: str
    line: int | None
    file: str
    column: int | None = None

    def problem(self, message: str) -> Problem:
        """Return the problem of what stands here."""
        return Problem(self.path, self.line, message, self.file, self.column)


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems in file order, a mistake that an alias repeats only once."""
    ordered = sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))
    once = {(problem.line, problem.column, problem.message): problem for problem in ordered[::-1]}
    return tuple(once.values())[::-1]


def dotted(path: KeyPath) -> str:
    """Return ``path`` in one piece, as in ``organizations[0].slug``.

    Nothing below a token's key is named: it may be the token.
    """
    if HIDING_KEY in path:
        path = path[: path.index(HIDING_KEY) + 1]
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return masked("".join(parts)).removeprefix(".")


def found(value: object) -> str:
    """Return ``value`` in a few words for a message: shortened, secrets masked."""
    match value:
        case None:
            return "nothing"
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
    """Return `` (did you mean ...?)`` with what resembles ``name``, or an empty string."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=2)
    return f" (did you mean {' or '.join(by_lower[match] for match in close)}?)" if close else ""


def masked(text: str) -> str:
    """Return ``text`` without tokens, keys, user names and passwords."""
    return KEY.sub("<secret>", redact(text))


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    quoted = json.dumps(_shortened(masked(text)), ensure_ascii=False)
    return quoted.encode("utf-8", "backslashreplace").decode()


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _listed(values: Sequence[object]) -> str:
    """Return a list as YAML writes it, without what nests deeper: a token may be there."""
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
