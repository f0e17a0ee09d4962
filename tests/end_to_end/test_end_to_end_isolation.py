"""Isolation: the failure of one organization does not affect the others."""

from collections.abc import Iterator
from functools import partial

import pytest
import requests

from exporter.app import Exporter
from exporter.config import Config
from exporter.simulator import DEMO_TOKENS, Fault, Simulator
from tests.end_to_end.exposition import Samples, data, read_text, sample
from tests.end_to_end.stage import page, truths_of
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization
from tests.support.programs import TIMEOUT, wait_until
from tests.support.serving import serving


@pytest.fixture
def timeout() -> str:
    """Return a timeout longer than the test."""
    return "5m"


@pytest.fixture
def config(sentry: Simulator, timeout: str) -> Config:
    """Configure an organization with a bad token, one whose Sentry hangs, and a healthy one."""
    sentry.faults.add(Fault("hang", organization="globex"))
    hanging = organization(slug="globex", timeout=timeout)
    return configuration(sentry.url, organization(slug="initech"), hanging, organization())


@pytest.fixture
def hung(sentry: Simulator, config: Config, clock: Clock) -> Iterator[Exporter]:
    """Return an exporter that is polling, and that is waiting for one organization."""
    exporter = Exporter(config, clock=clock)
    exporter.loop.tick(clock.now)
    wait_until(lambda: is_up(page(exporter), "acme") and hangs(sentry))
    yield exporter
    sentry.stop()


def hangs(sentry: Simulator) -> bool:
    """Return whether a request about the hanging organization has been received."""
    return any("globex" in request.path for request in sentry.requests)


def value_of(samples: Samples, name: str, slug: str, **labels: str) -> float:
    """Return the value of a sample about an organization's query."""
    return samples[sample(f"sentry_stats_{name}", organization=slug, query="outcomes", **labels)]


def is_up(samples: Samples, slug: str) -> bool:
    """Return whether an organization's last poll succeeded."""
    return value_of(samples, "up", slug) == 1


def is_right(sentry: Simulator, config: Config, now: float, samples: Samples) -> bool:
    """Return whether the healthy organization has the stored values."""
    (truth,) = truths_of(sentry.world, config.organizations[-1])
    return truth.bucket(now) == data(samples, prefix="sentry_stats_bucket_")


def scrape(url: str) -> Samples:
    """Return the samples of a scrape."""
    return read_text(requests.get(f"{url}/metrics", timeout=TIMEOUT).text)


def test_a_scrape_does_not_wait_for_a_hang(
    sentry: Simulator, config: Config, clock: Clock, hung: Exporter
) -> None:
    """While one organization's poll hangs, the page has the values of the others."""
    with serving(hung) as url:
        samples = scrape(url)

    assert is_right(sentry, config, clock.now, samples)
    assert (0, 0) == (value_of(samples, "up", "globex"), value_of(samples, "polls_total", "globex"))


def test_a_hang_delays_no_other_poll(
    sentry: Simulator, config: Config, clock: Clock, hung: Exporter
) -> None:
    """The healthy organization is polled on time, although the other poll hangs for an hour."""
    clock.now += 3600
    hung.loop.tick(clock.now)
    wait_until(lambda: value_of(page(hung), "last_success_timestamp_seconds", "acme") == clock.now)

    assert is_right(sentry, config, clock.now, page(hung))
    assert 0 == value_of(page(hung), "polls_total", "globex")


@pytest.mark.parametrize("timeout", ["1s"])
def test_each_failure_has_its_reason(sentry: Simulator, config: Config, clock: Clock) -> None:
    """Failing organizations are down with a reason and without data, the other one is up."""
    exporter = Exporter(config, clock=clock)
    for query in exporter.queries:
        query.poll(clock.now)
    samples = page(exporter)

    assert [0, 0, 1] == [value_of(samples, "up", slug) for slug in ("initech", "globex", "acme")]
    assert 1 == value_of(samples, "poll_failures_total", "initech", reason="unauthorized")
    assert 1 == value_of(samples, "poll_failures_total", "globex", reason="timeout")
    assert is_right(sentry, config, clock.now, samples)


@pytest.mark.parametrize("timeout", ["1s"])
def test_failed_polls_count_for_readiness(config: Config, clock: Clock) -> None:
    """The exporter is ready once each query has been polled, with or without success."""
    exporter = Exporter(config, clock=clock)
    *broken, healthy = exporter.queries
    for query in broken:
        query.poll(clock.now)

    assert exporter.why_not_ready()
    healthy.poll(clock.now)
    assert not exporter.why_not_ready()


def test_a_shared_token(sentry: Simulator, clock: Clock) -> None:
    """Who shares a token with an organization that hangs is polled on time, hour after hour."""
    sentry.faults.add(Fault("hang", organization="globex"))
    queries = [{"name": f"q{number}", "groupBy": ["outcome", "category"]} for number in range(9)]
    broken = organization(*queries, slug="globex", token=DEMO_TOKENS["acme"], timeout="5m")
    config = configuration(sentry.url, broken, organization())
    exporter = Exporter(config, clock=clock)

    seen = []
    for _ in range(3):
        exporter.loop.tick(clock.now)
        wait_until(partial(_was_polled, exporter, clock.now))
        seen.append(is_right(sentry, config, clock.now, page(exporter)))
        clock.now += 3600
    sentry.stop()

    assert [True] * 3 == seen


def _was_polled(exporter: Exporter, now: float) -> bool:
    return value_of(page(exporter), "last_success_timestamp_seconds", "acme") == now
