"""Content negotiation with a live server: formats, compression, and the same samples in all."""

import gzip
import http.client
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from exporter.app import Exporter
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Samples, read_openmetrics, read_text
from tests.end_to_end.stage import moment, page, polled
from tests.support.configuration import PROJECTS, configuration, organization
from tests.support.programs import TIMEOUT
from tests.support.serving import serving

NOW = moment("2026-05-04T10:12:00Z")
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
DRAFT = "application/openmetrics-text; version=0.0.1; charset=utf-8"

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)
PROMETHEUS_3_PROTOBUF = f"{PROTOBUF};q=0.7,{PROMETHEUS_3}"
"""With --enable-feature=created-timestamp-zero-ingestion or native histograms."""
OPENMETRICS_2 = (
    f"application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7,{PROMETHEUS_3}"
)
"""Of a scraper that prefers OpenMetrics 2.0, which the exporter does not have."""
VMAGENT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
HEADERS: dict[str | None, str] = {
    PROMETHEUS_2: OPENMETRICS,
    PROMETHEUS_3: OPENMETRICS,
    PROMETHEUS_3_PROTOBUF: OPENMETRICS,
    OPENMETRICS_2: OPENMETRICS,
    VMAGENT: TEXT,
    "application/openmetrics-text": OPENMETRICS,
    "application/openmetrics-text; version=1.0.0": OPENMETRICS,
    "application/openmetrics-text; version=0.0.1": DRAFT,
    "text/plain": TEXT,
    "text/plain;version=0.0.4": TEXT,
    "text/plain;q=0.4, application/openmetrics-text;q=0.5": OPENMETRICS,
    "text/plain;q=0.5, application/openmetrics-text;q=0.4": TEXT,
    "application/openmetrics-text;q=0, */*": TEXT,
    "*/*": TEXT,
    "text/html, */*;q=0.8": TEXT,
    None: TEXT,
    "": TEXT,
    "nonsense": TEXT,
    ";;q=,,/": TEXT,
    "image/png": TEXT,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the server."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def samples(self) -> Samples:
        """Return the samples, parsed in the format that the answer declares."""
        raw = self.body
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        is_text = self.headers["Content-Type"].startswith("text/plain")
        return (read_text if is_text else read_openmetrics)(raw.decode())


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """Return an exporter with data of every kind."""
    with Simulator(demo_world(NOW), clock=lambda: NOW, rate_limit=None) as sentry:
        often = {
            "poll_interval": "5m",
            "lookback": "1h",
            "field": ["sum(quantity)", "sum(times_seen)"],
        }
        entry = organization({**PROJECTS, **often, "groupBy": ["project", "category"]})
        exporter = Exporter(configuration(sentry.url, entry), clock=lambda: NOW)
        polled(exporter, NOW)
        yield exporter


@pytest.fixture(scope="module")
def server(exporter: Exporter) -> Iterator[str]:
    """Serve the exporter; the value is host and port."""
    with serving(exporter) as url:
        yield url.removeprefix("http://")


def get(server: str, method: str = "GET", **headers: str | None) -> Answer:
    """Send exactly ``headers``, without those that are None, and return the answer."""
    connection = http.client.HTTPConnection(server, timeout=TIMEOUT)
    sent = {name.replace("_", "-"): text for name, text in headers.items() if text is not None}
    try:
        connection.request(method, "/metrics", headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, zstd", "gzip;q=0", None])
@pytest.mark.parametrize("accept", HEADERS)
def test_a_scraper_gets_what_it_accepts(
    server: str, exporter: Exporter, accept: str | None, encoding: str | None
) -> None:
    """The answer has the accepted type and encoding, and all samples of the page."""
    answer = get(server, Accept=accept, Accept_Encoding=encoding)
    compressed = encoding in {"gzip", "gzip, zstd"}

    assert 200 == answer.status
    assert HEADERS[accept] == answer.headers["Content-Type"]
    assert compressed == (answer.headers.get("Content-Encoding") == "gzip")
    assert page(exporter) == answer.samples()


def test_both_formats_are_equal(server: str) -> None:
    """Text and OpenMetrics have the same names and values."""
    text, openmetrics = (get(server, Accept=accept) for accept in ("text/plain", PROMETHEUS_2))

    assert text.samples() == openmetrics.samples()
    assert openmetrics.body.endswith(b"# EOF\n")


def test_head(server: str) -> None:
    """A HEAD request gets the headers of the page, and no body."""
    answer = get(server, "HEAD")

    assert (200, TEXT, b"") == (answer.status, answer.headers["Content-Type"], answer.body)
    assert int(answer.headers["Content-Length"])


def test_reading_changes_nothing(server: str, exporter: Exporter) -> None:
    """Reading the page does not change a metric."""
    before = get(server).samples()

    assert before == get(server).samples() == page(exporter)
