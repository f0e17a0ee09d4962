"""The kinds of values that open Sentry: where a token is kept, or the token itself."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from exporter.config.kinds import Kind, line, refusal, text
from exporter.config.problems import found
from exporter.config.secrets import guarded
from exporter.sentry.token import Secret, flaw, placeholder

_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"


def file_path() -> Kind:
    """Return the kind of paths of files."""
    written = line(4096, "the path of a file")

    def read(value: Any) -> Path:
        path = str(written.read(value))
        if path.startswith("file:"):
            raise refusal(f"found {found(path)}; allowed: the path alone, without file://")
        if path.startswith(("~", "$")) or "${" in path:
            raise refusal(
                f"found {found(path)}, but ~ and variables are not expanded here; "
                "allowed: the whole path of a file"
            )
        return Path(path)

    return guarded(replace(written, read=read))


def variable_name() -> Kind:
    """Return the kind of names of environment variables."""
    allowed = "the name of an environment variable: letters, digits and _, such as SENTRY_TOKEN"
    name = text(_VARIABLE, allowed)

    def read(value: Any) -> object:
        if isinstance(value, str):
            variable = placeholder(value)
            if variable:
                raise refusal(f"found {found(value)}; write the name alone: {variable}")
            if "=" in value:
                raise refusal(f"found an assignment, not shown here; allowed: {allowed}")
        return name.read(value)

    return guarded(replace(name, read=read))


def token_literal() -> Kind:
    """Return the kind of a token that stands in the file itself, read as a `Secret`."""
    return Kind(_read_token, "a token", {"type": "string", "minLength": 1})


def _read_token(value: Any) -> Secret:
    if not isinstance(value, str):
        raise refusal("found something that is no text, not shown here; allowed: a token")
    token = value.strip()
    wrong = _mistaken(token) or flaw(token)
    if wrong is not None:
        raise refusal(f"the token {wrong}{_hint(token)}")
    return Secret(token)


def _mistaken(token: str) -> str | None:
    """Return what of a configuration stands in the place of a token, None where it may be one."""
    if token.startswith(("/", "./", "../", "~/")):
        return "is the path of a file: write it under token_file"
    if re.match("https?://", token):
        return "is a URL; if it is a DSN, SDKs send events with it, and it cannot read stats"
    if token == str(Secret("")):
        return "is the mask under which tokens are shown, not the token itself"
    return None


def _hint(token: str) -> str:
    """Return how a configuration names the variable that ``token`` refers to, if it does."""
    variable = placeholder(token)
    return "" if variable is None else f"; for a variable write token_env: {variable or 'NAME'}"
