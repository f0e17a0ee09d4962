"""Quotas in ``check --online``: what was used, what the plan says, and what nobody owns."""

from typing import Any

import pytest
from msgspec.json import Decoder

from exporter.check import Report, organization_text
from exporter.check.quotas import MAX_NAMED, missing_names, named, readable_plan, unowned
from exporter.check.report import Plan, PlannedQuota, Unowned
from exporter.config import Teams
from exporter.sentry.customer import CustomerDocument, CustomerPlan, plan_of
from exporter.sentry.projects import Project, ProjectList
from exporter.simulator import Fault, Simulator
from tests.check.conftest import Learn
from tests.support.billing import billed, body, category, customer
from tests.support.configuration import organization

NOW = 1_772_000_000.0
ERRORS = {"name": "errors", "category": "error", "limit": 1000}


def plan(**values: Any) -> CustomerPlan:
    """Return the plan in an answer."""
    return plan_of(Decoder(CustomerDocument).decode(body(customer(**values))), NOW)


def projects(**teams: tuple[str, ...]) -> ProjectList:
    """Return a list of projects with these teams."""
    return ProjectList.of(
        Project(number, slug, "python", accessible=True, teams=names)
        for number, (slug, names) in enumerate(teams.items(), start=1)
    )


def test_quota_in_the_text(learned: Learn) -> None:
    """What was used of each quota is a line, and so are the projects without an owner."""
    (checked,) = learned(organization(quotas=[ERRORS]))
    text = organization_text(*checked)

    assert "\n  quota       errors: " in text
    assert " of 1,000 events\n" in text
    assert "\n  several teams checkout, marketing-site\n" in text
    assert "\n  no team     data-pipeline, warehouse\n" in text


def test_quota_in_the_document(learned: Learn) -> None:
    """The document has the same numbers."""
    ((report, findings),) = learned(organization(quotas=[ERRORS]))
    (quota,) = report.quotas

    assert ("errors", "events", 1000) == (quota.name, quota.unit, quota.limit)
    assert 0 < quota.used
    assert () == findings


def test_without_quotas_nothing_is_said(learned: Learn) -> None:
    """Without quotas, nobody has to own a project."""
    (checked,) = learned(organization())

    assert "no team" not in organization_text(*checked)


def test_quotas_that_cannot_be_read(learned: Learn, sentry: Simulator) -> None:
    """A failure of the polls of quotas is an error at their place in the file."""
    sentry.faults.add(Fault("status", status=500, endpoint="stats_v2"))
    ((_, findings),) = learned(organization(quotas=[ERRORS]))
    of_quotas = [one for one in findings if one.query == "quotas"]

    assert [("error", "server_error", "organizations[0].quotas")] == [
        (one.severity, one.reason, one.path) for one in of_quotas
    ]


def test_plan_that_cannot_be_read(learned: Learn, sentry: Simulator) -> None:
    """Where the plan is asked for and cannot be read, a warning says what holds instead."""
    sentry.faults.add(Fault("status", status=404, endpoint="customers"))
    ((report, findings),) = learned(organization(quotas=[ERRORS], billing={"plan": "sentry"}))
    document = Report.of("config.yaml", (), [(report, findings)], online=True)

    assert document.valid
    assert [
        (
            "organizations[0].billing.plan",
            "the plan cannot be read, the values of the file are used: only sentry.io has plans",
        )
    ] == [(one.path, one.message) for one in findings]


def test_names_that_are_wrong(learned: Learn) -> None:
    """Projects and teams that do not exist are warnings at the quotas."""
    quotas = [{**ERRORS, "project": ["web", "wbe"]}, {**ERRORS, "name": "team", "team": "nobody"}]
    ((_, findings),) = learned(organization(quotas=quotas))

    assert [
        (
            "organizations[0].quotas",
            (
                "the quota errors names a project that cannot be read: "
                'no project "wbe" (did you mean web?)'
            ),
        ),
        (
            "organizations[0].quotas",
            "the quota team is about the team nobody, which owns no project",
        ),
    ] == [(one.path, one.message) for one in findings]


def test_what_a_plan_configures() -> None:
    """The quotas of a plan and its period are shown, and the file's period if it is another one."""
    acme = billed(billing={"plan": "sentry", "period": {"start_day": 3}})

    assert Plan(
        readable=True,
        period="2026-02-17 to 2026-03-16",
        contradicts="2026-02-03 to 2026-03-02",
        currency="USD",
        budget=300.0,
        quotas=(
            PlannedQuota("errors", "events", 50_000, 0.0003625),
            PlannedQuota("logBytes", "bytes", 5 * 10**9, 5e-10),
        ),
    ) == readable_plan(acme, plan(), NOW)


@pytest.mark.parametrize(
    ("category", "limit", "text"),
    [
        ("log_byte", "5GB", " of 5GB\n"),
        ("profile_duration", "1.5h", " of 1.5h\n"),
        ("replay", "unlimited", " events, no limit\n"),
    ],
)
def test_units_in_the_text(learned: Learn, category: str, limit: str, text: str) -> None:
    """Amounts are in the unit of the bill."""
    quota = {"name": "one", "category": category, "limit": limit}
    (checked,) = learned(organization(quotas=[quota]))

    assert text in organization_text(*checked)


def test_budgets_that_a_plan_configures() -> None:
    """Budgets per category are those of the quotas."""
    read = plan(
        onDemandBudgets={"enabled": True, "budgetMode": "per_category"},
        categories={"errors": category(onDemandBudget=7_000)},
    )
    known = readable_plan(billed(billing={"plan": "sentry"}), read, NOW)

    assert (None, [70.0]) == (known.budget, [one.budget for one in known.quotas])


def test_owners() -> None:
    """A project has an owner by the file, or by its only team at Sentry."""
    listed = projects(web=("a",), api=("a", "b"), shop=(), ios=("a", "b"))
    acme = billed(teams=Teams((("mobile", ("ios",)),)))

    assert Unowned(("api",), ("shop",)) == unowned(acme, listed)
    assert [] == list(missing_names(billed({**ERRORS, "team": "a"}), listed))


@pytest.mark.parametrize(
    ("count", "text"), [(2, "0, 1"), (MAX_NAMED + 3, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more")]
)
def test_many_names(count: int, text: str) -> None:
    """Of many projects the text names some, and the number of the others."""
    assert text == named([str(number) for number in range(count)])
