"""The other side: the same series in metrics of prometheus_client, served by its own server.

Imports nothing of the exporter, which changes the settings of prometheus_client.
"""

import gc

from prometheus_client import Counter, Gauge, start_http_server

from bench.processes import Channel, resident
from bench.samples import FAMILY, LABELS, samples


def serve(parent: Channel, series: int) -> None:
    """Serve a gauge with so many series, send the port, and wait for the end."""
    fill_gauge(series)
    server, _ = start_http_server(0, addr="127.0.0.1")
    parent.send(server.server_port)
    parent.poll(None)


def grow(parent: Channel, series: int) -> None:
    """Send the bytes of memory that a gauge and a counter with so many series take."""
    before = resident()
    fill_gauge(series)
    counter = Counter("sentry_stats_events_total", "Everything seen.", LABELS)
    for sample in samples(series):
        counter.labels(*sample.labels()).inc(sample.value)
    gc.collect()
    parent.send(resident() - before)


def fill_gauge(series: int) -> None:
    """Put so many series into a gauge of the default registry."""
    gauge = Gauge(FAMILY, "The latest finished bucket.", LABELS)
    for sample in samples(series):
        gauge.labels(*sample.labels()).set(sample.value)
