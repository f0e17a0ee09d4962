"""What a real Prometheus makes of the counters, over an outage, a restart and late rows."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter.app import Exporter
from exporter.categories import Unit, unit_of
from exporter.config import Config
from exporter.simulator import DEMO_TOKENS, Row, Simulator, demo_world
from exporter.state import State
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.landing import Landing
from exporter.web.server import Server
from tests.exactness.acceleration import SetClock, configuration
from tests.programs import PATIENCE, find_program, running, wait_until

HOUR = 3600
START = 1_790_000_000 // HOUR * HOUR + 2400.0
SPEED = 90
"""So that the two minutes at 0 of a new counter last longer than a scrape interval."""

PROJECT = 4_505_123_000_000_002

QUERIES = (
    "{name: outcomes, groupBy: [category, outcome, reason], poll_interval: 5m}",
    "{name: projects, groupBy: [project, category, outcome, reason], poll_interval: 5m}",
)

COUNTERS = "sentry_stats_events_total"
LABELS = ("query", "category", "outcome", "reason", "project")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def exporting(config: Config, clock: SetClock, path: Path, port: int) -> Iterator[Exporter]:
    """Run an exporter with its loop and its page."""
    with closing(State(path)) as state:
        exporter = Exporter(config, clock=clock, state=state)
        for query in exporter.queries:
            while query.poll(clock()).next_poll <= clock():
                pass
        server = Server(
            make_app(exporter.page, exporter, Landing("exporter", "1", "A page.")),
            [bind(Address("127.0.0.1", port))],
        )
        threads = [threading.Thread(target=run) for run in (server.run, exporter.poller.run)]
        for thread in threads:
            thread.start()
        try:
            yield exporter
        finally:
            exporter.poller.stop()
            server.stop()
            for thread in threads:
                thread.join(PATIENCE)
            wait_until(exporter.poller.idle)


class Prometheus:
    """A Prometheus that answers queries."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """Return the value of each series of an instant vector, by its data labels."""
        answer = requests.get(
            f"{self.url}/api/v1/query", params={"query": expression}, timeout=PATIENCE
        ).json()
        return {
            tuple(one["metric"].get(label, "") for label in LABELS): float(one["value"][1])
            for one in answer["data"]["result"]
        }


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes ``target`` every second."""
    program = find_program("prometheus", "prometheus")
    port = free_port()
    configured = folder / "prometheus.yml"
    configured.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: sentry\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    command = [
        program,
        f"--config.file={configured}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, folder / "prometheus.log") as process:
        process.wait_ready(f"http://127.0.0.1:{port}/-/ready")
        yield Prometheus(f"http://127.0.0.1:{port}")


def on_page(port: int) -> dict[tuple[str, ...], float]:
    """Return the counters as they stand on the page."""
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
    return {
        tuple(sample.labels[label] for label in LABELS): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == COUNTERS
    }


def pass_until(clock: SetClock, moment: float) -> None:
    """Let time pass until ``clock`` shows ``moment``."""
    gone = threading.Event()
    while clock() < moment:
        gone.wait(0.05)


def stopped(exporter: Exporter, clock: SetClock) -> float:
    """Stop the clock, poll once more, and let every counter rise; return when that was."""
    end = clock.stop()
    wait_until(exporter.poller.idle)
    for query in exporter.queries:
        query.poll(end)
        query.heed(end + 130)
    return end


def counted(reader: Prometheus, port: int) -> dict[tuple[str, ...], float]:
    """Return the counters as Prometheus has them, once it has scraped what is on the page."""
    wait_until(lambda: reader.query(COUNTERS) == on_page(port))
    return reader.query(COUNTERS)


def gained(sentry: Simulator, end: float) -> dict[tuple[str, ...], int]:
    """Return what the store gained from the start to ``end``, in categories of events."""
    hours = int(START) - 24 * HOUR, int(end) + HOUR
    labels = ("category", "outcome", "reason")
    now, then = (sentry.store.totals(1, *hours, at=at, group_by=labels) for at in (end, START))
    gains = Counter({tuple(map(str, key)): value for key, value in now.items()})
    gains.subtract({tuple(map(str, key)): value for key, value in then.items()})
    return {key: value for key, value in (+gains).items() if unit_of(key[0]) is Unit.EVENTS}


def summed(gains: dict[tuple[str, ...], float], query: str) -> dict[tuple[str, ...], float]:
    """Return the gains of ``query``, its projects added together."""
    total: Counter[tuple[str, ...]] = Counter()
    for (of, *labels, _), gain in gains.items():
        if of == query:
            total[tuple(labels)] += int(gain)
    return dict(total)


@pytest.mark.programs
def test_differences_are_exact_and_increase_agrees(tmp_path: Path) -> None:
    """Over an outage, a restart and late rows, nothing is lost and nothing counted twice."""
    clock = SetClock(START)
    port = free_port()
    world = demo_world(START, seed=5)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, DEMO_TOKENS["acme"], "acme", QUERIES)
        path = tmp_path / "state"
        with prometheus(tmp_path, port) as reader:
            with exporting(config, clock, path, port):
                wait_until(lambda: bool(reader.query(COUNTERS)))
                before = reader.query(COUNTERS)
                clock.run(SPEED)
                pass_until(clock, START + 15 * 60)
                late = START - 5 * HOUR
                world.add_rows(
                    Row(1, PROJECT, "error", "accepted", None, late, 1000, written_at=clock()),
                    Row(
                        1, PROJECT, "replay", "invalid", "never-seen", late, 77, written_at=clock()
                    ),
                )
                pass_until(clock, START + 30 * 60)
                sentry.faults.down = True
                pass_until(clock, START + 45 * 60)
            sentry.faults.down = False
            with exporting(config, clock, path, port) as exporter:
                pass_until(clock, START + 65 * 60)
                end = stopped(exporter, clock)
                after = counted(reader, port)
                increases = reader.query(f"increase({COUNTERS}[5m])")
                lost = reader.query(f"resets({COUNTERS}[5m]) > 0")

        truth = gained(sentry, end)
    gains = {
        labels: value - before.get(labels, 0)
        for labels, value in after.items()
        if value != before.get(labels, 0)
    }
    assert truth == summed(gains, "outcomes")
    assert truth == summed(gains, "projects")
    assert {} == lost
    for labels, gain in gains.items():
        assert increases[labels] == pytest.approx(gain, rel=0.03, abs=1)


@pytest.mark.programs
def test_a_rename_and_a_take_over(tmp_path: Path) -> None:
    """What projects are called changes who gains, not how much; no counter is reset."""
    clock = SetClock(START)
    port = free_port()
    world = demo_world(START, seed=7)
    renamed, replaced, taking_over = (project.id for project in world.active_projects(1)[:3])
    slug = next(project.slug for project in world.active_projects(1) if project.id == replaced)
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, DEMO_TOKENS["acme"], "acme", QUERIES)
        with (
            prometheus(tmp_path, port) as reader,
            exporting(config, clock, tmp_path / "state", port) as exporter,
        ):
            wait_until(lambda: bool(reader.query(COUNTERS)))
            before = reader.query(COUNTERS)
            clock.run(SPEED)
            pass_until(clock, START + 20 * 60)
            world.rename_projects({renamed: "renamed", replaced: "replaced", taking_over: slug})
            # The list of projects is read once an hour.
            pass_until(clock, START + 80 * 60)
            end = stopped(exporter, clock)
            after = counted(reader, port)
            increases = reader.query(f"increase({COUNTERS}[5m])")
            lost = reader.query(f"resets({COUNTERS}[5m]) > 0")

        truth = gained(sentry, end)
    gains = {labels: value - before.get(labels, 0) for labels, value in after.items()}
    by_project = [increase for labels, increase in increases.items() if labels[0] == "projects"]
    grown = {labels[-1] for labels, gain in gains.items() if labels[0] == "projects" and gain}
    assert truth == {labels: gain for labels, gain in summed(gains, "projects").items() if gain}
    assert {"renamed", "replaced", slug} <= grown
    assert {} == lost
    assert sum(by_project) == pytest.approx(sum(truth.values()), rel=0.03)
