"""Fixtures for what polls."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.support.publishing import RecordingPublisher
from tests.support.rows import NOON, row
from tests.support.sentry import Sentry


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Capture the log of failures, which many tests are about."""
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
