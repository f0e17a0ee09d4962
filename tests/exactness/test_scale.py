"""Organizations with more rows than one answer can have, over HTTP."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from urllib.parse import urlencode

import pytest

from exporter.app import Exporter
from exporter.collect.series import totals
from exporter.collect.snapshot import View
from exporter.moments import iso
from exporter.simulator import (
    SCALE_TOKEN,
    Member,
    Organization,
    Project,
    RecordedRequest,
    Row,
    Simulator,
    Token,
    TokenKind,
    World,
    scale_world,
)
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, configuration
from tests.support.configuration import organization as entry
from tests.support.exporters import poll_all, with_settings
from tests.support.rows import flat

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 0.0
LABELS = ("project", "category", "outcome", "reason")
ROW_LIMIT = 10_000
FIRST_ID = 4_505_123_000_000_000

QUERY = {**PROJECTS, "lookback": "1h", "poll_interval": "5m"}


def exporter_for(
    sentry: Simulator, clock: Clock, organization: str = "scale", token: str = SCALE_TOKEN
) -> Exporter:
    """Return an exporter that has not polled ``sentry`` yet."""
    config = configuration(sentry.url, entry(QUERY, slug=organization, token=token, settle="0s"))
    # A busy machine may take a minute for an answer about 20,000 projects.
    return Exporter(with_settings(config, timeout=600.0), clock=clock)


def poll(exporter: Exporter, clock: Clock) -> View:
    """Poll until the lookback has been read, and return what is published."""
    poll_all(exporter, clock())
    view = exporter.queries[0].report.view
    assert view is not None
    return view


def shown(view: View) -> dict[tuple[str | int, ...], int]:
    """Return the finished bucket in the form of the store."""
    return {
        (project, series.category, series.outcome, series.reason): value
        for (series, project), value in flat(view.bucket).items()
        if value
    }


def by_category_and_outcome(view: View) -> dict[tuple[str, str], int]:
    """Return the sums of the finished bucket over projects and reasons."""
    total: Counter[tuple[str, str]] = Counter()
    for series, value in totals(view.bucket).items():
        total[series.category, series.outcome] += value
    return dict(+total)


def stats_requests(requests: Sequence[RecordedRequest]) -> list[RecordedRequest]:
    """Return the requests to stats_v2."""
    return [request for request in requests if request.path.endswith("/stats_v2/")]


def requests_by_project(requests: Sequence[RecordedRequest], bucket: int) -> int:
    """Return the number of requests for ``bucket`` that are grouped by project."""
    parameters = {("groupBy", "project"), ("start", iso(bucket))}
    return sum(1 for request in stats_requests(requests) if parameters <= set(request.query))


class TestLargeOrganizations:
    """Thousands of projects with about twenty rows an hour each."""

    @pytest.mark.parametrize("projects", [1_000, 5_000, 20_000])
    def test_every_project_is_exact(self, projects: int) -> None:
        """Each series equals the store and is complete, within limits on requests and URLs."""
        clock = Clock(NOW)
        with Simulator(scale_world(projects), clock=clock, rate_limit=None) as sentry:
            view = poll(exporter_for(sentry, clock), clock)
            truth = sentry.store.totals(1, view.start, view.start + HOUR, at=NOW, group_by=LABELS)
            stats = stats_requests(sentry.requests)

        assert truth == shown(view)
        assert view.complete
        assert len(stats) <= 2 * ceil(len(truth) / ROW_LIMIT) + 3
        assert all(len(sentry.url + one.path + urlencode(one.query)) < 8192 for one in stats)

    def test_a_known_split_saves_a_request(self) -> None:
        """The next hour is split at once, without trying one request first."""
        clock = Clock(NOW)
        with Simulator(scale_world(1_000), clock=clock, rate_limit=None) as sentry:
            exporter = exporter_for(sentry, clock)
            first = poll(exporter, clock).start
            first_requests = requests_by_project(sentry.requests, first)
            clock.now = NOW + HOUR
            view = poll(exporter, clock)
            later_requests = requests_by_project(sentry.requests, view.start)
            truth = sentry.store.totals(1, view.start, int(NOW) + HOUR, at=clock(), group_by=LABELS)

        assert first_requests - 1 == later_requests
        assert truth == shown(view)

    @pytest.mark.parametrize("limit", [20, 45, 300])
    def test_a_limit_below_one_project(self, limit: int) -> None:
        """If a project has more rows than the limit, the sums are exact, but incomplete."""
        clock = Clock(NOW)
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


class TestUnreadableProjects:
    """The events of projects that cannot be read."""

    @pytest.mark.parametrize("projects", [40, 1_000], ids=["in one answer", "split"])
    def test_a_deleted_project_is_in_the_remainder(self, projects: int) -> None:
        """The events of a deleted project are published without a project."""
        clock = Clock(NOW)
        with Simulator(scale_world(projects), clock=clock, rate_limit=None) as sentry:
            sentry.world.delete_project(FIRST_ID)
            view = poll(exporter_for(sentry, clock), clock)
            hour = view.start, view.start + HOUR
            deleted = sentry.store.totals(1, *hour, at=NOW, group_by=LABELS, project=[FIRST_ID])
            every = sentry.store.totals(1, *hour, at=NOW, group_by=LABELS)

        assert {(0, *key[1:]): value for key, value in deleted.items()} == {
            key: value for key, value in shown(view).items() if key[0] == 0
        }
        assert sum(every.values()) == sum(totals(view.bucket).values())
        assert view.complete

    def test_a_project_deleted_during_a_poll(self) -> None:
        """If Sentry refuses a deleted project, the list is read again and the poll succeeds."""
        clock = Clock(NOW)
        with Simulator(scale_world(1_000), clock=clock, rate_limit=None) as sentry:
            exporter = exporter_for(sentry, clock)
            poll(exporter, clock)
            sentry.world.delete_project(FIRST_ID)
            clock.now = NOW + HOUR / 2
            view = poll(exporter, clock)

        assert exporter.queries[0].report.up
        assert view.projects is not None
        assert FIRST_ID not in view.projects

    def test_an_unreadable_project_is_in_the_remainder(self) -> None:
        """The events of projects that a user cannot read are published without a project."""
        clock = Clock(NOW)
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
