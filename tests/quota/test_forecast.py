"""What is expected of the hours to come, at both paces, and when a limit is reached."""

from collections.abc import Callable, Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.quota.forecast import SETTLE, Course, Pace, course, exhaustion, projected
from exporter.quota.model import DAY, HOUR, Period

START = 1_788_220_800
"""2026-09-01, a Tuesday."""
SEPTEMBER = Period(START, START + 30 * DAY)
NOON = START + 10 * DAY + 12 * HOUR
READY = NOON + SETTLE
"""When the hour before noon is finished."""

Hourly = Callable[[int], int]


def history(hourly: Hourly, *, days: int = 14, until: int = NOON) -> dict[int, int]:
    """Return the use of each hour of the ``days`` before ``until``."""
    return {hour: hourly(hour) for hour in range(until - days * DAY, until, HOUR)}


def total(hours: Mapping[int, int], pace: Pace, now: float = READY) -> float:
    """Return what is expected from ``now`` to the end of September."""
    return course(hours, SEPTEMBER, now, pace).total


def left(hourly: Hourly, now: float = READY) -> float:
    """Return what ``hourly`` has from ``now`` to the end of September."""
    begin = int(now // HOUR) * HOUR
    return sum(
        hourly(hour) * min((hour + HOUR - now) / HOUR, 1)
        for hour in range(begin, SEPTEMBER.end, HOUR)
    )


def office(hour: int) -> int:
    """Return much by day, little by night and at weekends."""
    is_weekend = (hour // DAY + 3) % 7 >= 5
    return (900 if 8 <= hour // HOUR % 24 < 18 else 50) // (5 if is_weekend else 1)


@pytest.mark.parametrize("pace", Pace)
def test_even_use_goes_on(pace: Pace) -> None:
    """Use that is the same every hour stays the same."""
    assert left(lambda _: 40) == pytest.approx(total(history(lambda _: 40), pace))


def test_the_week_has_its_days() -> None:
    """At the pace of the week, nights and weekends are expected as they were."""
    hours = history(office)
    expected = course(hours, SEPTEMBER, READY, Pace.WEEK)

    assert left(office) == pytest.approx(expected.total)
    assert [office(hour) for hour in range(NOON + HOUR, SEPTEMBER.end, HOUR)] == pytest.approx(
        list(expected.amounts[1:])
    )


def test_the_day_repeats_the_last_24_hours() -> None:
    """At the pace of the day, a day without rhythm of the week follows another."""
    hours = history(lambda hour: 10 if hour < NOON - DAY else hour // HOUR % 24)

    assert left(lambda hour: hour // HOUR % 24) == pytest.approx(total(hours, Pace.DAY))


@pytest.mark.parametrize("pace", Pace)
@given(st.integers(SETTLE, HOUR + SETTLE - 1))
def test_a_running_hour_is_counted_once(pace: Pace, second: int) -> None:
    """Even use ends at the same amount, whichever second of the hour the forecast is made in."""
    now = NOON + second
    hours = history(lambda _: 3600, until=NOON + second // HOUR * HOUR)
    running = now // HOUR * HOUR
    hours[running] = now - running
    used = sum(amount for hour, amount in hours.items() if hour >= SEPTEMBER.start)
    expected = course(hours, SEPTEMBER, now, pace)

    assert 30 * DAY == pytest.approx(projected(expected, used), abs=1)


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize("second", [0, SETTLE - 1])
def test_an_hour_that_just_ended_may_lack_rows(pace: Pace, second: int) -> None:
    """An hour of which only a part is stored yet does not make a pattern smaller."""
    hours = history(lambda _: 3600)
    hours[NOON - HOUR] = 60
    now = NOON + second

    assert left(lambda _: 3600, now) == pytest.approx(total(hours, pace, now))


@pytest.mark.parametrize("pace", Pace)
def test_nothing_is_expected_of_nothing(pace: Pace) -> None:
    """Without any history nothing is expected, and no limit is reached."""
    expected = course({}, SEPTEMBER, READY, pace)

    assert 0 == projected(expected, 0)
    assert exhaustion(expected, 0, 1, {}) is None


@pytest.mark.parametrize("pace", Pace)
def test_a_period_that_is_over_has_no_course(pace: Pace) -> None:
    """At the end of the period and after it, nothing more is expected."""
    expected = course(history(lambda _: 5), SEPTEMBER, SEPTEMBER.end, pace)

    assert () == expected.amounts
    assert 7 == projected(expected, 7)
    assert exhaustion(expected, 7, 8, {}) is None


def test_the_last_minutes_of_a_period() -> None:
    """Half an hour before the end, half an hour is expected."""
    now = SEPTEMBER.end - HOUR // 2
    hours = history(lambda _: 100, until=SEPTEMBER.end - HOUR)

    assert 50 == pytest.approx(total(hours, Pace.WEEK, now))


def test_unknown_days_of_a_first_week_are_like_known_ones() -> None:
    """Three days after the first event, each day to come is like a mean of them."""
    hours = history(lambda hour: hour // HOUR % 24 + 1, days=3)

    assert left(lambda hour: hour // HOUR % 24 + 1) == pytest.approx(total(hours, Pace.WEEK))


def test_zeros_before_the_first_event_are_no_history() -> None:
    """A service that was switched on three days ago is not expected to be off again."""
    hours = history(lambda hour: 20 if hour >= NOON - 3 * DAY else 0)

    assert left(lambda _: 20) == pytest.approx(total(hours, Pace.WEEK))


def test_a_first_hour_is_not_every_hour() -> None:
    """After a first hour, a day is expected to have one such hour, not 24."""
    hours = {NOON - HOUR: 2400}

    assert 19 * 2400 == pytest.approx(total(hours, Pace.WEEK))


@pytest.mark.parametrize("factor", [0, 0.3, 9])
def test_an_exceptional_day_is_not_expected_again(factor: float) -> None:
    """An outage, a holiday or a spike of last week is not repeated."""
    day = NOON - 4 * DAY
    hours = history(lambda hour: int(office(hour) * (factor if day <= hour < day + DAY else 1)))

    assert left(office) == pytest.approx(total(hours, Pace.WEEK), rel=0.01)


@pytest.mark.parametrize("factor", [0, 0.3, 9])
def test_an_exceptional_day_of_the_week_before_is_no_pattern(factor: float) -> None:
    """Neither is one of the week before last."""
    day = NOON - 10 * DAY
    hours = history(lambda hour: int(office(hour) * (factor if day <= hour < day + DAY else 1)))

    assert left(office) == pytest.approx(total(hours, Pace.WEEK), rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("days", [2, 4, 6, 9])
def test_a_new_level_is_adopted_after_two_days(factor: float, days: int) -> None:
    """The days before a step are expected at the level after it."""
    hours = history(lambda hour: int(100 * (factor if hour >= NOON - days * DAY else 1)))

    assert left(lambda _: int(100 * factor)) == pytest.approx(total(hours, Pace.WEEK), rel=0.01)


def test_a_single_day_is_no_new_level() -> None:
    """What began a day ago may be over tomorrow: the week does not follow, the day does."""
    hours = history(lambda hour: 200 if hour >= NOON - DAY else 100)

    assert left(lambda _: 100) == pytest.approx(total(hours, Pace.WEEK), rel=0.01)
    assert left(lambda _: 200) == pytest.approx(total(hours, Pace.DAY), rel=0.01)


@pytest.mark.parametrize("days", [3, 5, 9, 13])
def test_days_of_drops_are_no_pattern(days: int) -> None:
    """Two days after the period in which a quota was spent, use is expected as it is now."""
    begin, end = NOON - (days + 2) * DAY, NOON - 2 * DAY
    hours = history(lambda hour: 0 if begin <= hour < end else 100)

    assert left(lambda _: 100) == pytest.approx(total(hours, Pace.WEEK), rel=0.01)


@pytest.mark.parametrize("pace", Pace)
def test_while_everything_is_dropped_nothing_is_expected(pace: Pace) -> None:
    """Nothing comes of a quota that is spent."""
    hours = history(lambda hour: 100 if hour < NOON - 4 * DAY else 0)

    assert total(hours, pace) < 0.02 * left(lambda _: 100)


def test_free_weekends_stay_free() -> None:
    """Two days without anything in each week are a pattern."""

    def working(hour: int) -> int:
        return 0 if (hour // DAY + 3) % 7 >= 5 else 100

    tuesday = START + 14 * DAY
    hours = history(working, until=tuesday)

    assert left(working, tuesday + SETTLE) == pytest.approx(
        total(hours, Pace.WEEK, tuesday + SETTLE), rel=0.01
    )


def test_growth_goes_on() -> None:
    """Use that grows by one percent of today's a day grows so to the end of the month."""

    def growing(hour: int) -> int:
        return round(10_000 * (1 + 0.01 * (hour - NOON) / DAY))

    assert left(growing) == pytest.approx(total(history(growing), Pace.WEEK), rel=0.01)


def test_a_step_is_not_growth() -> None:
    """A week after use has doubled, it is not expected to double every week."""
    hours = history(lambda hour: 200 if hour >= NOON - 7 * DAY else 100)

    assert left(lambda _: 200) == pytest.approx(total(hours, Pace.WEEK), rel=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_chance_is_no_pattern(seed: int) -> None:
    """A handful of events a day changes by the day; the forecast stays near their mean."""
    random = Random(seed)
    hours = history(lambda _: random.random() < 0.2)

    assert left(lambda _: 1) * 0.2 == pytest.approx(total(hours, Pace.WEEK), rel=0.4)


def test_a_limit_is_reached_within_an_hour() -> None:
    """Use of 100 an hour reaches 250 more in two and a half hours."""
    expected = course(history(lambda _: 100), SEPTEMBER, READY, Pace.WEEK)

    assert READY + 2.5 * HOUR == pytest.approx(exhaustion(expected, 50, 300, {}))


def test_the_last_unit_is_reached_at_the_end() -> None:
    """A limit of exactly what is expected is reached at the end, one more is not."""
    expected = Course(SEPTEMBER.end - 2.0 * HOUR, (10.0, 10.0))

    assert SEPTEMBER.end == exhaustion(expected, 0, 20, {})
    assert exhaustion(expected, 0, 21, {}) is None


def test_without_a_limit_nothing_is_reached() -> None:
    """An unlimited quota never ends."""
    assert exhaustion(Course(READY, (1e12,)), 10**9, None, {}) is None


def test_a_limit_that_was_reached_has_its_moment() -> None:
    """What was used since then is taken back, hour by hour."""
    hours = history(lambda _: 100)
    expected = course(hours, SEPTEMBER, READY, Pace.WEEK)

    assert NOON - 2.5 * HOUR == pytest.approx(exhaustion(expected, 1000, 750, hours))


def test_a_limit_that_was_reached_before_all_history() -> None:
    """The moment is then where the history begins."""
    hours = {NOON - HOUR: 10, NOON: 5}
    expected = course(hours, SEPTEMBER, READY, Pace.DAY)

    assert NOON - HOUR == exhaustion(expected, 1000, 500, hours)
    assert READY == exhaustion(expected, 1000, 500, {})


def test_a_limit_that_was_reached_stays_where_it_was() -> None:
    """Hours in which everything was dropped do not move the moment."""
    hours = {NOON - 5 * HOUR: 100, NOON - 4 * HOUR: 100, NOON - 3 * HOUR: 0, NOON: 0}
    expected = course(hours, SEPTEMBER, READY, Pace.DAY)

    assert NOON - 3 * HOUR == exhaustion(expected, 500, 500, hours)


@given(
    st.dictionaries(st.integers(0, 400), st.integers(0, 10**12)),
    st.integers(-DAY, 31 * DAY),
    st.sampled_from(Pace),
)
def test_every_history_has_a_forecast(hours: dict[int, int], second: int, pace: Pace) -> None:
    """Whatever was used, nothing negative is expected, for each hour to the end of the period."""
    now = START + second
    used = {now // HOUR * HOUR - hour * HOUR: amount for hour, amount in hours.items()}
    expected = course(used, SEPTEMBER, now, pace)

    assert max(-(-(SEPTEMBER.end - now) // HOUR), 0) == len(expected.amounts)
    assert all(amount >= 0 for amount in expected.amounts)
