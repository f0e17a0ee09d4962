"""The poller of quotas: when it polls, what it publishes, and what a failure changes."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from exporter.buckets import floor
from exporter.collect.poll import QuotaPoller
from exporter.collect.poll.directory import ProjectDirectory, only_team
from exporter.collect.poll.quota_state import POLL_INTERVAL
from exporter.config import Organization
from exporter.quota.model import DAY, HOUR
from exporter.quota.view import AccountView, CostKind, QuotaView, Source
from exporter.sentry.errors import (
    BadAnswerError,
    DeadlineError,
    ForbiddenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    ServerError,
    StatusError,
    TooHeavyError,
    UnauthorizedError,
)
from exporter.sentry.projects import Project, ProjectList
from tests.support.billing import CARD, EMAIL, BillingSentry, billed, body, category, customer
from tests.support.publishing import RecordingPublisher
from tests.support.rows import API, NOON, OLD, WEB, row
from tests.support.sentry import listed

NOW: Final = NOON + 600
TODAY: Final = floor(NOW, DAY)
ERRORS: Final[Mapping[str, Any]] = {
    "name": "errors",
    "category": "error",
    "limit": 100,
    "price": 0.01,
}
PLAN: Final[Mapping[str, Any]] = {"plan": "sentry"}
"""2023-11-14 is within the period of `plan`."""


def plan(**values: Any) -> dict[str, Any]:
    """Return the document of a plan whose period contains `NOW`."""
    dates = {"onDemandPeriodStart": "2023-11-02", "onDemandPeriodEnd": "2023-12-01"}
    return customer(**{**dates, **values})


@pytest.fixture
def sentry() -> BillingSentry:
    """Return a Sentry with 250 errors, of two projects and a deleted one, and with a plan."""
    errors = partial(row, category="error")
    rows = [
        errors(100, bucket=NOON, project=WEB),
        errors(120, bucket=TODAY - 3 * DAY, project=API),
        errors(30, bucket=TODAY - 4 * DAY, project=OLD),
        errors(7, bucket=NOON, outcome="rate_limited", reason="key_quota"),
        errors(9000, bucket=TODAY - 40 * DAY),
    ]
    return BillingSentry(rows, plan=plan())


def poller(
    sentry: BillingSentry,
    publisher: RecordingPublisher,
    acme: Organization | None = None,
    **options: Any,
) -> QuotaPoller:
    """Return a poller whose polls take no time."""
    acme = acme or billed(ERRORS)
    directory = ProjectDirectory(acme.slug, sentry, publisher, acme.project_label, only_team)
    return QuotaPoller(acme, sentry, directory, publisher, timer=lambda: 0.0, **options)


def shown(one: QuotaPoller) -> AccountView:
    """Return the account that ``one`` shows."""
    assert one.report.quotas is not None

    return one.report.quotas


def only(one: QuotaPoller) -> QuotaView:
    """Return the only quota that ``one`` shows."""
    (quota,) = shown(one).quotas
    return quota


class TestNumbers:
    """What a poll publishes."""

    def test_used(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """What was accepted in the period counts, and its sum over projects is the same."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert (250, 257) == (only(one).used, only(one).submitted)
        assert {"": 30, "project-1": 100, "project-2": 120} == only(one).projects

    def test_cost(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """The overage has its price, and projects pay their share to the cent."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert {CostKind.OVERAGE: Decimal("1.50")} == only(one).costs
        assert {
            "": Decimal("0.18"),
            "project-1": Decimal("0.60"),
            "project-2": Decimal("0.72"),
        } == only(one).project_costs

    def test_budget(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """The budget is spent by the overage, and its end is forecast for both paces."""
        one = poller(sentry, publisher, billed(ERRORS, billing={"budget": 2}))
        one.poll(NOW)
        (budget,) = shown(one).budgets

        assert ("", Decimal(2), Decimal("1.50")) == (budget.quota, budget.amount, budget.spent)
        assert {"week", "day"} == budget.projected.keys()

    def test_forecast(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A limit that was reached before is reached in the past, at any pace."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert {"week", "day"} == only(one).projected.keys()
        assert all(moment <= NOW for moment in only(one).exhaustion.values())

    def test_team(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A quota of a team is about the projects whose only team it is."""
        projects = [
            Project(WEB, "web", "python", accessible=True, teams=("payments",)),
            Project(API, "api", "python", accessible=True, teams=("payments", "platform")),
        ]
        sentry.listing = ProjectList.of(projects)
        team = {"name": "payments", "category": "error", "team": "payments", "limit": 10}
        one = poller(sentry, publisher, billed(team))
        one.poll(NOW)

        assert (100, 107, {"web": 100}) == (
            only(one).used,
            only(one).submitted,
            only(one).projects,
        )

    def test_project_that_changes_its_team(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """Within an hour, the use of a project counts for its new team."""
        quotas = [{**ERRORS, "name": team, "team": team} for team in ("old", "new")]
        web = Project(WEB, "web", "python", accessible=True, teams=("old",))
        sentry.listing = ProjectList.of([web])
        one = poller(sentry, publisher, billed(*quotas))
        one.poll(NOW)
        before = [view.used for view in shown(one).quotas]
        sentry.listing = ProjectList.of([replace(web, teams=("new",))])
        one.poll(NOW + HOUR)

        assert ([100, 0], [0, 100]) == (before, [view.used for view in shown(one).quotas])

    def test_team_without_projects(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """A team without projects has used nothing; no other project is asked for."""
        one = poller(sentry, publisher, billed({**ERRORS, "team": "nobody"}))
        one.poll(NOW)

        assert (0, 0, {}) == (only(one).used, only(one).submitted, only(one).projects)

    def test_projects(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A quota of some projects is about these; one that is gone is left out."""
        one = poller(sentry, publisher, billed({**ERRORS, "project": ["project-2", "gone"]}))
        one.poll(NOW)

        assert (120, {"project-2": 120}) == (only(one).used, only(one).projects)

    def test_requests(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """All quotas share two requests; one more has the projects, and one what they can hold."""
        spans = {"name": "spans", "category": "span", "limit": 100}
        one = poller(sentry, publisher, billed(ERRORS, spans))

        assert 4 == one.poll(NOW).requests

    def test_requests_of_parts(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A quota of some projects needs two requests of its own, when an hour has finished."""
        web = {**ERRORS, "name": "web", "project": "project-1"}
        one = poller(sentry, publisher, billed(ERRORS, web))
        hour = [one.poll(NOON + HOUR + number * POLL_INTERVAL).requests for number in range(6)]
        views = {view.quota.name: view.used for view in shown(one).quotas}

        # The first, and those at a quarter past, when the rows of the hour before are stored.
        assert [6, 6, 4, 4, 4, 6] == hour
        assert {"errors": 250, "web": 100} == views

    def test_parts_between_their_readings(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """What they have used is that of their projects at each poll, and they may change."""
        web = {**ERRORS, "name": "web", "project": "project-1"}
        one = poller(sentry, publisher, billed(web))
        one.poll(NOON + HOUR + POLL_INTERVAL)
        sentry.add(row(11, category="error", bucket=NOON + HOUR, project=WEB))
        one.poll(NOON + HOUR + 2 * POLL_INTERVAL)

        assert (111, {"project-1": 111}) == (only(one).used, only(one).projects)

    def test_next_period(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """With a new period nothing is used, from its first poll on."""
        one = poller(sentry, publisher, billed(ERRORS, billing={"period": {"start_day": 15}}))
        one.poll(NOW)
        one.poll(TODAY + DAY + 1)

        assert NOW < TODAY + DAY == shown(one).period.start  # type: ignore[union-attr]
        assert 0 == only(one).used


class TestPlan:
    """The plan: read once an hour, and what happens where it cannot be read."""

    def test_plan(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """The quotas are those of the plan, with its prices and its own usage."""
        sentry.plan = body(plan(categories={"errors": category(usage=245)}))
        one = poller(sentry, publisher, billed(billing=PLAN))
        one.poll(NOW)

        assert shown(one).plan_up is True
        assert ("errors", Source.PLAN, 50_000, 250, -5) == (
            only(one).quota.name,
            only(one).source,
            only(one).quota.limit,
            only(one).used,
            only(one).disagreement,
        )

    def test_at_most_once_an_hour(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """The plan is read again when an hour has passed, not with every poll."""
        one = poller(sentry, publisher, billed(billing=PLAN))
        for number in range(6):
            one.poll(NOW + number * POLL_INTERVAL)

        assert 2 == len(sentry.looked_up)

    @pytest.mark.parametrize(
        "error",
        [
            UnauthorizedError(401, "Invalid token"),
            ForbiddenError(403, "You do not have permission to perform this action."),
            NotFoundError(404, ""),
            StatusError(410, ""),
            RedirectError("301 to another path of https://sentry.io"),
            BadAnswerError("categories", "is missing"),
        ],
        ids=lambda error: error.reason,
    )
    def test_values_of_the_file_hold(
        self, sentry: BillingSentry, publisher: RecordingPublisher, error: Exception
    ) -> None:
        """Where Sentry denies the plan, the file's values hold, and one line of the log says so."""
        one = poller(sentry, publisher, billed(ERRORS, billing={**PLAN, "budget": 7}))
        one.poll(NOW)
        sentry.plan_error = error
        with capture_logs() as log:
            for number in range(1, 13):
                one.poll(NOW + number * POLL_INTERVAL)

        assert ["cannot read the plan, using the values of the file"] == [
            line["event"] for line in log if "plan" in line["event"]
        ]
        assert shown(one).plan_up is False
        assert one.report.up
        assert ("errors", Source.FILE, 100, None) == (
            only(one).quota.name,
            only(one).source,
            only(one).quota.limit,
            only(one).disagreement,
        )
        assert [7] == [budget.amount for budget in shown(one).budgets]

    @pytest.mark.parametrize(
        "error",
        [
            ServerError(503, ""),
            ServerError(408, ""),
            RateLimitError(429, ""),
            TooHeavyError(429, ""),
            NetworkError("no connection"),
            DeadlineError("no answer"),
        ],
        ids=lambda error: f"{error.reason} {error.code}",
    )
    def test_plan_holds_while_sentry_is_out_of_reach(
        self, sentry: BillingSentry, publisher: RecordingPublisher, error: Exception
    ) -> None:
        """A server's failure says nothing about the plan: the last one holds."""
        one = poller(sentry, publisher, billed(billing=PLAN))
        one.poll(NOW)
        sentry.plan_error = error
        one.poll(NOW + HOUR)

        assert shown(one).plan_up is False
        assert Source.PLAN is shown(one).quotas[0].source

    def test_plan_comes_back(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """Once it can be read again it holds again, and the log says so."""
        one = poller(sentry, publisher, billed(billing=PLAN))
        sentry.plan_error = NotFoundError(404, "")
        one.poll(NOW)
        sentry.plan_error = None
        with capture_logs() as log:
            one.poll(NOW + HOUR)

        assert shown(one).plan_up is True
        assert "the plan can be read again" in [line["event"] for line in log]

    def test_another_token(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """With another token the plan is tried at once."""
        one = poller(sentry, publisher, billed(billing=PLAN))
        sentry.plan_error = ForbiddenError(403, "")
        one.poll(NOW)
        sentry.plan_error, sentry.token = None, "second"
        one.poll(NOW + POLL_INTERVAL)

        assert shown(one).plan_up is True

    def test_nothing_to_read(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """Without a plan and without quotas in the file, nothing is asked, and the poll is well."""
        sentry.plan_error = NotFoundError(404, "")
        one = poller(sentry, publisher, billed(billing=PLAN))

        assert one.poll(NOW).up
        assert ((), False, []) == (shown(one).quotas, shown(one).plan_up, sentry.asked)

    def test_no_plan_asked_for(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """By default the plan is not asked for, and has no state."""
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert ([], None) == (sentry.looked_up, shown(one).plan_up)

    def test_contradiction(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A period that the plan contradicts is logged once, with both."""
        settings = {**PLAN, "period": {"start_day": 1}}
        one = poller(sentry, publisher, billed(billing=settings))
        with capture_logs() as log:
            one.poll(NOW)
            one.poll(NOW + HOUR)

        assert [("2023-11-01 to 2023-11-30", "2023-11-02 to 2023-12-01")] == [
            (line["file"], line["plan"]) for line in log if "period" in line["event"]
        ]

    def test_payment_data_stays_where_it_is(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """Neither the log nor the state has anything of the answer but the plan."""
        one = poller(sentry, publisher, billed(billing=PLAN))
        with capture_logs() as log:
            one.poll(NOW)
        text = f"{log} {one.state} {one.report}"

        assert CARD not in text
        assert EMAIL not in text


class TestFailures:
    """A failed poll changes no data."""

    def test_failure(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """The quotas stay as they were, the reason is counted, and the poll is soon repeated."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        before = shown(one)
        sentry.error = UnauthorizedError(401, "Invalid token")
        later = NOW + POLL_INTERVAL
        report = one.poll(later)

        assert before == shown(one)
        assert (False, {"unauthorized": 1}, NOW) == (
            report.up,
            report.failures,
            report.last_success,
        )
        assert later < report.next_poll <= later + 300

    def test_old_data_are_withdrawn(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """After ``max_age`` without success there are no quotas, and the report stays."""
        one = poller(sentry, publisher, billed(ERRORS, max_age=3600))
        one.poll(NOW)

        assert not one.must_refresh(NOW + 3599)
        assert one.must_refresh(NOW + 3600)

        one.refresh(NOW + 3600)

        assert AccountView() == shown(one)
        assert not one.must_refresh(NOW + 3601)

    def test_without_projects_list(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """Without a list, ids are labels, quotas of teams are left out, and the poll fails."""
        sentry.listing_error = ServerError(500, "")
        team = {"name": "payments", "category": "error", "team": "payments"}
        one = poller(sentry, publisher, billed(ERRORS, team))
        report = one.poll(NOW)

        assert {"server_error": 1} == report.failures
        assert {"": 30, "1": 100, "2": 120} == only(one).projects

    def test_fault_of_ours(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """An exception that no code expects is a failure like others."""
        sentry.error = ZeroDivisionError()
        one = poller(sentry, publisher)

        assert {"internal": 1} == one.poll(NOW).failures

    def test_publishing_fails(
        self,
        sentry: BillingSentry,
        publisher: RecordingPublisher,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Quotas that cannot be worked out are a failure; those before stay on the page."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        before = shown(one)
        monkeypatch.delattr("exporter.collect.poll.quotas.published")
        report = one.poll(NOW + POLL_INTERVAL)

        assert before == shown(one)
        assert 1 == report.failures["internal"]
        assert NOW + POLL_INTERVAL + 300 <= report.next_poll


class TestTimes:
    """When polls are due."""

    def test_slots(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """Polls fall on each quarter of an hour, and so on the first second of a period."""
        one = poller(sentry, publisher)

        assert one.due(NOW)
        assert NOON + POLL_INTERVAL == one.poll(NOW).next_poll
        assert not one.due(NOON + POLL_INTERVAL - 1)
        assert one.due(NOON + POLL_INTERVAL)

    def test_clock_set_back(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """After the clock was set back, the next poll and the age of the data follow it."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        earlier = NOW - 5 * DAY

        assert one.must_refresh(earlier)

        one.refresh(earlier)

        assert one.report.next_poll <= earlier + POLL_INTERVAL
        assert not one.must_refresh(earlier)


class TestReload:
    """What a successor takes over."""

    def test_successor_goes_on(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A successor with the same state has its numbers, its plan and its next poll."""
        acme = billed(billing=PLAN)
        before = poller(sentry, publisher, acme)
        before.poll(NOW)
        after = poller(sentry, publisher, acme, state=before.state)
        after.take_over()
        after.poll(NOW + POLL_INTERVAL)

        assert 1 == len(sentry.looked_up)
        assert 2 == after.report.polls

    def test_closed(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """Once its quotas were removed, nothing is polled or published any more."""
        one = poller(sentry, publisher)
        one.state.closed = True
        one.poll(NOW)

        assert ([], False) == (publisher.reports, one.due(NOW))

    def test_other_client(self, sentry: BillingSentry, publisher: RecordingPublisher) -> None:
        """A predecessor whose client was replaced changes nothing any more."""
        before = poller(sentry, publisher)
        after = poller(BillingSentry([], plan=plan()), publisher, state=before.state)
        after.take_over()
        before.poll(NOW)

        assert 0 == after.report.polls

    def test_predecessor_could_not_publish(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """A report that a revoked publisher has dropped is published with the next refresh."""
        one = poller(sentry, publisher)
        one.poll(NOW)
        one.republish()

        assert one.must_refresh(NOW)

        one.refresh(NOW)

        assert not one.must_refresh(NOW)

    def test_list_is_the_same_for_labels(
        self, sentry: BillingSentry, publisher: RecordingPublisher
    ) -> None:
        """Projects are published with their labels, from the list that was read."""
        sentry.listing = listed(WEB, API, slugs={WEB: "web", API: "api"})
        one = poller(sentry, publisher)
        one.poll(NOW)

        assert {"web", "api"} == {info.label for info in publisher.projects["acme"]}
        assert {"", "web", "api"} == only(one).projects.keys()
