"""Hundreds of reloads, under scrapes and polls."""

import gc
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
import requests

from exporter.app import Exporter
from exporter.collect.poll import PollerState, QueryPoller
from exporter.config import parsed
from exporter.publish.families import DATA_FAMILIES
from exporter.reload import ConfigFile, Reloader
from exporter.sentry.client import SentryClient
from exporter.simulator import Simulator
from exporter.state import State
from tests.end_to_end.exposition import Samples, lines_of, read_text
from tests.end_to_end.stage import COMMAND, clock_for_commands, page
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, document, organization
from tests.support.exporters import poll_all, unpaced
from tests.support.programs import TIMEOUT, Program, running, wait_until
from tests.support.serving import serving

pytestmark = pytest.mark.slow

RELOADS: Final = 200
WARM: Final = 60
"""Reloads after which nothing may grow any more."""

MINUTE: Final = 60
SHORT: Final = {**OUTCOMES, "poll_interval": "1m", "lookback": "2h"}
BY_PROJECT: Final = {**PROJECTS, "poll_interval": "1m", "lookback": "2h"}
CHANGED: Final = {**BY_PROJECT, "poll_interval": "2m"}

FIRST: Final = (organization(SHORT, BY_PROJECT), organization(SHORT, slug="globex"))
SECOND: Final = (organization(SHORT, CHANGED, timeout="7s", max_concurrency=2),)
"""Two configurations: one query stays the same, one changes, one organization comes and goes."""

COUNTERS: Final = tuple(one.name for one in DATA_FAMILIES if one.name.endswith("_total"))
COUNTED: Final = (QueryPoller, PollerState, SentryClient, requests.Session)


class Scraper:
    """Scrapes again and again, and collects what was wrong."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.scrapes = 0
        self.wrong: list[str] = []
        self._counters: Samples = {}
        self._ended = threading.Event()

    @contextmanager
    def scraping(self) -> Iterator[None]:
        """Scrape during the block."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(TIMEOUT)

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._ended.wait(0.02):
                answer = session.get(f"{self._url}/metrics", timeout=TIMEOUT)
                self.scrapes += 1
                if answer.status_code != requests.codes.ok:
                    self.wrong.append(f"status {answer.status_code}")
                self._check(read_text(lines_of(answer.text, *COUNTERS)))

    def _check(self, samples: Samples) -> None:
        """Note counters that fall, and a query that is in both configurations but not here."""
        counters = {
            each: value
            for each, value in samples.items()
            if {("organization", "acme"), ("query", "outcomes")} <= each[1]
        }
        self.wrong += [
            f"{each} fell from {value} to {counters.get(each)}"
            for each, value in self._counters.items()
            if counters.get(each, -1) < value
        ]
        self._counters = counters


def totals(exporter: Exporter) -> Counter[tuple[str, str, str]]:
    """Return the sums of the counters of events, by organization, query and category."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for (name, labels), value in page(exporter).items():
        if name == "sentry_stats_events_total":
            named = dict(labels)
            sums[named["organization"], named["query"], named["category"]] += int(value)
    return sums


def objects() -> Counter[str]:
    """Return how many objects of each of some classes exist."""
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, COUNTED))


def sockets() -> int:
    """Return how many sockets this process has."""
    links = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(link).partition(":")[0].endswith("socket") for link in links)


def finished(exporter: Exporter, clock: Clock) -> Counter[tuple[str, str, str]]:
    """Poll, let all grace periods end, and return the totals."""
    poll_all(exporter, clock.now)
    for query in exporter.queries:
        query.refresh(clock.now + 10 * MINUTE)
    return totals(exporter)


def test_counters(
    sentry: Simulator, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event is lost or counted twice, and nothing of old configurations stays in memory."""
    monkeypatch.setattr("exporter.reload.parsed", lambda *file: unpaced(parsed(*file)))
    path = tmp_path / "config.yaml"

    def write(number: int) -> bytes:
        path.write_text(document(sentry.url, *(SECOND if number % 2 else FIRST)), "utf-8")
        return path.read_bytes()

    content = write(0)
    first = unpaced(parsed(content, path))
    untouched = Exporter(first, clock=clock)
    poll_all(untouched, clock.now)
    with closing(State(tmp_path / "state")) as state:
        exporter = Exporter(first, clock=clock, state=state)
        poll_all(exporter, clock.now)
        reloader = Reloader(exporter, ConfigFile(path, content))
        reloader.start()
        with serving(exporter) as url, (scraper := Scraper(url)).scraping():
            for number in range(1, RELOADS + 1):
                write(number)
                # All of it within an hour: late events reach the same buckets in both exporters.
                clock.now += MINUTE / 4
                reloading = reloader.request()
                exporter.loop.tick(clock.now)
                assert () == reloading.result(TIMEOUT)[0]
                exporter.loop.tick(clock.now)
                if number == WARM:
                    wait_until(exporter.loop.idle)
                    before = objects()
            wait_until(exporter.loop.idle)
            after = objects()
        reloader.stop(TIMEOUT)
        clock.now += 5 * MINUTE
        actual = finished(exporter, clock)
    expected = finished(untouched, clock)

    assert [] == scraper.wrong
    assert scraper.scrapes > RELOADS / 10
    assert before == after
    assert expected == actual
    assert min(expected.values()) >= 0 < sum(expected.values())


def test_connections(sentry: Simulator, clock: Clock) -> None:
    """Connections that no client uses any more are closed, whatever still refers to them."""
    first, second = (
        configuration(sentry.url, organization(BY_PROJECT, max_concurrency=number))
        for number in (3, 4)
    )
    exporter = Exporter(first, clock=clock)
    poll_all(exporter, clock.now)
    before, held = sockets(), []
    for config in (second, first) * 10:
        held.append(exporter.queries)
        exporter.apply(config)
        poll_all(exporter, clock.now)
    # Both ends of a connection, and the last polls may have opened some more.
    wait_until(lambda: sockets() <= before + 2 * 4)

    assert 20 == len(held)


class Process:
    """What a process uses."""

    def __init__(self, program: Program) -> None:
        self._folder = Path("/proc") / str(program.process.pid)

    def descriptors(self) -> int:
        """Return how many descriptors are open, sockets included."""
        return len(os.listdir(self._folder / "fd"))  # noqa: PTH208

    def threads(self) -> int:
        """Return how many threads there are."""
        return len(os.listdir(self._folder / "task"))  # noqa: PTH208

    def memory(self) -> int:
        """Return the resident memory in KiB."""
        status = (self._folder / "status").read_text("utf-8")
        return int(status.partition("VmRSS:")[2].split()[0])


class TestProcess:
    """A running daemon."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock that fits the host's clock, which commands read."""
        return clock_for_commands()

    def test_resources(self, configured: Callable[..., Path], tmp_path: Path) -> None:
        """No scrape fails, and the process does not grow."""
        path = configured(*FIRST)
        flags = ("--state.path", str(tmp_path / "state"), "--web.listen-address", "127.0.0.1:0")
        command = [*COMMAND, "serve", "--config.file", str(path), *flags]
        with running(command, tmp_path / "serve.log") as program:
            url = f"http://{program.wait_for('event=listening .*address=([^ ]+)')}"
            program.wait_ready(f"{url}/-/ready")
            process = Process(program)
            with (scraper := Scraper(url)).scraping(), requests.Session() as session:
                for number in range(1, RELOADS + 1):
                    configured(*(SECOND if number % 2 else FIRST))
                    answer = session.post(f"{url}/-/reload", timeout=TIMEOUT)
                    assert 200 == answer.status_code, answer.text
                    if number == WARM:
                        before = process.descriptors(), process.threads(), process.memory()
            wait_until(lambda: process.threads() <= before[1], program.output)
            # Connections to Sentry stay open, up to four for each of two tokens.
            wait_until(lambda: process.descriptors() <= before[0] + 8, program.output)

            assert [] == scraper.wrong
            assert scraper.scrapes > RELOADS / 10
            assert process.memory() - before[2] < 8 << 10
