"""What is billed: the quotas, the budget and the period, from the file and from the plan. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final
from urllib.parse import quote, urlsplit

from exporter.categories import Unit, unit_of
from exporter.config import BillingSettings, Organization, QuotaSettings
from exporter.config.types import HOSTED, is_hosted
from exporter.quota.calendar import Cycle, Every, Monthly, period_at
from exporter.quota.model import Period, Price, Quota, Tier
from exporter.quota.view import Source
from exporter.sentry.customer import CustomerPlan, PlanCategory

_UNIT_OF_BILL: Final[Mapping[Unit, int]] = {Unit.EVENTS: 1, Unit.BYTES: 10**9, Unit.SECONDS: 3600}
"""How many base units the plan counts as one: it has bytes in GB and durations in hours."""

_CENTS: Final = 100


@dataclass(frozen=True, slots=True)
class BilledQuota:
    """A quota of the account.

    ``billed`` is False for an allocation of one's own, whose use is billed with another quota.
    ``plan_usage`` is the plan's own number, in the unit of stats_v2. ``reserved_cost`` is the price
    of the reserved volume. Both are None where the plan does not say.
    """

    quota: Quota
    source: Source
    billed: bool = True
    plan_usage: int | None = None
    reserved_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The quotas of an organization in ``period``.

    ``budgets`` are the pay-as-you-go budgets by quota, that of all quotas under ``""``.
    """

    period: Period
    currency: str
    quotas: tuple[BilledQuota, ...]
    budgets: Mapping[str, Decimal] = field(default_factory=dict)


def account_of(organization: Organization, plan: CustomerPlan | None, now: float) -> Account:
    """Return the account at ``now``; without a ``plan`` it is what the file says."""
    billing = organization.billing
    planned = [_planned(one) for one in plan.categories] if plan else []
    quotas = _merged(planned, organization.quotas)
    return Account(
        period_of(billing, plan, now),
        billing.currency,
        tuple(_billed_once(quotas)),
        _budgets(billing, plan, quotas),
    )


def period_of(billing: BillingSettings, plan: CustomerPlan | None, now: float) -> Period:
    """Return the period at ``now``: the plan's, or what follows it until the plan is read again."""
    if plan is None:
        return period_at(cycle_of(billing), now)
    if plan.start <= now < plan.end:
        return Period(plan.start, plan.end)
    return period_at(_cycle_of_plan(plan), now)


def cycle_of(billing: BillingSettings) -> Cycle:
    """Return how the file says that periods follow each other."""
    settings = billing.period
    if settings.start_day is not None:
        return Monthly(settings.start_day)
    return Every(settings.every or 0, settings.first_day or 0)


def contradiction(billing: BillingSettings, plan: CustomerPlan) -> tuple[Period, Period] | None:
    """Return the file's and the plan's period, if the file names one and they differ."""
    if "period" not in billing.model_fields_set:
        return None
    planned = Period(plan.start, plan.end)
    named = period_at(cycle_of(billing), plan.start)
    return None if named == planned else (named, planned)


def plan_url(organization: Organization) -> str:
    """Return the address of the organization's plan, which only sentry.io has, and no region."""
    control = f"https://{HOSTED}" if is_on_sentry_io(organization) else organization.url
    return f"{control}/api/0/customers/{quote(organization.slug, safe='')}/"


def is_on_sentry_io(organization: Organization) -> bool:
    """Return whether the organization is at sentry.io, which has plans."""
    return is_hosted(urlsplit(organization.url).hostname or "")


def _cycle_of_plan(plan: CustomerPlan) -> Cycle:
    monthly = Monthly(_day_of_month(plan.start))
    if period_at(monthly, plan.start) == Period(plan.start, plan.end):
        return monthly
    return Every(plan.end - plan.start, plan.start)


def _day_of_month(moment: int) -> int:
    first = period_at(Monthly(1), moment)
    return (moment - first.start) // 86400 + 1


def _planned(one: PlanCategory) -> BilledQuota:
    unit = unit_of(one.category)
    scale = _UNIT_OF_BILL[unit]
    price = None if one.each is None else Price((Tier(0, one.each / _CENTS / scale),))
    limit = None if one.limit is None else int(one.limit * scale)
    quota = Quota(one.key, (one.category,), unit, limit, price, one.soft)
    reserved = None if one.reserved_price is None else one.reserved_price / _CENTS
    return BilledQuota(quota, Source.PLAN, plan_usage=one.usage, reserved_cost=reserved)


def _merged(
    planned: Sequence[BilledQuota], written: Iterable[QuotaSettings]
) -> tuple[BilledQuota, ...]:
    """Return the plan's quotas, overridden by those of the file, and what the file adds.

    One of the file takes the place of one of the plan if it has its name, or its categories.
    """
    taken: dict[str, BilledQuota] = {}
    added = []
    for settings in written:
        left = [one for one in planned if one.quota.name not in taken]
        same = None if settings.is_part else _same(left, settings)
        if same is None:
            added.append(_from_file(settings))
        else:
            taken[same.quota.name] = _overridden(same, settings)
    # In its place, so that the order stays that of the plan.
    return (*(taken.get(one.quota.name, one) for one in planned), *added)


def _same(planned: Sequence[BilledQuota], settings: QuotaSettings) -> BilledQuota | None:
    named = (one for one in planned if one.quota.name == settings.name)
    alike = (one for one in planned if set(one.quota.categories) == set(settings.category))
    return next(named, None) or next(alike, None)


def _from_file(settings: QuotaSettings) -> BilledQuota:
    return BilledQuota(
        Quota(
            settings.name,
            settings.category,
            settings.unit,
            settings.limit.value if settings.limit else None,
            settings.prices,
            projects=settings.project or None,
            team=settings.team or "",
        ),
        Source.FILE,
        billed=not settings.is_part,
    )


def _overridden(one: BilledQuota, settings: QuotaSettings) -> BilledQuota:
    same_categories = set(one.quota.categories) == set(settings.category)
    return replace(
        one,
        quota=replace(
            one.quota,
            name=settings.name,
            categories=settings.category,
            unit=settings.unit,
            limit=settings.limit.value if settings.limit else one.quota.limit,
            price=settings.prices or one.quota.price,
        ),
        source=Source.FILE if settings.limit else Source.PLAN,
        plan_usage=one.plan_usage if same_categories else None,
    )


def _billed_once(quotas: Iterable[BilledQuota]) -> Iterable[BilledQuota]:
    """Yield ``quotas``; of two that have a category in common, only the first is billed."""
    seen: set[str] = set()
    for one in quotas:
        billed = one.billed and not seen & set(one.quota.categories)
        seen |= set(one.quota.categories) if billed else set()
        yield replace(one, billed=billed)


def _budgets(
    billing: BillingSettings, plan: CustomerPlan | None, quotas: Iterable[BilledQuota]
) -> Mapping[str, Decimal]:
    categories = plan.categories if plan else ()
    own = {one.category: one.budget / _CENTS for one in categories if one.budget is not None}
    if own:
        return {
            one.quota.name: own[one.quota.categories[0]]
            for one in quotas
            if one.billed and one.quota.categories[0] in own
        }
    if plan is not None and plan.budget is not None:
        return {"": plan.budget / _CENTS}
    return {} if billing.budget is None else {"": billing.budget}
