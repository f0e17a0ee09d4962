"""The quotas of an organization over two periods, as an exporter publishes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from exporter.categories import MILLISECONDS_PER_SECOND, Unit
from exporter.publish.quota_families import QUOTA_PROJECT_COST, QUOTA_PROJECT_USED
from exporter.publish.quota_metrics import quota_lines
from exporter.quota.model import Period, Quota, base_units
from exporter.quota.sharing import rounded, shared
from exporter.quota.view import AccountView, BudgetView, CostKind, QuotaView, Source

DAY: Final = 86400
LENGTH: Final = 7 * DAY
"""Of a period."""

_BY_PROJECT: Final = frozenset({QUOTA_PROJECT_USED, QUOTA_PROJECT_COST})
_BUDGET: Final = Decimal(300)


@dataclass(frozen=True, slots=True)
class Kind:
    """A quota of which ``speed`` times the limit is used in a period; ``member`` is a project."""

    quota: Quota
    speed: float
    cost: int = 0
    source: Source = Source.PLAN
    member: str = ""

    def used(self, share: float) -> int:
        """Return what is used after a share of the period, in Sentry's unit."""
        scale = MILLISECONDS_PER_SECOND if self.quota.unit is Unit.SECONDS else 1
        return int((self.quota.limit or 1e8) * scale * self.speed * share)


def kinds(team: str, member: str) -> Sequence[Kind]:
    """Return quotas of every unit: some last, some run out or have, and one has no limit."""
    return (
        Kind(Quota("errors", ("error",), Unit.EVENTS, 2_000_000), 0.9, 120),
        Kind(Quota("spans", ("span",), Unit.EVENTS, 50_000_000), 1.25, 90),
        Kind(Quota("replays", ("replay",), Unit.EVENTS, 75_000), 1.9, 40),
        Kind(Quota("transactions", ("transaction",), Unit.EVENTS, None), 1, 0),
        Kind(Quota("logs", ("log_byte",), Unit.BYTES, 5 * 10**9), 1.1, 20),
        Kind(Quota("attachments", ("attachment",), Unit.BYTES, 10**9), 0.3, 10),
        Kind(Quota("profiling", ("profile_duration",), Unit.SECONDS, 36_000), 1.4, 30),
        Kind(
            Quota("allotted", ("error",), Unit.EVENTS, 20_000, team=team),
            1.3,
            source=Source.FILE,
            member=member,
        ),
    )


def quota_page(
    organization: str, account: Sequence[Kind], projects: Sequence[str], moment: float, end: int
) -> str:
    """Return the lines of a scrape; periods of a week begin so that one ends at ``end``.

    Without ``projects`` there are none by project.
    """
    start = int(end - (end - moment + LENGTH - 1) // LENGTH * LENGTH)
    period = Period(start, start + LENGTH)
    share = (moment - start) / LENGTH
    views = tuple(_view(kind, projects, period, share) for kind in account)
    spent = _BUDGET * Decimal(share) * Decimal("0.9")
    budget = BudgetView("", _BUDGET, rounded(spent), {"week": _BUDGET, "day": _BUDGET * 3 / 4})
    later = {"week": start + 0.93 * LENGTH}
    complete = AccountView(
        plan_up=True,
        period=period,
        currency="USD",
        quotas=views,
        budgets=(replace(budget, exhaustion=later),),
    )
    lines = quota_lines(organization, complete)
    shown = (text for family, text in lines.items() if projects or family not in _BY_PROJECT)
    return b"".join(shown).decode()


def _view(kind: Kind, projects: Sequence[str], period: Period, share: float) -> QuotaView:
    used, limit = kind.used(share), kind.quota.limit
    parts = {kind.member: used} if kind.member else dict(_parts(used, projects))
    cost = {CostKind.RESERVED: Decimal(kind.cost), CostKind.OVERAGE: _overage(kind, share)}
    costs = cost if kind.cost else {}
    return QuotaView(
        kind.quota,
        kind.source,
        used,
        int(used * 1.2) if kind.speed * share > 1 else used,
        parts,
        costs,
        shared(sum(costs.values(), Decimal(0)), parts) if costs else {},
        {pace: base_units(kind.used(1), kind.quota.unit) * more for pace, more in _PACES.items()},
        _exhaustion(kind.speed, period) if limit else {},
        used // 50 if kind.source is Source.PLAN else None,
    )


_PACES: Final[Mapping[str, float]] = {"week": 1.0, "day": 1.2}


def _exhaustion(speed: float, period: Period) -> Mapping[str, float]:
    return {
        pace: period.start + LENGTH / (speed * more)
        for pace, more in _PACES.items()
        if speed * more > 1
    }


def _overage(kind: Kind, share: float) -> Decimal:
    return rounded(Decimal(max(kind.speed * share - 1, 0) * kind.cost))


def _parts(used: int, projects: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the use of each project, the first of which has most, and what is left for none."""
    weights = {project: 1 / (2 + number) for number, project in enumerate(projects)}
    total = sum(weights.values()) * 1.05 if weights else 1
    parts = {project: int(used * weight / total) for project, weight in weights.items()}
    yield from parts.items()
    yield "", used - sum(parts.values())
