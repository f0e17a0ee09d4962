"""Files are read without waiting for a writer, and written for their owner only."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.files import make_private, read_file


def refusal(path: Path) -> str | None:
    """Return what the error of reading ``path`` says."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the text is compared below
        read_file(path, 10)
    return caught.value.strerror


def test_content(tmp_path: Path) -> None:
    """The content of a file is returned."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    assert b"content" == read_file(path, 7)


def test_too_large(tmp_path: Path) -> None:
    """Of a larger file, one byte more than allowed is returned."""
    path = tmp_path / "file"
    path.write_bytes(b"contents")

    assert b"conte" == read_file(path, 4)


def test_no_end() -> None:
    """Of a device without an end, no more is read either."""
    assert b"\0" * 5 == read_file(Path("/dev/zero"), 4)


def test_link(tmp_path: Path) -> None:
    """A link, as Kubernetes makes them, is followed."""
    path = tmp_path / "link"
    (tmp_path / "file").write_bytes(b"content")
    path.symlink_to("file")

    assert b"content" == read_file(path, 10)


def test_pipe(tmp_path: Path) -> None:
    """A pipe into which nobody writes is refused at once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert "is a pipe, not a file" == refusal(path)


def test_pipe_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a pipe has replaced since it was looked at is refused, and closed."""
    path, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(path)
    file.touch()
    status, descriptors = file.stat(), set(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr("exporter.files.os.stat", lambda _: status)

    assert "is a pipe, not a file" == refusal(path)
    assert descriptors == set(Path("/proc/self/fd").iterdir())


def test_socket(tmp_path: Path) -> None:
    """A socket is refused by name."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))

        assert "is a socket, not a file" == refusal(path)


def test_directory(tmp_path: Path) -> None:
    """A directory is refused as usual."""
    assert "Is a directory" == refusal(tmp_path)


def test_missing(tmp_path: Path) -> None:
    """A missing file is an error as usual."""
    assert "No such file or directory" == refusal(tmp_path / "none")


@pytest.fixture
def _no_umask() -> Iterator[None]:
    """Let nothing but the program decide on the permissions of new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def permissions(path: Path) -> int:
    """Return the permissions of a file."""
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("_no_umask")
def test_private_from_the_start(tmp_path: Path) -> None:
    """A new file is its owner's alone, whatever the umask."""
    make_private(tmp_path / "file")

    assert 0o600 == permissions(tmp_path / "file")


@pytest.mark.usefixtures("_no_umask")
def test_private_through_a_link(tmp_path: Path) -> None:
    """So is the one that a link leads to."""
    (tmp_path / "link").symlink_to("file")
    make_private(tmp_path / "link")

    assert 0o600 == permissions(tmp_path / "file")


def test_private_from_now_on(tmp_path: Path) -> None:
    """What others could do with a file, and with SQLite's beside it, they cannot any more."""
    names = ("file", "file-journal", "file-shm", "file-wal")
    for name in (*names, "file-other"):
        (tmp_path / name).write_text("content", "utf-8")
        (tmp_path / name).chmod(0o664)
    make_private(tmp_path / "file")

    assert [0o660] * 4 == [permissions(tmp_path / name) for name in names]
    assert "content" == (tmp_path / "file").read_text("utf-8")
    assert 0o664 == permissions(tmp_path / "file-other")


@pytest.mark.parametrize("name", ["folder", "folder/nowhere/file"])
def test_not_private(tmp_path: Path, name: str) -> None:
    """Whatever is no file is left alone, and is no error either."""
    (tmp_path / "folder").mkdir(0o755)
    make_private(tmp_path / name)

    assert 0o755 == permissions(tmp_path / "folder")
    assert [] == list((tmp_path / "folder").iterdir())
