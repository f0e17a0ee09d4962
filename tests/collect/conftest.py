"""Fixtures for what polls."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.collect.polling import NOON, RecordingPublisher, Sentry, row


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the log of failures, which many tests are about, out of sight."""
    with capture_logs():
        yield


@pytest.fixture
def sentry() -> Sentry:
    """Return a Sentry with something in the finished and in the running hour."""
    return Sentry([row(5), row(2, bucket=NOON)])


@pytest.fixture
def publisher() -> RecordingPublisher:
    """Return a publisher."""
    return RecordingPublisher()
