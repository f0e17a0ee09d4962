"""Panels about what quotas cost, and the budgets that pay for what exceeds them."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.expressions import named
from deploy.grafana.generator.panels import SPENT, Figure, Target, data_table, lines
from deploy.grafana.generator.projects import NO_PROJECT, NO_TEAM
from deploy.grafana.generator.quota_series import MAX_ROWS, PACES, Quotas, by_team, money
from exporter.publish.quota_families import (
    BUDGET,
    BUDGET_EXHAUSTION,
    BUDGET_PROJECTED,
    BUDGET_SPENT,
    QUOTA_COST,
    QUOTA_PROJECT_COST,
)

_ALL_QUOTAS: Final = "all quotas"


def costs(quotas: Quotas) -> Panel:
    """Return what each quota costs."""
    cost = quotas.current(QUOTA_COST, "currency", "kind")
    sums = f"sum by ({', '.join(quotas.key)}, currency) ({cost}) > 0"

    def of(kind: str) -> str:
        return quotas.current(QUOTA_COST, "currency", matchers=f'kind="{kind}"')

    return data_table(
        Figure(
            "What does each quota cost?",
            "The cost of the period so far, as the plan or the configuration have the prices: the "
            "reserved volume, and what is used beyond the limit. Taxes, discounts and seats are "
            "not included.",
            (
                money(f"{of('reserved')} > 0", "Reserved"),
                money(f"{of('overage')} > 0", "Overage"),
                money(sums, "Cost"),
            ),
            sort="Cost",
            empty="No prices are known",
        )
    )


def budgets(quotas: Quotas) -> Panel:
    """Return what is spent of the budgets, and when drops begin."""
    spent, budget = (_budget(quotas.current(one, "currency")) for one in (BUDGET_SPENT, BUDGET))
    expected = (
        money(_budget(quotas.paced(BUDGET_PROJECTED, pace, "currency")), f"At the end, at {name}")
        for pace, name in PACES
    )
    moments = (
        Target(
            f"1000 * {_budget(quotas.paced(BUDGET_EXHAUSTION, pace, 'currency'))}",
            f"Drops begin, at {name}",
            "dateTimeAsIso",
        )
        for pace, name in PACES
    )
    return data_table(
        Figure(
            "How much of the budget is spent, and when do drops begin?",
            "Pay-as-you-go money: the budget of the period, what is spent of it, and when it is "
            "spent, at the pace of last week and of the last 24 hours. From then on Sentry drops "
            "what is above the limits. No time means: not within the period.",
            (
                Target(f"{spent} / ({budget} > 0)", "Spent %", "percentunit", thresholds=SPENT),
                money(spent, "Spent"),
                money(budget, "Budget"),
                *expected,
                *moments,
            ),
            width=24,
            height=5,
            sort="Spent %",
            empty="There is no budget",
        )
    )


def _budget(vector: str) -> str:
    return named(vector, "quota", _ALL_QUOTAS)


def course(quotas: Quotas) -> Panel:
    """Return how the budgets were spent in the time range."""
    expected = (
        (f"end, at {name}", quotas.paced(BUDGET_PROJECTED, pace, "currency"))
        for pace, name in PACES
    )
    return lines(
        Figure(
            "How was the budget spent?",
            "What is spent of each pay-as-you-go budget, and the expected sum at the end of the "
            "period, at the pace of last week and of the last 24 hours.",
            tuple(
                Target(_budget(vector), f"{name}: {{{{quota}}}}, {{{{currency}}}}")
                for name, vector in (
                    ("budget", quotas.current(BUDGET, "currency")),
                    ("spent", quotas.current(BUDGET_SPENT, "currency")),
                    *expected,
                )
            ),
            "none",
            empty="There is no budget",
        )
    )


def owners(quotas: Quotas) -> list[Panel]:
    """Return what each project and each team costs, over all quotas."""
    each = quotas.of_organization(quotas.current(QUOTA_PROJECT_COST, "project", "currency"))
    by_project = f"sum by (project, currency) ({each})"
    kinds = (
        ("project", "projects", by_project, NO_PROJECT, "deleted and unreadable projects."),
        (
            "team",
            "teams",
            by_team(f"({each})", quotas.organization, quotas.listed(), "currency"),
            NO_TEAM,
            "projects of no team or of several, and of deleted and unreadable ones.",
        ),
    )
    return [
        data_table(
            Figure(
                f"Which {whose} cost most?",
                f"The cost of the chosen quotas, divided by use: the {MAX_ROWS} largest. "
                f"Allocations are not added. '{nobody}' has the costs of {about}",
                (
                    money(_top(sums, label, nobody), "Cost"),
                    Target(_top(_share(sums), label, nobody), "Share of the cost", "percentunit"),
                ),
                height=12,
                sort="Cost",
                empty="No prices are known",
            )
        )
        for label, whose, sums, nobody, about in kinds
    ]


def _share(sums: str) -> str:
    return f"{sums} / on (currency) group_left () (sum by (currency) ({sums}) > 0)"


def _top(vector: str, label: str, nobody: str) -> str:
    return named(f"topk({MAX_ROWS}, {vector} > 0)", label, nobody)
