"""What is logged during a test."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict, WrappedLogger


@contextmanager
def logged() -> Iterator[list[EventDict]]:
    """Give the records of level info and above that are logged during the block."""
    with capture_logs(processors=[_without_debug]) as records:
        yield records


def _without_debug(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if method == "debug":
        raise structlog.DropEvent
    return event
