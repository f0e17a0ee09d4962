"""What was learned of an organization, as text for people. Pure."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

from exporter.categories import Unit
from exporter.check.findings import Finding
from exporter.check.quotas import named
from exporter.check.report import (
    OrganizationReport,
    Plan,
    PlannedQuota,
    QueryReport,
    QuotaUse,
    Requests,
)
from exporter.moments import elapsed
from exporter.sentry.api_status import RateLimit, clocks_agree
from exporter.sentry.token import token_text

_BILLED: Final = MappingProxyType(
    {Unit.EVENTS: (1, ""), Unit.BYTES: (10**9, "GB"), Unit.SECONDS: (3600, "h")}
)
"""The unit of the bill, and how many base units it is."""

_WIDTH: Final = 14
"""Characters of a line before its value."""


def organization_text(report: OrganizationReport, findings: Iterable[Finding]) -> str:
    """Return a heading, a line for each fact, and a line for each finding."""
    lines = [f"organization {report.name}"]
    lines += [_line("  ", *fact) for fact in _facts(report)]
    for query in report.queries:
        lines.append(f"  query {query.name}")
        lines += [_line("    ", *fact) for fact in _query_facts(query)]
    lines += [f"  {finding}" for finding in findings]
    return "\n".join(lines)


def _line(indent: str, name: str, value: str) -> str:
    return f"{indent}{name}".ljust(_WIDTH - 1) + f" {value}"


def _facts(report: OrganizationReport) -> Iterator[tuple[str, str]]:
    yield "url", report.url
    yield "token", token_text(report.token.kind, report.token.source)
    if (identity := report.organization) is not None:
        yield "reads", f"{identity.slug}, id {identity.id}, {identity.name}"
    if (projects := report.projects) is not None:
        counts = f"{projects.listed:,} listed, {projects.readable:,} readable"
        yield "projects", f"{counts}, {projects.hidden:,} hidden"
    if (skew := report.clock_skew_seconds) is not None:
        yield "clock", _clock(skew)
    if (limit := report.rate_limit) is not None:
        yield "rate limit", _rate_limit(limit)
    if (plan := report.plan) is not None:
        why = f"cannot be read: {plan.reason} (needed only for quotas)"
        yield "plan", _plan(plan) if plan.readable else why
    for quota in report.quotas:
        yield "quota", f"{quota.name}: {_used(quota)}"
    if report.quotas and (without := report.unowned) is not None:
        if without.several:
            yield "several teams", named(without.several)
        if without.none:
            yield "no team", named(without.none)


def _plan(plan: Plan) -> str:
    budget = "" if plan.budget is None else f", budget {plan.budget:,.2f} {plan.currency}"
    quotas = "; ".join(_planned(one) for one in plan.quotas if one.limit is not None)
    return f"can be read: {plan.period}{budget}; {quotas} (an API that Sentry has not documented)"


def _planned(quota: PlannedQuota) -> str:
    """Return the limit of a quota, and what more of it costs."""
    text = f"{quota.name} {_amount(quota.limit or 0, quota.unit)}"
    if quota.price is not None:
        size, name = _BILLED[Unit(quota.unit)]
        text += f", then {_short(quota.price * size, 12)}{f'/{name}' if name else ' each'}"
    return text if quota.budget is None else f"{text}, budget {quota.budget:,.2f}"


def _used(quota: QuotaUse) -> str:
    used, unit = _amount(quota.used, quota.unit), quota.unit
    events = " events" if unit == Unit.EVENTS else ""
    if quota.limit is None:
        return f"{used}{events}, no limit"
    return f"{used} of {_amount(quota.limit, unit)}{events}"


def _amount(amount: float, unit: str) -> str:
    """Return an amount in the unit of the bill."""
    size, name = _BILLED[Unit(unit)]
    return f"{_short(amount / size, 2)}{name}"


def _short(number: float, digits: int) -> str:
    """Return a number with at most so many digits behind the point."""
    return f"{number:,.{digits}f}".rstrip("0").rstrip(".")


def _clock(skew: float) -> str:
    if clocks_agree(skew):
        return "agrees with Sentry's"
    return f"Sentry's is {elapsed(abs(skew))} {'ahead' if skew > 0 else 'behind'}"


def _rate_limit(limit: RateLimit) -> str:
    at_once = "" if limit.concurrent is None else f", {limit.concurrent} at once"
    return f"{limit.limit} requests per window, {limit.remaining} left{at_once}"


def _query_facts(query: QueryReport) -> Iterator[tuple[str, str]]:
    data = query.data
    if data is None:
        yield "data", "none, it failed" if query.tried else "not tried"
        return
    requests = data.requests
    proof = "proven complete" if data.complete else "not proven complete"
    yield "rows", f"{data.rows:,} from {data.bucket_start} to {data.bucket_end}, {proof}"
    counts = f"{requests.first_poll:,} in the first poll, {requests.poll:,} in a later one"
    yield "requests", f"{counts}, {requests.day:,} a day{_late(requests)}"
    yield "series", f"{data.series:,} on the page"


def _late(requests: Requests) -> str:
    more = requests.changed_bucket
    return f", and {more:,} for each other bucket that changes" if more else ""
