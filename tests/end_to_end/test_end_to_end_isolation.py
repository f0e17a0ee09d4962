"""What is wrong with one organization is no concern of another's."""

from collections.abc import Iterator

import pytest
import requests

from exporter.app import Exporter
from exporter.config import Config
from exporter.simulator import Fault, Simulator
from tests.end_to_end.exposition import Samples, data, read_text, sample
from tests.end_to_end.stage import (
    Clock,
    configuration,
    organization,
    page,
    serving,
    truths_about,
)
from tests.programs import PATIENCE, wait_until


@pytest.fixture
def timeout() -> str:
    """Wait for the organization that hangs until the test is long over."""
    return "5m"


@pytest.fixture
def config(sentry: Simulator, timeout: str) -> Config:
    """Configure an organization with a bad token, one whose Sentry hangs, and a healthy one."""
    sentry.faults.add(Fault("hang", organization="globex"))
    hanging = organization(slug="globex", timeout=timeout)
    return configuration(sentry.url, organization(slug="initech"), hanging, organization())


@pytest.fixture
def hung(sentry: Simulator, config: Config, clock: Clock) -> Iterator[Exporter]:
    """Return an exporter that has begun to poll, and that waits long for one organization."""
    exporter = Exporter(config, clock=clock)
    exporter.poller.tick(clock.now)
    wait_until(lambda: is_up(page(exporter), "acme") and hangs(sentry))
    yield exporter
    sentry.stop()


def hangs(sentry: Simulator) -> bool:
    """Tell whether the organization that hangs has been asked for."""
    return any("globex" in asked.path for asked in sentry.requests)


def told(samples: Samples, name: str, slug: str, **labels: str) -> float:
    """Return what the page says of an organization's query."""
    return samples[sample(f"sentry_stats_{name}", organization=slug, query="outcomes", **labels)]


def is_up(samples: Samples, slug: str) -> bool:
    """Tell whether an organization's last poll succeeded."""
    return told(samples, "up", slug) == 1


def is_right(sentry: Simulator, config: Config, now: float, samples: Samples) -> bool:
    """Tell whether the healthy organization's data are those of the store."""
    (truth,) = truths_about(sentry.world, config.organizations[-1])
    return truth.bucket(now) == data(samples, prefix="sentry_stats_bucket_")


def scrape(url: str) -> Samples:
    """Return what a scrape gets."""
    return read_text(requests.get(f"{url}/metrics", timeout=PATIENCE).text)


def test_a_scrape_does_not_wait_for_a_hang(
    sentry: Simulator, config: Config, clock: Clock, hung: Exporter
) -> None:
    """While one organization's poll is still out, the page has the others' right numbers."""
    with serving(hung) as url:
        samples = scrape(url)

    assert is_right(sentry, config, clock.now, samples)
    assert (0, 0) == (told(samples, "up", "globex"), told(samples, "polls_total", "globex"))


def test_a_hang_delays_no_other_poll(
    sentry: Simulator, config: Config, clock: Clock, hung: Exporter
) -> None:
    """An hour later the healthy organization is polled on time, though the hang is still on."""
    clock.now += 3600
    hung.poller.tick(clock.now)
    wait_until(lambda: told(page(hung), "last_success_timestamp_seconds", "acme") == clock.now)

    assert is_right(sentry, config, clock.now, page(hung))
    assert 0 == told(page(hung), "polls_total", "globex")


@pytest.mark.parametrize("timeout", ["1s"])
def test_each_failure_has_its_reason(sentry: Simulator, config: Config, clock: Clock) -> None:
    """Those that cannot be read are down with a reason, and have no data; the other is right."""
    exporter = Exporter(config, clock=clock)
    for query in exporter.queries:
        query.poll(clock.now)
    samples = page(exporter)

    assert [0, 0, 1] == [told(samples, "up", slug) for slug in ("initech", "globex", "acme")]
    assert 1 == told(samples, "poll_failures_total", "initech", reason="unauthorized")
    assert 1 == told(samples, "poll_failures_total", "globex", reason="timeout")
    assert is_right(sentry, config, clock.now, samples)


@pytest.mark.parametrize("timeout", ["1s"])
def test_the_exporter_is_ready_once_every_query_was_tried(config: Config, clock: Clock) -> None:
    """Ready means that every query has been tried, whatever came of it."""
    exporter = Exporter(config, clock=clock)
    *broken, healthy = exporter.queries
    for query in broken:
        query.poll(clock.now)

    assert not exporter.ready()
    healthy.poll(clock.now)
    assert exporter.ready()
