"""Billing and quotas as the file has them."""

from decimal import Decimal

import pytest

from exporter.categories import Unit
from exporter.config import BillingSettings, ConfigError, QuotaSettings, as_yaml, loads
from exporter.config.amounts import Amount
from exporter.quota.model import Price, Tier

BILLING = """
      plan: sentry
      period: {every: 7d, from: 2026-01-05}
      currency: EUR
      budget: 300.50
"""
QUOTAS = """
      - {name: errors, category: error, limit: 500_000, price: 0.0002188}
      - name: spans
        category: [span, span_indexed]
        limit: 5_000_000
        price: [{above: 0, each: 0.000002}, {above: 100_000_000, each: 0.0000015}]
      - {name: logs, category: log_byte, limit: 5GB, price: 0.50/GB}
      - {name: profiling, category: profile_duration, limit: 10h, price: 0.0315/h}
      - {name: payments, category: error, team: payments, limit: 100_000}
      - {name: web, category: attachment, project: [web, 4505123], limit: 1.5MB}
      - {name: free, category: replay, limit: unlimited, price: 0}
"""


def text(billing: str = " {}", quotas: str = " []") -> str:
    """Return a file with these keys."""
    return (
        "organizations:\n"
        "  - slug: acme\n"
        "    token_env: T\n"
        f"    billing:{billing}\n"
        f"    quotas:{quotas}\n"
    )


def quotas(written: str) -> dict[str, QuotaSettings]:
    """Return the quotas of a file, by name."""
    (acme,) = loads(text(quotas=written)).organizations
    return {one.name: one for one in acme.quotas}


def billing(written: str) -> BillingSettings:
    """Return what a file says of billing."""
    (acme,) = loads(text(billing=written)).organizations
    return acme.billing


def flat(each: str) -> Price:
    """Return the price that holds for any amount."""
    return Price((Tier(0, Decimal(each)),))


def test_limits_are_in_base_units() -> None:
    """Sizes are read in powers of ten, and hours as seconds."""
    assert {
        "errors": 500_000,
        "spans": 5_000_000,
        "logs": 5 * 10**9,
        "profiling": 36_000,
        "payments": 100_000,
        "web": 1_500_000,
        "free": None,
    } == {name: one.limit and one.limit.value for name, one in quotas(QUOTAS).items()}


def test_prices_are_exact_and_for_base_units() -> None:
    """A price is a decimal number, for a single event, byte or second."""
    tiers = Price((Tier(0, Decimal("0.000002")), Tier(100_000_000, Decimal("0.0000015"))))

    assert {
        "errors": flat("0.0002188"),
        "spans": tiers,
        "logs": flat("5E-10"),
        "profiling": flat("0.00000875"),
        "payments": None,
        "web": None,
        "free": flat("0"),
    } == {name: one.prices for name, one in quotas(QUOTAS).items()}


def test_quota_of_some_projects() -> None:
    """A quota can be about the projects of a team, or about some projects."""
    read = quotas(QUOTAS)

    assert {"payments", "web"} == {name for name, one in read.items() if one.is_part}
    assert ("payments", ()) == (read["payments"].team, read["payments"].project)
    assert (None, ("web", "4505123")) == (read["web"].team, read["web"].project)


def test_billing() -> None:
    """Plan, period, currency and budget are read."""
    read = billing(BILLING)

    assert ("sentry", "EUR", Decimal("300.5")) == (read.plan, read.currency, read.budget)
    assert (7 * 86400, 1_767_571_200) == (read.period.every, read.period.first_day)


def test_defaults() -> None:
    """By default there is no plan, no budget, no quota, and a period is a calendar month."""
    (acme,) = loads("organizations: [{slug: acme, token_env: T}]").organizations

    assert ("off", 1, "USD", None) == (
        acme.billing.plan,
        acme.billing.period.start_day,
        acme.billing.currency,
        acme.billing.budget,
    )
    assert () == acme.quotas
    assert not acme.has_quotas


def test_shown_configuration_can_be_loaded() -> None:
    """What ``/config`` shows is the same configuration."""
    config = loads(text(BILLING, QUOTAS))

    assert config == loads(as_yaml(config))


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1500", Amount(1500, Unit.EVENTS)),
        ("1_500_000", Amount(1_500_000, Unit.EVENTS)),
        ("0", Amount(0, Unit.EVENTS)),
        ("unlimited", Amount(None, Unit.EVENTS)),
    ],
)
def test_notations_of_events(written: str, amount: Amount) -> None:
    """An amount of events can group its thousands; a limit can be none."""
    read = quotas(f" [{{name: errors, category: error, limit: {written}}}]")

    assert amount == read["errors"].limit


@pytest.mark.parametrize("size", ["5GiB", "5Gi", "5 GiB", "100MiB", "1KiB", "1TiB"])
def test_binary_sizes_are_refused(size: str) -> None:
    """A size in powers of two is refused, and the message says what it is in powers of ten."""
    with pytest.raises(ConfigError, match="powers of ten"):
        quotas(f" [{{name: logs, category: log_byte, limit: {size}}}]")


def test_unknown_category_is_a_warning() -> None:
    """A category that Sentry would refuse is named, with its place and what is meant."""
    (warning,) = loads(text(quotas=" [{name: errors, category: [error, errors]}]")).warnings

    assert "organizations[0].quotas[0].category[1]" == warning.path
    assert 'Sentry refuses the category "errors"; use error' == warning.message


def test_name_of_polls_is_free_without_quotas() -> None:
    """A query may be called quotas where the organization has none."""
    config = loads(
        "organizations: [{slug: acme, token_env: T, "
        "queries: [{name: quotas, groupBy: [category]}]}]"
    )

    assert "quotas" == config.organizations[0].queries[0].name


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        (
            "[{name: a, category: [error, span]}, {name: b, category: error}]",
            "quotas[1].category",
            (
                "the quota a counts error too, and only that quota is billed; "
                "to count a part of the events, add project or team"
            ),
        ),
        (
            "[{name: logs, category: log_item, price: 1}]",
            "quotas[0].price",
            "Sentry does not bill log_item, but log_byte",
        ),
        (
            "[{name: a, category: eror}]",
            "quotas[0].category",
            (
                'unknown category "eror" (did you mean error?); '
                "if Sentry does not know this category, it refuses the polls of all quotas"
            ),
        ),
    ],
)
def test_warning_about_quotas(written: str, path: str, message: str) -> None:
    """What is allowed but hardly meant is a warning with its place."""
    (warning,) = loads(text(quotas=f" {written}")).warnings

    assert (f"organizations[0].{path}", message) == (warning.path, warning.message)


@pytest.mark.parametrize(
    "written",
    [
        "[{name: a, category: error}, {name: b, category: error, team: payments}]",
        "[{name: a, category: error}, {name: b, category: error, project: web}]",
        "[{name: logs, category: log_item, limit: 5}]",
    ],
)
def test_no_warning_about_quotas(written: str) -> None:
    """A part of the events is no bill, and neither is a limit without a price."""
    assert () == loads(text(quotas=f" {written}")).warnings


@pytest.mark.parametrize(
    ("url", "billing", "message"),
    [
        (
            "https://sentry.example.com",
            "{plan: sentry}",
            "only sentry.io has plans; remove this key, and set quotas",
        ),
        (
            "https://sentry.io",
            "{budget: 300}",
            "it has no effect without quotas; add quotas or, at sentry.io, plan: sentry",
        ),
        ("https://de.sentry.io", "{plan: sentry}", None),
        # The simulated Sentry.
        ("http://127.0.0.1:9000", "{plan: sentry}", None),
    ],
)
def test_warning_about_billing(url: str, billing: str, message: str | None) -> None:
    """A plan is only at sentry.io, and a budget pays for quotas."""
    config = loads(
        f"organizations: [{{slug: acme, url: '{url}', token_env: T, billing: {billing}}}]"
    )

    assert ([message] if message else []) == [warning.message for warning in config.warnings]
