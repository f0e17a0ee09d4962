"""A page of which one can see that it is of one publication: all of its values are the same."""

import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.web.app import make_app
from exporter.web.server import Server
from tests.publish.reports import report, series, view
from tests.reliability.clients.wire import Answer
from tests.support.programs import TIMEOUT
from tests.support.serving import FakeHealth, serving_app
from tests.support.statuses import healthy

_PAUSE: Final = 0.1
"""Seconds between two publications."""

_VALUES: Final = re.compile(
    rb"^sentry_stats_(?:bucket_|)events(?:_total|)\{.* (\S+)$", re.MULTILINE
)


class Publisher:
    """Publishes numbers, each of them as the value of all ``size`` series of a page."""

    def __init__(self, size: int) -> None:
        self.page = Page(SelfMetrics())
        self._size = size
        self._ended = threading.Event()
        self.publish(1)

    def publish(self, number: int) -> None:
        """Publish ``number``."""
        projects = range(1, self._size + 1)
        values = {series(project=project): number for project in projects}
        labels = ("", *(f"project-{project}" for project in projects))
        shown = view(
            bucket=values,
            counters=values,
            projects=dict(enumerate(labels[1:], start=1)),
            counter_labels=labels,
        )
        self.page.publish(report(view=shown, polls=number))

    def number_in(self, answer: Answer) -> int:
        """Return the number that a page has; raises AssertionError unless it is one publication."""
        assert 200 == answer.status
        assert int(answer.headers["content-length"]) == len(answer.body)
        is_gzip = answer.headers.get("content-encoding") == "gzip"
        text = gzip.decompress(answer.body) if is_gzip else answer.body
        values = _VALUES.findall(text)
        polls = re.findall(rb"^sentry_stats_polls_total\{.* (\S+)$", text, re.MULTILINE)
        assert text.endswith(b"\n")
        assert 2 * self._size == len(values), text[:200]
        assert 1 == len({float(value) for value in (*values, *polls)}), text[:200]
        return int(float(values[0]))

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Publish one number after the other during the block."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(TIMEOUT)

    def _run(self) -> None:
        number = 1
        while not self._ended.wait(_PAUSE):
            number += 1
            self.publish(number)


@contextmanager
def published(size: int) -> Iterator[tuple[Publisher, Server]]:
    """Serve a page of so many series, which is published again and again during the block."""
    publisher = Publisher(size)
    app = make_app(publisher.page, FakeHealth(), healthy)
    with serving_app(app) as server, publisher.publishing():
        yield publisher, server
