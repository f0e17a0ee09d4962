"""Proxies that the environment names."""

import pytest

from exporter.app import Exporter
from exporter.simulator import Simulator
from tests.end_to_end.exposition import sample
from tests.end_to_end.stage import Clock, configuration, polled


def test_this_host_is_asked_directly(
    clock: Clock, sentry: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy for the world outside does not get what is meant for a server on this host."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    exporter = Exporter(configuration(sentry.url), clock=clock)

    samples = polled(exporter, clock.now)

    assert 1 == samples[sample("sentry_stats_up", organization="acme", query="outcomes")]
