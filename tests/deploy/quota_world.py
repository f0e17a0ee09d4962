"""Histories of quotas, as an exporter publishes them and Prometheus scrapes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from tests.deploy.rule_world import HOUR, MINUTE, Labels, Query, Rate, World, within

QUERY: Final = Query("quotas", 15 * MINUTE, settle=0)
"""The polls of the quotas; what they read is no question with dimensions."""

_LENGTH: Final = 31 * 24 * HOUR

Sample = tuple[str, tuple[tuple[str, str], ...]]
"""A family without its prefix, and its labels but for those of the organization and target."""


@dataclass(frozen=True, slots=True)
class Period:
    """A billing period, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota whose use per hour is ``rate``.

    ``week`` and ``day`` are the rates per hour that the forecasts expect until the period ends.
    """

    name: str
    limit: Rate
    rate: Rate
    week: Rate
    day: Rate
    team: str = ""
    disagreement: Rate | None = None

    def exhaustion(self, pace: float, used: float, time: float, period: Period) -> float | None:
        """Return when the limit is reached, None if not within the period, or if it is 0."""
        limit = self.limit(time)
        if not limit:
            return None
        if used >= limit:
            return period.start + (time - period.start) * limit / used
        moment = time + HOUR * (limit - used) / pace if pace else float("inf")
        return moment if moment < period.end else None

    def samples(self, used: float, time: float, period: Period) -> Mapping[Sample, float | None]:
        """Return what a poll at ``time`` shows."""
        label = ("quota", self.name)
        about = {"unit": "events", "category": "error", "source": "file", "team": self.team}
        row: dict[Sample, float | None] = {
            ("quota_info", (label, *about.items())): 1,
            ("quota_limit", (label,)): self.limit(time),
            ("quota_used", (label,)): round(used, 3),
            ("quota_period_start_timestamp_seconds", (label,)): period.start,
            ("quota_period_end_timestamp_seconds", (label,)): period.end - 1,
        }
        for name, rate in (("week", self.week), ("day", self.day)):
            pace, paced = rate(time), (label, ("pace", name))
            left = pace * (period.end - time) / HOUR
            row["quota_projected", paced] = round(used + left, 3)
            moment = self.exhaustion(pace, used, time, period)
            row["quota_exhaustion_timestamp_seconds", paced] = moment
        if self.disagreement is not None:
            row["quota_disagreement", (label,)] = self.disagreement(time)
        return row


@dataclass(frozen=True, slots=True)
class Money:
    """A budget by time, what is spent of it, and when the forecast says that it is.

    It is that of all quotas unless ``quota`` is one.
    """

    budget: Rate
    spent: Rate
    exhaustion: Rate
    quota: str = ""

    def samples(self, time: float, period: Period) -> Mapping[Sample, float | None]:
        """Return what a poll at ``time`` shows."""
        labels = (("quota", self.quota), ("currency", "USD"))
        moment = self.exhaustion(time)
        within_period = moment if period.start <= moment < period.end else None
        return {
            ("budget", labels): self.budget(time),
            ("budget_spent", labels): self.spent(time),
            ("budget_exhaustion_timestamp_seconds", (*labels, ("pace", "week"))): within_period,
        }


@dataclass(frozen=True)
class QuotaWorld(World):
    """An organization with quotas: the second period begins at ``turn``."""

    quotas: Sequence[Quota] = ()
    turn: float = float("inf")
    money: Sequence[Money] = ()
    more_of_plan: Mapping[str, float] = field(default_factory=dict)

    def _samples(self) -> Iterator[tuple[str, Labels, Sequence[float | None]]]:
        yield from super()._samples()
        own = {
            "organization": self.organization,
            "job": self.job,
            "instance": self.instance,
            **self.more,
        }
        for name, value in self.more_of_plan.items():
            yield name, own, [value] * len(self.times())
        rows = list(self._rows())
        for name, labels in sorted({key for row in rows for key in row}):
            values = [row.get((name, labels)) for row in rows]
            yield f"sentry_stats_{name}", {**own, **dict(labels)}, values

    def _of_query(self, query: Query) -> Iterator[tuple[str, Labels, Sequence[float | None]]]:
        """Yield the lines about a query; only those with dimensions have `query_info`."""
        lines = super()._of_query(query)
        is_of_quotas = query.name == QUERY.name
        return (line for line in lines if not is_of_quotas or line[0] != "query_info")

    def _rows(self) -> Iterator[Mapping[Sample, float | None]]:
        """Yield what is shown of the quotas at each scrape."""
        minutes = range(0, int(self.length) + HOUR, MINUTE)
        sums = {
            each.name: list(accumulate((each.rate(time) / 60 for time in minutes), initial=0.0))
            for each in self.quotas
        }
        for poll in self._polls():
            row: dict[Sample, float | None] = {}
            if poll is not None:
                period = self.period(poll)
                for each in self.quotas:
                    before, now = (int(time // MINUTE) for time in (period.start, poll))
                    used = sums[each.name][now] - sums[each.name][before]
                    row.update(each.samples(used, poll, period))
                for money in self.money:
                    row.update(money.samples(poll, period))
            yield row

    def period(self, time: float) -> Period:
        """Return the period of a time; all are as long as the first."""
        length = self.turn if self.turn < float("inf") else _LENGTH
        start = time // length * length
        return Period(start, start + length)

    def _polls(self) -> Iterator[float | None]:
        """Yield the last poll before each scrape, None where there is none that counts."""
        (query,) = (each for each in self.queries if each.name == QUERY.name)
        for time in self.times():
            poll = self._poll(query, time)
            is_shown = 0 <= poll and not within(time - poll, [(query.max_age, float("inf"))])
            yield poll if is_shown else None


def quota(name: str, limit: float | Rate, rate: Rate, **settings: Any) -> Quota:
    """Return a quota whose forecasts expect what is used now."""
    bound = limit if callable(limit) else lambda _: limit
    return Quota(name, bound, rate, **{"week": rate, "day": rate, **settings})
