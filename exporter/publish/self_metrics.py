"""The exporter's metrics about itself and about Sentry's API, kept by prometheus_client."""

import platform
from contextlib import suppress
from typing import Final, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from exporter import __version__
from exporter.publish import families
from exporter.publish.families import Family
from exporter.sentry.client import APIS
from exporter.sentry.errors import reasons
from exporter.shard import WHOLE, Shard

_EOF = b"# EOF\n"

USUAL_CODES: Final = (200, 400, 401, 403, 404, 429, 500, 502, 503, 504)
"""HTTP statuses that are counted from 0 on: `increase()` does not see a counter's first value."""

M = TypeVar("M", bound=MetricWrapperBase)

prometheus_client.disable_created_metrics()


def _metric(kind: type[M], family: Family, registry: CollectorRegistry) -> M:
    return kind(family.name, family.help, family.labels, unit=family.unit, registry=registry)


class OwnMetrics:
    """What is known of the exporter itself and of its requests."""

    def __init__(self, shard: Shard = WHOLE) -> None:
        self._registry = registry = CollectorRegistry()
        self._live = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._live)
        prometheus_client.PlatformCollector(registry=self._live)
        prometheus_client.GCCollector(registry=self._live)
        self.requests = _metric(Counter, families.API_REQUESTS, registry)
        self.failures = _metric(Counter, families.API_FAILURES, registry)
        self.duration = _metric(Histogram, families.API_DURATION, registry)
        self.rate_limit = _metric(Gauge, families.API_RATE_LIMIT, registry)
        self.rate_limit_remaining = _metric(Gauge, families.API_RATE_LIMIT_REMAINING, registry)
        self.throttled = _metric(Counter, families.API_THROTTLED, registry)
        self.deprecation = _metric(Gauge, families.API_DEPRECATION, registry)
        self.clock_skew = _metric(Gauge, families.CLOCK_SKEW, registry)
        self._build_info = _metric(Gauge, families.BUILD_INFO, registry)
        self._build_info.labels(__version__, platform.python_version()).set(1)
        self._reload_successful = _metric(Gauge, families.RELOAD_SUCCESSFUL, registry)
        self._reload_time = _metric(Gauge, families.RELOAD_TIME, registry)
        _metric(Gauge, families.SHARD_ORDINAL, registry).set(shard.ordinal)
        _metric(Gauge, families.TOTAL_SHARDS, registry).set(shard.total)

    def configuration_read(self, now: float) -> None:
        """Note that a good configuration was read at ``now``."""
        self._reload_successful.set(1)
        self._reload_time.set(now)

    def meter(self, organization: str) -> "ApiMeter":
        """Return what counts the requests for ``organization``."""
        return ApiMeter(self, organization)

    def settled(self, *, openmetrics: bool) -> bytes:
        """Return the families that move with the polls."""
        return _render(self._registry, openmetrics=openmetrics)

    def live(self, *, openmetrics: bool) -> bytes:
        """Return the families of the process, as they are now, and the end of the page."""
        return _render(self._live, openmetrics=openmetrics) + (_EOF if openmetrics else b"")


class ApiMeter:
    """Counts what the client of one organization does."""

    def __init__(self, own: OwnMetrics, organization: str) -> None:
        self._own = own
        self._organization = organization
        own.duration.labels(organization)
        own.throttled.labels(organization)
        for api in APIS:
            for code in USUAL_CODES:
                own.requests.labels(organization, api, str(code))
            for reason in reasons():
                own.failures.labels(organization, api, reason)

    def request(self, api: str, code: int, seconds: float) -> None:
        """Count a request that took ``seconds``; ``code`` is 0 if no status came."""
        if code:
            self._own.requests.labels(self._organization, api, str(code)).inc()
        self._own.duration.labels(self._organization).observe(seconds)

    def failure(self, api: str, reason: str) -> None:
        """Count a request that brought no usable answer."""
        self._own.failures.labels(self._organization, api, reason).inc()

    def rate_limit(self, limit: int, remaining: int) -> None:
        """Note what the last answer said of the limit."""
        self._own.rate_limit.labels(self._organization).set(limit)
        self._own.rate_limit_remaining.labels(self._organization).set(remaining)

    def throttled(self, seconds: float) -> None:
        """Count ``seconds`` of waiting because Sentry said so."""
        self._own.throttled.labels(self._organization).inc(seconds)

    def clock_skew(self, seconds: float) -> None:
        """Note by how much the server's clock is ahead of this host's."""
        self._own.clock_skew.labels(self._organization).set(seconds)

    def deprecation(self, api: str, moment: float | None) -> None:
        """Note when ``api`` is to go away; None if that is not announced, or not any more."""
        if moment is not None:
            self._own.deprecation.labels(self._organization, api).set(moment)
            return
        with suppress(KeyError):
            self._own.deprecation.remove(self._organization, api)


def _render(registry: CollectorRegistry, *, openmetrics: bool) -> bytes:
    if openmetrics:
        return bytes(openmetrics_exposition.generate_latest(registry)).removesuffix(_EOF)
    return generate_latest(registry)
