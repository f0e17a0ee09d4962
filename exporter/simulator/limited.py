"""Traffic under the quotas of a plan: what exceeds them is dropped until the period ends.

It is played forward hour by hour, and minute by minute where something runs out. Each category uses
its reserved volume, then money, first come, first served. Afterwards what would have been accepted
is rate limited, and the SDKs, which learn of it, hold back a part.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.simulator.lru_cache import LRUCache
from exporter.simulator.plans import BILLED, Period, Plan, Subscription, scale_of
from exporter.simulator.series import HOUR, Series
from exporter.simulator.traffic import MAX_DELAY, Traffic

_STEPS: Final = 60
"""Steps of an hour in which something may run out."""

_ALSO_DROPPED: Final = MappingProxyType(
    {"logBytes": ("log_item",), "traceMetricBytes": ("trace_metric",)}
)
"""Stored categories that are not billed, and are dropped with one that is."""

_CHUNKS: Final = MappingProxyType(
    {"profile_duration": "profile_chunk", "profile_duration_ui": "profile_chunk_ui"}
)
_CHUNK: Final = 9000
"""Sentry does not store the duration of dropped profiles, only their number. Its own page takes
9,000 milliseconds for each."""


class _Dropped(NamedTuple):
    """What becomes of the series ``accepted`` while ``key`` drops.

    ``size`` of its quantity is one of the quantity of ``limited`` and ``held_back``.
    """

    key: str
    accepted: int
    limited: Series
    held_back: Series
    size: int


class LimitedTraffic(Traffic):
    """``traffic``, of which only what the plans of ``subscription`` pay for is accepted."""

    def __init__(self, traffic: Traffic, subscription: Subscription) -> None:
        self._dropped = tuple(_dropped(traffic.series))
        added = (each for pair in self._dropped for each in (pair.limited, pair.held_back))
        super().__init__(0, 0, (*traffic.series, *added))
        self._traffic = traffic
        self._subscription = subscription
        self._ends: LRUCache[int, Mapping[str, float]] = LRUCache(40)

    def final(self, hour: int) -> Sequence[int]:
        """Return the final quantity of every series, in the order of ``series``."""
        return self.visible(hour, hour + HOUR + MAX_DELAY)

    def visible(self, hour: int, at: float, first: int = 0, last: int = HOUR) -> Sequence[int]:
        """Return what is visible at ``at`` of the seconds ``first`` to ``last`` of ``hour``."""
        visible = self._traffic.visible
        submitted = array("q", visible(hour, at, first, last))
        added = array("q", bytes(16 * len(self._dropped)))
        ends = {key: max(int(end) - hour, 0) for key, end in self.drops(hour).items()}
        later = {end: visible(hour, at, end, last) for end in {*ends.values()} if end < last}
        # A difference of two rounded numbers, so that parts of an hour add up to it.
        before = {end: visible(hour, at, end, first) for end in later if end < first}
        for place, each in enumerate(self._dropped):
            end = ends.get(each.key, last)
            if end < last:
                until, since = later[end][each.accepted], before.get(end, ())
                earlier = since[each.accepted] if since else 0
                submitted[each.accepted] -= until - earlier
                for offset, (now, then) in enumerate(
                    zip(_shares(until, each.size), _shares(earlier, each.size), strict=True)
                ):
                    added[2 * place + offset] = now - then
        return submitted + added

    def drops(self, hour: int) -> Mapping[str, float]:
        """Return from when on the period of ``hour`` drops, for each key of the plan that does."""
        plan = self._subscription.plan(hour)
        period = plan.period(hour)
        return self._ends.get(period.start, lambda: self._play(plan, period))

    def _play(self, plan: Plan, period: Period) -> Mapping[str, float]:
        keys = {key for key in plan.categories if plan.limit(key, period.start) is not None}
        if not keys:
            return MappingProxyType({})
        indexes = {
            key: [
                index
                for index, series in enumerate(self._traffic.series)
                if series.outcome == "accepted" and series.category in BILLED[key]
            ]
            for key in keys
        }
        account = _Account(plan, period.start)
        for hour in range(period.start, period.end, HOUR):
            column = self._traffic.final(hour)
            used = {key: sum(column[index] for index in indexes[key]) for key in keys}
            account.use(hour, used)
        return MappingProxyType(account.drops)


class _Account:
    """What is used and spent in a period, and since when each key drops."""

    def __init__(self, plan: Plan, start: int) -> None:
        self.drops: dict[str, float] = {}
        self._plan, self._start = plan, start
        self._used: dict[str, float] = {}
        self._prices = {key: each.price for key, each in plan.categories.items()}

    def use(self, hour: int, amounts: Mapping[str, int]) -> None:
        """Use ``amounts``, by key, evenly in the hour."""
        amounts = {key: amount for key, amount in amounts.items() if key not in self.drops}
        after = {key: self._used.get(key, 0.0) + amount for key, amount in amounts.items()}
        if not self._exceeded({**self._used, **after}):
            self._used |= after
            return
        for step in range(_STEPS):
            for key in amounts.keys() - self.drops.keys():
                self._used[key] = self._used.get(key, 0.0) + amounts[key] / _STEPS
            for key in self._exceeded(self._used):
                # What was used beyond the money is not accepted, and so it is not paid for.
                self.drops.setdefault(key, hour + (step + 1) * HOUR / _STEPS)

    def _exceeded(self, used: Mapping[str, float]) -> list[str]:
        """Return the keys that use more than is paid for."""
        costs = {key: self._overage(key, amount) for key, amount in used.items()}
        over = {key: cost for key, cost in costs.items() if cost > 0}
        if self._plan.budget_mode == "per_category":
            return [key for key, cost in over.items() if cost > self._plan.categories[key].budget]
        return list(over) if sum(over.values()) > self._plan.budget else []

    def _overage(self, key: str, used: float) -> float:
        """Return what is used beyond the limit, in cents; endlessly much if it has no price."""
        limit = self._plan.limit(key, self._start)
        more = max(used - limit, 0.0) if limit is not None else 0.0
        price = self._prices[key]
        return more / scale_of(key) * price if price else more and float("inf")


def _shares(quantity: int, size: int) -> tuple[int, int]:
    """Return how much of a dropped quantity is rate limited, and how much is held back."""
    dropped = -(-quantity // size)
    held_back = dropped * 2 // 5
    return dropped - held_back, held_back


def _dropped(series: Sequence[Series]) -> Iterator[_Dropped]:
    for key, stored in BILLED.items():
        for index, each in enumerate(series):
            if each.outcome == "accepted" and each.category in (
                *stored,
                *_ALSO_DROPPED.get(key, ()),
            ):
                category = _CHUNKS.get(each.category, each.category)
                shown = each._replace(category=category, hourly=0.0)
                reason = f"{stored[0]}_usage_exceeded"
                yield _Dropped(
                    key,
                    index,
                    shown._replace(outcome="rate_limited", reason=reason),
                    shown._replace(outcome="client_discard", reason="ratelimit_backoff"),
                    _CHUNK if category != each.category else 1,
                )
