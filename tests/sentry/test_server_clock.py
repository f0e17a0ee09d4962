"""The server's clock, as the dates of its answers show it."""

from collections.abc import Sequence

import pytest

from exporter.sentry.server_clock import TOLERANCE, ServerClock, halfway

NOW = 1_772_000_000.0
HOUR, DAY = 3600.0, 86400.0


def noted(skews: Sequence[float], *, every: float = 60.0) -> ServerClock:
    """Return a clock after answers whose dates differ from ours by ``skews``."""
    clock = ServerClock()
    for number, skew in enumerate(skews):
        now = NOW + number * every
        clock.note(now + skew, now, number * every)
    return clock


@pytest.mark.parametrize(
    ("skews", "expected"),
    [
        ([], 0),
        ([0.4], 0),
        ([TOLERANCE], 0),
        ([-TOLERANCE], 0),
        ([TOLERANCE + 1], TOLERANCE + 1),
        ([-3 * DAY], -3 * DAY),
        ([40 * DAY], 40 * DAY),
    ],
)
def test_first_answers(skews: Sequence[float], expected: float) -> None:
    """A single date is enough; what is within the tolerance means nothing."""
    assert expected == noted(skews).correction


@pytest.mark.parametrize(
    ("skews", "expected"),
    [
        ([0, 0, 0, HOUR, 0], 0),
        ([0, 0, 0, HOUR, HOUR], 0),
        ([0, 0, HOUR, HOUR, HOUR], HOUR),
        ([HOUR, 0, 0, 0], 0),
        ([HOUR, HOUR, HOUR, HOUR, HOUR, 0], HOUR),
    ],
)
def test_servers_that_disagree(skews: Sequence[float], expected: float) -> None:
    """The date of a single server does not count against those of the others."""
    assert expected == noted(skews).correction


def test_years() -> None:
    """A date that is years away is not the time of the data."""
    assert 0 == noted([3 * 366 * DAY, -3 * 366 * DAY]).correction


@pytest.mark.parametrize("step", [-3 * DAY, HOUR])
def test_our_clock_is_set(step: float) -> None:
    """The first date after our clock was set, or after the host was suspended, counts at once."""
    clock = noted([0] * 5)
    now = NOW + 5 * 60 + step

    clock.note(now - step, now, 5 * 60)

    assert -step == clock.correction


@pytest.mark.parametrize(
    ("received", "took", "expected"),
    [(NOW + 6, 6, NOW + 3), (NOW + 6, 5, NOW + 3), (NOW, 0, NOW)],
)
def test_a_date_is_from_the_middle_of_the_request(
    received: float, took: float, expected: float
) -> None:
    """The server may have written it at any time while the request was out."""
    assert expected == halfway(NOW, received, took)


@pytest.mark.parametrize("ahead", [40 * DAY, -40 * DAY])
def test_a_clock_that_is_set_during_a_request(ahead: float) -> None:
    """The middle is by the clock as it is afterwards, not by half of what it was set."""
    assert NOW + ahead - 3 == halfway(NOW, NOW + ahead, 6)
