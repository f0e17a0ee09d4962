"""Proxies of the environment."""

import pytest

from exporter.app import Exporter
from exporter.simulator import Simulator
from tests.end_to_end.exposition import sample
from tests.end_to_end.stage import polled
from tests.support.clock import Clock
from tests.support.configuration import configuration


def test_no_proxy_for_this_host(
    clock: Clock, sentry: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on this host is requested directly, although the environment names a proxy."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    exporter = Exporter(configuration(sentry.url), clock=clock)

    samples = polled(exporter, clock.now)

    assert 1 == samples[sample("sentry_stats_up", organization="acme", query="outcomes")]
