"""Prometheus itself reads the page: promtool checks it, and a server scrapes it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
import yaml

from exporter.app import Exporter
from exporter.publish.families import DATA_FAMILIES
from exporter.simulator import Fault, Simulator, demo_world
from tests.end_to_end.exposition import Sample, Samples, sample
from tests.end_to_end.stage import (
    OUTCOMES,
    PROJECTS,
    Clock,
    configuration,
    moment,
    organization,
    page,
    polled,
    serving,
)
from tests.programs import PATIENCE, find_program, running, wait_until

pytestmark = pytest.mark.programs

NOW = moment("2026-05-04T10:12:00Z")
TARGET_LABELS = {"instance", "job"}


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def samples(self, query: str) -> Samples:
        """Return the samples that a query gives, without the labels of the target."""
        answer = requests.get(
            f"{self.url}/api/v1/query", params={"query": query}, timeout=PATIENCE
        ).json()
        assert "success" == answer["status"], answer
        return {_name(each["metric"]): float(each["value"][1]) for each in answer["data"]["result"]}

    def has_scraped(self) -> bool:
        """Tell whether a scrape has been stored."""
        return bool(self.samples("up"))


def _name(labels: dict[str, str]) -> Sample:
    kept = {name: text for name, text in labels.items() if name not in TARGET_LABELS}
    return sample(kept.pop("__name__"), **kept)


def stored(samples: Samples) -> Samples:
    """Return ``samples`` as Prometheus keeps them: to it an empty label is none."""
    return {
        (name, frozenset(label for label in labels if label[1])): value
        for (name, labels), value in samples.items()
    }


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """Return an exporter with data in all units, counters that moved, and a failure."""
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
    """Serve it."""
    with serving(exporter) as url:
        yield url


@pytest.fixture(scope="module")
def prometheus(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes it every second, until it has done so."""
    program = find_program("prometheus", package="prometheus")
    directory = tmp_path_factory.mktemp("prometheus")
    path = directory / "prometheus.yml"
    path.write_text(_prometheus_configuration(server), "utf-8")
    command = [
        program,
        f"--config.file={path}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command, directory / "prometheus.log") as process:
        prometheus = Prometheus("http://" + process.wait_for(r"Listening on.*address=(127\S+)"))
        process.wait_ready(f"{prometheus.url}/-/ready")
        wait_until(prometheus.has_scraped, process.output)
        yield prometheus


def _prometheus_configuration(server: str) -> str:
    targets = [server.removeprefix("http://")]
    job = {"job_name": "sentry-stats", "static_configs": [{"targets": targets}]}
    return yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})


def test_promtool_has_nothing_to_say(server: str) -> None:
    """The live page passes promtool's check without a remark."""
    promtool = find_program("promtool", package="prometheus")
    answer = requests.get(f"{server}/metrics", timeout=PATIENCE)
    finished = subprocess.run(  # noqa: S603 - Debian's own program
        [promtool, "check", "metrics"],
        input=answer.content,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (0, b"", b"") == (finished.returncode, finished.stdout, finished.stderr)


def test_prometheus_finds_the_target_up(prometheus: Prometheus) -> None:
    """A scrape succeeds."""
    assert {sample("up"): 1} == prometheus.samples("up")


@pytest.mark.parametrize("name", [family.name for family in DATA_FAMILIES])
def test_prometheus_has_what_the_page_shows(
    exporter: Exporter, prometheus: Prometheus, name: str
) -> None:
    """Each data family in Prometheus has the series and values of the page, and no others."""
    shown = {each: value for each, value in page(exporter).items() if each[0] == name}

    assert shown
    assert stored(shown) == prometheus.samples(name)


def test_prometheus_has_everything_else_too(exporter: Exporter, prometheus: Prometheus) -> None:
    """So it is with all that is told about queries, projects and requests."""
    assert stored(page(exporter)) == prometheus.samples('{__name__=~"sentry_stats_.+"}')
