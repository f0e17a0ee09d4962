"""The back-test of forecasts, at a small size: its scores, and what it says of steady traffic."""

import re
from random import Random

import pytest
from click.testing import CliRunner

from bench.backtest import INSTANTS, KINDS, MONTHS, Score, main, scores, traffic
from exporter.quota.forecast import Pace
from exporter.quota.model import DAY, HOUR, Period
from tests.support.programs import REPOSITORY

SEPTEMBER = Period(1_788_220_800, 1_788_220_800 + 30 * DAY)


def test_steady_traffic_is_forecast_well() -> None:
    """In 20 months, the week has few false alarms and misses, and is right within hours."""
    week = scores("steady", months=20, instants=14, seed=3)[Pace.WEEK]

    assert week.lasting + week.ending > 200
    assert week.false_alarm_share <= 0.02
    assert week.miss_share <= 0.02
    assert week.median_error <= 0.25


def test_the_week_is_better_than_the_day() -> None:
    """At weekly traffic, a day says less about a month than a week does."""
    both = scores("steady", months=20, instants=14, seed=3)

    assert both[Pace.WEEK].median_error < both[Pace.DAY].median_error
    assert both[Pace.WEEK].misses < both[Pace.DAY].misses


def test_growth_is_seen() -> None:
    """Most quotas that run out because use grows are forecast to run out."""
    assert scores("growing", months=20, instants=7, seed=3)[Pace.WEEK].miss_share < 0.15


def test_the_same_seed_gives_the_same_figures() -> None:
    """Nothing depends on the process or the clock."""
    first, second = (scores("spike", 3, 4, seed=7)[Pace.DAY] for _ in range(2))

    assert first == second
    assert first != scores("spike", 3, 4, seed=8)[Pace.DAY]


@pytest.mark.parametrize("kind", KINDS)
def test_traffic_has_days_before_its_month(kind: str) -> None:
    """Every hour has data, from 16 days before the period to its end."""
    hours = traffic(kind, SEPTEMBER, Random(1))

    assert range(SEPTEMBER.start - 16 * DAY, SEPTEMBER.end, HOUR) == range(
        min(hours), max(hours) + HOUR, HOUR
    )
    assert 46 * 24 == len(hours)


def documented() -> dict[tuple[str, str], tuple[str, str, str]]:
    """Return the figures of the document, by kind and pace."""
    text = (REPOSITORY / "docs" / "quotas.md").read_text("utf-8")
    return {
        (kind, pace): (alarms, misses, days)
        for kind, pace, alarms, misses, days in re.findall(
            r"^(\w+) +(week|day) +([\d.]+%) +([\d.]+%) +([\d.]+) days$", text, re.MULTILINE
        )
    }


def test_the_document_has_all_figures() -> None:
    """It has every kind and pace."""
    assert {(kind, pace) for kind in KINDS for pace in Pace} == set(documented())


@pytest.mark.slow
def test_steady_traffic_meets_its_targets() -> None:
    """At full size it does, and the document has these figures."""
    both = scores("steady", MONTHS, INSTANTS, seed=1)
    week = both[Pace.WEEK]

    assert week.false_alarm_share <= 0.005
    assert week.miss_share <= 0.005
    assert week.median_error <= 0.25
    assert {pace: documented()["steady", pace] for pace in Pace} == {
        pace: (
            f"{score.false_alarm_share:.1%}",
            f"{score.miss_share:.1%}",
            f"{score.median_error:.2f}",
        )
        for pace, score in both.items()
    }


def test_a_score_counts_what_became_of_forecasts() -> None:
    """Two lasted, one of which was said to run out; two ran out, one of which was missed."""
    score = Score()
    for forecast, ended in ((None, None), (5.0, None), (None, 7.0 * DAY), (9.0 * DAY, 7.0 * DAY)):
        score.add(forecast, ended)

    assert (0.5, 0.5, 2.0) == (score.false_alarm_share, score.miss_share, score.median_error)


def test_a_score_without_forecasts() -> None:
    """There are no shares of nothing."""
    assert (0.0, 0.0, 0.0) == (Score().false_alarm_share, Score().miss_share, Score().median_error)


def test_the_command_prints_a_line_for_each_kind_and_pace() -> None:
    """It takes its sizes from the command line."""
    result = CliRunner().invoke(main, ["--months", "1", "--instants", "2"])

    assert result.exit_code == 0
    assert [f"{kind:<8} {pace}" for kind in KINDS for pace in Pace] == [
        line[:13].rstrip() for line in result.output.splitlines()[1:]
    ]
