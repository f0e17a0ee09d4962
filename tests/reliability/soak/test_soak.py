"""Three days of soak, and what judges it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

import pytest

from exporter.simulator.faults import Kind
from tests.reliability.soak.clocks import SharedClock
from tests.reliability.soak.figures import FIGURES, Figure, Sample, verdict
from tests.reliability.soak.report import chart, report
from tests.reliability.soak.soak import Result, soak
from tests.reliability.soak.story import events
from tests.reliability.soak.truth import Comparison, decreases
from tests.reliability.soak.world import soaked

DAYS: Final = 3
SEED: Final = 2
SAMPLE: Final = Sample(0, 0, 50 << 20, 10, 30, 4 << 20, 1000, 100)


def measured(grown: float = 1.0) -> list[Sample]:
    """Return the samples of four days, with a process that is as old; it has ``grown`` at last."""
    flat = [replace(SAMPLE, hours=hour, age=hour) for hour in range(1, 97)]
    last = {name: int(getattr(SAMPLE, name) * grown) for name in ("resident", "state", "series")}
    return [
        *flat[:-1],
        replace(flat[-1], threads=int(10 * grown), descriptors=int(30 * grown), **last),
    ]


def test_three_days(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """Nothing grows, no counter falls, and at the end each equals what Sentry has stored."""
    result = soak(DAYS, SEED, tmp_path)
    tried("hours of soak", len(result.samples))
    for row, number in result.tried.items():
        tried(row, number)

    assert [] == result.problems, report(result)
    assert 24 * DAYS == len(result.samples)
    assert 100 < result.comparison.number


def test_story() -> None:
    """The same seed has the same story; within thirty days it has all kinds of faults."""
    first, second = (events(soaked(30, 1), 30, 1) for _ in range(2))
    names = {event.name for event in first}

    assert [(one.at, one.name) for one in first] == [(one.at, one.name) for one in second]
    assert {f"fault: {kind}" for kind in get_args(Kind)} <= names
    assert {"restart", "reload", "reload refused", "clock set", "host suspended"} <= names
    assert {"projects renamed", "slugs swapped", "project created", "token revoked"} <= names


def test_clock(tmp_path: Path) -> None:
    """What one process sets is seen by another; only the host's clock is wrong, or suspended."""
    clock, other = (SharedClock(tmp_path / "clock") for _ in range(2))
    clock.now = 1000.0
    clock.set_host(-50.0)
    clock.suspend(300.0)

    assert (1300.0, 1250.0, 1000.0) == (other(), other.host(), other.monotonic())


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_flat(figure: Figure) -> None:
    """What stays as it was is flat, what has grown by a half is not."""
    assert verdict(figure, measured()).is_flat
    assert not verdict(figure, measured(1.5)).is_flat


def test_memory_is_that_of_one_process() -> None:
    """A process that has just been started hides no growth of the one before."""
    young = [replace(SAMPLE, hours=97, age=1, resident=1 << 20)]

    assert not verdict(FIGURES[0], [*measured(1.5), *young]).is_flat


def test_decreases() -> None:
    """A counter that is smaller is one that fell; one that is missing, or new, is not."""
    one, other = (("a", frozenset({("x", name)})) for name in "12")

    assert 1 == len(decreases({one: 2, other: 2}, {one: 1}))
    assert [] == decreases({one: 2}, {one: 2, other: 1})


def test_comparison() -> None:
    """Values that differ are wrong, and so are those that are on one side only."""
    comparison = Comparison()
    comparison.compare({("a",): 1, ("b",): 2, ("c",): 0}, {("a",): 1, ("d",): 3})

    assert 4 == comparison.number
    assert ["b: 0.0 instead of 2", "d: 3 instead of 0.0"] == comparison.wrong


def test_report(tmp_path: Path) -> None:
    """The report says what was wrong, and the chart has each figure."""
    result = Result(4, 1, measured(1.5), comparison=Comparison(3, ["x: 1 instead of 2"]))
    chart(result, tmp_path / "soak.svg")
    text, drawn = report(result), (tmp_path / "soak.svg").read_text("utf-8")

    assert "3 values compared with the store at the end, 1 wrong" in text
    assert "- x: 1 instead of 2" in text
    assert 5 == text.count("**grown**")
    assert all(figure.name in drawn for figure in FIGURES)
