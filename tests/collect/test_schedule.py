"""When a query is polled, as a rule about moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collect.poll.schedule import FIRST_PAUSE, MAX_PAUSE, Schedule, Slots
from tests.support.rows import HOUR, NOON
from tests.support.settings import NOW, SETTLE

SLOTS = Slots(HOUR, SETTLE)
OFTEN = Slots(300, SETTLE)


def unused() -> str:
    """Return no credentials: nobody may ask for them."""
    raise AssertionError


class TestDue:
    """Whether to poll."""

    @pytest.mark.parametrize(("now", "expected"), [(NOW - 1, False), (NOW, True), (NOW + 1, True)])
    def test_time(self, now: float, *, expected: bool) -> None:
        """A poll is due from its time on, and credentials are not looked at meanwhile."""
        assert expected is Schedule(NOW).is_due(now, unused)

    @pytest.mark.parametrize(("credentials", "expected"), [("old", False), ("new", True)])
    def test_credentials(self, credentials: str, *, expected: bool) -> None:
        """What failed is due at once with credentials that it was not tried with."""
        failed = Schedule(NOW, 1, "old")

        assert expected is failed.is_due(NOW - 1, lambda: credentials)

    @pytest.mark.parametrize(
        ("now", "expected"), [(NOW - 2 * HOUR - 0.5, True), (NOW - 2 * HOUR, False), (NOW, False)]
    )
    def test_too_late(self, now: float, *, expected: bool) -> None:
        """More than two intervals ahead, the next poll is too late."""
        assert expected is Schedule(NOW).is_too_late(SLOTS, now)


class TestNext:
    """The next poll after one that is over."""

    def test_success(self) -> None:
        """It begins at the next slot, and failures are forgotten, credentials are not."""
        after = Schedule(0, 3, "token").succeeded(SLOTS, NOW + 1, backlog=False)

        assert Schedule(NOW + HOUR, 0, "token") == after

    def test_backlog(self) -> None:
        """It begins at once where buckets are left to read."""
        assert Schedule(NOW) == Schedule(0, 3).succeeded(SLOTS, NOW, backlog=True)

    @pytest.mark.parametrize(
        ("failures", "lasting", "pause"),
        [
            (0, False, FIRST_PAUSE),
            (1, False, 2 * FIRST_PAUSE),
            (4, False, 16 * FIRST_PAUSE),
            (5, False, MAX_PAUSE),
            (10_000, False, MAX_PAUSE),
            (0, True, MAX_PAUSE),
        ],
    )
    def test_failure(self, failures: int, pause: float, *, lasting: bool) -> None:
        """It begins after a pause, counted from the end of the poll that failed."""
        end = NOW + 60

        after = Schedule(NOW, failures).failed(SLOTS, end, lasting=lasting)

        assert Schedule(end + pause, failures + 1) == after

    def test_no_slot_is_missed(self) -> None:
        """The pause ends at the next slot at the latest."""
        assert NOW + 300 == Schedule(NOW).failed(OFTEN, NOW + 1, lasting=True).next_poll

    @given(
        st.integers(0, 30),
        st.booleans(),
        st.floats(NOON, NOON + 9 * HOUR),
        st.sampled_from([SLOTS, OFTEN, Slots(HOUR, SETTLE, 7)]),
    )
    def test_always_ahead(
        self,
        failures: int,
        lasting: bool,  # noqa: FBT001 - drawn
        end: float,
        slots: Slots,
    ) -> None:
        """It is later than the end, but within the longest pause, and no later than the slot."""
        following = Schedule(0, failures).failed(slots, end, lasting=lasting).next_poll

        assert end < following <= min(end + MAX_PAUSE, slots.after(end))

    def test_moved(self) -> None:
        """A poll can be moved, and is tried with what is noted at its start."""
        assert Schedule(7, 2, "token") == Schedule(0, 2).moved_to(7).started("token")


@given(st.floats(0, 9 * HOUR), st.sampled_from([SLOTS, OFTEN, Slots(HOUR, SETTLE, 7)]))
def test_slots(after: float, slots: Slots) -> None:
    """Slots are a poll interval apart, and the first one after a moment is later than that."""
    slot = slots.after(after)

    assert after < slot <= after + slots.poll_interval
    assert slot + slots.poll_interval == slots.after(slot)
