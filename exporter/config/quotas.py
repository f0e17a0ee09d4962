"""The settings about quotas: what is billed, how much of it there is, and from when to when."""

from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from exporter.categories import ALSO_SELECTED_BY, Unit, unit_of
from exporter.config.amounts import (
    RATE,
    Amount,
    Bound,
    Currency,
    Day,
    Limit,
    Money,
    PriceOfUnit,
    Rate,
    wrong_unit,
)
from exporter.config.errors import refusal, shown
from exporter.config.keys import Model, key
from exporter.config.notation import OneOrMore, duration, in_units, one_of, whole_number
from exporter.config.types import Category, Project, QueryName, TeamName
from exporter.quota.model import DAY, Price, Tier

QUOTAS_QUERY: Final = "quotas"
"""The label ``query`` of the metrics about the polls that read the quotas of an organization."""

_NOTHING: Final = Amount(0, Unit.EVENTS)

_SEATS: Final = frozenset({"monitor_seat", "uptime", "seer_user"})


class PeriodSettings(Model):
    """When a billing period begins: on a day of each month, or every so many days."""

    start_day: Annotated[int, whole_number(1, 31)] | None = key(
        "The day of the month, in UTC; in a shorter month its last day.", default=None
    )
    every: Annotated[int, duration("1d", "366d")] | None = key(
        "The length of a period that is not a month, in days.", default=None
    )
    first_day: Day | None = key(
        "The first day of any period that is not a month.", default=None, alias="from"
    )

    @field_validator("every")
    @classmethod
    def _in_days(cls, every: int | None) -> int | None:
        if every is not None and every % DAY:
            raise refusal(f"got {in_units(every)}; expected whole days, such as 7d")
        return every

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        monthly, every = self.start_day is not None, self.every is not None
        if monthly is every or every is not (self.first_day is not None):
            raise refusal(
                "expected either start_day, for a period of a month, "
                "or both every and from, for a number of days"
            )
        return self


class BillingSettings(Model):
    """How Sentry bills the organization, as far as Sentry is not asked, or does not say."""

    plan: Annotated[Literal["sentry", "off"], one_of({"sentry": "sentry", "off": "off"})] = key(
        "Whether to read reserved volumes, prices, budget and period from Sentry, once an hour. "
        "Only sentry.io has plans; this part of its API is not documented and may change.",
        default="off",
    )
    period: PeriodSettings = key(
        "When the billing period begins; by default on the first of each month.",
        default={"start_day": 1},
    )
    currency: Currency = key("The currency of all prices.", default="USD")
    budget: Money | None = key(
        "The pay-as-you-go budget of a period, one sum for all quotas.", default=None
    )


class TierSettings(Model):
    """A price, and above which amount of the period it holds."""

    above: Bound = key("The amount used in a period above which this price holds.", default=0)
    each: PriceOfUnit = key("The price, such as 0.0002 for each event, or 0.50/GB.")


def _as_tiers(value: object) -> object:
    if value == []:
        raise refusal("the list is empty: add a price, or remove the key")
    if isinstance(value, list | tuple):
        return value
    return (TierSettings.model_construct(above=_NOTHING, each=cast("Rate", RATE.validate(value))),)


class _OnePrice:
    """On the tiers: a single price holds from 0 on."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_tiers, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [dict(RATE.json_schema), {**handler(schema), "minItems": 1}]}


class QuotaSettings(Model):
    """A quota: what counts against it, how much of it there is, and what more of it costs."""

    name: QueryName = key("The label ``quota`` of everything that is published about it.")
    category: Annotated[tuple[Category, ...], OneOrMore()] = key(
        "The categories that count against it, all of the same unit."
    )
    limit: Limit | None = key(
        "How much there is in a period: a number of events, a size in kB, MB, GB or TB (powers of "
        "ten), hours such as 10h, or unlimited. By default the limit of the plan; without a plan, "
        "unlimited.",
        default=None,
    )
    price: Annotated[tuple[TierSettings, ...], _OnePrice()] = key(
        "What each event, GB or hour beyond the limit costs: one price, or tiers of the amount "
        "used in the period.",
        default=(),
    )
    project: Annotated[tuple[Project, ...], OneOrMore()] = key(
        "Only these projects count: slugs or numeric ids.", default=()
    )
    team: TeamName | None = key(
        "Only the projects of this team count; it labels the quota.", default=None
    )

    @property
    def unit(self) -> Unit:
        """The unit of its categories."""
        return unit_of(self.category[0])

    @property
    def is_part(self) -> bool:
        """Whether it is about some projects only: an allocation of one's own, not a bill."""
        return bool(self.project or self.team)

    @property
    def prices(self) -> Price | None:
        """The price of a base unit, None if there is none."""
        tiers = tuple(Tier(tier.above.value or 0, tier.each.each) for tier in self.price)
        return Price(tiers) if tiers else None

    @field_validator("category")
    @classmethod
    def _can_be_summed(cls, category: tuple[str, ...]) -> tuple[str, ...]:
        for name in category:
            if name in _SEATS:
                raise refusal(
                    f"{name} is billed by seats, whose number is not in Sentry's stats; "
                    "expected a category of events, bytes or durations"
                )
            if name in ALSO_SELECTED_BY:
                raise refusal(f"{name} is counted with {ALSO_SELECTED_BY[name]}; use that")
        first = {unit_of(name): name for name in reversed(category)}
        if len(first) > 1:
            mixed = ", ".join(f"{unit} ({first[unit]})" for unit in Unit if unit in first)
            raise refusal(
                f"different units would be added together: {mixed}; use a separate quota for each"
            )
        return category

    @field_validator("limit")
    @classmethod
    def _limit_fits(cls, limit: Amount | None, info: ValidationInfo) -> Amount | None:
        category = info.data.get("category")
        if limit is not None and category and not limit.fits(unit_of(category[0])):
            unit = unit_of(category[0])
            raise refusal(wrong_unit("limit", limit.unit, unit, category[0]))
        return limit

    @field_validator("price")
    @classmethod
    def _price_fits(
        cls, price: tuple[TierSettings, ...], info: ValidationInfo
    ) -> tuple[TierSettings, ...]:
        for category in info.data.get("category", ())[:1]:
            unit = unit_of(category)
            for tier in price:
                if not tier.each.fits(unit):
                    raise refusal(wrong_unit("price", tier.each.unit, unit, category))
                if not tier.above.fits(unit):
                    raise refusal(wrong_unit("tier", tier.above.unit, unit, category))
        bounds = [tier.above.value or 0 for tier in price]
        if bounds and (bounds[0] or sorted(set(bounds)) != bounds):
            raise refusal(
                f"the tiers begin above {', '.join(map(str, bounds))}; "
                "expected 0 for the first one, and more for each one after it"
            )
        return price

    @field_validator("team")
    @classmethod
    def _one_scope(cls, team: str | None, info: ValidationInfo) -> str | None:
        if team and info.data.get("project"):
            raise refusal(f"got the team {shown(team)} beside project; use only one of them")
        return team
