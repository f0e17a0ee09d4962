"""The rule of the ledger: counters gain exactly what arrives, whatever happens to it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Ledger, post
from exporter.collect.series import ProjectSeries, Series
from tests.support.rows import API, HOUR, NOON, OLD, WEB, Flat, flat, reading, series

LOOKBACK = 3 * HOUR
PROJECTS = (WEB, API, OLD)
CATEGORIES = ("error", "span")
SLUGS = ("web", "Web", "api", "shop")

Grown = dict[tuple[int, int, str], int]
"""What arrives: a quantity by age of the bucket in hours, project and category."""


class Step(NamedTuple):
    """What happens until the next poll, and how the poll sees it.

    ``lost`` are projects of which Sentry forgets a part, ``slugs`` who is called what from now on;
    a project without a slug cannot be read. An ``unsplit`` poll cannot tell projects apart.
    """

    pause: int
    grown: Grown
    lost: frozenset[int]
    slugs: dict[str, int]
    unsplit: bool


growth = st.dictionaries(
    st.tuples(st.integers(0, 5), st.sampled_from(PROJECTS), st.sampled_from(CATEGORIES)),
    st.integers(1, 50),
    max_size=6,
)
steps = st.builds(
    Step,
    st.integers(1, 5 * HOUR),
    growth,
    st.frozensets(st.sampled_from(PROJECTS)),
    st.dictionaries(st.sampled_from(SLUGS), st.sampled_from(PROJECTS)),
    st.booleans(),
)


class Organization:
    """An organization that is polled by project.

    ``visible`` is what Sentry gives of what is ``stored``: a part of it may be lost for a while.
    """

    def __init__(self) -> None:
        self.now = NOON
        self.ledger = Ledger()
        self.stored: dict[int, dict[ProjectSeries, int]] = defaultdict(dict)
        self.highest: dict[tuple[int, Series], int] = {}
        self.at_first: dict[tuple[int, Series], int] = {}

    @property
    def running(self) -> int:
        """The start of the bucket that is filling."""
        return self.now // HOUR * HOUR

    def window(self) -> range:
        """Return the buckets that a poll reads: the lookback, and what was missed before it."""
        oldest = self.running - LOOKBACK
        return range(min([oldest, *self.ledger.buckets]), self.running + HOUR, HOUR)

    def grow(self, grown: Grown) -> None:
        """Let rows arrive in buckets that are still looked at."""
        for (age, project, category), quantity in grown.items():
            bucket = self.running - age * HOUR
            if bucket in self.window():
                rows = self.stored[bucket]
                one = series(project, category)
                rows[one] = rows.get(one, 0) + quantity

    def poll(self, step: Step) -> None:
        """Read everything, and remember the organization's highest number of each bucket."""
        labels = {project: slug for slug, project in step.slugs.items()}
        readable = frozenset[int]() if step.unsplit else frozenset(labels)
        readings = {}
        first = self.ledger.counts_from is None
        for start in self.window():
            visible = {
                one: value // 2 if one.project in step.lost else value
                for one, value in self.stored[start].items()
            }
            self._remember(start, visible, first=first)
            rows = _attributed(visible, readable)
            readings[start] = reading(rows, finished=start + HOUR < self.running)
        change = post(
            self.ledger,
            readings,
            now=self.now,
            running_end=self.running + HOUR,
            first_bucket=self.running - LOOKBACK,
            labels=labels,
        )
        self.ledger.apply(change)

    def gained(self) -> int:
        """Return what the organization's own numbers have grown since the first poll."""
        return sum(value - self.at_first.get(bucket, 0) for bucket, value in self.highest.items())

    def _remember(self, start: int, visible: Flat, *, first: bool) -> None:
        sums = Counter[Series]()
        for one, value in visible.items():
            sums[one.series] += value
        for kind, value in sums.items():
            self.highest[start, kind] = max(value, self.highest.get((start, kind), 0))
            if first:
                self.at_first[start, kind] = value

    def counted(self) -> dict[tuple[str, str], int]:
        """Return the counters as they are counted, by category and label."""
        names = self.ledger.labels
        return {
            (one.series.category, names[one.project]): value
            for one, value in flat(self.ledger.counters).items()
        }

    def counters(self) -> dict[tuple[str, str], int]:
        """Return the counters that are shown, by category and label."""
        return {
            (one.series.category, self.ledger.labels[one.project]): value
            for one, value in flat(self.ledger.shown_counters()).items()
        }


def _attributed(rows: Flat, readable: frozenset[int]) -> Flat:
    """Return ``rows`` as the planner reads them: what is not ``readable`` is the remainder's."""
    attributed = Counter[ProjectSeries]()
    for one, value in rows.items():
        attributed[one if one.project in readable else one._replace(project=0)] += value
    return dict(attributed)


def gains(history: list[Step], organization: Organization) -> Iterator[tuple[int, int]]:
    """Poll at each step; yield what counters and the organization have gained until then."""
    shown: dict[tuple[str, str], int] = {}
    increase = 0
    for step in history:
        organization.now += step.pause
        organization.grow(step.grown)
        before, gained = organization.counted(), organization.gained()
        organization.poll(step)
        brought = organization.gained() - gained
        for label, value in organization.counted().items():
            assert value - before.get(label, 0) <= brought

        organization.ledger.end_grace(organization.now)
        for label, value in organization.counters().items():
            assert value >= shown.get(label, 0)

            increase += value - shown.get(label, 0)
        shown |= organization.counters()
        waiting = sum(organization.counted().values()) - sum(shown.values())
        yield increase + waiting, organization.gained()


@given(st.lists(steps, min_size=2, max_size=8))
@settings(deadline=None)
def test_exact(history: list[Step]) -> None:
    """All counters together gain what the organization's number grew, and none ever decreases.

    Whatever arrives in whichever bucket, is lost and comes back, whenever polls happen, whichever
    projects can be read or distinguished at each of them, and whatever they are called.
    """
    for counted, gained in gains(history, Organization()):
        assert gained == counted
