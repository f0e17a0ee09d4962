"""Bucket arithmetic: aligned to the epoch, in UTC, whatever the moment."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import buckets
from exporter.buckets import Window

HOUR = 3600

moments = st.floats(min_value=0, max_value=4e9, allow_nan=False)
intervals = st.sampled_from([HOUR * hours for hours in (1, 2, 3, 4, 6, 8, 12, 24)])
settles = st.integers(min_value=0, max_value=HOUR)


class TestLatestFinished:
    """The newest bucket that counts as finished."""

    def test_waits_for_settle(self) -> None:
        """A bucket is not finished a second before its end plus settle."""
        now = 10 * HOUR + 299

        assert buckets.latest_finished(now, HOUR, 300) == 8 * HOUR

    def test_begins_at_settle(self) -> None:
        """A bucket is finished at its end plus settle, on the dot."""
        now = 10 * HOUR + 300

        assert buckets.latest_finished(now, HOUR, 300) == 9 * HOUR

    @given(now=moments, interval=intervals, settle=settles)
    def test_is_the_newest(self, now: float, interval: int, settle: int) -> None:
        """It has settled, and the one after it has not."""
        start = buckets.latest_finished(now, interval, settle)

        assert start % interval == 0
        assert start + interval + settle <= now
        assert start + 2 * interval + settle > now


class TestNextSlot:
    """When the next regular poll falls."""

    def test_on_a_slot_it_is_the_following_one(self) -> None:
        """A poll that begins right on its slot is not asked for again."""
        assert buckets.next_slot(10 * HOUR + 300, HOUR, 300) == 11 * HOUR + 300

    @given(now=moments, interval=intervals, settle=settles)
    def test_is_settle_past_a_multiple(self, now: float, interval: int, settle: int) -> None:
        """It is the first moment after now that lies settle past a multiple of the interval."""
        slot = buckets.next_slot(now, interval, settle)

        assert (slot - settle) % interval == 0
        assert now < slot <= now + interval

    @given(now=moments, interval=intervals, settle=settles, offset=st.integers(0, 359))
    def test_offset(self, now: float, interval: int, settle: int, offset: int) -> None:
        """An offset puts slots later by as much, and a poll finds the same bucket finished."""
        slot = buckets.next_slot(now, interval, settle, offset)
        prompt = buckets.next_slot(now - offset, interval, settle)

        assert prompt + offset == slot
        assert buckets.latest_finished(prompt, interval, settle) == (
            buckets.latest_finished(slot, interval, settle)
        )


class TestSpread:
    """How far past its slots a query is polled."""

    @given(seed=st.integers(0), poll_interval=st.integers(60, 86400), queries=st.integers(1, 10))
    def test_few(self, seed: int, poll_interval: int, queries: int) -> None:
        """Ten queries or fewer are all on time."""
        assert buckets.spread(seed, poll_interval, queries) == 0

    @given(
        seed=st.integers(0), poll_interval=st.integers(1, 86400), queries=st.integers(1, 1_000_000)
    )
    def test_bounds(self, seed: int, poll_interval: int, queries: int) -> None:
        """No query waits longer than a tenth of its interval, or than ten in a second call for."""
        offset = buckets.spread(seed, poll_interval, queries)

        assert 0 <= offset <= poll_interval / 10
        assert offset < max(queries / buckets.POLLS_PER_SECOND, 1)

    @pytest.mark.parametrize(("poll_interval", "seconds"), [(HOUR, 100), (300, 30)])
    def test_many(self, poll_interval: int, seconds: int) -> None:
        """A thousand queries fill all of the seconds that there are, each about as much."""
        offsets = Counter(buckets.spread(seed, poll_interval, 1000) for seed in range(1000))

        assert set(range(seconds)) == offsets.keys()
        assert max(offsets.values()) <= min(offsets.values()) + 1


class TestLookbackWindow:
    """What a poll looks at."""

    def test_holds_finished_ended_and_running_buckets(self) -> None:
        """At 10:02 with settle 5m: two finished ones, the one that ended at 10, the running one."""
        now = 10 * HOUR + 120

        window = buckets.lookback_window(now, HOUR, 300, 2 * HOUR)

        assert Window(7 * HOUR, 11 * HOUR, HOUR) == window
        assert list(window.buckets()) == [7 * HOUR, 8 * HOUR, 9 * HOUR, 10 * HOUR]
        assert len(window) == 4

    def test_has_one_finished_bucket_at_the_least(self) -> None:
        """A lookback shorter than the interval still reaches the latest finished bucket."""
        window = buckets.lookback_window(5 * 86400 + 600, 86400, 300, HOUR)

        assert window.start == 4 * 86400
        assert window.end == 6 * 86400

    @given(now=moments, interval=intervals, settle=settles, days=st.integers(1, 30))
    def test_reaches_from_lookback_to_running(
        self, now: float, interval: int, settle: int, days: int
    ) -> None:
        """It ends with the bucket that holds now, and holds the latest finished one."""
        window = buckets.lookback_window(now, interval, settle, days * 86400)

        assert window.end - interval <= now < window.end
        assert buckets.latest_finished(now, interval, settle) in window.buckets()
