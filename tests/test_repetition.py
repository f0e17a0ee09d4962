"""When something is logged that happens again and again."""

from itertools import pairwise

from exporter.repetition import FIRST_DISTANCE, FORGET, MAX_DISTANCE, Failures, Repetition

NOW = 1_700_000_000
DAY = 86400


def test_a_clock_set_back_does_not_silence() -> None:
    """After the clock is set back by hours, what repeats is logged within the usual distance."""
    repetition = Repetition(since=NOW)
    for moment in range(0, DAY, 300):
        repetition.note(NOW + moment)
    later = [repetition.note(NOW - DAY + moment) for moment in range(0, MAX_DISTANCE, 300)]

    assert any(later)


def test_distances_grow() -> None:
    """The distances between two lines grow to the maximum."""
    repetition = Repetition(since=0)
    lines = [moment for moment in range(3 * MAX_DISTANCE) if repetition.note(moment)]
    distances = [after - before for before, after in pairwise(lines)]

    assert [FIRST_DISTANCE, 40, 160, 640, 2560, MAX_DISTANCE] == distances[:6]


def test_failures() -> None:
    """A failure long after the last one is the first again, also if the clock was set back."""
    failures = Failures()
    lines = [failures.note(moment) for moment in (0, 1, 2, FORGET + 2, FORGET + 3, 5)]

    assert [True, False, False, True, False, True] == lines
    assert 1 == failures.count
