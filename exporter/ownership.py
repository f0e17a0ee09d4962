"""Whose a file is that cannot be read."""

import os
from pathlib import Path


def ownership(path: Path) -> str:
    """Return who may read a file that this process may not, ``""`` where that is not known.

    To be read after the error.
    """
    try:
        status = path.stat()
    except OSError:
        return ""
    return (
        f": the file belongs to uid {status.st_uid} (mode {status.st_mode & 0o7777:04o}), "
        f"and this process to uid {os.geteuid()}"
    )
