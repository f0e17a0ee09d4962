"""Readiness: the next scrape has the data."""

import threading

import pytest
import requests

from exporter.app import Exporter
from exporter.simulator import SCALE_TOKEN, Simulator, scale_world
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS as BY_PROJECT
from tests.support.configuration import configuration, organization
from tests.support.programs import TIMEOUT, wait_until
from tests.support.serving import serving

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 600.0
PROJECTS, ROWS = 2_000, 20
QUERY = {**BY_PROJECT, "lookback": "1h"}


def is_ready(url: str) -> bool:
    """Return the answer of the readiness probe."""
    return requests.get(f"{url}/-/ready", timeout=TIMEOUT).ok


def wait_until_ready(url: str) -> None:
    """Repeat the readiness probe, for a few minutes at most."""
    pause = threading.Event()
    for _ in range(3000):
        if is_ready(url):
            return
        pause.wait(0.05)
    pytest.fail("it never was ready")


def test_the_first_scrape_after_ready_has_every_series() -> None:
    """The exporter is not ready before 40,000 series are on its page."""
    clock = Clock(NOW)
    with Simulator(scale_world(PROJECTS, ROWS), clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, organization(QUERY, slug="scale", token=SCALE_TOKEN))
        exporter = Exporter(config, clock=clock)
        with serving(exporter) as url:
            before = is_ready(url)
            threading.Thread(target=exporter.loop.run, daemon=True).start()
            wait_until_ready(url)
            page = requests.get(f"{url}/metrics", timeout=TIMEOUT).text
            exporter.loop.stop()
            wait_until(exporter.loop.idle)

    gauges = sum(line.startswith("sentry_stats_bucket_") for line in page.splitlines())
    assert not before
    # The series of the bucket, and the gauges of its start and end.
    assert PROJECTS * ROWS + 2 == gauges
    assert 'sentry_stats_up{organization="scale",query="projects"} 1' in page
