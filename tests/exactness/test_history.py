"""Whatever happens, a counter with state equals what Sentry counted in the same time."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import Organization, loads
from tests.collect.store import MERGED, Row
from tests.exactness.history import Arrival, Life, Sentry

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
    """Draw rows that arrive over three days, some long after their hour; some before the start."""
    found = []
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
        found.append(Arrival(at, row))
    return found


projects = st.sets(st.integers(1, 4))
slugs = st.dictionaries(st.integers(1, 4), st.sampled_from(["web", "Web", "api", "shop"]))
gaps = st.sampled_from([300, 300, 1800, HOUR, HOUR, 3 * HOUR, 20 * HOUR])
events = st.sampled_from(["", "", "", "", "fail", "before", "amid", "after", "restart"])


def counted(history: list[Arrival]) -> Counter[tuple[str, str]]:
    """Return what Sentry counted after the start, by category and outcome."""
    truth: Counter[tuple[str, str]] = Counter()
    for at, row in history:
        if at > START + 30:
            truth[MERGED.get(row.category, row.category), row.outcome] += row.quantity
    return truth


def shown(counters: dict[tuple[str, str, str], int]) -> Counter[tuple[str, str]]:
    """Return the counters by category and outcome, zeros left out."""
    total: Counter[tuple[str, str]] = Counter()
    for (category, outcome, _), value in counters.items():
        total[category, outcome] += value
    return +total


class TestCountersEqualSentry:
    """The promise of the ledger and the state file."""

    @pytest.mark.parametrize("query", [0, 1], ids=["series", "by project"])
    @given(data=st.data(), history=arrivals(), limit=st.sampled_from([10_000, 10_000, 12]))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_after_any_history(
        self, query: int, data: st.DataObject, history: list[Arrival], limit: int
    ) -> None:
        """Late rows, failures, restarts, kills and gaps lose nothing and count nothing twice.

        Nor do projects that come, go, are called otherwise, or take over another one's slug, nor
        values that fall and come back.
        """
        with TemporaryDirectory() as folder:
            sentry = Sentry(history, limit=limit, readable=frozenset({1, 2, 3, 4}))
            org = organization()
            life = Life(org, org.queries[query], sentry, Path(folder) / "state")
            life.poll(START)
            now = START + 60.0
            for _ in range(data.draw(st.integers(0, 12))):
                event = data.draw(events)
                if event == "restart":
                    life.end()
                sentry.readable = frozenset(data.draw(projects))
                sentry.slugs = data.draw(slugs)
                sentry.lost = frozenset(data.draw(projects))
                kill = event if event in {"before", "amid", "after"} else ""
                life.poll(now, fails_at=2 if event == "fail" else None, kill=kill)
                life.pass_time(now + 150)
                now += data.draw(gaps)
            sentry.lost = frozenset()
            end = max(now, START + 73 * HOUR)
            for later in (now, end, end + 2 * HOUR):
                life.poll(later)
                life.pass_time(later + 150)
            life.end()

            assert counted(history) == shown(life.scrapes.counters)
            assert [] == life.scrapes.falls

    def test_hours_of_an_outage_are_counted_once(self, tmp_path: Path) -> None:
        """Two days without Sentry are read when it is back, each hour once."""
        history = [
            Arrival(START + hour * HOUR + 90, Row(1, "error", "accepted", "none", bucket, 10))
            for hour in range(48)
            for bucket in [int((START + hour * HOUR + 90) // HOUR * HOUR)]
        ]
        org = organization()
        life = Life(org, org.queries[1], Sentry(history, readable=frozenset({1})), tmp_path / "s")

        life.poll(START)
        for moment in range(HOUR, 48 * HOUR, 2 * HOUR):
            life.poll(START + moment, fails_at=1)
        life.poll(START + 49 * HOUR)
        life.pass_time(START + 49 * HOUR + 200)
        life.end()

        assert {("error", "accepted"): 480} == dict(shown(life.scrapes.counters))

    def test_a_longer_lookback_counts_nothing_twice(self, tmp_path: Path) -> None:
        """Hours that were counted and left the lookback come back as they are found."""
        bucket = int(START // HOUR * HOUR)
        history = [Arrival(START + 60, Row(1, "error", "accepted", "none", bucket, 10))]
        org = organization()
        life = Life(org, org.queries[0], Sentry(history), tmp_path / "state")

        life.poll(START)
        life.poll(START + 300)
        life.poll(START + 20 * HOUR)
        life.end()
        life.query = replace(life.query, lookback=40 * HOUR)
        life.poll(START + 21 * HOUR)
        life.pass_time(START + 22 * HOUR)
        life.end()

        assert {("error", "accepted"): 10} == dict(shown(life.scrapes.counters))

    def test_without_state_a_restart_begins_anew(self) -> None:
        """Counters begin at 0 again, and count from there."""
        history = [
            Arrival(START + hour * HOUR + 90, Row(1, "error", "accepted", "none", bucket, 10))
            for hour in range(4)
            for bucket in [int((START + hour * HOUR + 90) // HOUR * HOUR)]
        ]
        org = organization()
        life = Life(org, org.queries[0], Sentry(history), None)

        life.poll(START)
        life.poll(START + 2 * HOUR)
        life.pass_time(START + 2 * HOUR + 150)
        before = shown(life.scrapes.counters)
        life.end()
        life.scrapes.counters.clear()
        life.poll(START + 2 * HOUR)
        life.poll(START + 5 * HOUR)
        life.pass_time(START + 5 * HOUR + 150)

        assert {("error", "accepted"): 20} == dict(before)
        assert {("error", "accepted"): 20} == dict(shown(life.scrapes.counters))
