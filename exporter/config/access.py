"""The kinds of values that say where Sentry is and what opens it; none of them shows a secret."""

import re
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

from exporter.config.kinds import Kind, line, refusal, text
from exporter.token import Secret, flaw, redact

_HIGHEST_PORT: Final = 65535
_ADDRESS: Final = (
    r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)"
    r"(?::([0-9]{1,5}))?(/[A-Za-z0-9_.~%/-]*)?"
)
_ADDRESS_ALLOWED: Final = (
    "http or https, a host, and the path that Sentry is served under if it has one, "
    "such as https://sentry.io"
)


def address() -> Kind:
    """Return the kind of Sentry's URL, read without a slash at its end."""
    schema = {"type": "string", "pattern": f"^{_ADDRESS}$"}
    return _no_token(Kind(_read_address, _ADDRESS_ALLOWED, schema))


def file_path() -> Kind:
    """Return the kind of paths of files."""
    written = line(4096, "the path of a file")
    return _no_token(replace(written, read=lambda value: Path(str(written.read(value)))))


def variable_name() -> Kind:
    """Return the kind of names of environment variables."""
    allowed = "the name of an environment variable: letters, digits and _, such as SENTRY_TOKEN"
    return _no_token(text("[A-Za-z_][A-Za-z0-9_]*", allowed))


def token_literal() -> Kind:
    """Return the kind of a token that stands in the file itself, read as a `Secret`."""
    return Kind(_read_token, "a token", {"type": "string", "minLength": 1})


def _read_address(value: Any) -> str:
    if "@" in value or "?" in value or "#" in value:
        hidden = "a user name, password, query or fragment, not shown here as it may be secret"
        raise refusal(f"found a URL with {hidden}; allowed: {_ADDRESS_ALLOWED}")
    match = re.fullmatch(_ADDRESS, value)
    if match is None or not 0 < int(match[2] or 80) <= _HIGHEST_PORT:
        raise ValueError
    if match[1].startswith("["):
        IPv6Address(match[1][1:-1])
    plain = match[0].rstrip("/")
    if plain.endswith("/api/0"):
        raise refusal("found a URL that ends in /api/0; allowed: the same without /api/0")
    return plain


def _read_token(value: Any) -> Secret:
    if not isinstance(value, str):
        raise refusal("found something that is no text, not shown here; allowed: a token")
    wrong = flaw(value.strip())
    if wrong is not None:
        raise refusal(f"the token {wrong}")
    return Secret(value.strip())


def _no_token(kind: Kind) -> Kind:
    """Return ``kind`` on guard against a token that was pasted in the wrong place."""

    def read(value: Any) -> object:
        if isinstance(value, str) and redact(value) != value:
            raise refusal(f"found what looks like a token, not shown here; allowed: {kind.allowed}")
        return kind.read(value)

    return replace(kind, read=read)
