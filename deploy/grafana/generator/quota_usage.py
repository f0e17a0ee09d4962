"""Panels about how much of each quota is used, and when it runs out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.expressions import MEASURES, Measure, known
from deploy.grafana.generator.panels import (
    SPENT,
    Figure,
    Steps,
    Target,
    data_table,
    lines,
    number,
)
from deploy.grafana.generator.quota_series import MAX_ROWS, PACES, Quotas, money
from exporter.publish.quota_families import (
    BUDGET,
    BUDGET_SPENT,
    QUOTA_COST,
    QUOTA_LIMIT,
    QUOTA_PERIOD_END,
    QUOTA_PERIOD_START,
    QUOTA_PROJECTED,
    QUOTA_SUBMITTED,
    QUOTA_USED,
)

_DAY: Final = 86400
_LEFT: Final[Steps] = (
    (None, "red"),
    (_DAY, "orange"),
    (3 * _DAY, "yellow"),
    (7 * _DAY, "transparent"),
)
_COUNT: Final[Steps] = ((None, "green"), (1, "red"))
FULL: Final[Steps] = ((None, "transparent"), (1, "red"))
_NOT_IN_PERIOD: Final = "Not in this period"
_LINK: Final = (
    "/d/sentry-stats-quotas?${datasource:queryparam}&%s"
    "&var-quota=${__value.raw:percentencode}&${__url_time_range}"
)


def summary(quotas: Quotas, link: str = "") -> Panel:
    """Return the table of all quotas, in shares of their limits.

    ``link`` is how their dashboard finds the organization.
    """
    moments = (
        Target(f"1000 * {quotas.exhausted(pace)}", f"Gone, at {name}", "dateTimeFromNow")
        for pace, name in PACES
    )
    used = f"topk({MAX_ROWS}, {quotas.used_share()})"
    others = (*expected(quotas), *moments, _period_ends(quotas, "dateTimeFromNow"))
    return data_table(
        Figure(
            "How much of the quota is used, and when is it gone?",
            "The current period of each quota with a limit: what is used, what will be used at its "
            "end, and when the limit is reached, at the pace of last week and of the last 24 "
            f"hours. No time means: not within the period. The {MAX_ROWS} of which the largest "
            "share is used. Click a quota for more.",
            (
                Target(used, "Used", "percentunit", thresholds=SPENT),
                *(
                    replace(one, expression=f"{one.expression} and {quotas.on} {used}")
                    for one in others
                ),
            ),
            width=24,
            height=6,
            links={"quota": _LINK % link} if link else {},
            sort="Used",
            empty="No quotas are known",
        )
    )


def expected(quotas: Quotas) -> Iterator[Target]:
    """Yield the columns of what is used at the end of the period, as shares of the limits."""
    for pace, name in PACES:
        share, title = quotas.expected_share(pace), f"At the end, at {name}"
        yield Target(share, title, "percentunit", thresholds=SPENT)


def _period_ends(quotas: Quotas, unit: str) -> Target:
    ends = f"1000 * {quotas.current(QUOTA_PERIOD_END)} and {quotas.on} {quotas.limit()}"
    return Target(ends, "Period ends", unit)


def numbers(quotas: Quotas) -> list[Panel]:
    """Return where the organization is, one number per panel."""
    start, end = (quotas.current(one) for one in (QUOTA_PERIOD_START, QUOTA_PERIOD_END))
    costs = quotas.of_organization(quotas.current(QUOTA_COST, "currency", "kind"))
    spent, budget = (f"sum({quotas.current(one, 'currency')})" for one in (BUDGET_SPENT, BUDGET))
    used_up = f"count({quotas.used_share()} >= 1)"
    return [
        _number(
            "Share of the period that is over",
            "Compare it with the shares that are used.",
            Target(f"max((time() - {start}) / ({end} - {start}))", unit="percentunit"),
        ),
        _number(
            "Quotas used up",
            "How many quotas have reached their limit.",
            Target(used_up),
            thresholds=_COUNT,
            empty="None",
        ),
        *(_next(quotas, pace, name) for pace, name in PACES),
        _number(
            "Cost so far",
            "The cost of the period, by currency: reserved volume and overage of all quotas.",
            money(f"sum by (currency) ({costs})", "{{currency}}"),
            empty="No prices are known",
        ),
        _number(
            "Budget spent",
            "The share of the pay-as-you-go budgets that is spent.",
            Target(f"{spent} / ({budget} > 0)", unit="percentunit"),
            thresholds=SPENT,
            empty="No budget",
        ),
    ]


def _next(quotas: Quotas, pace: str, name: str) -> Panel:
    title = f"Next gone, {name}"
    what = "When the next quota reaches its limit. Those that have are in *Quotas used up*."
    moment = known(f"min({quotas.exhausted(pace)} > time())")
    return _number(title, what, Target(moment, unit="dateTimeFromNow"), empty=_NOT_IN_PERIOD)


def _number(
    title: str, what: str, target: Target, *, thresholds: Steps = (), empty: str = ""
) -> Panel:
    return number(
        Figure(title, what, (target,), width=4, height=4, thresholds=thresholds, empty=empty)
    )


def left(quotas: Quotas) -> Panel:
    """Return how long each quota lasts, and until when."""
    columns = (
        target
        for pace, name in PACES
        for target in (
            Target(
                f"clamp_min({quotas.exhausted(pace)} - time(), 0)",
                f"Left, at {name}",
                "s",
                thresholds=_LEFT,
            ),
            Target(f"1000 * {quotas.exhausted(pace)}", f"Gone on, at {name}", "dateTimeAsIso"),
        )
    )
    share = quotas.described(f"({quotas.used_share()})", "category", "source", "team")
    return data_table(
        Figure(
            "How long does each quota last?",
            "What is left until the limit is reached, and when that is, at the pace of last week "
            "and of the last 24 hours. Nothing means: it lasts until the period ends. Team, "
            "category and source (plan or file) are those of the quota.",
            (
                Target(share, "Used", "percentunit", thresholds=SPENT),
                *columns,
                _period_ends(quotas, "dateTimeAsIso"),
            ),
            width=24,
            height=7,
            sort="Used",
            empty="No quota has a limit",
        )
    )


def amounts(quotas: Quotas) -> list[Panel]:
    """Return what is used, allowed, expected and lost of each quota, one table per unit."""
    kinds = ("events", "bytes", "time")
    return [_amounts(quotas, *kind) for kind in zip(MEASURES, kinds, strict=True)]


def _amounts(quotas: Quotas, measure: Measure, kind: str) -> Panel:
    columns = (
        ("Used", quotas.current(QUOTA_USED)),
        ("Limit", quotas.current(QUOTA_LIMIT)),
        *((f"At the end, at {name}", quotas.paced(QUOTA_PROJECTED, pace)) for pace, name in PACES),
        ("Submitted", quotas.current(QUOTA_SUBMITTED)),
        ("Lost", quotas.lost()),
    )
    return data_table(
        Figure(
            f"How much is used of quotas counted in {kind}?",
            "What is used of each quota in the period, and what will be at its end. 'Submitted' is "
            "what would have been used without any limit, and 'Lost' what of it was rate limited "
            "or held back by SDKs. Without a limit, a quota is unlimited.",
            tuple(
                Target(quotas.counted_in(vector, measure.name), title, measure.unit)
                for title, vector in columns
            ),
            width=24,
            height=7 if kind == "events" else 5,
            sort="Used",
            empty=f"No quota is counted in {kind}",
        )
    )


def courses(quotas: Quotas, pinned: Quotas) -> list[Panel]:
    """Return how shares of the limits have changed: used, and expected at either pace."""
    used = _course(
        quotas,
        "What share of each quota is used?",
        "Used so far",
        quotas.used_share(),
        pinned.used_share(),
    )
    return [
        used,
        *(
            _course(
                quotas,
                f"What share will be used, at {name}?",
                "Expected at the end of the period",
                quotas.expected_share(pace),
                pinned.expected_share(pace),
            )
            for pace, name in PACES
        ),
    ]


def _course(quotas: Quotas, title: str, what: str, share: str, at_end: str) -> Panel:
    return lines(
        Figure(
            title,
            f"{what}, as a share of the limit: the ten quotas that have the largest now.",
            (Target(f"{share} and {quotas.on} topk(10, {at_end})", "{{quota}}"),),
            "percentunit",
            width=8,
            thresholds=FULL,
        )
    )
