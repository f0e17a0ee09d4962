"""The ledger, whatever values Sentry gives at each poll: they may grow, fall, move and vanish."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Ledger, post
from exporter.collect.series import ProjectSeries, Series
from tests.support.rows import HOUR, NOON, Flat, flat, reading, series

PROJECTS = (0, 1, 2, 3)
LOOKBACK = 4

amounts = st.sampled_from([0, 1, 5, 100, 2**53 - 1]) | st.integers(0, 1000)
held = st.dictionaries(
    st.builds(series, st.sampled_from(PROJECTS), st.sampled_from(["error", "span"])), amounts
)


class Poll(NamedTuple):
    """What a poll reads: values of the last buckets, the newest first, and the labels then."""

    pause: int
    buckets: list[Flat]
    labels: dict[int, str]
    proven: bool


polls = st.lists(
    st.builds(
        Poll,
        st.sampled_from([60, 300, HOUR, 2 * HOUR, 5 * HOUR]),
        st.lists(held, min_size=LOOKBACK + 1, max_size=LOOKBACK + 1),
        st.dictionaries(st.sampled_from(PROJECTS[1:]), st.sampled_from(["web", "api", "shop"])),
        st.booleans(),
    ),
    min_size=2,
    max_size=7,
)


def sums(values: Flat) -> Mapping[Series, int]:
    """Return the organization's own numbers."""
    total: Counter[Series] = Counter()
    for one, value in values.items():
        total[one.series] += value
    return total


@given(polls)
@settings(max_examples=120, derandomize=True)
def test_conserved_and_never_falling(history: list[Poll]) -> None:
    """The counters of a series gain what each bucket's sum has exceeded its highest until then.

    No counter falls, and none gains more than its poll has brought.
    """
    ledger, now = Ledger(), NOON
    highest: dict[tuple[int, Series], int] = {}
    expected: Counter[Series] = Counter()
    counted: dict[tuple[Series, str], int] = {}
    for number, poll in enumerate(history):
        now += poll.pause
        running = now // HOUR * HOUR
        readings = {
            running - age * HOUR: reading(
                _unambiguous(values, poll.labels), finished=age > 1, proven=poll.proven
            )
            for age, values in enumerate(poll.buckets)
        }
        for start, one in readings.items():
            for kind, value in sums(flat(one.rows)).items():
                # Counters begin at the first poll, with what buckets hold then already in them.
                grown = value - highest.get((start, kind), 0)
                if number and grown > 0:
                    expected[kind] += grown
                highest[start, kind] = max(value, highest.get((start, kind), 0))
        change = post(
            ledger,
            readings,
            now=now,
            running_end=running + HOUR,
            first_bucket=running - LOOKBACK * HOUR,
            labels=poll.labels,
        )
        ledger.apply(change)
        before, counted = counted, _counted(ledger)

        assert all(counted[key] >= value for key, value in before.items())
        gained: Counter[Series] = Counter()
        for (kind, _), value in counted.items():
            gained[kind] += value
        assert +expected == +gained


def _unambiguous(values: Flat, labels: Mapping[int, str]) -> Flat:
    """Return ``values`` as a plan reads them: what has no label of its own is the remainder's."""
    owners = {label: project for project, label in labels.items()}
    attributed: Counter[ProjectSeries] = Counter()
    for one, value in values.items():
        owner = owners.get(labels.get(one.project, ""), 0)
        attributed[one if owner == one.project else one._replace(project=0)] += value
    return dict(attributed)


def _counted(ledger: Ledger) -> dict[tuple[Series, str], int]:
    return {
        (one.series, ledger.labels[one.project]): value
        for one, value in flat(ledger.counters).items()
    }
