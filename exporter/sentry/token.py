"""The token for Sentry's API: where it is read from, and a type that never shows it."""

import os
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, NoReturn, Protocol, Self
from urllib.parse import unquote
from urllib.request import getproxies_environment

from exporter.files import read_file
from exporter.fingerprint import file_fingerprint
from exporter.sentry.errors import TokenError
from exporter.sentry.projects import ProjectList

_MASK: Final = "<secret>"
_MAX_SIZE: Final = 64 * 1024
# Sentry's tokens begin with sntrys_ or sntryu_; the older ones are 64 hexadecimal digits.
_LOOKS_LIKE_TOKEN: Final = re.compile(r"sntry[^\s\"',]*|\b[0-9a-f]{64}\b", re.IGNORECASE)
_INTEGRATION: Final = "internal integration token"
# As Sentry's src/sentry/types/token.py has them, without what cannot read stats. Older tokens have
# no prefix.
_KINDS: Final = {
    "sntryu_": "user token",
    "sntrya_": "token of a user's application",
    "sntryi_": _INTEGRATION,
}
UNKNOWN_KIND: Final = "user or integration (kind not shown)"
_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")
_WORD: Final = re.compile(r"\S+")
_SCHEME: Final = re.compile(r"(?:(?:[a-z][a-z0-9+.-]*:)?/+)?", re.IGNORECASE)
_MIN_PASSWORD: Final = 4
"""Characters; masking shorter ones wherever they occur would leave no text readable."""

MAX_ERROR: Final = 500
"""Characters of an unforeseen error's text, which may hold anything."""

# The lookahead is for base64: a token that ends in = is not an assignment of nothing.
_ASSIGNMENT: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)(\s*=\s*|:\s+)(?!=*$)")
_VARIABLE: Final = "([A-Za-z_][A-Za-z0-9_]*)"
_PLACEHOLDER: Final = re.compile(
    rf"\$\{{{_VARIABLE}\}}|\${_VARIABLE}|\$\{{[^{{}}]*\}}|\$\(.*\)|\{{\{{.*\}}\}}"
)
_AUTHORIZATION: Final = re.compile(
    r"(?:authorization:\s*)?(bearer|basic|token)\s+\S", re.IGNORECASE
)
_QUOTES: Final = "\"'`"
_CANNOT_READ_STATS: Final = (
    "holds an organization auth token (sntrys_…), which cannot read stats: create an internal "
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

    # Without this, copy.deepcopy would call __reduce__.
    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialized")


class TokenSource(Protocol):
    """A place that a token is read from anew for each request: rotation needs no restart."""

    def read(self) -> Secret:
        """Return the current token; raise `TokenError` where there is no usable one."""

    def describe(self) -> str:
        """Return the place as the configuration names it, never the token."""

    def fingerprint(self) -> Hashable:
        """Return what changes when the token may have; cheap, never secret, never raises."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file whose one line is the token."""

    path: Path

    def read(self) -> Secret:
        """Return what the file holds now; raise `TokenError`."""
        try:
            content = read_file(self.path, _MAX_SIZE)
        except OSError as error:
            raise TokenError(f"{self.describe()}: {error.strerror}") from error
        if len(content) > _MAX_SIZE:
            raise TokenError(f"{self.describe()} is far too large for a token")
        # A byte that is not UTF-8 becomes U+FFFD, which flaw() refuses as not being ASCII.
        return _usable(content.decode("utf-8-sig", errors="replace"), self.describe())

    def describe(self) -> str:
        """Return ``token_file`` and the path."""
        return f"token_file {self.path}"

    def fingerprint(self) -> Hashable:
        """Return what changes when the file does."""
        return file_fingerprint(self.path)


@dataclass(frozen=True, slots=True)
class TokenEnvironment:
    """An environment variable that holds the token."""

    variable: str

    def read(self) -> Secret:
        """Return what the variable holds now; raise `TokenError`."""
        value = os.environ.get(self.variable)
        if value is None:
            raise TokenError(f"{self.describe()}: this environment variable is not set")
        return _usable(value, self.describe())

    def describe(self) -> str:
        """Return ``token_env`` and the variable's name."""
        return f"token_env {self.variable}"

    def fingerprint(self) -> Hashable:
        """Return a constant: nobody changes the environment of a running process."""
        return self.variable


@dataclass(frozen=True, slots=True)
class TokenLiteral:
    """A token in the configuration itself."""

    PLACE: ClassVar[str] = "token"

    secret: Secret

    def read(self) -> Secret:
        """Return the token; raise `TokenError`."""
        return _usable(self.secret.reveal(), self.describe())

    def describe(self) -> str:
        """Return ``token``, and nothing of it."""
        return self.PLACE

    def fingerprint(self) -> Hashable:
        """Return a constant: another token in the configuration is another source."""
        return "token"


def flaw(token: str) -> str | None:
    """Return what makes ``token`` unusable, None if nothing does.

    The text continues a sentence that begins with the token's place, and shows nothing of the
    token.
    """
    if not token:
        return "is empty"
    wrapped = _wrapping(token)
    if wrapped is not None:
        return wrapped
    if len(token.splitlines()) > 1:
        return "holds more than one line"
    if not _HEADER_SAFE.fullmatch(token):
        return "holds characters that are not allowed in a header: only visible ASCII is"
    # Sentry gives organization auth tokens the scope org:ci and no other.
    if token.startswith("sntrys_"):
        return _CANNOT_READ_STATS
    return None


def placeholder(text: str) -> str | None:
    """Return the name of the variable that ``text`` refers to as shells and templates do.

    ``""`` for a placeholder of another kind, or where the name may itself be secret; None where
    ``text`` is not a placeholder.
    """
    match = _PLACEHOLDER.fullmatch(text)
    if match is None:
        return None
    name = match[1] or match[2] or ""
    return "" if holds_token(name) else name


def holds_token(text: str) -> bool:
    """Return whether something in ``text`` looks like a token of Sentry's."""
    return _LOOKS_LIKE_TOKEN.search(text) is not None


def token_kind(token: Secret, projects: ProjectList | None) -> str:
    """Return the kind of a token by its prefix, or by what it can read where it has none."""
    value = token.reveal()
    kind = next((kind for prefix, kind in _KINDS.items() if value.startswith(prefix)), None)
    if kind is None and projects is not None and projects.is_of_an_integration:
        return _INTEGRATION
    return kind or UNKNOWN_KIND


def token_text(kind: str, place: str) -> str:
    """Return what people read about a token: its ``kind``, and the place that it is read from."""
    origin = "in the configuration file" if place == TokenLiteral.PLACE else f"from {place}"
    return f"{kind}, {origin}"


def redact(text: str) -> str:
    """Return ``text`` without secrets: Sentry's tokens, and the user names and passwords of URLs.

    That is everything between ``//`` and ``@``, and wherever they occur the user names and
    passwords of the proxies that the environment names.
    """
    masked = _LOOKS_LIKE_TOKEN.sub(_MASK, text)
    for credentials in _proxy_credentials():
        masked = masked.replace(credentials, "***@" if credentials.endswith("@") else "***")
    return _WORD.sub(_without_user_info, masked)


def described(error: BaseException) -> str:
    """Return an unforeseen error's type and text, without secrets and of limited length."""
    # In this order: nothing recognizes a part of a token.
    return redact(f"{type(error).__name__}: {error}")[:MAX_ERROR]


def ownership(path: Path) -> str:
    """Return the owner of a file that this process may not read, ``""`` where it is not known.

    The text continues the error's.
    """
    try:
        status = path.stat()
    except OSError:
        return ""
    return (
        f": the file belongs to uid {status.st_uid} (mode {status.st_mode & 0o7777:04o}), "
        f"and this process runs as uid {os.geteuid()}"
    )


def _without_user_info(word: re.Match[str]) -> str:
    """Return a word without what is between ``//`` and ``@``.

    Up to the last @, as a password may hold slashes and more of them, and where a URL ends is not
    certain. A regular expression for both would take time quadratic in the slashes.
    """
    text = word[0]
    start, end = text.find("//"), text.rfind("@")
    return f"{text[:start]}//***{text[end:]}" if 0 <= start < end - 1 else text


def _wrapping(token: str) -> str | None:
    """Return what was written instead of a token or around it, None if nothing was."""
    variable = placeholder(token)
    if variable is not None:
        name = f" {token}" if variable else ""
        return f"holds the placeholder{name}, which nothing has replaced: the token belongs in it"
    if token[0] in "{[":
        return "holds JSON: only the token itself belongs in it"
    return None if len(token.splitlines()) > 1 else _surroundings(token)


def _surroundings(token: str) -> str | None:
    """Return what is around the token in a line that holds more than it, None if nothing is."""
    scheme, assignment = _AUTHORIZATION.match(token), _ASSIGNMENT.match(token)
    if scheme is not None:
        return f"holds the word {scheme[1]} before the token: only the token belongs in it"
    if assignment is not None:
        return f"holds {_shown_name(assignment)}…: only the value belongs in it"
    if token[0] in _QUOTES or token[-1] in _QUOTES:
        return "holds quotes around the token: only what is between them belongs in it"
    return None


def _shown_name(assignment: re.Match[str]) -> str:
    """Return the name of an assignment with its sign, hidden where it may itself be secret."""
    name, sign = assignment[1], assignment[2].strip()
    plain = "token" in name.lower() or name.isupper()
    return f"{name if plain and not holds_token(name) else 'a name, then '}{sign}"


def _proxy_credentials() -> Iterator[str]:
    """Yield what the environment's proxies have before their host, longest parts first.

    What is too short to be masked wherever it occurs is masked only before an @.
    """
    for address in getproxies_environment().values():
        user_info = _SCHEME.sub("", address, count=1).rpartition("@")[0]
        password = user_info.partition(":")[2]
        if len(password) >= _MIN_PASSWORD:
            yield from (user_info, unquote(user_info), password, unquote(password))
        elif user_info:
            yield from (f"{user_info}@", f"{unquote(user_info)}@")


def _usable(text: str, where: str) -> Secret:
    token = text.strip()
    wrong = flaw(token)
    if wrong is not None:
        raise TokenError(f"{where} {wrong}")
    return Secret(token)
