"""Files: read without waiting for a writer, and written for their owner only."""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_IRWXO, S_ISFIFO, S_ISREG, S_ISSOCK
from types import MappingProxyType
from typing import Final

_REFUSED: Final[Mapping[str, Callable[[int], bool]]] = MappingProxyType(
    {"is a pipe, not a file": S_ISFIFO, "is a socket, not a file": S_ISSOCK}
)

_SQLITE_FILES: Final = ("", "-journal", "-shm", "-wal")


def read_file(path: Path, max_size: int) -> bytes:
    """Return what is in the file at ``path``, of a larger one the first ``max_size`` + 1 bytes.

    The last byte shows that there are more; a device has no end. Raises `OSError`, also for a pipe
    or a socket: nobody may ever write into it.
    """
    with open(path, "rb", opener=_opened) as file:
        # None where a terminal has no line ready.
        return file.read(max_size + 1) or b""


def make_private(path: Path) -> None:
    """Make an SQLite file for its owner only, or take one that is there from all other users.

    Its group goes on with what it may do. SQLite gives the files beside it the same permissions; a
    copy of them may have others. Whoever opens the file says better what is wrong with it.
    """
    with suppress(OSError):
        # Not O_EXCL: a link may lead to where the file is to be.
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK, 0o600))
    for suffix in _SQLITE_FILES:
        file = path.with_name(f"{path.name}{suffix}")
        with suppress(OSError):
            mode = file.stat().st_mode
            if S_ISREG(mode) and mode & S_IRWXO:
                file.chmod(S_IMODE(mode) & ~S_IRWXO)


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
