"""Files that people write, as bytes of which anything may be wrong: fuzz targets."""

import os
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.config import ConfigError, as_yaml, loads, parsed
from exporter.web.config import load_web_config
from tests.support.certificates import Authority

SECRET: Final = re.compile(r"[!-~]{6,}")
"""Which values are taken for secrets: those that can be replaced in the text as they are."""

MARKER: Final = "Zq7Zq7Zq7Zq7"
"""A secret that is in no message by chance."""

MASK: Final = "<secret>"

_SECRET_KEYS: Final = {"token", "basic_auth_users"}
_FILE: Final = Path("fuzz.yaml")


def configuration(data: bytes) -> None:
    """Read a configuration; check its errors, or its text and that it means the same."""
    _read_configuration(data)
    for changed in _with_marker(data):
        assert MARKER not in _read_configuration(changed)


def web_configuration(data: bytes) -> None:
    """Read a web configuration from a file, beside a certificate and its key."""
    _read_web_configuration(data)
    for changed in _with_marker(data):
        assert MARKER not in _read_web_configuration(changed)


def _read_configuration(data: bytes) -> str:
    """Return everything that reading a configuration shows."""
    try:
        config = parsed(data, _FILE)
    except ConfigError as error:
        return _checked_error(error, str(_FILE), data)
    shown = as_yaml(config)
    if MASK.encode() not in data:
        assert shown == as_yaml(loads(shown.replace(MASK, "sntryu_0123456789abcdef")))
    return f"{shown} {config!r} {[str(each) for each in config.warnings]}"


def _read_web_configuration(data: bytes) -> str:
    path = _folder() / "web.yaml"
    path.write_bytes(data)
    try:
        config = load_web_config(path)
    except ConfigError as error:
        return _checked_error(error, str(path), data)
    assert path in config.files
    for name, value in config.headers:
        # Anything else would end the header, and begin another.
        assert not {*b"\r\n\0"} & {*name, *value}
    assert all(hashed.startswith(b"$2") for _, hashed in config.users)
    return f"{config!r} {[str(each) for each in config.warnings]}"


def _checked_error(error: ConfigError, file: str, data: bytes) -> str:
    """Return an error's text; each of its problems is one line, which names the file."""
    assert error.problems
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + 1
    lines += data.count(b"\xe2\x80\xa8") + data.count(b"\xe2\x80\xa9")
    for problem in error.problems:
        text = str(problem)
        assert text.startswith(file)
        assert problem.message
        assert "\n" not in text
        assert problem.line is None or 1 <= problem.line <= lines
        text.encode()
    return f"{error} {error!r} {error.problems!r}"


def _with_marker(data: bytes) -> Iterator[bytes]:
    """Yield the file with a marker in place of each of its secrets."""
    for secret in _secrets(_plain(data)):
        if SECRET.fullmatch(secret) and data.count(secret.encode()) == 1:
            yield data.replace(secret.encode(), MARKER.encode())


def _plain(data: bytes) -> object:
    """Return the document as PyYAML reads it, None where it does not."""
    try:
        return yaml.load(data, yaml.BaseLoader)  # noqa: S506 - makes only text, lists and mappings
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return None


def _secrets(value: Any, *, below: bool = False, depth: int = 0) -> Iterator[str]:
    """Yield every text below a key of secrets, wherever that is."""
    if depth > 6:
        return
    if isinstance(value, str) and below:
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets(key if below else None, below=below, depth=depth + 1)
            yield from _secrets(inner, below=below or key in _SECRET_KEYS, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _secrets(inner, below=below, depth=depth + 1)


@cache
def _folder() -> Path:
    """Return a folder with the files that a web configuration may name."""
    # In memory, where there is such a file system: every input is written to a file.
    fast = "/dev/shm"  # noqa: S108 - the folder in it is made for us alone
    folder = tempfile.TemporaryDirectory(dir=fast if os.access(fast, os.W_OK) else None)
    _FOLDERS.append(folder)
    Authority(Path(folder.name)).issue()
    return Path(folder.name)


_FOLDERS: Final[list[tempfile.TemporaryDirectory[str]]] = []
"""Removed when the process ends."""
