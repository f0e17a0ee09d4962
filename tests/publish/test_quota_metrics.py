"""The lines about quotas."""

from exporter.categories import Unit
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.quota.model import Quota
from exporter.quota.view import AccountView
from tests.publish.reports import report, samples_of, text_of
from tests.support.quotas import PERIOD, account, quota


def quota_samples(shown: AccountView) -> dict[str, float]:
    """Return the samples about ``shown``, by family and labels without the organization."""
    page = Page(SelfMetrics())
    page.publish(report("quotas", view=None, quotas=shown))
    samples = {}
    for (name, labels), value in samples_of(page).items():
        if name.startswith(("sentry_stats_quota", "sentry_stats_budget", "sentry_stats_plan")):
            others = sorted(f"{key}={text}" for key, text in labels if key != "organization")
            samples[f"{name.removeprefix('sentry_stats_')} {' '.join(others)}".strip()] = value
    return samples


def test_everything_about_a_quota() -> None:
    """Each number of a quota and its budget has its family and labels."""
    assert {
        "plan_up": 1,
        "quota_info category=error quota=errors source=plan team= unit=events": 1,
        "quota_limit quota=errors": 1000,
        "quota_used quota=errors": 1500,
        "quota_submitted quota=errors": 1700,
        "quota_period_start_timestamp_seconds quota=errors": PERIOD.start,
        "quota_period_end_timestamp_seconds quota=errors": PERIOD.end - 1,
        "quota_projected pace=week quota=errors": 3000,
        "quota_projected pace=day quota=errors": 2000,
        "quota_exhaustion_timestamp_seconds pace=week quota=errors": 1_772_000_000.5,
        "quota_cost currency=EUR kind=reserved quota=errors": 29,
        "quota_cost currency=EUR kind=overage quota=errors": 1,
        "quota_project_used project= quota=errors": 0,
        "quota_project_used project=web quota=errors": 500,
        "quota_project_used project=api quota=errors": 1000,
        "quota_project_cost currency=EUR project= quota=errors": 0,
        "quota_project_cost currency=EUR project=web quota=errors": 10,
        "quota_project_cost currency=EUR project=api quota=errors": 20,
        "quota_disagreement quota=errors": -3,
        "budget currency=EUR quota=": 3,
        "budget_spent currency=EUR quota=": 1,
        "budget_projected currency=EUR pace=week quota=": 3,
        "budget_exhaustion_timestamp_seconds currency=EUR pace=week quota=": 1_773_000_000,
    } == quota_samples(account())


def test_durations_are_in_seconds() -> None:
    """Used durations, which Sentry counts in milliseconds, are published in seconds."""
    profiling = Quota("profiling", ("profile_duration",), Unit.SECONDS, 36000)
    samples = quota_samples(
        account(quota(quota=profiling, used=1500, submitted=1750, projects={"web": 1500}))
    )

    assert (36000, 1.5, 1.75, 1.5) == (
        samples["quota_limit quota=profiling"],
        samples["quota_used quota=profiling"],
        samples["quota_submitted quota=profiling"],
        samples["quota_project_used project=web quota=profiling"],
    )


def test_unlimited_quota_has_no_limit() -> None:
    """Without a limit there is no sample of it."""
    unlimited = Quota("errors", ("error",), Unit.EVENTS)

    assert "quota_limit quota=errors" not in quota_samples(account(quota(quota=unlimited)))


def test_withdrawn_account_takes_its_lines_away() -> None:
    """An account without data has nothing but the state of the plan."""
    page = Page(SelfMetrics())
    page.publish(report("quotas", view=None, quotas=account()))
    page.publish(report("quotas", view=None, quotas=AccountView(plan_up=False)))
    names = {name for name, _ in samples_of(page)}

    assert {"sentry_stats_plan_up"} == {
        name for name in names if "quota" in name or "budget" in name or "plan" in name
    }


def test_dropped_quotas_leave_the_page() -> None:
    """Nothing is left of the quotas of an organization that has none any more."""
    page = Page(SelfMetrics())
    page.publish(report("quotas", view=None, quotas=account()))
    page.publish(dropped=[("acme", "quotas")])

    assert "acme" not in text_of(page)


def test_quotas_are_no_query_to_choose() -> None:
    """Polls of quotas are up or not like any query, and have no query_info."""
    page = Page(SelfMetrics())
    page.publish(report("quotas", view=None, quotas=account()))
    names = {name for name, _ in samples_of(page)}

    assert {"sentry_stats_up", "sentry_stats_complete"} <= names
    assert "sentry_stats_query_info" not in names
