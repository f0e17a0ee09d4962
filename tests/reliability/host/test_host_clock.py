"""A host's clock that is wrong: Sentry's own decides what is finished, and what is counted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.app import Exporter
from exporter.config import Config
from exporter.simulator import Simulator, World, demo_world
from exporter.state import State
from tests.end_to_end.exposition import Samples, data
from tests.end_to_end.stage import moment, page, truths
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, Entry, configuration, organization
from tests.support.exporters import poll_due

NOW = moment("2026-06-10T12:07:00Z")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
QUERIES = pytest.mark.parametrize("query", [OUTCOMES, PROJECTS], ids=["outcomes", "projects"])
WRONG = pytest.mark.parametrize(
    "wrong",
    [-3 * DAY, -20 * HOUR, 10 * MINUTE, 20 * HOUR, 40 * DAY],
    ids=lambda seconds: f"{seconds / HOUR:+.1f}h",
)


@dataclass
class Stage:
    """An exporter on a host whose clock is wrong by ``wrong`` seconds, with a state file."""

    sentry: Simulator
    clock: Clock
    config: Config
    path: Path
    wrong: float = 0.0
    started: list[Exporter] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def exporter(self) -> Exporter:
        """The exporter that runs."""
        return self.started[-1]

    def now(self) -> float:
        """Return what the host's clock shows."""
        return self.clock.now + self.wrong

    def restart(self) -> None:
        """Start, or start again with the same state file."""
        for state in self.states:
            state.close()
        self.states = [State(self.path)]
        self.started.append(Exporter(self.config, clock=self.now, state=self.states[0]))
        self.poll()

    def poll(self) -> None:
        """Poll what is due by the host's clock."""
        poll_due(self.exporter, self.now())

    def go_on(self, hours: float) -> None:
        """Let so many hours pass, and poll every five minutes."""
        for _ in range(int(hours * 12)):
            self.clock.now += 5 * MINUTE
            self.poll()

    def counted(self) -> float:
        """Return the sum of all counters after their grace periods."""
        self.clock.now += 2 * MINUTE
        self.poll()
        shown = data(page(self.exporter))
        return sum(value for each, value in shown.items() if each[0].endswith("_events_total"))

    def true_gain(self) -> float:
        """Return what the store has gained since the first poll, in the buckets since then."""
        (truth,) = truths(self.sentry.world, self.config)
        gains = truth.gains(NOW - DAY - NOW % HOUR, since=NOW, until=self.clock.now)
        return sum(value for each, value in gains.items() if each[0].endswith("_events_total"))

    def finished(self) -> tuple[Samples, Samples]:
        """Return the finished bucket as it is, and as it is shown."""
        (truth,) = truths(self.sentry.world, self.config)
        shown = data(page(self.exporter), prefix="sentry_stats_bucket_")
        return truth.bucket(self.clock.now), shown


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Callable[[Entry, float], Stage]]:
    """Return a function that makes the first poll of a query, by a clock that may be wrong."""
    clock = Clock(NOW)
    stages: list[Stage] = []

    def begin(query: Entry, wrong: float) -> Stage:
        """Return an exporter after its first poll."""
        config = configuration(sentry.url, organization({**query, "poll_interval": "5m"}))
        stages.append(Stage(sentry, clock, config, tmp_path / "state", wrong))
        stages[0].restart()
        return stages[0]

    with Simulator(_world(), clock=clock, rate_limit=None) as sentry:
        yield begin


def _world() -> World:
    return demo_world(NOW, projects=2)


@WRONG
def test_finished(
    begun: Callable[[Entry, float], Stage], tried: Callable[[str, int], None], wrong: float
) -> None:
    """From the first poll on, the bucket that is shown is the last that has ended in Sentry."""
    stage = begun(OUTCOMES, wrong)
    pairs = [stage.finished()]
    stage.go_on(1)
    pairs.append(stage.finished())

    assert [truth for truth, _ in pairs] == [shown for _, shown in pairs]
    tried("faults of the host", 1)


def at_first(stage: Stage, wrong: float) -> None:
    """Start with a wrong clock, which is then set right."""
    stage.go_on(2)
    stage.wrong = 0.0
    stage.go_on(2)


def meanwhile(stage: Stage, wrong: float) -> None:
    """Set the clock to a wrong time for two hours."""
    stage.go_on(1)
    stage.wrong = wrong
    stage.go_on(2)
    stage.wrong = 0.0
    stage.go_on(2)


def restarted(stage: Stage, wrong: float) -> None:
    """Restart with a wrong clock, and again with a right one."""
    stage.go_on(1)
    stage.wrong = wrong
    stage.restart()
    stage.go_on(1)
    stage.wrong = 0.0
    stage.restart()
    stage.go_on(1)


@QUERIES
@WRONG
@pytest.mark.parametrize("story", [at_first, meanwhile, restarted])
def test_counted(
    begun: Callable[[Entry, float], Stage],
    tried: Callable[[str, int], None],
    query: Entry,
    wrong: float,
    story: Callable[[Stage, float], None],
) -> None:
    """However wrong the clock is and was, counters gain what Sentry's numbers do."""
    stage = begun(query, wrong if story is at_first else 0.0)

    story(stage, wrong)

    assert stage.true_gain() == stage.counted()
    tried("faults of the host", 1)
