"""The secret that opens Sentry's API: where it is kept, and a type that never shows it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol, Self

from exporter.sentry.errors import TokenError

_MASK: Final = "<secret>"
_SIZE_LIMIT: Final = 64 * 1024
_LOOKS_LIKE_TOKEN: Final = re.compile(r"sntry[^\s\"',]*|\b[0-9a-f]{64}\b", re.IGNORECASE)
_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")
_CANNOT_READ_STATS: Final = (
    "is an organization auth token (sntrys_…), and those cannot read stats: create an internal "
    "integration with the permission Organization: Read, and use its token"
)


class Secret:
    """A string that shows itself as ``<secret>`` wherever it is printed, formatted or dumped."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the string itself."""
        return self.__value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__value == other.__value

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, specification: str) -> str:
        return format(_MASK, specification)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialized")


class TokenSource(Protocol):
    """A place that a token is read from, afresh each time, so that rotation needs no restart."""

    def read(self) -> Secret:
        """Return the token as it is now; raises `TokenError` where there is no usable one."""

    def describe(self) -> str:
        """Return the place as the configuration names it, never the token."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file whose one line is the token."""

    path: Path

    def read(self) -> Secret:
        """Return what the file holds now; raises `TokenError`."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_SIZE_LIMIT + 1)
        except OSError as error:
            raise TokenError(f"{self.describe()}: {error.strerror}") from error
        if len(content) > _SIZE_LIMIT:
            raise TokenError(f"{self.describe()} is far too large for a token")
        return _usable(content.decode("utf-8-sig", errors="replace"), self.describe())

    def describe(self) -> str:
        """Return ``token_file`` and the path."""
        return f"token_file {self.path}"


@dataclass(frozen=True, slots=True)
class TokenEnvironment:
    """An environment variable that holds the token."""

    variable: str

    def read(self) -> Secret:
        """Return what the variable holds now; raises `TokenError`."""
        value = os.environ.get(self.variable)
        if value is None:
            raise TokenError(f"{self.describe()}: this environment variable is not set")
        return _usable(value, self.describe())

    def describe(self) -> str:
        """Return ``token_env`` and the variable's name."""
        return f"token_env {self.variable}"


@dataclass(frozen=True, slots=True)
class TokenLiteral:
    """A token that stands in the configuration itself."""

    secret: Secret

    def read(self) -> Secret:
        """Return the token; raises `TokenError`."""
        return _usable(self.secret.reveal(), self.describe())

    def describe(self) -> str:
        """Return ``token``, and nothing of it."""
        return "token"


def flaw(token: str) -> str | None:
    """Return what makes ``token`` unusable, to be read after its place's name, or None."""
    if not token:
        return "is empty"
    if len(token.splitlines()) > 1:
        return "holds more than one line"
    if not _HEADER_SAFE.fullmatch(token):
        return "holds characters that are not allowed in a header: only visible ASCII is"
    if token.startswith("sntrys_"):
        return _CANNOT_READ_STATS
    return None


def redact(text: str) -> str:
    """Return ``text`` with everything that looks like a token of Sentry's masked."""
    return _LOOKS_LIKE_TOKEN.sub(_MASK, text)


def _usable(text: str, where: str) -> Secret:
    token = text.strip()
    wrong = flaw(token)
    if wrong is not None:
        raise TokenError(f"{where} {wrong}")
    return Secret(token)
