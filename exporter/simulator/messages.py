"""Requests and answers as plain values, and the error answers of Sentry's API."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain"

FORBIDDEN: Final = "You do not have permission to perform this action."
UNKNOWN: Final = "The requested resource does not exist"


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed request; header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    address: str = "127.0.0.1"

    def parameters(self) -> "Parameters":
        """Return the decoded query string."""
        # Django keeps them too: an empty statsPeriod is invalid, not absent.
        return Parameters(tuple(parse_qsl(self.query, keep_blank_values=True)))


@dataclass(frozen=True, slots=True)
class Parameters:
    """The pairs of a query string, accessed as in Django's ``QueryDict``."""

    pairs: tuple[tuple[str, str], ...]

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of ``name``, in order."""
        return tuple(value for key, value in self.pairs if key == name)

    def last(self, name: str) -> str | None:
        """Return the last value of ``name``, ``None`` if it was not sent."""
        return next(iter(reversed(self.all(name))), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body, and the headers except Content-Type and Content-Length."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def document(self) -> Any:
        """Return the decoded JSON body."""
        return json.loads(self.body)

    def with_headers(self, headers: tuple[tuple[str, str], ...]) -> "Answer":
        """Return the answer with those of ``headers`` added that it does not have yet."""
        present = {name.lower() for name, _ in self.headers}
        added = tuple(pair for pair in headers if pair[0].lower() not in present)
        return replace(self, headers=self.headers + added)


def document(status: int, content: Any, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Return ``content`` as a JSON answer."""
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), JSON, headers)


def refusal(status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Return an error answer in the form of Sentry's API, ``{"detail": …}``."""
    return document(status, {"detail": detail}, headers)


class Refused(Exception):  # noqa: N818 - no error of the program: it carries an answer
    """Ends the evaluation of a request; ``answer`` is the error answer to send."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.answer = refusal(status, detail, headers)
        super().__init__(detail)
