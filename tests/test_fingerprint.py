"""What changes when a file does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.fingerprint import file_fingerprint


def rewrite(path: Path) -> None:
    """Write other content of the same size, with the same time."""
    status = path.stat()
    path.write_text("b")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    """Put another file in its place, with the same size and time."""
    status, other = path.stat(), path.with_name("other")
    other.write_text("b")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewrite, replace, Path.unlink, lambda path: path.chmod(0o600)])
def test_a_change(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Whatever happens to a file changes its fingerprint."""
    path = tmp_path / "token"
    path.write_text("a")
    path.chmod(0o640)
    # The kernel's time of a change is coarse, which is as if the file were old.
    before = file_fingerprint(path)
    while change is not Path.unlink and not _is_later(tmp_path, path):
        pass
    change(path)

    assert before != file_fingerprint(path)


def _is_later(folder: Path, path: Path) -> bool:
    """Return whether a file that is written now has a later time than the file at ``path``."""
    probe = folder / "probe"
    probe.write_text("")
    return probe.stat().st_ctime_ns > path.stat().st_ctime_ns


def test_no_change(tmp_path: Path) -> None:
    """Reading a file changes nothing."""
    path = tmp_path / "token"
    path.write_text("a")
    before = file_fingerprint(path)
    path.read_text()

    assert before == file_fingerprint(path)


@pytest.mark.parametrize("name", ["missing", "a\0b"])
def test_no_file(tmp_path: Path, name: str) -> None:
    """A file that cannot be looked at has none."""
    assert file_fingerprint(tmp_path / name) is None
