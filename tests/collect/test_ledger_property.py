"""The rule of the ledger: counters gain exactly what arrives, whatever happens to it."""

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Found, Ledger
from exporter.collect.reckoning import reckon
from exporter.collect.rows import Rows, Series
from tests.collect.polling import API, HOUR, NOON, OLD, WEB, series

LOOKBACK = 3 * HOUR
PROJECTS = (WEB, API, OLD)
CATEGORIES = ("error", "span")

Grown = dict[tuple[int, int, str], int]
"""What arrives: a quantity by age of the bucket in hours, project and category."""

growth = st.dictionaries(
    st.tuples(st.integers(0, 5), st.sampled_from(PROJECTS), st.sampled_from(CATEGORIES)),
    st.integers(1, 50),
    max_size=6,
)
polls = st.lists(
    st.tuples(
        st.integers(1, 5 * HOUR),
        growth,
        st.frozensets(st.sampled_from(PROJECTS)),
        st.booleans(),
    ),
    min_size=2,
    max_size=8,
)


class Organization:
    """An organization whose rows only grow, polled by project from its `Ledger`."""

    def __init__(self) -> None:
        self.now = NOON
        self.ledger = Ledger()
        self.stored: dict[int, dict[Series, int]] = defaultdict(dict)
        self.arrived = 0

    @property
    def running(self) -> int:
        """The start of the bucket that is filling."""
        return self.now // HOUR * HOUR

    def window(self) -> range:
        """Return the buckets that a poll reads: the lookback, and what was missed before it."""
        oldest = self.running - LOOKBACK
        return range(min([oldest, *self.ledger.books]), self.running + HOUR, HOUR)

    def grow(self, grown: Grown) -> None:
        """Let rows arrive in buckets that are still looked at."""
        for (age, project, category), quantity in grown.items():
            bucket = self.running - age * HOUR
            if bucket in self.window():
                rows = self.stored[bucket]
                one = series(project, category)
                rows[one] = rows.get(one, 0) + quantity
                self.arrived += quantity

    def poll(self, readable: frozenset[int], *, lost: bool) -> None:
        """Read everything, of ``readable`` by name; if ``lost``, all is under project 0."""
        shown = frozenset[int]() if lost else readable
        found = {
            start: Found(
                _attributed(self.stored[start], shown), finished=start + HOUR < self.running
            )
            for start in self.window()
        }
        change = reckon(
            self.ledger,
            found,
            now=self.now,
            running_end=self.running + HOUR,
            keep_from=self.running - LOOKBACK,
            readable=readable,
        )
        self.ledger.apply(change)


def _attributed(rows: Rows, readable: frozenset[int]) -> Rows:
    """Return ``rows`` as the planner reads them: what is not ``readable`` is project 0's."""
    found: Counter[Series] = Counter()
    for one, value in rows.items():
        found[one if one.project in readable else one.without_project()] += value
    return dict(found)


@given(polls)
@settings(deadline=None)
def test_exact(history: list[tuple[int, Grown, frozenset[int], bool]]) -> None:
    """The counters add up to all that arrived since the first poll, and none ever falls.

    Whatever arrives in whichever bucket, whenever polls happen, and whichever projects can be
    read, or be told apart, at each of them.
    """
    organization = Organization()
    at_first, shown = 0, dict[Series, int]()
    for number, (pause, grown, readable, lost) in enumerate(history):
        organization.now += pause
        organization.grow(grown)
        at_first = at_first if number else organization.arrived
        organization.poll(readable, lost=lost)
        organization.ledger.rise(organization.now)
        now_shown = dict(organization.ledger.shown_counters())

        assert organization.arrived - at_first == sum(organization.ledger.counters.values())
        assert all(value <= now_shown[one] for one, value in shown.items())

        shown = now_shown
