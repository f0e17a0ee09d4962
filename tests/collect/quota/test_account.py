"""The account: what the file says, what the plan says, and what holds of both."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exporter.categories import Unit
from exporter.collect.quota.account import (
    Account,
    BilledQuota,
    account_of,
    contradiction,
    plan_url,
)
from exporter.config import BillingSettings
from exporter.quota.model import DAY, Period, Price, Quota, Tier
from exporter.quota.view import Source
from exporter.sentry.customer import CustomerDocument, CustomerPlan, plan_of
from exporter.sentry.decoding import decode
from tests.support.billing import billed, body, category, customer


def moment(text: str) -> int:
    """Return the epoch seconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOW = moment("2026-03-01")
PLANNED = Period(moment("2026-02-17"), moment("2026-03-17"))
ERRORS: Mapping[str, Any] = {"name": "errors", "category": "error", "limit": 1000}


def plan(**values: Any) -> CustomerPlan:
    """Return the plan in an answer with these values."""
    decoder = msgspec.json.Decoder(CustomerDocument)
    return plan_of(decode(decoder, body(customer(**values))), NOW)


def by_name(account: Account) -> dict[str, BilledQuota]:
    """Return the quotas of ``account`` by name."""
    return {one.quota.name: one for one in account.quotas}


class TestFile:
    """Without a plan, what the file says holds."""

    def test_quotas(self) -> None:
        """The quotas, the budget and the period are those of the file."""
        logs = {"name": "logs", "category": "log_byte", "limit": "5GB", "price": "0.50/GB"}
        acme = billed(logs, billing={"budget": 300, "currency": "EUR"})

        assert Account(
            Period(moment("2026-03-01"), moment("2026-04-01")),
            "EUR",
            (
                BilledQuota(
                    Quota(
                        "logs",
                        ("log_byte",),
                        Unit.BYTES,
                        5 * 10**9,
                        Price((Tier(0, Decimal("5E-10")),)),
                    ),
                    Source.FILE,
                ),
            ),
            {"": Decimal(300)},
        ) == account_of(acme, None, NOW)

    def test_no_budget(self) -> None:
        """A budget that is not named is not known."""
        assert {} == account_of(billed(ERRORS), None, NOW).budgets

    def test_part_is_not_billed(self) -> None:
        """An allocation of one's own is no bill, and neither is a second quota of a category."""
        team = {"name": "payments", "category": "error", "team": "payments"}
        both = {"name": "both", "category": ["error", "replay"]}
        quotas = by_name(account_of(billed(team, ERRORS, both), None, NOW))

        assert {"payments": False, "errors": True, "both": False} == {
            name: one.billed for name, one in quotas.items()
        }


class TestPlan:
    """What the plan says, and what the file adds to it."""

    def test_quotas(self) -> None:
        """Each billed category has a quota, in base units and in units of the currency."""
        quotas = by_name(account_of(billed(billing={"plan": "sentry"}), plan(), NOW))

        assert ["errors", "logBytes"] == list(quotas)
        assert (50_000, Price((Tier(0, Decimal("0.0003625")),))) == (
            quotas["errors"].quota.limit,
            quotas["errors"].quota.price,
        )
        assert (5 * 10**9, Price((Tier(0, Decimal("5E-10")),))) == (
            quotas["logBytes"].quota.limit,
            quotas["logBytes"].quota.price,
        )

    def test_hours(self) -> None:
        """Durations are reserved in hours, used in milliseconds, and counted in seconds."""
        one = category(reserved=10, prepaid=10, usage=3_600_000)
        read = plan(categories={"profileDuration": one})
        (quota,) = account_of(billed(), read, NOW).quotas

        assert (36_000, Unit.SECONDS, 3_600_000) == (
            quota.quota.limit,
            quota.quota.unit,
            quota.plan_usage,
        )

    def test_budget_and_period(self) -> None:
        """Budget and period are the plan's, whatever the file says."""
        acme = billed(billing={"budget": 1, "period": {"start_day": 3}})
        account = account_of(acme, plan(), NOW)

        assert (PLANNED, {"": Decimal(300)}) == (account.period, account.budgets)

    def test_budget_of_the_file_where_the_plan_has_none(self) -> None:
        """A plan that does not speak of budgets leaves that of the file."""
        account = account_of(billed(billing={"budget": 9}), plan(onDemandBudgets=None), NOW)

        assert {"": Decimal(9)} == account.budgets

    def test_budgets_per_category(self) -> None:
        """Budgets of categories are those of their quotas, under the names of these."""
        read = plan(
            onDemandBudgets={"enabled": True, "budgetMode": "per_category"},
            categories={
                "errors": category(onDemandBudget=7_000),
                "replays": category(onDemandBudget=100),
            },
        )
        account = account_of(billed({"name": "mine", "category": "replay"}), read, NOW)

        assert {"errors": Decimal(70), "mine": Decimal(1)} == account.budgets

    @pytest.mark.parametrize("name", ["errors", "mine"])
    def test_file_overrides(self, name: str) -> None:
        """A quota of the file with the same name or categories takes the place of the plan's."""
        account = account_of(billed({**ERRORS, "name": name}), plan(), NOW)
        quota = by_name(account)[name]

        assert [name, "logBytes"] == list(by_name(account))
        assert (1000, Source.FILE) == (quota.quota.limit, quota.source)
        assert Price((Tier(0, Decimal("0.0003625")),)) == quota.quota.price
        assert quota.billed

    def test_override_without_limit(self) -> None:
        """Where the file names no limit, the plan's holds, and is the source."""
        account = account_of(billed({"name": "errors", "category": "error"}), plan(), NOW)
        quota = by_name(account)["errors"]

        assert (50_000, Source.PLAN) == (quota.quota.limit, quota.source)

    def test_file_adds(self) -> None:
        """A quota of a team is added to that of the organization, and is not billed."""
        team = {"name": "payments", "category": "error", "team": "payments", "limit": 10}
        quotas = by_name(account_of(billed(team), plan(), NOW))

        assert ["errors", "logBytes", "payments"] == list(quotas)
        assert not quotas["payments"].billed

    def test_each_of_the_plan_is_overridden_once(self) -> None:
        """A second quota of the file with the same categories is added, and is not billed."""
        first, second = {"name": "a", "category": "error"}, {"name": "b", "category": "error"}
        quotas = by_name(account_of(billed(first, second), plan(), NOW))

        assert ["a", "logBytes", "b"] == list(quotas)
        assert [True, False] == [quotas["a"].billed, quotas["b"].billed]


class TestPeriod:
    """The plan's period, and what follows it until the plan is read again."""

    @pytest.mark.parametrize(
        ("now", "start", "end"),
        [
            ("2026-03-16T23:59:59", "2026-02-17", "2026-03-17"),
            ("2026-03-17", "2026-03-17", "2026-04-17"),
        ],
    )
    def test_next_month(self, now: str, start: str, end: str) -> None:
        """After its last day, the next month begins."""
        account = account_of(billed(), plan(), moment(now))

        assert Period(moment(start), moment(end)) == account.period

    def test_other_length(self) -> None:
        """A period that is no month is followed by one of the same length."""
        read = plan(onDemandPeriodStart="2026-02-17", onDemandPeriodEnd="2026-02-23")

        assert Period(moment("2026-02-24"), moment("2026-03-03")) == (
            account_of(billed(), read, NOW).period
        )

    def test_contradiction(self) -> None:
        """A period that the file names and the plan does not have is reported with both."""
        third = BillingSettings.model_validate({"period": {"start_day": 3}})
        same = BillingSettings.model_validate({"period": {"start_day": 17}})

        assert (
            Period(moment("2026-02-03"), moment("2026-03-03")),
            PLANNED,
        ) == contradiction(third, plan())
        assert contradiction(same, plan()) is None
        assert contradiction(BillingSettings(), plan()) is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://sentry.io", "https://sentry.io/api/0/customers/acme/"),
        ("https://de.sentry.io", "https://sentry.io/api/0/customers/acme/"),
        ("https://sentry.example/prefix", "https://sentry.example/prefix/api/0/customers/acme/"),
    ],
)
def test_control_silo(url: str, address: str) -> None:
    """The plan is at sentry.io, whatever the region."""
    assert address == plan_url(billed(url=url))


def test_period_is_in_days() -> None:
    """A year of days can be a period."""
    period = {"every": "366d", "from": "2026-01-01"}
    account = account_of(billed(ERRORS, billing={"period": period}), None, NOW)

    assert 366 * DAY == account.period.end - account.period.start
