"""The lines about the quotas of an organization. Pure."""

from collections.abc import Iterator, Mapping

from exporter.categories import MILLISECONDS_PER_SECOND, Unit
from exporter.publish import quota_families as families
from exporter.publish.family import Family
from exporter.publish.text import sample
from exporter.quota.view import AccountView, BudgetView, QuotaView

_Sample = tuple[Family, tuple[str, ...], float]
"""A family, the values of its labels, and a number."""


def quota_lines(organization: str, account: AccountView) -> Mapping[Family, bytes]:
    """Return the lines about ``account``, by family; a family without lines is empty."""
    lines: dict[Family, list[str]] = {family: [] for family in families.QUOTA_FAMILIES}
    for family, labels, value in quota_samples(organization, account):
        lines[family].append(sample(family, labels, value))
    return {family: "".join(texts).encode() for family, texts in lines.items()}


def quota_samples(organization: str, account: AccountView) -> Iterator[_Sample]:
    """Yield family, values of the labels and value of each sample about ``account``."""
    if account.plan_up is not None:
        yield families.PLAN_UP, (organization,), account.plan_up
    for view in account.quotas:
        labels = organization, view.quota.name
        yield from _usage(labels, view)
        if account.period is not None:
            yield families.QUOTA_PERIOD_START, labels, account.period.start
            yield families.QUOTA_PERIOD_END, labels, account.period.end - 1
        yield from _money(labels, account.currency, view)
    for budget in account.budgets:
        yield from _budget((organization, budget.quota, account.currency), budget)


def _usage(labels: tuple[str, str], view: QuotaView) -> Iterator[_Sample]:
    quota = view.quota
    about = quota.unit, ",".join(sorted(quota.categories)), view.source, quota.team
    yield families.QUOTA_INFO, (*labels, *about), 1
    if quota.limit is not None:
        yield families.QUOTA_LIMIT, labels, quota.limit
    yield families.QUOTA_USED, labels, _in_base_unit(view, view.used)
    yield families.QUOTA_SUBMITTED, labels, _in_base_unit(view, view.submitted)
    for pace, amount in view.projected.items():
        yield families.QUOTA_PROJECTED, (*labels, pace), amount
    for pace, moment in view.exhaustion.items():
        yield families.QUOTA_EXHAUSTION, (*labels, pace), moment
    for project, used in view.projects.items():
        yield families.QUOTA_PROJECT_USED, (*labels, project), _in_base_unit(view, used)
    if view.disagreement is not None:
        yield families.QUOTA_DISAGREEMENT, labels, _in_base_unit(view, view.disagreement)


def _money(labels: tuple[str, str], currency: str, view: QuotaView) -> Iterator[_Sample]:
    for kind, cost in view.costs.items():
        yield families.QUOTA_COST, (*labels, currency, kind), float(cost)
    for project, cost in view.project_costs.items():
        yield families.QUOTA_PROJECT_COST, (*labels, currency, project), float(cost)


def _budget(labels: tuple[str, str, str], budget: BudgetView) -> Iterator[_Sample]:
    yield families.BUDGET, labels, float(budget.amount)
    yield families.BUDGET_SPENT, labels, float(budget.spent)
    for pace, money in budget.projected.items():
        yield families.BUDGET_PROJECTED, (*labels, pace), float(money)
    for pace, moment in budget.exhaustion.items():
        yield families.BUDGET_EXHAUSTION, (*labels, pace), moment


def _in_base_unit(view: QuotaView, used: int) -> float:
    return used / MILLISECONDS_PER_SECOND if view.quota.unit is Unit.SECONDS else used
