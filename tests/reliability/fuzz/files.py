"""Files that people write, as bytes of which anything may be wrong: fuzz targets."""

import os
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.config import Config, ConfigError, as_yaml, loads, parsed
from exporter.web.config import WebConfig, load_web_config
from tests.support.certificates import Authority

SECRET: Final = re.compile(r"[!-~]{12,}")
"""Which values of ``token`` are looked for in messages: shorter ones may be there by chance."""

MASK: Final = "<secret>"

_FILE: Final = Path("fuzz.yaml")


def configuration(data: bytes) -> None:
    """Read a configuration; check its errors, or its text and that it means the same."""
    try:
        config = parsed(data, _FILE)
    except ConfigError as error:
        _check_error(error, str(_FILE), data)
        return
    _check_config(config, data)


def web_configuration(data: bytes) -> None:
    """Read a web configuration from a file, beside a certificate and its key."""
    path = _folder() / "web.yaml"
    path.write_bytes(data)
    try:
        config = load_web_config(path)
    except ConfigError as error:
        _check_error(error, str(path), data)
        return
    _check_web_config(config, path)


def _check_error(error: ConfigError, file: str, data: bytes) -> None:
    """Check that each problem is one line that names the file, and that no secret is in it."""
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
    _check_secrets(f"{error} {error!r} {error.problems!r}", data)


def _check_config(config: Config, data: bytes) -> None:
    shown = as_yaml(config)
    _check_secrets(f"{shown} {config!r} {[str(each) for each in config.warnings]}", data)
    if MASK.encode() not in data:
        assert shown == as_yaml(loads(shown.replace(MASK, "sntryu_0123456789abcdef")))


def _check_web_config(config: WebConfig, path: Path) -> None:
    assert path in config.files
    for name, value in config.headers:
        # Anything else would end the header, and begin another.
        assert not {*b"\r\n\0"} & {*name, *value}
    assert all(hashed.startswith(b"$2") for _, hashed in config.users)
    for _, hashed in config.users:
        assert hashed.decode() not in repr(config)


def _check_secrets(shown: str, data: bytes) -> None:
    for secret in _tokens(_plain(data)):
        # A key or a word of the file may well be in a message.
        if SECRET.fullmatch(secret) and data.count(secret.encode()) == 1:
            assert secret not in shown


def _plain(data: bytes) -> object:
    """Return the document as PyYAML reads it, None where it does not."""
    try:
        return yaml.load(data, yaml.BaseLoader)  # noqa: S506 - makes only text, lists and mappings
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return None


def _tokens(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the text of every key ``token``, wherever it is."""
    if depth > 6:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "token" and isinstance(inner, str):
                yield inner
            yield from _tokens(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _tokens(inner, depth + 1)


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
