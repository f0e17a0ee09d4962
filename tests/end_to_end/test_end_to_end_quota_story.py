"""The scenario ``quota``, as the exporter tells it: from the first forecast to the next period."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import pytest

from exporter.app import Exporter
from exporter.simulator import Simulator, demo_world
from tests.end_to_end.exposition import Samples
from tests.end_to_end.stage import moment, polled
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization

DAY: Final = 86400
NOW: Final = moment("2026-03-20T12:00:00Z")
"""The start of the scenario, in a period from 28 February to 27 March."""
END: Final = moment("2026-03-28T00:00:00Z")


class Stage(NamedTuple):
    """What the exporter shows of acme at one time."""

    samples: Samples

    def value(self, name: str, **labels: str) -> float | None:
        """Return the only sample with these labels, ``None`` where there is none."""
        values = [
            value
            for (family, pairs), value in self.samples.items()
            if family == f"sentry_stats_{name}" and labels.items() <= dict(pairs).items()
        ]
        assert len(values) <= 1
        return next(iter(values), None)

    def days(self, name: str, **labels: str) -> float | None:
        """Return a timestamp as days from the scenario's start on."""
        value = self.value(f"{name}_timestamp_seconds", **labels)
        return None if value is None else (value - NOW) / DAY


@pytest.fixture(scope="module")
def story() -> Mapping[str, Stage]:
    """Return what the exporter shows at each stage."""
    clock = Clock(NOW)
    world = demo_world(NOW, projects=1, scenario="quota")
    moments = {
        "before": NOW - 7 * DAY,
        "paying": NOW - DAY / 2,
        "dropping": NOW + DAY,
        "last drop": NOW + 4 * DAY,
        "next period": END + 2 * DAY + 3600,
    }
    stages = {}
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        for name, now in moments.items():
            clock.now = now
            acme = organization(billing={"plan": "sentry"})
            exporter = Exporter(configuration(sentry.url, acme), clock=clock)
            stages[name] = Stage(polled(exporter, now))
    return stages


def test_the_plan_and_the_exporter_agree(story: Mapping[str, Stage]) -> None:
    """At every stage, what was used is the plan's own number."""
    assert {1.0} == {stage.value("plan_up") for stage in story.values()}
    assert {0.0} == {
        stage.value("quota_disagreement", quota=quota)
        for stage in story.values()
        for quota in ("errors", "spans", "logBytes", "attachments", "replays")
    }


def test_a_week_before_it_is_known_when_errors_exceed_their_volume(
    story: Mapping[str, Stage],
) -> None:
    """The forecast of five days later is right within half a day."""
    assert -2 == pytest.approx(
        story["before"].days("quota_exhaustion", quota="errors", pace="week"), abs=0.5
    )


def test_a_week_before_it_is_known_when_drops_begin(story: Mapping[str, Stage]) -> None:
    """The budget that all quotas share will be spent in seven days, within half a day."""
    assert 0 == pytest.approx(story["before"].days("budget_exhaustion", pace="week"), abs=0.5)


def test_while_the_budget_pays_it_is_known_to_the_hour(story: Mapping[str, Stage]) -> None:
    """Twelve hours before, the forecast has the hour."""
    paying = story["paying"]
    spent, budget = paying.value("budget_spent"), paying.value("budget")

    assert spent
    assert budget
    assert 0 < spent < budget
    assert 0 == pytest.approx(paying.days("budget_exhaustion", pace="week"), abs=2 / 24)


@pytest.mark.parametrize("stage", ["dropping", "last drop"])
def test_a_spent_budget_stays_spent(story: Mapping[str, Stage], stage: str) -> None:
    """Afterwards, the moment is the one at which it was spent, although nothing is expected."""
    spent, budget = story[stage].value("budget_spent"), story[stage].value("budget")

    assert budget == pytest.approx(spent, abs=0.03)
    assert 0 == pytest.approx(story[stage].days("budget_exhaustion", pace="week"), abs=2 / 24)


def test_logs_are_the_last_drop(story: Mapping[str, Stage]) -> None:
    """They still had volume when the budget was spent, and have none at the end."""
    before, after = (
        (story[stage].value("quota_used", quota="logBytes") or 0)
        / (story[stage].value("quota_limit", quota="logBytes") or 1)
        for stage in ("dropping", "last drop")
    )

    assert 0.9 < before < 0.98
    assert 1 == pytest.approx(after, abs=0.001)


def test_the_next_period_is_quiet(story: Mapping[str, Stage]) -> None:
    """Two days after its beginning, no quota is expected to run out, nor the budget."""
    stage = story["next period"]
    quotas = ("errors", "spans", "logBytes", "attachments", "replays")

    assert {None} == {stage.days("quota_exhaustion", quota=each, pace="week") for each in quotas}
    assert stage.days("budget_exhaustion", pace="week") is None
    assert all(
        (stage.value("quota_projected", quota=each, pace="week") or 0) > 0 for each in quotas
    )
