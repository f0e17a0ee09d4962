"""A daemon on a host that fails, whose Sentry does not: what it has counted, and what it should."""

import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import requests

from exporter.config import loads
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Samples, data, read_text
from tests.end_to_end.stage import moment, truths
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, document, organization
from tests.support.programs import TIMEOUT, running, wait_until

NOW: Final = moment("2026-06-10T12:07:00Z")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
PATIENT: Final = 30.0
"""Seconds until what is counted must have been shown."""

STEP: Final = 5 * MINUTE
"""Seconds between two polls."""

QUERIES: Final = tuple({**one, "poll_interval": "5m"} for one in (OUTCOMES, PROJECTS))


@dataclass
class Host:
    """A daemon with a state file in ``folder``; its host's clock is wrong by ``wrong`` seconds."""

    folder: Path
    sentry: Simulator
    clock: Clock
    state: Path
    wrong: float = 0.0
    starts: int = 0
    counters: Samples = field(default_factory=dict)
    decreases: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write_configuration()
        self.set_clock()

    def limit(self, what: int, soft: int | None) -> None:
        """Limit a resource of the daemon, or lift the limit."""
        _, hard = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (hard if soft is None else soft, hard))

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self.program.process.pid

    def write_configuration(self) -> None:
        """Write the configuration file."""
        self.text = document(self.sentry.url, organization(*QUERIES))
        self.folder.joinpath("config.yaml").write_text(self.text, "utf-8")

    def set_clock(self) -> None:
        """Show the daemon the time of its host."""
        new = self.folder / "clock.new"
        new.write_text(repr(self.clock.now + self.wrong), "ascii")
        new.replace(self.folder / "clock")

    def command(self) -> Sequence[str]:
        """Return the command line of the daemon."""
        module = (sys.executable, "-m", "tests.reliability.host.program", str(self.folder))
        flags = ("--config.file", str(self.folder / "config.yaml"), "--state.path", str(self.state))
        return (*module, "serve", *flags, "--web.listen-address", "127.0.0.1:0")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the daemon during the block, if it is not ended before."""
        self.starts += 1
        with running(self.command(), self.folder / f"log-{self.starts}") as self.program:
            address = self.program.wait_for(r"event=listening .*address=(\S+)")
            self.url = f"http://{address}"
            self.program.wait_ready(f"{self.url}/-/ready")
            yield

    def page(self) -> Samples:
        """Return the page, and note the counters that have decreased since they were last shown."""
        answer = requests.get(f"{self.url}/metrics", timeout=TIMEOUT)
        assert 200 == answer.status_code
        page = read_text(answer.text)
        counters = {each: v for each, v in page.items() if each[0].endswith("_events_total")}
        self.decreases += [
            f"{each} from {self.counters[each]} to {value}"
            for each, value in counters.items()
            if value < self.counters.get(each, 0)
        ]
        # Data that seem too old are withdrawn for a while: they must not come back smaller.
        self.counters |= counters
        return page

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of the page with a name and labels."""
        wanted = labels.items()
        return sum(
            value
            for each, value in self.page().items()
            if each[0] == name and wanted <= set(each[1])
        )

    def polls(self) -> float:
        """Return how often was polled."""
        return self.value("sentry_stats_polls_total")

    def go_on(self, steps: int = 1) -> None:
        """Let time go by, and wait for the polls of each step."""
        for _ in range(steps):
            expected = self.polls() + len(QUERIES)
            self.pass_time(STEP)
            wait_until(partial(self._has_polled, expected), self.program.output)

    def flow(self) -> None:
        """Let time go by until each query was polled again: not by how many seconds is certain."""
        expected = self.polls() + len(QUERIES)

        def has_polled() -> bool:
            self.pass_time(MINUTE)
            return self._has_polled(expected)

        wait_until(has_polled, self.program.output)

    def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.now += seconds
        self.set_clock()

    def end(self, *numbers: signal.Signals) -> int:
        """Send signals, and return the status of the process."""
        for number in numbers:
            os.kill(self.pid, number)
        return self.program.process.wait(TIMEOUT)

    def differences(self) -> str:
        """Return how counters differ from what they have to be, after their grace periods."""
        # A poll that began before may end in the first step, and one of the next may still fail.
        successes = 0
        while successes < 2:
            self.go_on()
            is_up = self.value("sentry_stats_up") == len(QUERIES)
            successes = successes + 1 if is_up else 0
        # One that reads a backlog would be answered later than when it has begun.
        wait_until(self.is_idle, self.program.output)
        self.pass_time(2 * MINUTE + 1)
        wait_until(self._is_true, self._compared, PATIENT)
        return "; ".join(self.decreases)

    def truth(self, seconds: float = 0) -> dict[str, float]:
        """Return what the counters have to have gained by the last poll, by query.

        With ``seconds``, what they would have to have gained so much later.
        """
        return {
            truth.query.name: _sum(
                truth.gains(
                    NOW - DAY - NOW % HOUR,
                    since=NOW,
                    until=seconds
                    + self.value(
                        "sentry_stats_last_success_timestamp_seconds", query=truth.query.name
                    ),
                )
            )
            for truth in truths(self.sentry.world, loads(self.text))
        }

    def log(self) -> str:
        """Return the lines of all starts."""
        return "".join(
            path.read_text("utf-8", errors="replace") for path in self.folder.glob("log-*")
        )

    def _has_polled(self, polls: float) -> bool:
        return self.polls() >= polls

    def is_idle(self) -> bool:
        """Return whether no poll is due, or goes on."""
        name = "sentry_stats_next_poll_timestamp_seconds"
        due = [value for each, value in self.page().items() if each[0] == name]
        return min(due) > self.clock.now + self.wrong

    def _is_true(self) -> bool:
        """Return whether counters have what Sentry had when it was read, to two seconds.

        A date has whole seconds, so by dates the clock of Sentry is not known better.
        """
        least, most, sums = self.truth(-2), self.truth(2), self._sums()
        return all(least[query] <= value <= most[query] for query, value in sums.items())

    def _compared(self) -> str:
        return f"{self._sums()} instead of {self.truth()}\n{self.program.output()[-3000:]}"

    def _sums(self) -> dict[str, float]:
        shown = data(self.page())
        return {
            name: _sum({each: v for each, v in shown.items() if ("query", name) in each[1]})
            for name in ("outcomes", "projects")
        }


def _sum(samples: Samples) -> float:
    return sum(value for each, value in samples.items() if each[0].endswith("_events_total"))


@contextmanager
def hosted(folder: Path, state: Path | None = None) -> Iterator[Host]:
    """Give a host with a running daemon, after its first polls, which counters count from."""
    clock = Clock(NOW)
    with ExitStack() as stack:
        world = demo_world(NOW, projects=2)
        sentry = stack.enter_context(Simulator(world, clock=clock, rate_limit=None))
        host = Host(folder, sentry, clock, state or folder / "state")
        stack.enter_context(host.serving())
        # Late events of a past bucket count once its projects have been read.
        wait_until(host.is_idle, host.program.output)
        yield host
