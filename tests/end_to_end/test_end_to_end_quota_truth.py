"""Used, limit, period and money, compared with the simulated Sentry at any time of a period."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import pytest

from exporter.app import Exporter
from exporter.simulator import Plan, Simulator, Subscription, demo_world
from exporter.simulator.plans import Category, Tier
from tests.end_to_end.exposition import Samples, sums, values
from tests.end_to_end.stage import moment, polled
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization

pytestmark = pytest.mark.slow

ACME: Final = 1
BUDGET: Final = 300
CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Billed:
    """A category of the plan: stored name, volume and price in the unit of the bill.

    ``scale`` is how much Sentry counts for one of these, ``base`` how much the exporter does.
    """

    category: str
    reserved: int
    free: int
    cents: int
    each: str
    scale: int = 1
    base: int = 1

    def cost(self, used: int) -> Decimal:
        """Return what exceeds the volume of ``used``, which is in Sentry's unit, in dollars."""
        over = Decimal(used) / self.scale - self.reserved - self.free
        return max(over, Decimal(0)) * Decimal(self.each)


BILL: Final[Mapping[str, Billed]] = {
    "errors": Billed("error", 400_000, 10_000, 2_900, "0.0003625"),
    "spans": Billed("span", 10_000_000, 0, 0, "0.000002"),
    "replays": Billed("replay", 50, 7, 0, "0.00375"),
    "attachments": Billed("attachment", 1, 0, 0, "0.3125", 10**9, 10**9),
    "logBytes": Billed("log_byte", 5, 2, 1_099, "0.50", 10**9, 10**9),
    "profileDuration": Billed("profile_duration", 0, 0, 0, "0.0315", 3_600_000, 3_600),
}
UNITS: Final = {"attachments": "GB", "logBytes": "GB", "profileDuration": "h"}


def plan() -> Plan:
    """Return the bill as Sentry has it: prices in cents, periods from the 31st on."""
    categories = {
        key: Category(
            one.reserved,
            one.free,
            (Tier(one.reserved, one.cents, float(Decimal(one.each) * 100)),),
        )
        for key, one in BILL.items()
    }
    return Plan(categories, budget=BUDGET * 100, start_day=31)


def quotas() -> Iterator[Mapping[str, Any]]:
    """Yield the bill as the file has it."""
    for key, one in BILL.items():
        unit = UNITS.get(key, "")
        volume = one.reserved + one.free
        yield {
            "name": key,
            "category": one.category,
            "limit": f"{volume}{unit}" if unit else volume,
            "price": f"{one.each}/{unit}" if unit else float(one.each),
        }


def settings(source: str) -> Mapping[str, Any]:
    """Return what the file says if the bill comes from ``source``."""
    if source == "plan":
        return {"billing": {"plan": "sentry"}}
    return {
        "billing": {"period": {"start_day": 31}, "budget": BUDGET},
        "quotas": list(quotas()),
    }


def accepted(sentry: Simulator, start: float, now: float) -> dict[str, int]:
    """Return what Sentry has accepted of each quota since ``start``, in its own unit."""
    totals = sentry.world.store.totals(
        ACME, start, now + 3600, at=now, group_by=("category",), outcome=["accepted"]
    )
    return {key: totals.get((one.category,), 0) for key, one in BILL.items()}


def cents(money: Decimal) -> float:
    """Return ``money`` in cents, half a cent rounded up."""
    return float(money.quantize(CENT, ROUND_HALF_UP))


def check_money(samples: Samples, used: Mapping[str, int], *, reserved: bool) -> None:
    """Check all costs and the budget against what was used."""
    costs = {key: one.cost(used[key]) for key, one in BILL.items()}
    expected = {(key, "overage"): cents(cost) for key, cost in costs.items()}
    if reserved:
        expected |= {(key, "reserved"): one.cents / 100 for key, one in BILL.items()}
    total = {
        quota: sum(value for (key, _), value in expected.items() if key == quota) for quota in BILL
    }

    assert expected == values(samples, "quota_cost", "quota", "kind")
    assert total == pytest.approx(sums(samples, "quota_project_cost"), abs=1e-9)
    assert {("",): BUDGET} == values(samples, "budget", "quota")
    assert {("",): min(cents(sum(costs.values(), Decimal(0))), BUDGET)} == values(
        samples, "budget_spent", "quota"
    )


@pytest.mark.parametrize("source", ["file", "plan"])
@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-01-31T00:00:00Z", "2026-01-31", "2026-02-27"),
        ("2026-02-14T12:34:56Z", "2026-01-31", "2026-02-27"),
        ("2026-02-27T23:59:59Z", "2026-01-31", "2026-02-27"),
        ("2026-02-28T00:07:30Z", "2026-02-28", "2026-03-30"),
        ("2026-03-01T00:00:00Z", "2026-02-28", "2026-03-30"),
        ("2026-12-31T23:59:59Z", "2026-12-31", "2027-01-30"),
        ("2027-01-01T00:00:01Z", "2026-12-31", "2027-01-30"),
        ("2028-02-29T05:00:00Z", "2028-02-29", "2028-03-30"),
    ],
    ids=[
        "first second",
        "middle",
        "last second",
        "first day of a short month",
        "month's end",
        "last day of a year",
        "year's end",
        "leap day",
    ],
)
def test_numbers_are_sentrys_own(now: str, start: str, end: str, source: str) -> None:
    """Use, limits, periods and money are exact, and so are the sums over projects."""
    clock = Clock(moment(now))
    world = demo_world(clock.now, projects=2)
    world.subscribe(ACME, Subscription(plan()))
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, organization(**settings(source)))
        samples = polled(Exporter(config, clock=clock), clock.now)
        used = accepted(sentry, moment(f"{start}T00:00:00Z"), clock.now)
    shown = {
        (key,): value / (1000 if key == "profileDuration" else 1) for key, value in used.items()
    }
    starts = values(samples, "quota_period_start_timestamp_seconds", "quota")
    ends = values(samples, "quota_period_end_timestamp_seconds", "quota")

    assert shown == values(samples, "quota_used", "quota")
    assert {key: value for (key,), value in shown.items()} == pytest.approx(
        sums(samples, "quota_project_used"), abs=1e-6
    )
    assert {(key,): (one.reserved + one.free) * one.base for key, one in BILL.items()} == values(
        samples, "quota_limit", "quota"
    )
    assert {moment(f"{start}T00:00:00Z")} == set(starts.values())
    assert {moment(f"{end}T23:59:59Z")} == set(ends.values())
    check_money(samples, used, reserved=source == "plan")
    if source == "plan":
        assert {0} == set(values(samples, "quota_disagreement", "quota").values())


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-12-30T23:59:59Z", "2026-12-24T00:00:00Z"),
        ("2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z"),
        ("2027-01-06T23:59:59Z", "2026-12-31T00:00:00Z"),
    ],
)
def test_periods_of_days(now: str, start: str) -> None:
    """Periods of seven days go on over a year's end."""
    clock = Clock(moment(now))
    with Simulator(demo_world(clock.now, projects=2), clock=clock, rate_limit=None) as sentry:
        acme = organization(
            billing={"period": {"every": "7d", "from": "2026-01-01"}, "budget": BUDGET},
            quotas=list(quotas()),
        )
        samples = polled(Exporter(configuration(sentry.url, acme), clock=clock), clock.now)
        used = accepted(sentry, moment(start), clock.now)

    assert used["errors"] == values(samples, "quota_used", "quota")["errors",]
    assert {moment(start)} == set(
        values(samples, "quota_period_start_timestamp_seconds", "quota").values()
    )
    check_money(samples, used, reserved=False)


def test_several_categories_of_one_quota() -> None:
    """They are used together, by their projects too."""
    clock = Clock(moment("2026-03-01T00:07:30Z"))
    with Simulator(demo_world(clock.now, projects=2), clock=clock, rate_limit=None) as sentry:
        both = {"name": "both", "category": ["error", "replay"]}
        acme = organization(billing={"period": {"start_day": 31}}, quotas=[both])
        samples = polled(Exporter(configuration(sentry.url, acme), clock=clock), clock.now)
        used = accepted(sentry, moment("2026-02-28T00:00:00Z"), clock.now)

    assert {"both": used["errors"] + used["replays"]} == sums(samples, "quota_project_used")
    assert {("both",): used["errors"] + used["replays"]} == values(samples, "quota_used", "quota")


def test_plan_of_the_demo(sentry: Simulator, clock: Clock) -> None:
    """Each billed category has a quota; amounts of money, seats and what is unlimited have none."""
    config = configuration(sentry.url, organization(billing={"plan": "sentry"}))
    samples = polled(Exporter(config, clock=clock), clock.now)
    sources = values(samples, "quota_info", "quota", "source")

    assert {"plan"} == {source for _, source in sources}
    assert {("acme",): 1} == values(samples, "plan_up", "organization")
    assert {"errors", "spans", "replays", "attachments", "logBytes", "traceMetricBytes"} | {
        "profileDuration",
        "profileDurationUI",
    } == {quota for (quota,) in values(samples, "quota_limit", "quota")}
    assert {"seerAutofix", "seerScanner"} == {quota for quota, _ in sources} - {
        quota for (quota,) in values(samples, "quota_limit", "quota")
    }
