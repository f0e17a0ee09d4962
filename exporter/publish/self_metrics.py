"""The exporter's metrics about itself and about Sentry's API, counted by prometheus_client."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from exporter import __version__
from exporter.publish import families
from exporter.publish.families import API_FAMILIES
from exporter.publish.family import Family, Key
from exporter.publish.text import label_set, line
from exporter.sentry.api import APIS
from exporter.sentry.errors import reasons
from exporter.shard import UNSHARDED, Shard

USUAL_CODES: Final = (200, 400, 401, 403, 404, 429, 500, 502, 503, 504)
"""HTTP statuses that are counted from 0: `increase()` does not see a counter's first value."""

M = TypeVar("M", bound=MetricWrapperBase)

_EXPORTER: Final[Key] = ()

_Block = tuple[Key, Family]
"""What a block of the page is about, and its family."""

# Otherwise each counter has a second series, `_created`.
prometheus_client.disable_created_metrics()


class SelfMetrics:
    """The numbers about the exporter itself, and a meter for each organization's requests."""

    def __init__(self, shard: Shard = UNSHARDED) -> None:
        build_info = _metric(Gauge, families.BUILD_INFO)
        build_info.labels(__version__, platform.python_version()).set(1)
        self._reload_successful = _metric(Gauge, families.RELOAD_SUCCESSFUL)
        self._reload_time = _metric(Gauge, families.RELOAD_TIME)
        ordinal = _metric(Gauge, families.SHARD_ORDINAL)
        ordinal.set(shard.ordinal)
        total = _metric(Gauge, families.TOTAL_SHARDS)
        total.set(shard.total)
        self._metrics: Mapping[Family, MetricWrapperBase] = {
            families.BUILD_INFO: build_info,
            families.RELOAD_SUCCESSFUL: self._reload_successful,
            families.RELOAD_TIME: self._reload_time,
            families.SHARD_ORDINAL: ordinal,
            families.TOTAL_SHARDS: total,
        }
        self._reload: tuple[int, float] = 0, 0.0
        self._meters: dict[str, ApiMeter] = {}
        self._changed: set[_Block] = set()
        self._mark(_EXPORTER, self._metrics)
        self._live = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._live)
        prometheus_client.PlatformCollector(registry=self._live)
        prometheus_client.GCCollector(registry=self._live)

    @property
    def configured(self) -> float:
        """When a valid configuration was last put in place."""
        return self._reload[1]

    @property
    def reload_successful(self) -> bool:
        """Whether the configuration that was read last could be used."""
        return bool(self._reload[0])

    def configuration_read(self, now: float) -> None:
        """Record that a valid configuration was put in place at ``now``."""
        self._record_reload(1, now)

    def configuration_refused(self) -> None:
        """Record that the configuration that was read last cannot be used."""
        self._record_reload(0, self._reload[1])

    def web_configuration(self, *, usable: bool) -> None:
        """Record whether the web configuration that was read last can be used."""
        metric = _metric(Gauge, families.WEB_RELOAD_SUCCESSFUL)
        metric.set(usable)
        # Another mapping: a drain may be reading this one.
        self._metrics = {**self._metrics, families.WEB_RELOAD_SUCCESSFUL: metric}
        self._mark(_EXPORTER, [families.WEB_RELOAD_SUCCESSFUL])

    def restorer(self) -> Callable[[], None]:
        """Return a function that restores the meters and what is recorded of reloads as of now."""
        meters, reload = dict(self._meters), self._reload

        def restore() -> None:
            changed = meters.keys() ^ self._meters.keys()
            self._meters = meters
            for organization in changed:
                self._mark((organization,), API_FAMILIES)
            self._record_reload(*reload)

        return restore

    def _record_reload(self, successful: int, succeeded_at: float) -> None:
        self._reload = successful, succeeded_at
        self._reload_successful.set(successful)
        self._reload_time.set(succeeded_at)
        self._mark(_EXPORTER, [families.RELOAD_SUCCESSFUL, families.RELOAD_TIME])

    def meter(self, organization: str) -> "ApiMeter":
        """Return the meter of ``organization``, which is made when it is first asked for."""
        if organization not in self._meters:
            self._meters[organization] = ApiMeter(organization, self._changed)
        return self._meters[organization]

    def drop(self, organization: str) -> None:
        """Forget the meter of ``organization``; the next publication takes its numbers away."""
        self._meters.pop(organization, None)
        self._mark((organization,), API_FAMILIES)

    def drain(self) -> Iterator[tuple[Key, Mapping[Family, bytes]]]:
        """Yield the lines of what has changed since the last drain, by key and family.

        Only one thread may do so at a time; others can count meanwhile. What fails comes again
        with the next drain.
        """
        # Copied: while hundreds of polls count, a drain until nothing is left would never end.
        for block in tuple(self._changed):
            # Before the number is read: what is counted meanwhile marks it anew.
            self._changed.discard(block)
            key, family = block
            try:
                yield key, {family: self._lines(key, family)}
            except BaseException:
                self._changed.add(block)
                raise

    def live(self, *, openmetrics: bool) -> bytes:
        """Return the families of the process, as they are now, and the end of the page."""
        if openmetrics:
            return bytes(openmetrics_exposition.generate_latest(self._live))
        return generate_latest(self._live)

    def _mark(self, key: Key, changed: Iterable[Family]) -> None:
        self._changed.update((key, family) for family in changed)

    def _lines(self, key: Key, family: Family) -> bytes:
        if key == _EXPORTER:
            return _lines(self._metrics[family])
        meter = self._meters.get(key[0])
        return b"" if meter is None else _lines(meter.metrics[family])


class ApiMeter:
    """Counts the requests of one organization, and adds to ``changed`` what that changes."""

    def __init__(self, organization: str, changed: set[_Block]) -> None:
        self._organization = organization
        self._changed = changed
        self._requests = _metric(Counter, families.API_REQUESTS)
        self._failures = _metric(Counter, families.API_FAILURES)
        self._duration = _metric(Histogram, families.API_DURATION)
        self._rate_limit = _metric(Gauge, families.API_RATE_LIMIT)
        self._remaining = _metric(Gauge, families.API_RATE_LIMIT_REMAINING)
        self._throttled = _metric(Counter, families.API_THROTTLED)
        self._deprecation = _metric(Gauge, families.API_DEPRECATION)
        self._clock_skew = _metric(Gauge, families.CLOCK_SKEW)
        self.metrics: Mapping[Family, MetricWrapperBase] = {
            families.API_REQUESTS: self._requests,
            families.API_FAILURES: self._failures,
            families.API_DURATION: self._duration,
            families.API_RATE_LIMIT: self._rate_limit,
            families.API_RATE_LIMIT_REMAINING: self._remaining,
            families.API_THROTTLED: self._throttled,
            families.API_DEPRECATION: self._deprecation,
            families.CLOCK_SKEW: self._clock_skew,
        }
        self._begin_at_0()
        self._mark(*self.metrics)

    def request(self, api: str, code: int, seconds: float) -> None:
        """Count a request that took ``seconds``; ``code`` is 0 if no status came."""
        if code:
            self._requests.labels(self._organization, api, str(code)).inc()
            self._mark(families.API_REQUESTS)
        self._duration.labels(self._organization).observe(seconds)
        self._mark(families.API_DURATION)

    def failure(self, api: str, reason: str) -> None:
        """Count a request that brought no usable answer."""
        self._failures.labels(self._organization, api, reason).inc()
        self._mark(families.API_FAILURES)

    def rate_limit(self, limit: int, remaining: int) -> None:
        """Record the limit and the remaining requests that the last answer named."""
        self._rate_limit.labels(self._organization).set(limit)
        self._remaining.labels(self._organization).set(remaining)
        self._mark(families.API_RATE_LIMIT, families.API_RATE_LIMIT_REMAINING)

    def throttled(self, seconds: float) -> None:
        """Count ``seconds`` of waiting that Sentry's rate limit required."""
        self._throttled.labels(self._organization).inc(seconds)
        self._mark(families.API_THROTTLED)

    def clock_skew(self, seconds: float) -> None:
        """Record by how much the server's clock is ahead of this host's."""
        self._clock_skew.labels(self._organization).set(seconds)
        self._mark(families.CLOCK_SKEW)

    def deprecation(self, api: str, moment: float | None) -> None:
        """Record when ``api`` will be removed; None if that is not, or no longer, announced."""
        if moment is not None:
            self._deprecation.labels(self._organization, api).set(moment)
        else:
            with suppress(KeyError):
                self._deprecation.remove(self._organization, api)
        self._mark(families.API_DEPRECATION)

    def _begin_at_0(self) -> None:
        self._duration.labels(self._organization)
        self._throttled.labels(self._organization)
        for api in APIS:
            for code in USUAL_CODES:
                self._requests.labels(self._organization, api, str(code))
            for reason in reasons():
                self._failures.labels(self._organization, api, reason)

    def _mark(self, *changed: Family) -> None:
        # Callers do this last: marked before the number changes, a drain in between would miss it.
        for family in changed:
            self._changed.add(((self._organization,), family))


def _metric(kind: type[M], family: Family) -> M:
    return kind(family.name, family.help, family.labels, unit=family.unit, registry=None)


def _lines(metric: MetricWrapperBase) -> bytes:
    samples = (sample for collected in metric.collect() for sample in collected.samples)
    return "".join(
        line(sample.name, label_set(sample.labels, sample.labels.values()), sample.value)
        for sample in samples
    ).encode()
