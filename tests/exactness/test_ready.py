"""Ready means that the next scrape has the data."""

import threading

import pytest
import requests

from exporter.app import Exporter
from exporter.simulator import SCALE_TOKEN, Simulator, scale_world
from tests.end_to_end.stage import serving
from tests.exactness.acceleration import SetClock, configuration
from tests.programs import PATIENCE, wait_until

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 600.0
PROJECTS, ROWS = 5_000, 20
QUERY = "{name: projects, groupBy: [project, category, outcome, reason], lookback: 1h}"


def is_ready(url: str) -> bool:
    """Ask the probe."""
    return requests.get(f"{url}/-/ready", timeout=PATIENCE).ok


def wait_until_ready(url: str) -> None:
    """Ask the probe again and again, for a few minutes at the most."""
    pause = threading.Event()
    for _ in range(3000):
        if is_ready(url):
            return
        pause.wait(0.05)
    pytest.fail("it never was ready")


def test_the_first_scrape_after_ready_has_every_series() -> None:
    """With 100,000 series, whose page takes a while, ready is not said before they are on it."""
    clock = SetClock(NOW)
    with Simulator(scale_world(PROJECTS, ROWS), clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, SCALE_TOKEN, "scale", [QUERY])
        exporter = Exporter(config, clock=clock)
        with serving(exporter) as url:
            before = is_ready(url)
            threading.Thread(target=exporter.poller.run, daemon=True).start()
            wait_until_ready(url)
            page = requests.get(f"{url}/metrics", timeout=PATIENCE).text
            exporter.poller.stop()
            wait_until(exporter.poller.idle)

    gauges = sum(line.startswith("sentry_stats_bucket_") for line in page.splitlines())
    assert not before
    # Besides the bucket's series, the gauges of when it began and ended.
    assert PROJECTS * ROWS + 2 == gauges
    assert 'sentry_stats_up{organization="scale",query="projects"} 1' in page
