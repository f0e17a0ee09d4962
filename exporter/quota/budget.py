"""When a budget is spent, and when events are dropped for it. Pure.

Sentry takes what exceeds the limits of all quotas from one budget, first come, first served. When
it is spent, a quota drops everything above its limit until the period ends. A quota can also have a
budget of its own, as those of a plan with budgets per category.

Until a budget is spent, it has no influence on what is accepted. So what all its quotas have cost
together is a sum that only grows, and the moment at which it passes the budget can be searched for.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from exporter.quota.forecast import Course, exhaustion, projected
from exporter.quota.model import HOUR, Quota
from exporter.quota.price import approximate_overage, overage_cost

CENT: Final = 0.01
"""A budget of which less than this is left is spent."""

_HALVINGS: Final = 20
"""Halvings of an hour: they leave a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on top of the limits: ``shared`` by all quotas that have no ``own`` budget.

    ``shared`` is None where no budget is known; then nothing is dropped because of money.
    """

    shared: Decimal | None = None
    own: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Expected:
    """A quota, what was used of it, in all and by the hour, and what is expected."""

    quota: Quota
    used: int
    hours: Mapping[int, int]
    course: Course

    @cached_property
    def sums(self) -> Sequence[float]:
        """What will have been used at the start of each hour of the course, and at its end."""
        return tuple(accumulate(self.course.amounts, initial=float(self.used)))

    @cached_property
    def overage(self) -> Callable[[float], float]:
        """What the overage costs, approximately, when so much has been used."""
        return approximate_overage(self.quota)

    def cost_at(self, hour: int, part: float = 0.0) -> float:
        """Return what the overage has cost when ``part`` of that hour of the course has passed."""
        during = part * self.course.amounts[hour] if part else 0.0
        return self.overage(self.sums[hour] + during)

    def cost_before(self, moment: float) -> float:
        """Return what the overage had cost at ``moment``, which is in the past."""
        later = sum(amount for hour, amount in self.hours.items() if hour >= moment)
        return self.overage(self.used - later)

    @property
    def is_billed(self) -> bool:
        """Whether Sentry limits it: what is allotted to a team or to projects is only ours."""
        return self.quota.projects is None and not self.quota.team

    @property
    def drops(self) -> bool:
        """Whether anything is ever dropped for it."""
        return self.is_billed and self.quota.limit is not None and not self.quota.soft


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is spent, and when drops begin.

    ``spent`` and ``projected`` are of all budgets together, now and at the end of the period.
    ``exhaustion`` is when the shared budget is spent, and ``drops`` when each quota begins to drop,
    by its name. Those that do not drop within the period are missing.
    """

    spent: Decimal
    projected: Decimal
    exhaustion: float | None
    drops: Mapping[str, float]


def outlook(quotas: Sequence[Expected], budget: Budget) -> Outlook:
    """Return what comes of ``quotas``, whose courses start and end at the same time.

    Soft limits drop nothing, and what exceeds them is billed without a budget.
    """
    dropping = [each for each in quotas if each.drops]
    paid = [each for each in dropping if each.quota.price is not None]
    purses = [
        ([each], budget.own[each.quota.name]) for each in paid if each.quota.name in budget.own
    ]
    together = [each for each in paid if each.quota.name not in budget.own]
    ends = {purse[0].quota.name: _spent_at(purse, money) for purse, money in purses}
    exhausted = _spent_at(together, budget.shared)
    ends |= {each.quota.name: exhausted for each in together}
    every = [*purses, (together, budget.shared)]
    return Outlook(
        spent=sum((_cost(purse, money, _now) for purse, money in every), Decimal(0)),
        projected=sum((_cost(purse, money, _at_end) for purse, money in every), Decimal(0)),
        exhaustion=exhausted,
        drops=MappingProxyType(
            {
                each.quota.name: moment
                for each in dropping
                if (moment := _drops_from(each, ends)) is not None
            }
        ),
    )


def _drops_from(each: Expected, ends: Mapping[str, float | None]) -> float | None:
    """Return when ``each`` drops: its limit is reached, and the money for more is spent."""
    limit = exhaustion(each.course, each.used, each.quota.limit, each.hours)
    if each.quota.price is None:
        return limit
    spent = ends[each.quota.name]
    return None if limit is None or spent is None else max(limit, spent)


def _now(each: Expected) -> int:
    return each.used


def _at_end(each: Expected) -> int:
    return projected(each.course, each.used)


def _cost(
    purse: Sequence[Expected], money: Decimal | None, used: Callable[[Expected], int]
) -> Decimal:
    """Return what is spent of ``money``."""
    cost = sum((overage_cost(each.quota, used(each)) for each in purse), Decimal(0))
    return cost if money is None else min(cost, money)


def _spent_at(purse: Sequence[Expected], budget: Decimal | None) -> float | None:
    """Return when ``budget`` is spent, None if it lasts."""
    if budget is None or not purse:
        return None
    money, course = float(budget), purse[0].course
    # Of nothing, the first event beyond a limit takes more than there is.
    enough = max(money - CENT, 0.0)
    if sum(each.cost_at(0) for each in purse) > enough:
        return _spent_before(purse, enough)
    hours = len(course.amounts)
    # bisect calls the key only where it looks: ten times for the hours of a month.
    after = bisect_right(
        range(hours + 1), money, key=lambda hour: sum(each.cost_at(hour) for each in purse)
    )
    if after > hours:
        return None
    if not after:
        return course.start
    return course.moment(after - 1, _share(purse, after - 1, money))


def _share(purse: Sequence[Expected], hour: int, money: float) -> float:
    """Return the share of an hour of the course after which ``money`` is spent."""
    first, last = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (first + last) / 2
        cost = sum(each.cost_at(hour, middle) for each in purse)
        first, last = (middle, last) if cost <= money else (first, middle)
    return last


def _spent_before(purse: Sequence[Expected], money: float) -> float:
    """Return the end of the hour in which more was spent, as far as the hours go back."""
    now = purse[0].course.start
    hours = sorted({hour for each in purse for hour in each.hours if hour < now})
    after = bisect_right(
        hours, money, key=lambda hour: sum(each.cost_before(hour) for each in purse)
    )
    return min(float(hours[after - 1] + HOUR), now) if after else now
