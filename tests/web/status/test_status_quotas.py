"""Quotas on the status page."""

import re
from decimal import Decimal
from typing import Any

import pytest

from exporter.categories import Unit
from exporter.quota.view import AccountView, BudgetView
from exporter.web.status.choices import Choices
from exporter.web.status.page import Renderer
from exporter.web.status.quotas import amount, money, percent
from tests.support.quotas import account, quota
from tests.support.statuses import (
    NOW,
    exporter,
    organization,
    query_status,
    quotas,
    with_quotas,
)


def text(*, choices: Choices | None = None, **settings: Any) -> str:
    """Return the text of a page about an organization whose report of quotas has ``settings``."""
    one = organization([query_status()], quotas=quotas(**settings))
    return plain(Renderer().render(exporter(one), choices or Choices()))


def plain(page: str) -> str:
    """Return the text of a page."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page.partition("</style>")[2]))


@pytest.mark.parametrize(
    ("number", "unit", "written"),
    [
        (1_234_567, Unit.EVENTS, "1,234,567"),
        (4_200_000_000, Unit.BYTES, "4.2 GB"),
        (999, Unit.BYTES, "999 B"),
        (36_000, Unit.SECONDS, "10.0 h"),
    ],
)
def test_amount(number: float, unit: Unit, written: str) -> None:
    """Amounts are in the unit of the bill."""
    assert written == amount(number, unit)


def test_money() -> None:
    """Money has two digits and its currency."""
    assert "1,234.50 USD" == money(Decimal("1234.5"), "USD")


@pytest.mark.parametrize(("used", "written"), [(1500, "150%"), (1000, "100%"), (999, "99%")])
def test_percent(used: int, written: str) -> None:
    """The share that was used is rounded down, so that 100 % means that the limit is reached."""
    assert written == percent(quota(used=used))


def test_every_quota_has_a_row() -> None:
    """Each quota is there with use, limit, forecast and cost."""
    page = plain(Renderer().render(with_quotas(), Choices()))

    assert "errors error · from the plan 1,500 200 lost 1,000 150% 3,000 11 Nov 22:12" in page
    assert "logs log_byte · from the file 4.2 GB 5 GB 84% 6 GB 17 Nov 10:12" in page
    assert "profiling profile_duration · from the plan · team payments 5.0 h 10.0 h 50%" in page
    assert "replays replay · from the plan 1,500 none" in page
    assert "Pay-as-you-go: 1.00 EUR of 3.00 EUR spent" in page
    assert "2023-11-02 to 2023-12-01 (UTC)" in page


def test_moments() -> None:
    """When a limit is reached, and drops begin, is also said relative to now."""
    page = plain(Renderer().render(with_quotas(), Choices()))

    assert "11 Nov 22:12 3 d ago" in page
    assert "17 Nov 10:12 in 2 d 12 h" in page
    assert "drops begin 17 Nov 10:12 UTC in 2 d 12 h" in page


def test_drops_that_have_begun() -> None:
    """A budget that is spent says since when, not when."""
    spent = BudgetView("", Decimal(3), Decimal(3), exhaustion={"week": NOW - 3600.0})

    assert "drops began 14 Nov 21:12 UTC 1 h ago" in text(quotas=account(budgets=(spent,)))


def test_no_budget() -> None:
    """A budget of 0 is none."""
    none = BudgetView("", Decimal(0), Decimal(0))

    assert "Pay-as-you-go: no budget" in text(quotas=account(budgets=(none,)))


def test_reached_limits_stand_out() -> None:
    """The share and the forecast of a quota are marked only where the limit is reached."""
    page = Renderer().render(with_quotas(), Choices())

    assert '<span class="bad">150%</span>' in page
    assert "<span>84%</span>" in page
    assert '<span class="bad">6 GB</span>' in page
    assert "<span>8.3 h</span>" in page


def test_failure() -> None:
    """A plan that cannot be read, and why quotas cannot be read, are on the page."""
    page = plain(Renderer().render(with_quotas(), Choices()))

    assert "The plan cannot be read from Sentry" in page
    assert "HTTP 403: forbidden" in page


def test_before_the_first_poll() -> None:
    """Before the first poll the page says so."""
    nothing: dict[str, Any] = {"polls": 0, "up": False, "last_success": 0, "last_polls": ()}

    assert "Quotas Not read yet." in text(quotas=AccountView(), **nothing)


def test_withdrawn() -> None:
    """Quotas that are too old are not shown."""
    assert "The data are too old to be shown." in text(quotas=AccountView())


def test_no_quotas() -> None:
    """Where there is none, the page says so."""
    assert "There is no quota to show." in text(quotas=AccountView(period=account().period))


def test_shard_with_quotas_only() -> None:
    """An organization of which a shard has only the quotas is shown, unless queries are chosen."""
    only = exporter(organization([], quotas=quotas()))
    pages = [plain(Renderer().render(only, one)) for one in (Choices(), Choices(q="error"))]

    assert [True, False] == ["Pay-as-you-go" in page for page in pages]
    assert "Bucket (UTC)" not in pages[0]


def test_not_beside_one_query() -> None:
    """The page of one query has no quotas."""
    assert "Quotas" not in text(choices=Choices(query="acme/outcomes"))
