"""Organizations with more rows than one answer holds, over the socket."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from urllib.parse import urlencode

import pytest

from exporter.app import Exporter
from exporter.collect.snapshot import View
from exporter.sentry.question import iso
from exporter.simulator import (
    SCALE_TOKEN,
    Asked,
    Member,
    Organization,
    Project,
    Row,
    Simulator,
    Token,
    TokenKind,
    World,
    scale_world,
)
from tests.exactness.acceleration import SetClock, configuration

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 0.0
LABELS = ("project", "category", "outcome", "reason")
ROW_LIMIT = 10_000
FIRST_ID = 4_505_123_000_000_000

QUERY = (
    "{name: projects, groupBy: [project, category, outcome, reason], lookback: 1h,"
    " poll_interval: 5m}"
)


def exporter_for(
    sentry: Simulator, clock: SetClock, organization: str = "scale", token: str = SCALE_TOKEN
) -> Exporter:
    """Return an exporter that has yet to poll ``sentry``."""
    config = configuration(sentry.url, token, organization, [QUERY], settle="0s")
    return Exporter(config, clock=clock)


def poll(exporter: Exporter, clock: SetClock) -> View:
    """Poll until nothing is left to read, and return what is shown then."""
    query = exporter.queries[0]
    while query.poll(clock()).next_poll <= clock():
        pass
    assert query.report.view is not None
    return query.report.view


def shown(view: View) -> dict[tuple[str | int, ...], int]:
    """Return the finished bucket as the store has it."""
    return {(s.project, s.category, s.outcome, s.reason): v for s, v in view.bucket.items() if v}


def by_category_and_outcome(view: View) -> dict[tuple[str, str], int]:
    """Return the sums of the finished bucket over projects and reasons."""
    total: Counter[tuple[str, str]] = Counter()
    for series, value in view.bucket.items():
        total[series.category, series.outcome] += value
    return dict(+total)


def stats_requests(requests: Sequence[Asked]) -> list[Asked]:
    """Return the requests that asked for stats."""
    return [request for request in requests if request.path.endswith("/stats_v2/")]


def questions_by_project(requests: Sequence[Asked], bucket: int) -> int:
    """Return how many requests asked for ``bucket`` by project."""
    asked = {("groupBy", "project"), ("start", iso(bucket))}
    return sum(1 for request in stats_requests(requests) if asked <= set(request.query))


class TestLargeOrganizations:
    """Thousands of projects with about twenty rows an hour each."""

    @pytest.mark.parametrize("projects", [1_000, 2_000, 5_000, 20_000])
    def test_every_project_is_exact(self, projects: int) -> None:
        """Each series equals the store, proven whole, within the bound of requests and of URLs."""
        clock = SetClock(NOW)
        with Simulator(scale_world(projects), clock=clock, rate_limit=None) as sentry:
            view = poll(exporter_for(sentry, clock), clock)
            truth = sentry.store.totals(1, view.start, view.start + HOUR, at=NOW, group_by=LABELS)
            asked = stats_requests(sentry.requests)

        assert truth == shown(view)
        assert view.complete
        assert len(asked) <= 2 * ceil(len(truth) / ROW_LIMIT) + 3
        assert all(len(sentry.url + one.path + urlencode(one.query)) < 8192 for one in asked)

    def test_a_known_split_saves_a_request(self) -> None:
        """The hour after is not first asked for in one piece, which would be in vain."""
        clock = SetClock(NOW)
        with Simulator(scale_world(1_000), clock=clock, rate_limit=None) as sentry:
            exporter = exporter_for(sentry, clock)
            first = poll(exporter, clock).start
            asked_first = questions_by_project(sentry.requests, first)
            clock.set(NOW + HOUR)
            view = poll(exporter, clock)
            asked_then = questions_by_project(sentry.requests, view.start)
            truth = sentry.store.totals(1, view.start, int(NOW) + HOUR, at=clock(), group_by=LABELS)

        assert asked_first - 1 == asked_then
        assert truth == shown(view)

    @pytest.mark.parametrize("limit", [20, 45, 300])
    def test_a_cut_below_what_splitting_reaches_is_told(self, limit: int) -> None:
        """With answers cut at fewer rows than a single project has, the sums still agree."""
        clock = SetClock(NOW)
        with Simulator(scale_world(50), clock=clock, rate_limit=None) as sentry:
            sentry.row_limit = limit
            sentry.world.add_rows(
                *(
                    Row(1, FIRST_ID, "span", "invalid", f"reason-{number}", NOW - 60, 7)
                    for number in range(limit + 60)
                )
            )
            view = poll(exporter_for(sentry, clock), clock)
            truth = sentry.store.totals(
                1, view.start, view.start + HOUR, at=NOW, group_by=("category", "outcome")
            )

        assert truth == by_category_and_outcome(view)
        assert not view.complete


class TestNobodysEvents:
    """What belongs to no project that can be read."""

    @pytest.mark.parametrize("projects", [40, 1_000], ids=["in one answer", "split"])
    def test_a_deleted_project_is_under_no_project(self, projects: int) -> None:
        """Its events count for the organization, whether the answer was split or not."""
        clock = SetClock(NOW)
        with Simulator(scale_world(projects), clock=clock, rate_limit=None) as sentry:
            sentry.world.delete_project(FIRST_ID)
            view = poll(exporter_for(sentry, clock), clock)
            hour = view.start, view.start + HOUR
            gone = sentry.store.totals(1, *hour, at=NOW, group_by=LABELS, project=[FIRST_ID])
            every = sentry.store.totals(1, *hour, at=NOW, group_by=LABELS)

        assert {(0, *key[1:]): value for key, value in gone.items()} == {
            key: value for key, value in shown(view).items() if key[0] == 0
        }
        assert sum(every.values()) == sum(view.bucket.values())
        assert view.complete

    def test_a_project_deleted_meanwhile_does_not_fail_the_poll(self) -> None:
        """Sentry refuses batches that name it, so the list is read again, and the poll goes on."""
        clock = SetClock(NOW)
        with Simulator(scale_world(1_000), clock=clock, rate_limit=None) as sentry:
            exporter = exporter_for(sentry, clock)
            poll(exporter, clock)
            sentry.world.delete_project(FIRST_ID)
            clock.set(NOW + HOUR / 2)
            view = poll(exporter, clock)

        assert exporter.queries[0].report.up
        assert view.projects is not None
        assert FIRST_ID not in view.projects

    def test_a_project_the_token_cannot_see_is_under_no_project(self) -> None:
        """A user's token reads the projects of its teams; the others' events are not lost."""
        clock = SetClock(NOW)
        world = World(
            [Organization(1, "acme", open_membership=False)],
            [
                Project(11, 1, "seen", members=frozenset({"user"})),
                Project(12, 1, "unseen"),
            ],
            [Member(1, "user")],
            [Token("user-token", TokenKind.USER, user="user")],
        )
        world.add_rows(
            Row(1, 11, "error", "accepted", None, NOW - 600, 5),
            Row(1, 12, "error", "accepted", None, NOW - 600, 3),
        )
        with Simulator(world, clock=clock, rate_limit=None) as sentry:
            view = poll(exporter_for(sentry, clock, "acme", "user-token"), clock)

        assert {
            (11, "error", "accepted", "none"): 5,
            (0, "error", "accepted", "none"): 3,
        } == shown(view)
