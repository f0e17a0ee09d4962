"""The log's standard error: a pipe that nobody reads holds nobody up."""

import io
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass

import pytest

from exporter import stderr
from exporter.stderr import Stderr

HANG = 10.0
LINES = 5_000
LONG = "x" * 9_000


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a reader."""
    monkeypatch.setattr(stderr, "TIMEOUT", 0.0)


@dataclass
class Bench:
    """A log whose standard error is a pipe, and the end of it that is to be read."""

    handler: Stderr
    reader: int

    def read(self) -> list[str]:
        """Return the lines that are in the pipe."""
        os.set_blocking(self.reader, False)
        text = b""
        with suppress(BlockingIOError):
            while piece := os.read(self.reader, 1 << 16):
                text += piece
        return text.decode().splitlines()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return a log with a pipe."""
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        with redirect_stderr(stream):
            handler = Stderr()
        yield Bench(handler, reader)
    with suppress(OSError):
        os.close(reader)


def log(handler: Stderr, *texts: str) -> None:
    """Log each text, in another thread, which has to end."""

    def emit() -> None:
        for text in texts:
            handler.handle(logging.makeLogRecord({"msg": text}))

    thread = threading.Thread(target=emit, daemon=True)
    thread.start()
    thread.join(HANG)

    assert not thread.is_alive()


def test_lines_are_written(bench: Bench) -> None:
    """Lines are written at once, long ones too."""
    log(bench.handler, "first", LONG, "a\udc80b")

    assert ["first", LONG, "a\\udc80b"] == bench.read()


def test_nobody_reads(bench: Bench) -> None:
    """What does not fit is dropped, and how much that was is said once somebody reads again."""
    sent = [*map(str, range(LINES)), *[LONG] * 20]
    log(bench.handler, *sent)
    written = bench.read()
    log(bench.handler, "again", "and again")
    *_, note, again, last = bench.read()
    dropped = len(sent) - len([line for line in written if line in {*sent}])

    assert sent[: len(written) - 1] == written[:-1]
    assert f"{dropped} log lines dropped, as nobody read them" == note
    assert ["again", "and again"] == [again, last]


def test_a_reader_that_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe without a reader ends nothing."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    os.close(bench.reader)

    log(bench.handler, "lost")


def test_no_descriptor() -> None:
    """A standard error without a descriptor is written as usual."""
    stream = io.StringIO()
    with redirect_stderr(stream):
        handler = Stderr()

    log(handler, "text")

    assert "text\n" == stream.getvalue()
