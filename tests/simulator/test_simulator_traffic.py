"""Generated traffic: realistic, repeatable, and never decreasing."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator import Episode, Series, Traffic
from exporter.simulator.lru_cache import LRUCache
from exporter.simulator.series import HOUR, evening, machines, office
from exporter.simulator.traffic import LAG, MAX_DELAY

START = 1_790_000_000 // HOUR * HOUR
MOMENTS = st.floats(START - HOUR, START + HOUR + MAX_DELAY + 60)


def some_traffic(*episodes: Episode) -> Traffic:
    """Return traffic with 200 series of very different sizes."""
    series = [Series(number % 20, "span", "accepted", None, 1.07**number) for number in range(200)]
    return Traffic(3, 1, series, lambda _: episodes)


@settings(max_examples=60, deadline=None)
@given(moments=st.lists(MOMENTS, min_size=2), offset=st.integers(-HOUR, HOUR))
def test_what_is_visible_only_grows(moments: list[float], offset: int) -> None:
    """The visible quantities never decrease, with or without an episode."""
    episode = Episode(START + offset, START + offset + 1800, 5.0, project=3)
    traffic = some_traffic(episode)
    shown = [traffic.visible(START, at) for at in sorted(moments)]

    for before, after in pairwise(shown):
        assert all(old <= new for old, new in zip(before, after, strict=True))


@settings(max_examples=60, deadline=None)
@given(at=MOMENTS, cuts=st.lists(st.integers(0, HOUR), max_size=5))
def test_the_parts_of_an_hour_add_up_to_it(at: float, cuts: list[int]) -> None:
    """However an hour is divided, its parts add up to it."""
    traffic = some_traffic(Episode(START + 600, START + 1200, 4.0, project=3))
    edges = [0, *sorted(cuts), HOUR]
    parts = [traffic.visible(START, at, *edge) for edge in pairwise(edges) if edge[0] < edge[1]]

    assert list(traffic.visible(START, at)) == [sum(part) for part in zip(*parts, strict=True)]


def test_how_an_hour_grows() -> None:
    """Half is visible at half past, nearly all soon after the end, all hours later."""
    traffic = some_traffic()
    total = sum(traffic.final(START))
    shown = [
        sum(traffic.visible(START, START + LAG + after))
        for after in (-LAG, HOUR // 2, HOUR, HOUR + MAX_DELAY)
    ]

    assert shown[0] == 0
    assert total * 0.45 < shown[1] < total * 0.5
    assert total * 0.98 < shown[2] < total
    assert total == shown[3]


@pytest.mark.slow
def test_every_process_generates_the_same_traffic() -> None:
    """The traffic does not depend on the process, nor on its hash seed."""
    program = (
        "from exporter.simulator import demo_world;"
        f"traffic = demo_world({START}).store.traffic(1);"
        f"print(list(traffic.visible({START}, {START + 1000})))"
    )
    outputs = {
        subprocess.check_output(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        )
        for seed in ("1", "2")
    }

    assert len(outputs) == 1


def test_seeds_organizations_and_hours_differ() -> None:
    """Another seed, organization or hour has other quantities."""
    series = [Series(1, "span", "accepted", None, 1e9)]
    numbers = {
        Traffic(seed, organization, series).final(hour)[0]
        for seed, organization, hour in ((1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 24 * 7 * HOUR))
    }

    assert len(numbers) == 4


def test_an_episode_within_an_hour() -> None:
    """An episode from half past on changes only the second half, and only its project."""
    usual = some_traffic()
    broken = some_traffic(Episode(START + HOUR // 2, START + HOUR, 9.0, project=3))
    until_half, until_end = START + LAG + HOUR // 2, START + LAG + HOUR
    largest = 183

    assert _ratio(broken.visible(START, until_half), usual.visible(START, until_half), largest) == 1
    assert _ratio(broken.visible(START, until_end), usual.visible(START, until_end), largest) == 5
    assert usual.final(START)[184] == broken.final(START)[184]


def test_a_baseline_of_zero() -> None:
    """A series with a baseline of 0 has quantities only during an episode."""
    limited = Series(1, "error", "rate_limited", "key_quota", 500.0, baseline=0.0)
    accepted = Series(1, "error", "accepted", None, 500.0)
    quota = Episode(START, START + HOUR, 1.0, outcome="rate_limited", reason="key_quota")
    silence = Episode(START, START + HOUR, 0.0, outcome="accepted")
    traffic = Traffic(
        1, 1, [limited, accepted], lambda hour: [quota, silence][: 2 * (hour >= START)]
    )

    assert 0 == traffic.final(START - HOUR)[0] < traffic.final(START - HOUR)[1]
    assert 0 == traffic.final(START)[1] < traffic.final(START)[0]


@pytest.mark.parametrize(
    ("rhythm", "busy", "calm"), [(office, 13, 1), (evening, 20, 8), (machines, 2, 14)]
)
def test_days_have_a_rhythm(rhythm: Callable[[int], float], busy: int, calm: int) -> None:
    """Each rhythm has a busy and a calm time of day."""
    monday = START // 86400 * 86400

    assert pytest.approx(rhythm(monday + busy * HOUR)) == 1.0
    assert rhythm(monday + busy * HOUR) > rhythm(monday + calm * HOUR)


def test_weekends_are_quiet_at_work_and_busy_at_home() -> None:
    """On a Sunday, the office rhythm is lower and the evening rhythm is higher."""
    sunday, tuesday = 1_789_862_400, 1_790_035_200

    assert office(sunday + 13 * HOUR) < office(tuesday + 13 * HOUR)
    assert evening(sunday + 20 * HOUR) > evening(tuesday + 20 * HOUR)


def test_the_cache_is_bounded() -> None:
    """The cache drops the value that has not been used for the longest time."""
    cache: LRUCache[int, str] = LRUCache(2)
    made = [cache.get(key, lambda: f"made {len(cache)}") for key in (1, 2, 1, 3)]

    assert made == ["made 0", "made 1", "made 0", "made 2"]
    assert cache.get(1, lambda: "made again") == "made 0"
    assert cache.get(2, lambda: "made again") == "made again"
    assert len(cache) == 2


def _ratio(some: Sequence[int], others: Sequence[int], index: int) -> int:
    """Return the rounded ratio of two quantities of the series at ``index``."""
    return round(some[index] / others[index])
