"""The page as Prometheus reads it: promtool checks it, and a server scrapes it."""

import subprocess
from collections.abc import Iterator

import pytest
import requests

from exporter.app import Exporter
from exporter.publish.families import DATA_FAMILIES
from exporter.simulator import Fault, Simulator, demo_world
from tests.end_to_end.exposition import Sample, Samples, sample
from tests.end_to_end.stage import moment, page, polled
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.programs import TIMEOUT, find_program, wait_until
from tests.support.prometheus import Prometheus, scraping
from tests.support.prometheus import prometheus as running
from tests.support.serving import serving

pytestmark = pytest.mark.programs

NOW = moment("2026-05-04T10:12:00Z")
TARGET_LABELS = {"instance", "job"}


def name_of(labels: dict[str, str]) -> Sample:
    """Return the key of a series, without the labels of the target."""
    series_labels = {name: text for name, text in labels.items() if name not in TARGET_LABELS}
    return sample(series_labels.pop("__name__"), **series_labels)


def stored(samples: Samples) -> Samples:
    """Return ``samples`` as Prometheus stores them: without empty labels."""
    return {
        (name, frozenset(label for label in labels if label[1])): value
        for (name, labels), value in samples.items()
    }


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """Return an exporter with data in all units, counters above 0, and a failure."""
    clock = Clock(NOW)
    with Simulator(demo_world(NOW, projects=2), clock=clock, rate_limit=None) as sentry:
        shape = {
            "field": ["sum(quantity)", "sum(times_seen)"],
            "poll_interval": "5m",
            "lookback": "2h",
        }
        entry = organization({**OUTCOMES, **shape}, {**PROJECTS, **shape})
        config = configuration(sentry.url, entry, organization(slug="globex"))
        exporter = Exporter(config, clock=clock)
        polled(exporter, clock.now)
        sentry.faults.add(Fault("status", status=503, organization="globex"))
        clock.now += 300
        for query in exporter.queries:
            query.poll(clock.now)
        yield exporter


@pytest.fixture(scope="module")
def server(exporter: Exporter) -> Iterator[str]:
    """Serve the exporter."""
    with serving(exporter) as url:
        yield url


@pytest.fixture(scope="module")
def prometheus(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the exporter every second, until the first scrape."""
    target = server.removeprefix("http://")
    folder = tmp_path_factory.mktemp("prometheus")
    with running(folder, configuration=scraping(target)) as started:
        wait_until(lambda: bool(started.instant("up")), started.program.output)
        yield started


def test_promtool_has_no_remarks(server: str) -> None:
    """The page passes promtool's check without a remark."""
    promtool = find_program("promtool", package="prometheus")
    answer = requests.get(f"{server}/metrics", timeout=TIMEOUT)
    finished = subprocess.run(  # noqa: S603 - Debian's own program
        [promtool, "check", "metrics"],
        input=answer.content,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (0, b"", b"") == (finished.returncode, finished.stdout, finished.stderr)


def test_the_target_is_up(prometheus: Prometheus) -> None:
    """A scrape succeeds."""
    assert {sample("up"): 1} == prometheus.values("up", name_of)


@pytest.mark.parametrize("name", [family.name for family in DATA_FAMILIES])
def test_prometheus_has_the_data(exporter: Exporter, prometheus: Prometheus, name: str) -> None:
    """Prometheus has exactly the series and values of each data family."""
    shown = {each: value for each, value in page(exporter).items() if each[0] == name}

    assert shown
    # On a busy machine, a scrape may fail now and then.
    wait_until(lambda: bool(prometheus.instant(name)), prometheus.program.output)
    assert stored(shown) == prometheus.values(name, name_of)


def test_prometheus_has_the_other_metrics(exporter: Exporter, prometheus: Prometheus) -> None:
    """Prometheus has the metrics about queries, projects and requests."""
    assert stored(page(exporter)) == prometheus.values('{__name__=~"sentry_stats_.+"}', name_of)
