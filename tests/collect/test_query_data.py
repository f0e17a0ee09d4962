"""The data of a query: what it shows, what it counts, and whose projects they are."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.categories import Unit
from exporter.collect.ledger import GRACE_PERIOD
from exporter.collect.poll.attempt import MAX_CATCH_UP
from exporter.collect.poll.filter_projects import RETRY_REFUSED_AFTER
from exporter.collect.poll.query import QueryPoller
from exporter.collect.poll.schedule import MAX_PAUSE
from exporter.collect.series import ProjectSeries
from exporter.collect.snapshot import Report, View
from exporter.config import Filter
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.errors import (
    ForbiddenError,
    NetworkError,
    ServerError,
)
from exporter.sentry.question import ATTRIBUTABLE
from tests.support.pollers import poller, shown
from tests.support.publishing import RecordingPublisher
from tests.support.rows import API, HOUR, NOON, OLD, WEB, flat, row, series
from tests.support.rows import rows as nested
from tests.support.sentry import Sentry, listed
from tests.support.settings import NOW, query
from tests.support.store import Row

DAY = 24 * HOUR
BY_PROJECT = ("project", "category", "outcome")
OFTEN = query(poll_interval=300)


class TestView:
    """The data of a poll."""

    def test_bucket(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The latest finished bucket is shown, complete, and no label stands for a project."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert View(
            NOON - HOUR,
            HOUR,
            complete=True,
            bucket=nested({series(): 5}),
            running=None,
            counters=nested({series(): 0}),
        ) == shown(one)

    def test_same(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Data that have not changed are the same object, which is not rendered again."""
        one = poller(sentry, publisher)
        before = one.poll(NOW).view

        assert before is one.poll(NOW + 60).view

    def test_before_it_settles(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A bucket that has ended and not settled is not finished yet."""
        one = poller(sentry, publisher)
        one.poll(NOW - 1)

        assert NOON - 2 * HOUR == shown(one).start

    def test_running(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """The running bucket is shown where polls come more often than buckets."""
        one = poller(sentry, publisher, OFTEN)
        one.poll(NOW)

        assert {series(): 2} == flat(shown(one).running)

    def test_zero(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A series seen anywhere in the lookback and missing here is 0."""
        sentry.add(row(outcome="abuse", bucket=NOON - 23 * HOUR))
        one = poller(sentry, publisher, OFTEN)
        one.poll(NOW)

        expected = {series(): 5, series(outcome="abuse"): 0}
        assert expected == flat(shown(one).bucket)
        assert expected.keys() == flat(shown(one).running).keys()

    def test_leaves_with_the_lookback(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A series whose last bucket has left the lookback is not shown, but still counted."""
        sentry.add(row(outcome="abuse", bucket=NOON - 24 * HOUR))
        one = poller(sentry, publisher)
        one.poll(NOW)
        before = set(flat(shown(one).bucket))

        one.poll(NOW + HOUR)

        assert {series(), series(outcome="abuse")} == before
        assert {series()} == set(flat(shown(one).bucket))
        assert before == set(flat(shown(one).counters))

    def test_no_counters(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A query may do without counters."""
        one = poller(sentry, publisher, query(counters=False))
        one.poll(NOW)

        assert shown(one).counters is None

    @pytest.mark.parametrize(
        ("category", "expected"),
        [
            ((), Unit.EVENTS),
            (("error",), Unit.EVENTS),
            (("log_byte",), Unit.BYTES),
            (("profile_duration",), Unit.SECONDS),
        ],
    )
    def test_unit(
        self,
        sentry: Sentry,
        publisher: RecordingPublisher,
        category: tuple[str, ...],
        expected: Unit,
    ) -> None:
        """Series without category are in the unit of the filter's categories."""
        one = poller(sentry, publisher, query("outcome", filter=Filter(category=category)))
        one.poll(NOW)

        assert expected is shown(one).unit

    def test_what_it_took(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Each report has the number of requests of the last poll, and how long it took."""
        timer = iter((100.0, 100.25, 100.5))
        one = poller(sentry, publisher, query(*BY_PROJECT), timer=lambda: next(timer))

        report = one.poll(NOW)

        assert (3, 0.5) == (report.requests, report.duration)


class TestCounters:
    """Counting through a poller."""

    def test_late_data(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Late data raises gauge and counter, and is a revision."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.add(row(4))

        report = one.poll(NOW + 60)

        assert {series(): 9} == flat(shown(one).bucket)
        assert {series(): 4} == flat(shown(one).counters)
        assert (1, 0) == (report.revisions, report.regressions)

    def test_regression(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A value that falls shows in the gauge, not in the counter, and is counted as such."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.store.rows = [row(3), row(2, bucket=NOON)]

        report = one.poll(NOW + 60)

        assert {series(): 3} == flat(shown(one).bucket)
        assert {series(): 0} == flat(shown(one).counters)
        assert (0, 1) == (report.revisions, report.regressions)

    def test_sums_of_changes(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Revisions and regressions of all polls are added up."""
        one = poller(sentry, publisher)
        for minute, quantity in enumerate((5, 4, 3, 6, 7)):
            sentry.store.rows = [row(quantity), row(2, bucket=NOON)]
            one.poll(NOW + 60 * minute)

        assert (2, 2) == (one.report.revisions, one.report.regressions)

    def test_grace_period(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A counter that appears later is shown at 0 until its grace period ends, by time alone."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        sentry.add(row(3, outcome="abuse"))
        one.poll(NOW + HOUR)
        before = flat(shown(one).counters)

        for later in (1, GRACE_PERIOD - 1, GRACE_PERIOD, GRACE_PERIOD + 1):
            one.refresh(NOW + HOUR + later)

        assert {series(): 0, series(outcome="abuse"): 0} == before
        assert {series(): 0, series(outcome="abuse"): 3} == flat(shown(one).counters)
        assert 3 == len(publisher.reports)

    @pytest.mark.parametrize("hours", [2, 40, 24 * 29])
    @pytest.mark.parametrize("group_by", [("category", "outcome"), BY_PROJECT])
    def test_after_an_outage(
        self,
        sentry: Sentry,
        publisher: RecordingPublisher,
        group_by: tuple[str, ...],
        hours: int,
    ) -> None:
        """What was missed is counted once, however long ago up to 30 days."""
        one = poller(sentry, publisher, query(*group_by))
        poll_out(one, NOW)
        sentry.error = NetworkError("no route")
        one.poll(NOW + HOUR)
        sentry.error = None
        sentry.add(*(row(7, bucket=NOON + hour * HOUR) for hour in range(hours)))

        poll_out(one, NOW + hours * HOUR)
        poll_out(one, NOW + hours * HOUR + 60)

        assert 7 * hours == sum(flat(shown(one).counters).values())

    def test_max_catch_up(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What is older than 30 days is not asked for."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        one.poll(NOW + 90 * DAY)

        window = sentry.asked[-1].window
        assert MAX_CATCH_UP == window.end - window.start


def poll_out(one: QueryPoller, now: float) -> None:
    """Poll until nothing is left unread."""
    while one.poll(now).next_poll <= now:
        pass


class TestClock:
    """A clock that jumps, seen by the server's."""

    DAYS = 3

    def counted(self, sentry: Sentry, publisher: RecordingPublisher, skew: float) -> int:
        """Return what is counted when our clock is set right by days after a first poll."""
        one = poller(sentry, publisher)
        sentry.status = ApiStatus(clock_skew=skew)
        one.poll(NOW)
        later = NOW + self.DAYS * DAY
        sentry.add(*(row(7, bucket=NOON + hour * HOUR) for hour in range(1, self.DAYS * 24)))
        sentry.status = ApiStatus(clock_skew=0.0)
        poll_out(one, later)
        sentry.add(row(2, bucket=NOON + self.DAYS * DAY))
        poll_out(one, later + HOUR)
        return sum(flat(shown(one).counters).values())

    def test_jump(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """After a clock that was days slow is set right, only what comes then is counted."""
        assert 2 == self.counted(sentry, publisher, skew=self.DAYS * DAY)

    def test_pause(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Days in which both clocks went on are an outage, and counted."""
        assert (self.DAYS * 24 - 1) * 7 + 2 == self.counted(sentry, publisher, skew=0.0)

    def test_slow_without_date(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Where the server's clock is not known, days before a clock was set back stay counted."""
        history = [row(7, bucket=NOON - hour * HOUR) for hour in range(self.DAYS * 24 + 30)]
        sentry.add(*history)
        one = poller(sentry, publisher)
        poll_out(one, NOW)
        poll_out(one, NOW - self.DAYS * DAY)
        sentry.add(row(2, bucket=NOON))
        poll_out(one, NOW + 300)

        assert 2 == sum(flat(shown(one).counters).values())

    def test_fast_without_date(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """After a clock that was days fast is set right, what comes then is counted."""
        one = poller(sentry, publisher)
        poll_out(one, NOW + 40 * DAY)
        poll_out(one, NOW)
        sentry.add(row(2, bucket=NOON))
        poll_out(one, NOW + 300)

        assert 2 == sum(flat(shown(one).counters).values())

    def test_wrong_date(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Where our clock goes on as usual, a server with another date changes nothing."""
        one = poller(sentry, publisher)
        for hour, skew in enumerate((0.0, 9.0 * DAY, 0.0)):
            sentry.status = ApiStatus(clock_skew=skew)
            sentry.add(row(7, bucket=NOON + hour * HOUR))
            poll_out(one, NOW + hour * HOUR)

        assert 14 == sum(flat(shown(one).counters).values())


class TestProjects:
    """Queries that have to do with projects."""

    def test_labels(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Projects are shown by their labels, and what others hold under no project."""
        sentry.add(row(3, project=OLD))
        one = poller(sentry, publisher, query(*BY_PROJECT))
        one.poll(NOW)

        assert {WEB: "project-1", API: "project-2"} == shown(one).projects
        assert {series(WEB): 5, series(0): 3} == flat(shown(one).bucket)

    def test_new_project(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A project that appears later has its label with its first data."""
        one = poller(sentry, publisher, query(*BY_PROJECT))
        one.poll(NOW)
        sentry.add(row(3, project=OLD))
        sentry.listing = listed(WEB, API, OLD)

        one.poll(NOW + 60)

        assert "project-9" == (shown(one).projects or {})[OLD]
        assert 3 == flat(shown(one).bucket)[series(OLD)]

    def test_without_projects(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A query that has nothing to do with projects does not ask for their list."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert 0 == sentry.listings
        assert shown(one).projects is None

    def test_no_list(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Without a list ids stand in, data is shown, and the poll has failed for that reason."""
        sentry.listing_error = ForbiddenError(403, "no")
        one = poller(sentry, publisher, query(*BY_PROJECT))

        report = one.poll(NOW)

        assert shown(one).projects is None
        assert {series(WEB): 5} == flat(shown(one).bucket)
        assert not report.up
        assert 0 == report.last_success
        assert {"forbidden": 1} == report.failures
        assert NOW + MAX_PAUSE == report.next_poll

    def test_list_comes_later(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Once the list can be had, labels take the place of ids and all is well."""
        sentry.listing_error = ForbiddenError(403, "no")
        one = poller(sentry, publisher, query(*BY_PROJECT))
        one.poll(NOW)
        sentry.listing_error = None

        report = one.poll(NOW + MAX_PAUSE)

        assert report.up
        assert {WEB: "project-1", API: "project-2"} == shown(one).projects

    def test_filter_by_slug(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A slug in the filter is asked for by its id."""
        sentry.add(row(40, project=API))
        one = poller(sentry, publisher, query(filter=Filter(project=("project-1",))))
        one.poll(NOW)

        assert (WEB,) == sentry.asked[0].project
        assert {series(WEB): 5} == flat(shown(one).bucket)

    def test_unknown_slug(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A slug that is not on the list fails the poll before anything is asked."""
        one = poller(sentry, publisher, query(filter=Filter(project=("webb",))))

        report = one.poll(NOW)

        assert {"unknown_project": 1} == report.failures
        assert [] == sentry.asked
        assert report.view is None

    @pytest.mark.parametrize("group_by", [("category", "outcome"), BY_PROJECT])
    def test_part_of_a_filter(
        self, sentry: Sentry, publisher: RecordingPublisher, group_by: tuple[str, ...]
    ) -> None:
        """Of a filter's projects those that are there are read, and the others are logged once."""
        sentry.add(row(40, project=API))
        asked = query(*group_by, filter=Filter(project=("project-1", "project-2", "gone", "77")))
        one = poller(sentry, publisher, asked)

        with capture_logs() as logs:
            reports = [one.poll(NOW), one.poll(NOW + HOUR)]

        assert [True, True] == [report.up for report in reports]
        assert ("gone", "77") == reports[-1].missing
        assert 45 == sum(flat(reports[0].view.bucket if reports[0].view else None).values())
        assert ["gone, 77"] == [entry["projects"] for entry in logs if "projects" in entry]

    @pytest.mark.parametrize("group_by", [("category", "outcome"), BY_PROJECT])
    def test_refused_project(
        self, sentry: Sentry, publisher: RecordingPublisher, group_by: tuple[str, ...]
    ) -> None:
        """A project that Sentry refuses is left out, and tried again after an hour."""
        sentry.add(row(40, project=API))
        sentry.refuses = frozenset({API})
        asked = query(
            *group_by, filter=Filter(project=("project-1", "project-2")), poll_interval=300
        )
        one = poller(sentry, publisher, asked)
        first = one.poll(NOW)
        seen = flat(shown(one).bucket)
        number = len(sentry.asked)
        one.poll(NOW + 300)
        named = {project for question in sentry.asked[number:] for project in question.project}
        sentry.refuses = frozenset()

        later = one.poll(NOW + RETRY_REFUSED_AFTER)

        assert (True, ("project-2",), 0) == (first.up, first.missing, first.regressions)
        assert 5 == sum(seen.values())
        assert API not in named
        assert () == later.missing

    def test_missing_by_the_latest_list(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """The list that is read because a project was refused says which are missing."""
        names = ("project-1", "project-2", "project-3")
        one = poller(sentry, publisher, query(filter=Filter(project=names), poll_interval=300))
        before = one.poll(NOW).missing
        sentry.listing = listed(WEB, API, 3)
        sentry.refuses = frozenset({API})

        after = one.poll(NOW + 300).missing

        assert ("project-3",) == before
        assert ("project-2",) == after

    def test_nothing_left_is_no_zero(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Where the last project of a filter is refused, what was shown stays as it was."""
        one = poller(sentry, publisher, query(filter=Filter(project=("project-1",))))
        one.poll(NOW)
        before = flat(shown(one).bucket)
        sentry.refuses = frozenset({WEB})

        failed = one.poll(NOW + HOUR)

        assert not failed.up
        assert before == flat(shown(one).bucket)

    def test_a_filter_that_reaches_more(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """What came in of the projects so far is counted, of the new one only what comes later."""
        sentry.listing = listed(WEB)
        both = Filter(project=("project-1", "project-2"))
        one = poller(sentry, publisher, query(filter=both, poll_interval=300))
        one.poll(NOW)
        sentry.add(row(50, bucket=NOON), row(900, bucket=NOON, project=API))
        sentry.listing = listed(WEB, API)
        one.poll(NOW + RETRY_REFUSED_AFTER)
        before = flat(shown(one).counters)
        sentry.add(row(3, bucket=NOON, project=API))

        one.poll(NOW + RETRY_REFUSED_AFTER + 300)

        assert {series(): 50} == before
        assert {series(): 53} == flat(shown(one).counters)

    def test_same_filter(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A filter that chooses the same projects as before is read once."""
        one = poller(sentry, publisher, query(filter=Filter(project=("project-1", "project-2"))))
        one.poll(NOW)

        assert 1 == one.poll(NOW + HOUR).requests

    def test_refused_project_comes_back(
        self, sentry: Sentry, publisher: RecordingPublisher
    ) -> None:
        """What a project had while it was refused is not counted when it can be read again."""
        both = Filter(project=("project-1", "project-2"))
        one = poller(sentry, publisher, query(filter=both, poll_interval=300))
        sentry.add(row(900, project=API))
        sentry.refuses = frozenset({API})
        one.poll(NOW)
        listings = sentry.listings
        sentry.refuses = frozenset()
        one.poll(NOW + RETRY_REFUSED_AFTER)
        sentry.add(row(3, bucket=NOON + HOUR, project=API))

        one.poll(NOW + RETRY_REFUSED_AFTER + 300)

        assert 2 == listings
        assert {series(): 3} == flat(shown(one).counters)

    def test_old_server(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A server that cannot answer about readable projects only is not asked that again."""
        sentry.store.old = True
        sentry.add(row(3, project=OLD))
        one = poller(sentry, publisher, query(*BY_PROJECT, poll_interval=300))
        numbers = []
        for minutes in range(0, 20, 5):
            sentry.add(row(1, bucket=NOON), row(1, bucket=NOON, project=OLD))
            one.poll(NOW + minutes * 60)
            numbers.append(sum(question.project == ATTRIBUTABLE for question in sentry.asked))

        assert 1 == len(set(numbers))
        assert not one.state.hints.tells_attributable

    def test_another_token_may_read_it(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """With another token a refused project is tried again at once."""
        sentry.refuses = frozenset({API})
        asked = query(filter=Filter(project=("project-1", "project-2")), poll_interval=300)
        one = poller(sentry, publisher, asked)
        before = one.poll(NOW).missing
        sentry.refuses, sentry.token = frozenset(), "second"

        assert ("project-2",) == before
        assert () == one.poll(NOW + 300).missing

    def test_nothing_of_a_filter(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """Where nothing of a filter can be read the poll fails, and the next one tries again."""
        sentry.refuses = frozenset({WEB})
        one = poller(sentry, publisher, query(filter=Filter(project=("project-1",))))
        failed = one.poll(NOW)
        sentry.refuses = frozenset()

        assert {"unknown_project": 1} == failed.failures
        assert ("project-1",) == failed.missing
        assert failed.view is None
        assert one.poll(failed.next_poll).up

    @pytest.mark.parametrize(("name", "shows"), [("1", True), ("project-1", False)])
    def test_filter_without_list(
        self,
        sentry: Sentry,
        publisher: RecordingPublisher,
        name: str,
        shows: bool,  # noqa: FBT001 - one of the table's columns
    ) -> None:
        """Without a list a filter by id still works; one by slug cannot."""
        sentry.listing_error = ServerError(500, "")
        one = poller(sentry, publisher, query(filter=Filter(project=(name,))))

        report = one.poll(NOW)

        assert {"server_error": 1} == report.failures
        assert shows is (report.view is not None)


projects = st.sampled_from([WEB, API, OLD])
arrivals = st.builds(
    lambda age, project, quantity: (age, row(quantity, project=project)),
    st.integers(0, 20),
    projects,
    st.integers(1, 9),
)
steps = st.tuples(
    st.integers(1, 30 * HOUR), st.lists(arrivals, max_size=5), st.booleans(), st.sets(projects)
)


@given(
    st.lists(steps, max_size=7),
    st.sampled_from([("category", "outcome"), BY_PROJECT]),
    st.sampled_from([300, HOUR]),
)
@settings(deadline=None, max_examples=60)
def test_exact(
    history: list[tuple[int, list[tuple[int, Row]], bool, set[int]]],
    group_by: tuple[str, ...],
    poll_interval: int,
) -> None:
    """Counters gain exactly what arrived, late or in outages, while projects come and go.

    And none of them ever falls.
    """
    sentry, publisher = Sentry(projects=listed(WEB)), RecordingPublisher()
    one = poller(sentry, publisher, query(*group_by, poll_interval=poll_interval))
    poll_out(one, NOW)
    now = NOW
    for pause, rows, down, readable in history:
        now += pause
        sentry.error = NetworkError("no route") if down else None
        sentry.listing = listed(*readable)
        sentry.add(*(late._replace(bucket=(now // HOUR - age) * HOUR) for age, late in rows))
        poll_out(one, now)
    sentry.error = None
    # By then the hour that ran is finished, which a query polled by the hour reads only then.
    now += 2 * HOUR
    poll_out(one, now)
    one.refresh(now + GRACE_PERIOD)

    arrived = sum(late.quantity for late in sentry.store.rows)
    assert arrived == sum(flat(shown(one).counters).values())
    assert not list(falls(publisher.reports))


def falls(reports: Sequence[Report]) -> Iterator[tuple[Report, ProjectSeries]]:
    """Yield each counter that is lower in a report than in one before."""
    highest: dict[ProjectSeries, int] = {}
    for report in reports:
        for one, value in flat(report.view.counters if report.view else None).items():
            if value < highest.get(one, 0):
                yield report, one
            highest[one] = value
