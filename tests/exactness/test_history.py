"""With a state file, counters equal what Sentry counted, whatever happens."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import Organization, loads
from tests.exactness.history import Arrival, ArrivingSentry, Exporters
from tests.support.sentry import listed
from tests.support.store import MERGED, Row

HOUR = 3600
START = 1_790_000_000 // HOUR * HOUR + 1234
LOOKBACK = 12 * HOUR

CONFIGURATION = """
organizations:
  - slug: acme
    token: nothing
    queries:
      - name: outcomes
        groupBy: [category, outcome]
        lookback: 12h
        poll_interval: 5m
      - name: projects
        groupBy: [project, category, outcome]
        lookback: 12h
        poll_interval: 5m
"""


def organization() -> Organization:
    """Return the organization that is polled."""
    return loads(CONFIGURATION).organizations[0]


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    """Draw rows that arrive over three days, some of them late, some before the start."""
    drawn = []
    for _ in range(draw(st.integers(1, 25))):
        hours = draw(st.floats(-10, 72))
        at = START + hours * HOUR + (60 if hours >= 0 else -60)
        late = draw(st.sampled_from([0, 0, 0, 120, HOUR, 5 * HOUR, LOOKBACK - 2 * HOUR]))
        row = Row(
            draw(st.integers(1, 4)),
            draw(st.sampled_from(["error", "default", "transaction"])),
            draw(st.sampled_from(["accepted", "rate_limited"])),
            "none",
            int((at - late) // HOUR * HOUR),
            draw(st.integers(1, 50)),
        )
        drawn.append(Arrival(at, row))
    return drawn


projects = st.sets(st.integers(1, 4))
slugs = st.dictionaries(st.integers(1, 4), st.sampled_from(["web", "Web", "api", "shop"]))
gaps = st.sampled_from([300, 300, 1800, HOUR, HOUR, 3 * HOUR, 20 * HOUR])
events = st.sampled_from(["", "", "", "", "fail", "before", "during", "after", "restart"])


def counted(history: list[Arrival]) -> Counter[tuple[str, str]]:
    """Return what Sentry counted after the start, by category and outcome."""
    truth: Counter[tuple[str, str]] = Counter()
    for at, row in history:
        if at > START + 30:
            truth[MERGED.get(row.category, row.category), row.outcome] += row.quantity
    return truth


def shown(counters: dict[tuple[str, str, str], int]) -> Counter[tuple[str, str]]:
    """Return the counters by category and outcome, without zeros."""
    total: Counter[tuple[str, str]] = Counter()
    for (category, outcome, _), value in counters.items():
        total[category, outcome] += value
    return +total


class TestCountersEqualSentry:
    """Counters equal what Sentry counted."""

    @pytest.mark.parametrize("query", [0, 1], ids=["series", "by project"])
    @given(data=st.data(), history=arrivals(), limit=st.sampled_from([10_000, 10_000, 12]))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_after_any_history(
        self, query: int, data: st.DataObject, history: list[Arrival], limit: int
    ) -> None:
        """Late rows, failures, restarts, kills and gaps lose nothing and count nothing twice.

        Neither do new, deleted and renamed projects, projects that take over another one's slug,
        and values that decrease and return.
        """
        with TemporaryDirectory() as folder:
            sentry = ArrivingSentry(history, 1, 2, 3, 4, limit=limit)
            org = organization()
            exporters = Exporters(org, org.queries[query], sentry, Path(folder) / "state")
            exporters.poll(START)
            now = START + 60.0
            for _ in range(data.draw(st.integers(0, 12))):
                event = data.draw(events)
                if event == "restart":
                    exporters.end()
                sentry.listing = listed(*data.draw(projects), slugs=data.draw(slugs))
                sentry.lost = frozenset(data.draw(projects))
                kill = event if event in {"before", "during", "after"} else ""
                exporters.poll(now, fails_at=2 if event == "fail" else None, kill=kill)
                exporters.pass_time(now + 150)
                now += data.draw(gaps)
            sentry.lost = frozenset()
            end = max(now, START + 73 * HOUR)
            for later in (now, end, end + 2 * HOUR):
                exporters.poll(later)
                exporters.pass_time(later + 150)
            exporters.end()

            assert counted(history) == shown(exporters.scrapes.counters)
            assert [] == exporters.scrapes.decreases

    def test_hours_of_an_outage_are_counted_once(self, tmp_path: Path) -> None:
        """After an outage of two days, each hour is read and counted once."""
        history = [
            Arrival(START + hour * HOUR + 90, Row(1, "error", "accepted", "none", bucket, 10))
            for hour in range(48)
            for bucket in [int((START + hour * HOUR + 90) // HOUR * HOUR)]
        ]
        org = organization()
        exporters = Exporters(org, org.queries[1], ArrivingSentry(history, 1), tmp_path / "s")

        exporters.poll(START)
        for moment in range(HOUR, 48 * HOUR, 2 * HOUR):
            exporters.poll(START + moment, fails_at=1)
        exporters.poll(START + 49 * HOUR)
        exporters.pass_time(START + 49 * HOUR + 200)
        exporters.end()

        assert {("error", "accepted"): 480} == dict(shown(exporters.scrapes.counters))

    def test_a_longer_lookback_counts_nothing_twice(self, tmp_path: Path) -> None:
        """Counted hours that a longer lookback reads again are not counted again."""
        bucket = int(START // HOUR * HOUR)
        history = [Arrival(START + 60, Row(1, "error", "accepted", "none", bucket, 10))]
        org = organization()
        exporters = Exporters(org, org.queries[0], ArrivingSentry(history), tmp_path / "state")

        exporters.poll(START)
        exporters.poll(START + 300)
        exporters.poll(START + 20 * HOUR)
        exporters.end()
        exporters.query = exporters.query.model_copy(update={"lookback": 40 * HOUR})
        exporters.poll(START + 21 * HOUR)
        exporters.pass_time(START + 22 * HOUR)
        exporters.end()

        assert {("error", "accepted"): 10} == dict(shown(exporters.scrapes.counters))

    def test_without_state_counters_restart_at_zero(self) -> None:
        """Without a state file, the counters start at 0 again."""
        history = [
            Arrival(START + hour * HOUR + 90, Row(1, "error", "accepted", "none", bucket, 10))
            for hour in range(4)
            for bucket in [int((START + hour * HOUR + 90) // HOUR * HOUR)]
        ]
        org = organization()
        exporters = Exporters(org, org.queries[0], ArrivingSentry(history), None)

        exporters.poll(START)
        exporters.poll(START + 2 * HOUR)
        exporters.pass_time(START + 2 * HOUR + 150)
        before = shown(exporters.scrapes.counters)
        exporters.end()
        exporters.scrapes.counters.clear()
        exporters.poll(START + 2 * HOUR)
        exporters.poll(START + 5 * HOUR)
        exporters.pass_time(START + 5 * HOUR + 150)

        assert {("error", "accepted"): 20} == dict(before)
        assert {("error", "accepted"): 20} == dict(shown(exporters.scrapes.counters))
