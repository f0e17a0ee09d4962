"""Reads files whose content is configuration or a secret, without waiting for a writer."""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from stat import S_ISFIFO, S_ISSOCK
from types import MappingProxyType
from typing import Final

_REFUSED: Final[Mapping[str, Callable[[int], bool]]] = MappingProxyType(
    {"is a pipe, not a file": S_ISFIFO, "is a socket, not a file": S_ISSOCK}
)


def read_file(path: Path, max_size: int) -> bytes:
    """Return what is in the file at ``path``, of a larger one the first ``max_size`` + 1 bytes.

    The last byte shows that there are more; a device has no end. Raises `OSError`, also for a pipe
    or a socket: nobody may ever write into it.
    """
    with open(path, "rb", opener=_opened) as file:
        # None where a terminal has no line ready.
        return file.read(max_size + 1) or b""


def _opened(path: str, flags: int) -> int:
    # Sockets cannot be opened: their kind is asked of the path.
    _check(os.stat(path).st_mode, path)  # noqa: PTH116 - a str
    # Without O_NONBLOCK, opening a pipe would wait until somebody writes into it.
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    try:
        # Again: the path may be that of a pipe only since.
        _check(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(mode: int, path: str) -> None:
    """Raise `OSError` if ``mode`` is that of a pipe or a socket."""
    for text, is_kind in _REFUSED.items():
        if is_kind(mode):
            raise OSError(errno.EINVAL, text, path)
