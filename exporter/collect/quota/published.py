"""What is published of the quotas: the account and what was read of it, as values. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from exporter.collect.quota.account import Account, BilledQuota
from exporter.collect.quota.projects import ProjectsReading
from exporter.collect.quota.reading import UsageReading
from exporter.collect.series import NO_PROJECT
from exporter.quota.budget import Budget, Expected, outlook
from exporter.quota.forecast import Pace, course, exhaustion, projected
from exporter.quota.model import base_units
from exporter.quota.price import overage_cost
from exporter.quota.sharing import rounded, shared
from exporter.quota.view import AccountView, BudgetView, CostKind, QuotaView


@dataclass(frozen=True, slots=True)
class AccountReading:
    """What was read about an account at ``now``.

    ``usage`` is that of the organization, ``parts`` that of the projects of a quota, by its name,
    and ``members`` are these projects. ``labels`` are those of the projects; without any, ids are.
    ``planned`` is the plan's own usage minus ``usage`` when the plan was read, by quota.
    """

    now: float
    usage: UsageReading
    by_project: ProjectsReading
    parts: Mapping[str, UsageReading] = field(default_factory=dict)
    members: Mapping[str, frozenset[int]] = field(default_factory=dict)
    labels: Mapping[int, str] | None = None

    @property
    def proven(self) -> bool:
        """Whether all of it is known not to be cut."""
        parts = all(part.proven for part in self.parts.values())
        return parts and self.usage.proven and self.by_project.proven

    def usage_of(self, one: BilledQuota) -> UsageReading:
        """Return the usage that counts for a quota."""
        return self.parts.get(one.quota.name, self.usage)


def published(
    account: Account,
    reading: AccountReading,
    disagreements: Mapping[str, int],
    *,
    plan_up: bool | None,
) -> AccountView:
    """Return what is published of ``account``."""
    expected = {pace: _expected(account, reading, pace) for pace in Pace}
    return AccountView(
        plan_up,
        account.period,
        account.currency,
        tuple(
            _quota(one, reading, disagreements, {pace: expected[pace][number] for pace in Pace})
            for number, one in enumerate(account.quotas)
        ),
        tuple(
            _budget(name, amount, {pace: _paid(account, expected[pace], name) for pace in Pace})
            for name, amount in account.budgets.items()
        ),
        reading.proven,
    )


def disagreements(account: Account, usage: UsageReading) -> Mapping[str, int]:
    """Return by how much the plan's own usage is larger than ``usage``, by quota."""
    return {
        one.quota.name: one.plan_usage - usage.used(one.quota.categories)
        for one in account.quotas
        if one.plan_usage is not None
    }


def _expected(account: Account, reading: AccountReading, pace: Pace) -> list[Expected]:
    """Return what is expected of each quota at ``pace``, in its base unit."""
    expected = []
    for one in account.quotas:
        quota = one.quota
        history = reading.usage_of(one).history(quota.categories)
        hours = {start: base_units(used, quota.unit) for start, used in history.items()}
        used = base_units(sum(_by_label(one, reading).values()), quota.unit)
        course_ = course(hours, account.period, reading.now, pace)
        expected.append(Expected(quota, used, hours, course_))
    return expected


def _paid(account: Account, expected: Sequence[Expected], budget: str) -> list[Expected]:
    """Return the quotas that a budget pays for: those of its name, or all without a name."""
    return [
        each
        for one, each in zip(account.quotas, expected, strict=True)
        if one.billed and budget in {"", one.quota.name}
    ]


def _quota(
    one: BilledQuota,
    reading: AccountReading,
    disagreements: Mapping[str, int],
    expected: Mapping[Pace, Expected],
) -> QuotaView:
    quota, usage = one.quota, reading.usage_of(one)
    projects = _by_label(one, reading)
    # The sum, which has what came in since the parts of the organization were read.
    used = sum(projects.values())
    costs = _costs(one, used)
    total = sum(costs.values(), Decimal(0))
    ends = {
        pace: exhaustion(each.course, each.used, quota.limit, each.hours)
        for pace, each in expected.items()
    }
    return QuotaView(
        quota,
        one.source,
        used,
        used + usage.lost_of(quota.categories),
        projects,
        costs,
        shared(total, projects) if costs else {},
        {pace: projected(each.course, each.used) for pace, each in expected.items()},
        # Of nothing reserved, everything is overage from the first second of the period on.
        {pace: end for pace, end in ends.items() if end is not None and quota.limit},
        disagreements.get(quota.name),
    )


def _budget(name: str, amount: Decimal, expected: Mapping[Pace, list[Expected]]) -> BudgetView:
    outlooks = {pace: outlook(each, Budget(amount)) for pace, each in expected.items()}
    ends = {pace: one.exhaustion for pace, one in outlooks.items()}
    return BudgetView(
        name,
        amount,
        # What was spent is the same at any pace.
        rounded(outlooks[Pace.WEEK].spent),
        {pace: rounded(one.projected) for pace, one in outlooks.items()},
        {pace: end for pace, end in ends.items() if end is not None},
    )


def _by_label(one: BilledQuota, reading: AccountReading) -> dict[str, int]:
    """Return what the projects of a quota have used, by label, those without use left out."""
    members = reading.members.get(one.quota.name)
    used: dict[str, int] = {"": 0} if members is None else {}
    for category in one.quota.categories:
        for project, value in reading.by_project.used.get(category, {}).items():
            if members is None or project in members:
                label = _label(project, reading.labels)
                used[label] = used.get(label, 0) + value
    return used


def _label(project: int, labels: Mapping[int, str] | None) -> str:
    if project == NO_PROJECT:
        return ""
    return str(project) if labels is None else labels.get(project, "")


def _costs(one: BilledQuota, used: int) -> Mapping[CostKind, Decimal]:
    """Return what a quota costs in cents, as far as the prices are known."""
    costs = {}
    if one.reserved_cost is not None:
        costs[CostKind.RESERVED] = rounded(one.reserved_cost)
    if one.quota.price is not None:
        cost = overage_cost(one.quota, base_units(used, one.quota.unit))
        costs[CostKind.OVERAGE] = rounded(cost)
    return costs
