"""Histories of quotas, as an exporter publishes them and Prometheus scrapes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from tests.deploy.rule_world import HOUR, MINUTE, Query, Rate, World

QUERY: Final = Query("quotas", 15 * MINUTE)


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota whose use per hour is ``rate``; periods begin at 0 and at ``turn``.

    ``week`` and ``day`` are the rates per hour that the forecasts expect until the period ends.
    """

    name: str
    limit: float
    rate: Rate
    week: Rate
    day: Rate
    team: str = ""
    disagreement: Rate | None = None

    def exhaustion(self, rate: Rate, used: float, time: float, period: "Period") -> float | None:
        """Return when the limit is reached, None if not within the period."""
        if used >= self.limit:
            return period.start + (time - period.start) * self.limit / used
        pace = rate(time)
        moment = time + HOUR * (self.limit - used) / pace if pace else float("inf")
        return moment if moment < period.end else None


@dataclass(frozen=True, slots=True)
class Period:
    """A billing period, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Money:
    """The budget of all quotas: what is spent of it by time, and when the forecast says it is."""

    budget: float
    spent: Rate
    exhaustion: Rate


def quota(name: str, limit: float, rate: Rate, **settings: Any) -> Quota:
    """Return a quota whose forecasts expect what is used now."""
    return Quota(name, limit, rate, **{"week": rate, "day": rate, **settings})


@dataclass(frozen=True)
class QuotaWorld(World):
    """An organization with quotas: the second period begins at ``turn``."""

    quotas: Sequence[Quota] = ()
    turn: float = float("inf")
    money: Money | None = None
    more_of_plan: Mapping[str, float] = field(default_factory=dict)

    def _samples(self) -> Iterator[tuple[str, Mapping[str, str], Sequence[float | None]]]:
        yield from super()._samples()
        target = {"job": self.job, "instance": self.instance, **self.more}
        own = {"organization": self.organization, **target}
        for name, value in self.more_of_plan.items():
            yield name, own, [value] * len(self.times())
        for each in self.quotas:
            rows = list(self._rows(each))
            for name, labels in sorted({(name, labels) for row in rows for name, labels in row}):
                values = [row.get((name, labels)) for row in rows]
                yield f"sentry_stats_{name}", {**own, **dict(labels)}, values
        if self.money is not None:
            yield from self._of_budget(self.money, own)

    def _rows(
        self, each: Quota
    ) -> Iterator[Mapping[tuple[str, tuple[tuple[str, str], ...]], float | None]]:
        """Yield what is shown of a quota at each scrape."""
        label = ("quota", each.name)
        about = {"unit": "events", "category": "error", "source": "file", "team": each.team}
        hours = range(0, int(self.length) + HOUR, MINUTE)
        sums = list(accumulate((each.rate(time) / 60 for time in hours), initial=0.0))
        for poll in self._polls():
            if poll is None:
                yield {}
                continue
            period = self.period(poll)
            used = sums[int(poll // MINUTE)] - sums[int(period.start // MINUTE)]
            row: dict[tuple[str, tuple[tuple[str, str], ...]], float | None] = {
                ("quota_info", (label, *about.items())): 1,
                ("quota_limit", (label,)): each.limit,
                ("quota_used", (label,)): round(used, 3),
                ("quota_period_start_timestamp_seconds", (label,)): period.start,
                ("quota_period_end_timestamp_seconds", (label,)): period.end - 1,
            }
            for pace, rate in (("week", each.week), ("day", each.day)):
                paced = (label, ("pace", pace))
                left = rate(poll) * (period.end - poll) / HOUR
                row["quota_projected", paced] = round(used + left, 3)
                moment = each.exhaustion(rate, used, poll, period)
                row["quota_exhaustion_timestamp_seconds", paced] = moment
            if each.disagreement is not None:
                row["quota_disagreement", (label,)] = each.disagreement(poll)
            yield row

    def _of_budget(
        self, money: Money, own: Mapping[str, str]
    ) -> Iterator[tuple[str, Mapping[str, str], Sequence[float | None]]]:
        labels = {**own, "currency": "USD"}
        polls = list(self._polls())
        periods = [None if poll is None else self.period(poll) for poll in polls]
        spent = [None if poll is None else money.spent(poll) for poll in polls]
        moments = [None if poll is None else money.exhaustion(poll) for poll in polls]
        yield "sentry_stats_budget", labels, [None if p is None else money.budget for p in polls]
        yield "sentry_stats_budget_spent", labels, spent
        yield (
            "sentry_stats_budget_exhaustion_timestamp_seconds",
            {**labels, "pace": "week"},
            [
                moment
                if moment is not None and period is not None and moment < period.end
                else None
                for moment, period in zip(moments, periods, strict=True)
            ],
        )

    def period(self, time: float) -> Period:
        """Return the period of a time; all are as long as the first."""
        length = self.turn if self.turn < float("inf") else 31 * 24 * HOUR
        start = time // length * length
        return Period(start, start + length)

    def _polls(self) -> Iterator[float | None]:
        """Yield the last poll before each scrape, None where there is none that counts."""
        (query,) = (each for each in self.queries if each.name == QUERY.name)
        for time in self.times():
            poll = self._poll(query, time)
            yield poll if 0 <= poll and time - poll <= query.max_age else None
