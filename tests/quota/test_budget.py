"""When a budget is spent and drops begin, compared with a replay hour by hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

import pytest

from exporter.categories import Unit
from exporter.quota.budget import Budget, Expected, Outlook, outlook
from exporter.quota.forecast import Course
from exporter.quota.model import DAY, HOUR, Period, Price, Quota, Tier

START = 1_788_220_800
SEPTEMBER = Period(START, START + 30 * DAY)
NOW = START + 10 * DAY + 12 * HOUR


def quota(
    name: str,
    limit: int | None,
    *tiers: tuple[int, str],
    soft: bool = False,
    team: str = "",
    projects: tuple[str, ...] | None = None,
) -> Quota:
    """Return a quota of errors; without tiers its price is not known."""
    price = Price(tuple(Tier(above, Decimal(each)) for above, each in tiers)) if tiers else None
    return Quota(name, ("error",), Unit.EVENTS, limit, price, soft, projects, team)


def even(each: Quota, used: int, hourly: float, hours: Mapping[int, int] | None = None) -> Expected:
    """Return a quota of which ``hourly`` is expected in each hour to the end of September."""
    count = (SEPTEMBER.end - NOW) // HOUR
    return Expected(each, used, hours or {}, Course(NOW, (hourly,) * count))


def test_each_category_pays_from_the_shared_budget() -> None:
    """Two quotas that cost 1 an hour each have spent 10 after five hours."""
    errors = even(quota("errors", 100, (0, "0.01")), 100, 100)
    spans = even(quota("spans", 500, (0, "0.001")), 500, 1000)
    result = outlook([errors, spans], Budget(Decimal(10)))

    assert Decimal(0) == result.spent
    assert Decimal(10) == result.projected
    assert NOW + 5 * HOUR == pytest.approx(result.exhaustion, abs=1)
    assert {"errors": NOW + 5 * HOUR, "spans": NOW + 5 * HOUR} == pytest.approx(result.drops, abs=1)


def test_a_quota_below_its_limit_drops_later() -> None:
    """A spent budget drops nothing of a quota whose limit is not reached yet."""
    errors = even(quota("errors", 100, (0, "0.01")), 100, 100)
    replays = even(quota("replays", 100, (0, "0.01")), 90, 1)
    result = outlook([errors, replays], Budget(Decimal(5)))

    assert NOW + 5 * HOUR == pytest.approx(result.exhaustion, abs=1)
    assert NOW + 10 * HOUR == pytest.approx(result.drops["replays"], abs=1)


def test_a_budget_of_its_own_is_spent_alone() -> None:
    """Budgets per category do not pay for one another."""
    errors = even(quota("errors", 100, (0, "0.01")), 100, 100)
    spans = even(quota("spans", 500, (0, "0.001")), 500, 1000)
    own = {"errors": Decimal(3), "spans": Decimal(7)}
    result = outlook([errors, spans], Budget(Decimal(0), own))

    assert {"errors": NOW + 3 * HOUR, "spans": NOW + 7 * HOUR} == pytest.approx(result.drops, abs=1)
    assert Decimal(10) == result.projected
    assert result.exhaustion is None


def test_without_a_budget_drops_begin_at_the_limit() -> None:
    """With a budget of 0, a quota drops what exceeds its limit."""
    errors = even(quota("errors", 250, (0, "0.01")), 100, 100)
    result = outlook([errors], Budget(Decimal(0)))

    assert NOW + 1.5 * HOUR == pytest.approx(result.drops["errors"], abs=HOUR / 100)
    assert Decimal(0) == result.projected


def test_an_unknown_budget_drops_nothing() -> None:
    """Where no budget is known, the overage is what it would cost."""
    errors = even(quota("errors", 100, (0, "0.01")), 100, 1)
    result = outlook([errors], Budget())

    assert {} == result.drops
    assert len(errors.course.amounts) * Decimal("0.01") == result.projected


def test_a_quota_without_price_drops_at_its_limit() -> None:
    """What cannot be bought is dropped, however large the budget is."""
    result = outlook([even(quota("replays", 150), 100, 100)], Budget(Decimal(10**6)))

    assert {"replays": NOW + HOUR / 2} == result.drops
    assert Decimal(0) == result.projected


@pytest.mark.parametrize(
    "each",
    [
        quota("soft", 100, (0, "1"), soft=True),
        quota("unlimited", None, (0, "1")),
        quota("team", 100, (0, "1"), team="payments"),
        quota("projects", 100, (0, "1"), projects=("web",)),
    ],
    ids=lambda each: each.name,
)
def test_what_never_drops(each: Quota) -> None:
    """Soft and absent limits and allotments of one's own never drop, and take no money."""
    result = outlook([even(each, 10**6, 1000)], Budget(Decimal(1)))

    assert Outlook(Decimal(0), Decimal(0), None, {}) == result


@pytest.mark.parametrize(
    "budget", [Budget(Decimal(50)), Budget(Decimal(9), {"errors": Decimal(50)})]
)
def test_a_budget_that_is_spent_has_its_moment(budget: Budget) -> None:
    """It is the end of the hour in which it was spent, although nothing is expected any more."""
    hours = {NOW - 3 * HOUR: 2000, NOW - 2 * HOUR: 1000, NOW - HOUR: 0}
    errors = even(quota("errors", 1000, (0, "0.01")), 6000, 0, hours)
    result = outlook([errors], budget)

    assert {"errors": NOW - HOUR} == result.drops
    assert Decimal(50) == result.spent == result.projected


def test_without_a_budget_drops_began_at_the_limit() -> None:
    """With a budget of 0, that was the end of the hour in which the limit was passed."""
    hours = {NOW - 3 * HOUR: 200, NOW - 2 * HOUR: 100, NOW - HOUR: 7}
    errors = even(quota("errors", 250, (0, "0.01")), 307, 0, hours)
    result = outlook([errors], Budget(Decimal(0)))

    assert NOW - HOUR == result.exhaustion == result.drops["errors"]


def test_a_budget_that_was_spent_before_all_history() -> None:
    """The moment is then that of the forecast."""
    errors = even(quota("errors", 1000, (0, "0.01")), 6000, 0)

    assert NOW == outlook([errors], Budget(Decimal(50))).exhaustion


def test_no_more_than_the_budget_is_spent() -> None:
    """What was accepted beyond the budget before the limit took effect is not billed."""
    errors = even(quota("errors", 1000, (0, "0.01")), 7000, 100)

    assert Decimal(50) == outlook([errors], Budget(Decimal(50))).spent


def test_a_period_that_is_over() -> None:
    """At the end of the period there is nothing to come."""
    errors = Expected(quota("errors", 100, (0, "0.01")), 200, {}, Course(SEPTEMBER.end, ()))

    assert Outlook(Decimal(1), Decimal(1), None, {}) == outlook([errors], Budget(Decimal(5)))


def test_nothing_comes_of_nothing() -> None:
    """Without quotas nothing is spent."""
    assert Outlook(Decimal(0), Decimal(0), None, {}) == outlook([], Budget(Decimal(5)))


NANO = 10**9
NO_END = 10**30


@dataclass
class Replay:
    """Quotas that are used hour by hour, each unit of which is paid for as it comes.

    It counts units, and money in billionths: all are integers, and nothing is rounded. A budget
    that cannot pay for a unit is ``spent_up``, and pays for nothing any more.
    """

    quotas: Sequence[Expected]
    budget: Budget
    spent_up: set[str] = field(default_factory=set)
    spent: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    drops: dict[str, float] = field(default_factory=dict)

    def run(self) -> "Replay":
        """Play all hours of the period: those that have passed, and those that are expected."""
        for each in self.quotas:
            self.used[each.quota.name], self.spent[each.quota.name] = 0, 0
        for moment in range(START, SEPTEMBER.end, HOUR):
            for each in self.quotas:
                if moment < NOW:
                    self.accept(each.quota, each.hours[moment], moment)
                else:
                    expected = each.course.amounts[(moment - NOW) // HOUR]
                    self.accept(each.quota, int(expected), moment)
        return self

    def accept(self, quota: Quota, amount: int, moment: float) -> None:
        """Accept as much of ``amount`` as the limit and the money allow."""
        if quota.limit is None or quota.soft:
            return
        free = min(amount, max(quota.limit - self.used[quota.name], 0))
        self.used[quota.name] += free
        amount -= free
        while amount > 0:
            price, size = self.tier(quota)
            size = min(size, amount)
            affordable = self.money(quota.name) // price if price else NO_END
            if size > affordable or not quota.price:
                self.drops.setdefault(quota.name, moment)
                self.spent_up |= {self.budget_of(quota.name)} if quota.price else set()
                size, amount = min(size, affordable) if quota.price else 0, 0
            self.used[quota.name] += size
            self.spent[quota.name] += size * price
            amount -= size

    def tier(self, quota: Quota) -> tuple[int, int]:
        """Return the price of the next unit, and for how many units it holds."""
        if quota.price is None:
            return 0, NO_END
        used, tiers = self.used[quota.name], quota.price.tiers
        index = max(number for number, tier in enumerate(tiers) if tier.above <= used)
        end = tiers[index + 1].above if index + 1 < len(tiers) else NO_END
        return int(tiers[index].each * NANO), end - used

    def budget_of(self, name: str) -> str:
        """Return the name of the budget that pays for a quota, that of all is ``""``."""
        return name if name in self.budget.own else ""

    def money(self, name: str) -> int:
        """Return what is left of the money from which a quota is paid."""
        own = self.budget.own
        if self.budget_of(name) in self.spent_up:
            return 0
        if name in own:
            return int(own[name] * NANO) - self.spent[name]
        if self.budget.shared is None:
            return NO_END
        together = (spent for other, spent in self.spent.items() if other not in own)
        return int(self.budget.shared * NANO) - sum(together)


def mix(random: Random) -> tuple[list[Expected], Budget]:
    """Return a random mix of quotas and budgets, with courses that have a rhythm and gaps."""
    quotas = [part(f"quota-{number}", random) for number in range(random.randint(1, 7))]
    own = {each.quota.name: money(random) for each in quotas if random.random() < 0.2}
    shared = random.choice((money(random), money(random), Decimal(0), None))
    return quotas, Budget(shared, own)


def money(random: Random) -> Decimal:
    """Return a sum of 1 to 10,000."""
    return Decimal(round(10 ** random.uniform(0, 4), 2)).quantize(Decimal("0.01"))


def part(name: str, random: Random) -> Expected:
    """Return a quota with a random limit, price, use and course."""
    monthly = 10 ** random.uniform(4.5, 8)
    limit = random.choice((0, None, *[round(monthly * random.uniform(0.2, 1.4))] * 6))
    each = 10 ** random.uniform(-1, 2) / monthly
    tiers, above = [], 0
    for _ in range(random.randint(1, 4)):
        tiers.append((above, f"{each:.9f}"))
        above += round(monthly * random.uniform(0.05, 0.8)) + 1
        each *= random.uniform(0.4, 1)
    if random.random() < 0.1:
        tiers = []
    # Some have reached their limit, and some a budget, before now. A limit of 0 is reached before
    # anything is used.
    past, hourly = random.choice((0.3, 1.0, 2.5, 0.0)[: 4 if limit else 3]), monthly / 700
    # Integers, as a unit that costs more than a cent would otherwise be a matter of rounding.
    amounts = [
        round(hourly * random.choice((0.1, 0.5, 1.0, 1.5, random.uniform(0.1, 4))))
        for _ in range(START, SEPTEMBER.end, HOUR)
    ]
    hours = {hour: round(amounts.pop() * past) for hour in range(START, NOW, HOUR)}
    thing = quota(name, limit, *tiers, soft=random.random() < 0.1)
    return Expected(thing, sum(hours.values()), hours, Course(NOW, tuple(map(float, amounts))))


@pytest.mark.parametrize("seed", range(200))
def test_random_mixes_equal_a_replay(seed: int) -> None:
    """When each quota drops is right within an hour, and the spend within a cent."""
    quotas, budget = mix(Random(seed))
    replayed = Replay(quotas, budget).run()
    result = outlook(quotas, budget)

    assert set(replayed.drops) == set(result.drops)
    assert replayed.drops == pytest.approx(dict(result.drops), abs=HOUR)
    assert sum(replayed.spent.values()) / NANO == pytest.approx(float(result.projected), abs=0.01)
