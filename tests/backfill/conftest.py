"""Fixtures for backfills."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from exporter.backfill.progress_file import ProgressFile


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Capture the log of what is tried again."""
    with capture_logs():
        yield


@pytest.fixture
def file() -> Iterator[ProgressFile]:
    """Return a progress file in memory."""
    with closing(ProgressFile(None)) as file:
        yield file
