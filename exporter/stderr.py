"""Standard error for the log: lines that nobody reads are dropped, instead of waited for."""

import logging
import os
import select
import sys
from typing import Final

TIMEOUT: Final = 0.2
"""Seconds to wait for a slow reader; once that was in vain, lines are dropped at once."""

_PIECE: Final = select.PIPE_BUF
"""Bytes that a pipe takes without blocking where poll(2) says that it is writable."""


class Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # generic only in the stubs
    """Writes records to standard error, unless that would block.

    A pipe that nobody reads is full after 64 KiB. Whoever logged the next line would wait for ever:
    all polls, and the event loop with every scrape. Lines that are dropped are counted, and once
    there is a reader again, a line says how many.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._dropped = 0
        self._is_cut = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it."""
        descriptor = _descriptor(self.stream)
        if descriptor is None:
            super().emit(record)
            return
        try:
            self._write_or_drop(descriptor, self.format(record))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - as logging does: a log that fails ends nothing
            self.handleError(record)

    def _write_or_drop(self, descriptor: int, line: str) -> None:
        if self._dropped:
            line = f"{self.format(_dropped(self._dropped))}\n{line}"
        before = "\n" if self._is_cut else ""
        text = f"{before}{line}\n".encode(errors="backslashreplace")
        for start in range(0, len(text), _PIECE):
            if not _is_writable(descriptor, 0 if self._dropped else TIMEOUT):
                self._dropped += 1
                self._is_cut = self._is_cut or start > 0
                return
            os.write(descriptor, text[start : start + _PIECE])
        self._dropped, self._is_cut = 0, False


def _descriptor(stream: object) -> int | None:
    """Return the file descriptor of ``stream``, None where it has none, as in tests."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None


def _is_writable(descriptor: int, timeout: float) -> bool:
    """Return whether a write does not block; one that fails does not either."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(timeout * 1000))


def _dropped(lines: int) -> logging.LogRecord:
    text = f"{lines} log lines dropped, as nobody read them"
    return logging.makeLogRecord(
        {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text}
    )
