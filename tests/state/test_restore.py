"""Ledgers that come back after a restart."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Ledger
from exporter.collect.series import ProjectSeries, Series
from exporter.sentry.question import QUANTITY
from exporter.state import State
from tests.state.polls import ACME, OUTCOMES, counted, persist, poll, polled, posted, rows_of
from tests.support.rows import API, HOUR, NOON, WEB, flat, reading, series
from tests.support.settings import NOW

DAY = 24 * HOUR
IN_MEMORY = Path(":memory:")
LARGEST = 2**64 - 2


class TestRestore:
    """What a restarted exporter has of a query."""

    def test_new(self, state: State) -> None:
        """A query that the file does not have gets an empty ledger."""
        restored = state.restore(ACME, OUTCOMES)

        assert (Ledger(), 0) == (restored.ledger, restored.last_success)

    def test_goes_on(self, path: Path) -> None:
        """After a restart the ledger is as it was, and so is the time of its last poll."""
        with closing(State(path)) as state:
            before = polled(state).ledger

        with closing(State(path)) as state:
            restored = state.restore(ACME, OUTCOMES)

        assert before == restored.ledger
        assert NOW + 60 == restored.last_success

    def test_goes_on_counting(self, path: Path) -> None:
        """What a restored query polls is written like anything else."""
        with closing(State(path)) as state:
            polled(state)
        with closing(State(path)) as state:
            poll(state.restore(ACME, OUTCOMES), {NOON: reading({series(): 9})}, NOW + 120)

        with closing(State(path)) as state:
            restored = state.restore(ACME, OUTCOMES)

        assert {series(): 8, series(outcome="abuse"): 2} == counted(restored)

    def test_failed(self, state: State) -> None:
        """What a poll read before it failed is there, and the last success is an earlier poll."""
        restored = polled(state)
        change = posted(restored, {NOON: reading({series(): 9})}, NOW + 120)

        persist(restored, change, failed=True)
        restored.ledger.apply(change)

        after = state.restore(ACME, OUTCOMES)
        assert restored.ledger == after.ledger
        assert NOW + 60 == after.last_success

    def test_dropped(self, path: Path) -> None:
        """Buckets that leave the lookback leave the file."""
        with closing(State(path)) as state:
            poll(polled(state), {}, NOW + HOUR, first_bucket=NOON + HOUR)

        with closing(State(path)) as state:
            restored = state.restore(ACME, OUTCOMES)

            assert {} == restored.ledger.buckets
            assert {series(): 3, series(outcome="abuse"): 2} == counted(restored)
            assert {"bucket": 0} == rows_of(state, ["bucket"])

    @pytest.mark.parametrize("label", ["", "a\0b", "'; DROP TABLE bucket; --", "ключ\n"])
    def test_any_label(self, path: Path, label: str) -> None:
        """Labels come back as they were, whatever is in them."""
        project = 4_505_000_000_000_000
        one = ProjectSeries(Series(QUANTITY, label, label, label), project)
        with closing(State(path)) as state:
            restored = state.restore(ACME, OUTCOMES)
            poll(restored, {NOON: reading({one: 5})}, labels={project: label})

        with closing(State(path)) as state:
            ledger = state.restore(ACME, OUTCOMES).ledger

        assert {one: 5} == flat(ledger.buckets[NOON].rows)
        assert restored.ledger.labels == ledger.labels

    @pytest.mark.parametrize("value", [0, 2**32 - 2, 2**32 - 1, 2**32, 2**63, LARGEST])
    def test_any_value(self, path: Path, value: int) -> None:
        """Values of up to 64 bits come back, in buckets, totals and counters."""
        after = NOON + HOUR
        with closing(State(path)) as state:
            restored = state.restore(ACME, OUTCOMES)
            poll(restored, {})
            poll(restored, {after: reading({series(): value}, {series(): value})})

        with closing(State(path)) as state:
            restored = state.restore(ACME, OUTCOMES)

        assert {series(): value} == flat(restored.ledger.buckets[after].rows) == counted(restored)
        assert {series().series: value} == restored.ledger.buckets[after].total

    def test_wider(self, state: State) -> None:
        """A bucket whose values outgrow 32 bits comes back beside one whose values do not."""
        restored = state.restore(ACME, OUTCOMES)
        poll(restored, {NOON: reading({series(): 5}), NOON - HOUR: reading({series(): 6})})

        poll(restored, {NOON: reading({series(): 2**40})})

        ledger = state.restore(ACME, OUTCOMES).ledger
        assert restored.ledger == ledger
        assert ["I", "Q"] == [
            ledger.buckets[at].rows.cells.typecode for at in sorted(ledger.buckets)
        ]


class TestSeries:
    """The series, which the file has once, however many buckets they are in."""

    def test_appended(self, state: State) -> None:
        """New series are written alone, and older buckets come back without them."""
        restored = polled(state)
        chunks = rows_of(state, ["series", "counter_series", "label"])

        poll(restored, {NOON + HOUR: reading({series(WEB): 1, series(API): 1})}, NOW + HOUR)
        poll(restored, {NOON + HOUR: reading({series(WEB): 2, series(API): 1})}, NOW + HOUR + 60)

        assert {"series": 2, "counter_series": 2, "label": 0} == chunks
        assert {"series": 3, "counter_series": 3, "label": 1} == rows_of(state, chunks)
        assert restored.ledger == state.restore(ACME, OUTCOMES).ledger

    def test_made_anew(self, state: State) -> None:
        """A table of other origin takes the place of the one before, with all its buckets."""
        restored = state.restore(ACME, OUTCOMES)
        for day in range(3):
            start = NOON + day * DAY
            poll(restored, {start: reading({series(day): 1})}, start, first_bucket=start - DAY)
        origin = restored.ledger.series.origin

        start = NOON + 3 * DAY
        poll(restored, {start: reading({series(): 1})}, start)

        assert origin is not restored.ledger.series.origin
        assert {"series": 1, "bucket": 3} == rows_of(state, ["series", "bucket"])
        assert restored.ledger == state.restore(ACME, OUTCOMES).ledger


projects = st.sampled_from([0, WEB, API])
values = st.integers(0, 2**60) | st.sampled_from([0, 2**32 - 2, 2**32 - 1, 2**32])
rows = st.dictionaries(
    st.builds(series, projects, st.sampled_from(["error", "span"])), values, max_size=4
)
totals = st.dictionaries(
    st.builds(series, category=st.sampled_from(["error", "span"])), values, max_size=2
)
readings = st.builds(reading, rows, totals, finished=st.booleans(), proven=st.booleans())
labels = st.none() | st.dictionaries(projects, st.sampled_from(["web", "api", "ü"]))
polls = st.lists(
    st.fixed_dictionaries(
        {
            "readings": st.dictionaries(st.integers(-2, 2), readings),
            "pause": st.sampled_from([60, 121, 7 * HOUR, 31 * DAY]),
            "hours": st.sampled_from([1, 2, 24]),
            "labels": labels,
            "asked": st.none() | st.frozensets(projects),
            "clock_skew": st.none() | st.floats(-99, 99),
            "restarts": st.booleans(),
        }
    ),
    max_size=8,
)


@pytest.mark.slow
@given(history=polls)
@settings(deadline=None, max_examples=60)
def test_round_trip(history: list[dict[str, Any]]) -> None:
    """Whatever polls do to a ledger, what is restored after any of them is the same one."""
    now = NOW
    with closing(State(IN_MEMORY)) as state:
        restored = state.restore(ACME, OUTCOMES)
        for one in history:
            now += one["pause"]
            running = now // HOUR * HOUR
            restored.ledger.end_grace(now)
            poll(
                restored,
                {running + age * HOUR: each for age, each in one["readings"].items()},
                now,
                running_end=running + HOUR,
                first_bucket=running - one["hours"] * HOUR,
                labels=one["labels"],
                asked=one["asked"],
                clock_skew=one["clock_skew"],
            )
            after = state.restore(ACME, OUTCOMES)

            assert restored.ledger == after.ledger
            assert now == after.last_success

            restored = after if one["restarts"] else restored
